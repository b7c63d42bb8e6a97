/* Contexts are shared by threads: handshakes at once, and threads that outlive a context. Run under
 * ThreadSanitizer as well (under_tsan.sh). */
#include "tests/unit/support/check.h"
#include "tests/unit/support/tunnel_world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <valgrind/valgrind.h>

enum { THREADS = 8, HANDSHAKES = 200, SLOW_HANDSHAKES = 3, CAPACITY = 16384 };

struct shared {
    struct tunnel_context *client, *server;
    atomic_uint agreed;
    pthread_barrier_t done, released; /* all have used the contexts; they are gone */
};

static struct tunnel *open_end(struct tunnel_context *context, struct tunnel_io *io)
{
    struct tunnel_options options = {
        .server_name = tunnel_context_is_server(context) ? NULL : "server.example"};
    struct tunnel_error error;
    struct tunnel *tunnel = tunnel_open(context, io, &options, &error);
    if (tunnel == NULL)
        tunnel_io_close(io);
    return tunnel;
}

/* In turns; a byte shows that both mean the same. */
static bool talk(struct tunnel *client, struct tunnel *server)
{
    enum tunnel_result c = TUNNEL_WANT_READ, s = TUNNEL_WANT_READ;
    uint8_t byte = 0x5a, heard = 0;
    size_t n;
    while ((c != TUNNEL_OK || s != TUNNEL_OK) &&
           !(tunnel_result_is_error(c) || tunnel_result_is_error(s))) {
        c = tunnel_handshake(client);
        s = tunnel_handshake(server);
    }
    return c == TUNNEL_OK && s == TUNNEL_OK && tunnel_write(client, &byte, 1, &n) == TUNNEL_OK &&
           tunnel_read(server, &heard, 1, &n) == TUNNEL_OK && heard == byte;
}

static bool meet(struct shared *shared)
{
    struct tunnel_io *a, *b;
    if (!tunnel_io_memory_pair(CAPACITY, &a, &b))
        return false;
    struct tunnel *client = open_end(shared->client, a), *server = open_end(shared->server, b);
    bool fine = client != NULL && server != NULL && talk(client, server);
    tunnel_free(client);
    tunnel_free(server);
    return fine;
}

/* cmocka's assertions are for the main thread only: what went well is counted. */
static void *live(void *argument)
{
    struct shared *shared = argument;
    int handshakes = RUNNING_ON_VALGRIND ? SLOW_HANDSHAKES : HANDSHAKES;
    for (int i = 0; i < handshakes; i++)
        atomic_fetch_add(&shared->agreed, meet(shared) ? 1 : 0);
    pthread_barrier_wait(&shared->done);
    pthread_barrier_wait(&shared->released);
    return NULL;
}

static void share(const struct world *world, const char *implementation)
{
    pthread_t threads[THREADS];
    struct shared shared;
    world_usual(world, implementation, &shared.client, &shared.server);
    atomic_init(&shared.agreed, 0);
    pthread_barrier_init(&shared.done, NULL, THREADS + 1);
    pthread_barrier_init(&shared.released, NULL, THREADS + 1);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, live, &shared), 0);
    pthread_barrier_wait(&shared.done);
    tunnel_context_release(shared.client);
    tunnel_context_release(shared.server);
    pthread_barrier_wait(&shared.released);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&shared.done);
    pthread_barrier_destroy(&shared.released);
    unsigned handshakes = RUNNING_ON_VALGRIND ? SLOW_HANDSHAKES : HANDSHAKES;
    assert_int_equal(atomic_load(&shared.agreed), THREADS * handshakes);
}

static void threads_share_openssls_contexts_and_outlive_them(void **state)
{
    share(*state, "IMPL_OPENSSL3");
}

static void threads_share_gnutls_contexts_and_outlive_them(void **state)
{
    share(*state, "IMPL_GNUTLS");
}

static int set_up(void **state)
{
    static struct world world;
    world_create(&world);
    *state = &world;
    return 0;
}

static int tear_down(void **state)
{
    world_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(threads_share_openssls_contexts_and_outlive_them),
        CASE(threads_share_gnutls_contexts_and_outlive_them),
    };
    return cmocka_run_group_tests_name("tunnel threads", tests, set_up, tear_down);
}
