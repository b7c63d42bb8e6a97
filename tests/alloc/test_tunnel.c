/*
 * Contexts, tunnels, streams, I/Os and listeners while memory or descriptors run out in our own
 * objects: at every n, each is made all the same or refused with a reason that says so, nothing
 * crashes, and nothing is left behind. What the TLS libraries take for themselves is theirs.
 */
#include "tests/alloc/faults.h"
#include "tests/unit/support/check.h"
#include "tests/unit/support/hello.h"
#include "tests/unit/support/tunnel_world.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/stream.h"
#include "turbo/wire.h"

enum { CAPACITY = 64 * 1024, TURNS_MAX = 2000 };

static struct world world;
static const char *implementation;
static struct tunnel_context *client_context, *server_context;

/* What failed said why. Returns false, for "lost". */
static bool lost(const struct tunnel_error *error)
{
    if (error->result != TUNNEL_MEMORY && error->result != TUNNEL_IO)
        fail_msg("%s: %s", tunnel_result_name(error->result), error->text);
    assert_true(error->text[0] != '\0');
    return false;
}

/* ---- contexts ---- */

static bool make_context(bool server)
{
    struct tunnel_error error = {.result = TUNNEL_OK};
    struct world_end end = {.implementation = implementation,
                            .identity = server ? "ecdsa" : "client",
                            .trust = "root",
                            .common = "tls13 { ke: 'P-256' } alpn_protocols: 'h2'",
                            .more = server ? "client_authentication: CLIENT_AUTHENTICATION_REQUIRED"
                                           : NULL};
    struct tunnel_context *context = world_context(&world, server, &end, &error);
    if (context == NULL)
        return lost(&error);
    tunnel_context_release(context);
    return true;
}

static bool a_client(void)
{
    return make_context(false);
}

static bool a_server(void)
{
    return make_context(true);
}

/* ---- tunnels ---- */

static bool is_want(enum tunnel_result result)
{
    return result == TUNNEL_WANT_READ || result == TUNNEL_WANT_WRITE;
}

/* They agree, and say a word each way. */
static bool speak(struct tunnel *client, struct tunnel *server)
{
    char bytes[16];
    size_t n;
    enum tunnel_result a = TUNNEL_WANT_READ, b = TUNNEL_WANT_READ;
    for (int turns = 0; (is_want(a) || is_want(b)) && turns < TURNS_MAX; turns++) {
        a = tunnel_handshake(client);
        b = tunnel_handshake(server);
        if (tunnel_result_is_error(a))
            return lost(tunnel_error(client));
        if (tunnel_result_is_error(b))
            return lost(tunnel_error(server));
    }
    if (tunnel_write(client, "word", 4, &n) != TUNNEL_OK)
        return lost(tunnel_error(client));
    if (tunnel_read(server, bytes, sizeof(bytes), &n) != TUNNEL_OK)
        return lost(tunnel_error(server));
    if (tunnel_write(server, "word", 4, &n) != TUNNEL_OK)
        return lost(tunnel_error(server));
    if (tunnel_read(client, bytes, sizeof(bytes), &n) != TUNNEL_OK)
        return lost(tunnel_error(client));
    return true;
}

static void keep_and_close(struct tunnel *tunnel)
{
    struct tunnel_info info;
    size_t length;
    tunnel_info(tunnel, &info);
    uint8_t *resumption = tunnel_resumption(tunnel, &length); /* or none */
    tunnel_resumption_free(resumption, length);
    (void)tunnel_close(tunnel);
}

static struct tunnel *open_over(struct tunnel_context *context, struct tunnel_io *io)
{
    static const char *const names[] = {"other.example", "server.example", NULL};
    struct tunnel_error error = {.result = TUNNEL_OK};
    struct tunnel_options options = {.expected_alpn = "h2"};
    if (context == client_context) {
        options.server_name = "server.example";
        options.names = names;
    }
    struct tunnel *tunnel = tunnel_open(context, io, &options, &error);
    if (tunnel == NULL) {
        lost(&error);
        tunnel_io_close(io);
    }
    return tunnel;
}

static bool tunnels(void)
{
    struct tunnel_io *ends[2];
    if (!tunnel_io_memory_pair(CAPACITY, &ends[0], &ends[1]))
        return false;
    struct tunnel *client = open_over(client_context, ends[0]);
    struct tunnel *server = open_over(server_context, ends[1]);
    bool good = client != NULL && server != NULL && speak(client, server);
    if (good) {
        keep_and_close(client);
        keep_and_close(server);
    }
    tunnel_free(client);
    tunnel_free(server);
    return good;
}

static bool a_tunnel_from_text(void)
{
    struct tunnel_io *ends[2];
    struct tunnel_error error = {.result = TUNNEL_OK};
    if (!tunnel_io_memory_pair(CAPACITY, &ends[0], &ends[1]))
        return false;
    struct tunnel *client = tunnel_open_from_text(
        client_context, ends[0],
        "server_name_indication: 'a.example' verifier { san_verifier { alt_names { dns: 'b' } } }",
        &error);
    if (client == NULL) {
        lost(&error);
        tunnel_io_close(ends[0]);
    }
    bool good = client != NULL;
    tunnel_free(client);
    tunnel_io_close(ends[1]);
    return good;
}

static bool a_stream(void)
{
    int pair[2];
    struct tunnel_error error = {.result = TUNNEL_OK};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct tunnel_io *io = tunnel_io_fd(pair[0], pair[0]);
    struct tunnel_stream *stream =
        io == NULL ? NULL
                   : tunnel_stream_open(server_context, io, &(struct tunnel_options){0}, &error);
    bool good = stream != NULL;
    if (io == NULL)
        close(pair[0]); /* it stays the caller's */
    else if (!good) {
        lost(&error);
        tunnel_io_close(io);
    }
    tunnel_stream_free(stream);
    close(pair[1]);
    return good;
}

static bool a_memory(void)
{
    struct tunnel_memory *memory = tunnel_memory_new();
    tunnel_memory_free(memory);
    return memory != NULL;
}

/* ---- listeners ---- */

static struct tunnel_listener *listener;
static struct hello hello;

static int dial(int type)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(tunnel_listener_port(listener)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, type, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const void *data, size_t length)
{
    ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
    assert_true(sent == (ssize_t)length || faults_struck()); /* it may have been reset */
}

static void ask(int udp, const struct turbo_id *id)
{
    for (uint32_t i = 1; i <= 6; i++) {
        uint8_t bytes[TURBO_DATAGRAM_MAX];
        struct turbo_datagram datagram = {.id = *id, .sequence = i};
        if (i == 1) {
            datagram.payload = hello.bytes;
            datagram.length = hello.length;
        }
        say(udp, bytes, turbo_datagram_encode(&datagram, bytes));
    }
}

static void join(int tcp, const struct turbo_id *id)
{
    uint8_t bytes[TURBO_TOMBSTONE_BYTES];
    turbo_tombstone_encode(&(struct turbo_tombstone){.id = *id, .replay = true}, bytes);
    say(tcp, bytes, sizeof(bytes));
    say(tcp, hello.bytes, hello.length);
}

/* Once something has failed nobody waits for a connection that is lost, or accepted later. */
static struct tunnel_io *take(void)
{
    struct tunnel_io *io = NULL;
    for (int turns = 0; turns < TURNS_MAX; turns++) {
        enum tunnel_result result = tunnel_listener_accept(listener, &io);
        if (result == TUNNEL_OK)
            return io;
        assert_true(result == TUNNEL_WANT_READ || (result == TUNNEL_IO && errno != 0));
        if (faults_struck() && turns > 3)
            return NULL;
        (void)tunnel_listener_wait(listener, 5);
    }
    fail_msg("nothing was accepted");
    return NULL;
}

static bool hears_hello(struct tunnel_io *io)
{
    char bytes[2048];
    size_t all = 0, got;
    for (int turns = 0; all < hello.length && turns < TURNS_MAX; turns++) {
        if (tunnel_io_read(io, bytes + all, hello.length - all, &got) == TUNNEL_OK)
            all += got;
        else if (faults_struck() && turns > 3)
            return false;
        else
            (void)tunnel_io_wait(io, TUNNEL_WANT_READ, 5);
    }
    return all == hello.length && memcmp(bytes, hello.bytes, all) == 0;
}

/* TCP joins, or it does not. */
static void await_tcp(struct tunnel_io *io)
{
    struct tunnel_io_report report = {.tcp_us = 0};
    char byte;
    size_t got;
    for (int turns = 0; report.tcp_us == 0 && turns < TURNS_MAX; turns++) {
        if (tunnel_io_read(io, &byte, 1, &got) != TUNNEL_WANT_READ ||
            !tunnel_io_report(io, &report) || (faults_struck() && turns > 3))
            return;
        (void)tunnel_io_wait(io, TUNNEL_WANT_READ, 5);
    }
}

static bool session(void)
{
    struct turbo_id id;
    size_t n;
    struct tunnel_io *io;
    turbo_id_from_hello(&id, check_sha256, hello.bytes, hello.length);
    int udp = dial(SOCK_DGRAM), tcp = dial(SOCK_STREAM);
    ask(udp, &id);
    bool good = (io = take()) != NULL && hears_hello(io);
    join(tcp, &id);
    if (good && tunnel_io_write(io, "flight", 6, &n) == TUNNEL_OK)
        await_tcp(io);
    tunnel_io_close(io);
    close(udp);
    close(tcp);
    return good;
}

static bool plain(void)
{
    int tcp = dial(SOCK_STREAM);
    say(tcp, hello.bytes, hello.length);
    struct tunnel_io *io = take();
    bool good = io != NULL && hears_hello(io);
    tunnel_io_close(io);
    close(tcp);
    return good;
}

static bool use_listener(struct tunnel_listener *(*listen)(const struct tunnel_listen *settings,
                                                           struct tunnel_error *error),
                         bool (*use)(void))
{
    struct tunnel_error error = {.result = TUNNEL_OK};
    listener = listen(&(struct tunnel_listen){.host = "127.0.0.1", .sessions_max = 4}, &error);
    if (listener == NULL)
        return lost(&error);
    bool good = use();
    tunnel_listener_close(listener);
    return good;
}

static bool a_turbo_session(void)
{
    return use_listener(tunnel_listen_turbo, session);
}

static bool tls_at_a_turbo_listener(void)
{
    return use_listener(tunnel_listen_turbo, plain);
}

static bool a_tcp_listener(void)
{
    return use_listener(tunnel_listen_tcp, plain);
}

/* ---- every n ---- */

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static bool survives(bool (*scenario)(void), const struct fault *fault, unsigned n)
{
    size_t blocks = faults_blocks();
    unsigned descriptors = open_descriptors();
    faults_plan(fault, n);
    faults_on();
    bool good = scenario();
    faults_off();
    bool struck = faults_cancel();
    assert_true(good || struck);
    assert_int_equal(faults_blocks(), blocks);
    assert_int_equal(open_descriptors(), descriptors);
    return struck;
}

struct scenario {
    const char *name;
    bool (*run)(void);
    unsigned least; /* allocations, all of which fail in turn */
};

static void at_every_n(void **state)
{
    const struct scenario *scenario = *state;
    faults_plan(NULL, 0);
    faults_cancel();
    assert_true(scenario->run());
    for (size_t i = 0; i < FAULTS; i++) {
        unsigned n = 1;
        while (survives(scenario->run, &faults[i], n))
            n++;
        assert_true(faults[i].descriptor || n > scenario->least);
        print_message("%u times a failed %s\n", n - 1, faults[i].name);
    }
    faults_plan(NULL, 0);
}

static int explain(void **state)
{
    (void)state;
    faults_off();
    faults_print();
    return 0;
}

static const char *const implementations[] = {"IMPL_OPENSSL3", "IMPL_GNUTLS"};

static bool use_implementation(const char *which)
{
    struct tunnel_error error;
    struct world_end end = {
        .implementation = which, .trust = "root", .common = "alpn_protocols: 'h2'"};
    implementation = which;
    client_context = world_context(&world, false, &end, &error);
    end = (struct world_end){
        .implementation = which, .identity = "ecdsa", .common = "alpn_protocols: 'h2'"};
    server_context = world_context(&world, true, &end, &error);
    return client_context != NULL && server_context != NULL;
}

static const struct scenario scenarios[] = {
    {"a client's context", a_client, 4},
    {"a server's context", a_server, 4},
    {"two tunnels", tunnels, 8},
    {"options as text", a_tunnel_from_text, 4},
    {"a stream", a_stream, 2},
    {"a memory", a_memory, 0},
    {"a turbo session", a_turbo_session, 5},
    {"TLS at a turbo listener", tls_at_a_turbo_listener, 5},
    {"a TCP listener", a_tcp_listener, 1},
};

int main(void)
{
    struct CMUnitTest tests[COUNT(scenarios)];
    int failed = 0;

    hello_simple(&hello, 1);
    world_create(&world);
    for (size_t i = 0; i < COUNT(scenarios); i++)
        tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
                                       .test_func = at_every_n,
                                       .teardown_func = explain,
                                       .initial_state = (void *)(uintptr_t)&scenarios[i]};
    for (size_t i = 0; i < COUNT(implementations); i++) {
        print_message("%s\n", implementations[i]);
        if (!use_implementation(implementations[i]))
            return 1;
        failed += cmocka_run_group_tests(tests, NULL, NULL);
        tunnel_context_release(client_context);
        tunnel_context_release(server_context);
    }
    world_destroy(&world);
    return failed;
}
