/* Several workers: they stand still when they are told to, change together, and pass their sockets
 * on. */
#include "tests/unit/support/worker_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/crew.h"
#include "proxy/listener.h"
#include "proxy/net/inherited.h"
#include "tunnel/net/clock.h"
#include "tunnel/net/socket.h"

enum { WORKERS = 4, PAUSES = 300, MOMENT_US = 100 };

static const turbo_time WAIT_MAX = 30 * TURBO_SECOND;
static struct inherited inherited;

static struct crew *created(struct fixture *f, unsigned count, struct inherited *from)
{
    struct crew *crew = crew_create(f->config, &f->log, count);
    assert_non_null(crew);
    assert_int_equal(crew_count(crew), count);
    if (!crew_open(crew, from))
        fail_msg("%s", fixture_log(f));
    return crew;
}

static void end(struct crew *crew)
{
    crew_drain(crew);
    crew_run(crew);
    crew_destroy(crew);
}

/* ---- beginning ---- */

/* In a process of its own, whose limit cannot be raised again. */
static int fail_to_create(struct fixture *f)
{
    const struct rlimit few = {.rlim_cur = 20, .rlim_max = 20};
    if (setrlimit(RLIMIT_NOFILE, &few) != 0 || crew_create(f->config, &f->log, 2) != NULL)
        return 1;
    return fcntl(STDIN_FILENO, F_GETFD) < 0 ? 2 : 0;
}

static void one_that_cannot_be_created_closes_nothing_of_others(void **state)
{
    struct fixture *f = *state;
    int status;
    fixture_parse(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
    pid_t child = fork();
    if (child == 0)
        _exit(fail_to_create(f));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- standing still ---- */

/* Comes back to its worker for ever, and counts without caring who looks. */
struct walker {
    struct message message;
    unsigned steps;
};

static void walk(struct message *message, struct worker *worker)
{
    struct walker *walker = (struct walker *)message;
    walker->steps++;
    if (worker != NULL)
        inbox_put(&worker->inbox, message);
}

static void assert_all_move(const struct crew *crew, struct crew *pauser,
                            const struct walker walkers[static WORKERS])
{
    unsigned before[WORKERS];
    for (unsigned i = 1; i < crew_count(crew); i++)
        before[i] = walkers[i].steps;
    for (unsigned i = 1; i < crew_count(crew); i++) {
        turbo_time end = clock_now() + WAIT_MAX;
        for (bool moved = false; !moved;) {
            assert_true(clock_now() < end);
            crew_resume(pauser);
            usleep(MOMENT_US);
            crew_pause(pauser);
            moved = walkers[i].steps != before[i];
        }
    }
}

static void nobody_moves_until_all_may(void **state)
{
    struct fixture *f = *state;
    struct walker walkers[WORKERS] = {0};
    fixture_parse(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct crew *crew = created(f, WORKERS, NULL);
    crew_pause(crew); /* nobody is there yet */
    crew_resume(crew);
    assert_true(crew_start(crew));
    for (unsigned i = 1; i < WORKERS; i++) {
        walkers[i].message.deliver = walk;
        inbox_put(&crew_worker(crew, i)->inbox, &walkers[i].message);
    }
    for (int n = 0; n < PAUSES; n++) {
        unsigned before[WORKERS];
        crew_pause(crew);
        crew_pause(crew);
        for (unsigned i = 1; i < WORKERS; i++)
            before[i] = walkers[i].steps;
        crew_resume(crew);
        usleep(n % 16 == 0 ? MOMENT_US : 0);
        for (unsigned i = 1; i < WORKERS; i++)
            assert_int_equal(walkers[i].steps, before[i]);
        if (n % 32 == 0)
            assert_all_move(crew, crew, walkers);
        crew_resume(crew);
    }
    end(crew);
}

/* ---- changing ---- */

static const char one_listener[] =
    "listener { protocol: TCP address: '127.0.0.1:0' name: 'a' route { upstream: 'u' } } "
    "upstream { name: 'u' server { address: '127.0.0.1:1' } }";

static void a_change_that_one_cannot_make_nobody_makes(void **state)
{
    struct fixture *f = *state;
    struct address taken;
    assert_true(address_from_literal(&taken, "127.0.0.1", 0));
    int fd = socket_listen_tcp(&taken);
    fixture_configure(f, "%s", one_listener);
    struct crew *crew = created(f, WORKERS, NULL);
    assert_true(crew_start(crew));
    crew_accept(crew);
    const struct generation *before = crew_worker(crew, 1)->generation;
    fixture_configure(
        f,
        "%s listener { protocol: TCP address: '127.0.0.2:0' route { upstream: 'u' } } "
        "listener { protocol: TCP address: '127.0.0.1:%u' route { upstream: 'u' } }",
        one_listener, address_port(&taken));
    assert_false(crew_reconfigure(crew, f->config));
    assert_true(fixture_logged(f, "is another server running on this port?"));
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(crew_worker(crew, i)->listener_count, 1);
    assert_ptr_equal(crew_worker(crew, 1)->generation, before);
    socket_close(fd);
    assert_true(crew_reconfigure(crew, f->config)); /* now it can */
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(crew_worker(crew, i)->listener_count, 3);
        assert_ptr_equal(crew_worker(crew, i)->generation->config, f->config);
    }
    end(crew);
}

/* ---- passing sockets on ---- */

static void assert_same_socket(int fd, int other)
{
    uint64_t cookies[2];
    socklen_t length = sizeof(cookies[0]);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookies[0], &length), 0);
    assert_int_equal(getsockopt(other, SOL_SOCKET, SO_COOKIE, &cookies[1], &length), 0);
    assert_int_equal(cookies[0], cookies[1]);
}

/* As `from` has them, in copies that nobody has yet. */
static void inherit(const struct crew *from)
{
    size_t count;
    int *fds = crew_sockets(from, -1, &count);
    assert_non_null(fds);
    inherited_init(&inherited);
    for (size_t i = 0; i < count; i++)
        assert_null(inherited_add(&inherited, dup(fds[i])));
    free(fds);
}

static void assert_sockets(const struct crew *crew, unsigned worker, const struct crew *of,
                           unsigned like, size_t expected)
{
    int fds[2][WORKER_SOCKETS_MAX];
    size_t count = worker_sockets(crew_worker(crew, worker), fds[0]);
    assert_int_equal(count, expected);
    (void)worker_sockets(crew_worker(of, like), fds[1]);
    for (size_t i = 0; i < count; i++)
        assert_same_socket(fds[0][i], fds[1][i]);
}

static uint16_t udp_port_of(const struct crew *crew)
{
    const char *udp = strstr(listener_text(crew_worker(crew, 0)->listeners[0]), ",udp=");
    return (uint16_t)strtoul(udp + strlen(",udp="), NULL, 10);
}

static void who_comes_after_has_the_sockets_in_their_order(void **state)
{
    struct fixture *f = *state;
    fixture_parse(f, "--listen turbo:127.0.0.1:0 --workers 1 --upstream tcp:127.0.0.1:%u",
                  f->server_port);
    struct crew *old = created(f, 2, NULL);
    uint16_t port = address_port(listener_address(crew_worker(old, 0)->listeners[0]));
    uint16_t udp_port = udp_port_of(old);
    fixture_parse(f, "--listen turbo:127.0.0.1:%u,udp=%u --workers 1 --upstream tcp:127.0.0.1:%u",
                  port, udp_port, f->server_port);
    inherit(old);
    assert_int_equal(crew_wanted(f->config, &inherited), 2); /* or one would not be heard */
    struct crew *heir = created(f, 3, &inherited);
    assert_int_equal(inherited.count, 0);
    for (unsigned i = 0; i < 2; i++)
        assert_sockets(heir, i, old, i, 2);
    assert_sockets(heir, 2, old, 0, 1); /* TCP is the first one's, and there is no more UDP */
    inherit(heir);
    struct crew *third = created(f, crew_wanted(f->config, &inherited), &inherited);
    assert_int_equal(crew_count(third), 3);
    for (unsigned i = 0; i < 2; i++)
        assert_sockets(third, i, old, i, 2);
    inherited_close(&inherited);
    crew_destroy(old);
    crew_destroy(heir);
    crew_destroy(third);
}

static void so_many_workers_are_wanted(void **state)
{
    struct fixture *f = *state;
    inherited_init(&inherited);
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --workers 7 --upstream tcp:127.0.0.1:%u",
                  f->server_port);
    assert_int_equal(crew_wanted(f->config, &inherited), 7);
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    assert_in_range(crew_wanted(f->config, &inherited), 1,
                    (uintmax_t)sysconf(_SC_NPROCESSORS_CONF));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(one_that_cannot_be_created_closes_nothing_of_others),
        FIXTURE_CASE(nobody_moves_until_all_may),
        FIXTURE_CASE(a_change_that_one_cannot_make_nobody_makes),
        FIXTURE_CASE(who_comes_after_has_the_sockets_in_their_order),
        FIXTURE_CASE(so_many_workers_are_wanted),
    };
    return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
