/*
 * Listeners of libtunnel in use: many threads, a close in the middle of it, no descriptors left,
 * clients of the Sandwich dialect, processes that fork, and who waits without asking first.
 */
#include "tests/unit/support/check.h"
#include "tests/unit/support/child.h"
#include "tests/unit/support/hello.h"
#include "tests/unit/support/tunnel_each.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tunnel/io.h"
#include "turbo/wire.h"

enum { WAIT_MS = 10000, BYTES = 8192, WAITING_MAX = 4 };

static struct tunnel_listener *listener;

/* ---- a client's ends: blocking sockets ---- */

struct client {
    struct hello hello;
    struct turbo_id id;
    enum turbo_dialect dialect;
    int udp, tcp;
};

static int dial(int type)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(tunnel_listener_port(listener)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, type, 0);
    struct timeval patience = {.tv_sec = WAIT_MS / 1000};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -1;
}

static bool say(int fd, const void *data, size_t length)
{
    return send(fd, data, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static bool hears(int fd, const char *words)
{
    char bytes[BYTES];
    size_t length = strlen(words);
    return recv(fd, bytes, length, MSG_WAITALL) == (ssize_t)length &&
           memcmp(bytes, words, length) == 0;
}

/* ClientHellos are made in one place, by one thread at a time. */
static void client_init(struct client *c, enum turbo_dialect dialect, unsigned number)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    c->dialect = dialect;
    c->udp = c->tcp = -1;
    hello_simple(&c->hello, number);
    if (dialect == TURBO_DIALECT_SANDWICH)
        check_fill(c->id.bytes, number, 0, sizeof(c->id.bytes));
    else
        turbo_id_from_hello(&c->id, check_sha256, c->hello.bytes, c->hello.length);
    pthread_mutex_unlock(&lock);
}

static void client_close(struct client *c)
{
    if (c->udp >= 0)
        close(c->udp);
    if (c->tcp >= 0)
        close(c->tcp);
}

static bool request(struct client *c, uint32_t sequence, const void *payload, size_t length)
{
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    struct turbo_datagram datagram = {.dialect = c->dialect,
                                      .id = c->id,
                                      .sequence = sequence,
                                      .payload = payload,
                                      .length = length};
    return say(c->udp, bytes, turbo_datagram_encode(&datagram, bytes));
}

static bool ask(struct client *c)
{
    uint32_t more = c->dialect == TURBO_DIALECT_SANDWICH ? SANDWICH_FIRST_FLIGHT : 6;
    c->udp = dial(SOCK_DGRAM);
    bool sent = request(c, 1, c->hello.bytes, c->hello.length);
    for (uint32_t i = 2; i <= more; i++)
        sent = sent && request(c, i, NULL, 0);
    return sent;
}

static bool join(struct client *c, uint32_t consumed, const char *words)
{
    uint8_t bytes[TURBO_TOMBSTONE_BYTES + HELLO_ROOM];
    struct turbo_tombstone tombstone = {.id = c->id, .replay = true, .consumed = consumed};
    size_t length = TURBO_TOMBSTONE_BYTES;
    turbo_tombstone_encode(&tombstone, bytes);
    memcpy(bytes + length, c->hello.bytes, c->hello.length);
    length += c->hello.length;
    memcpy(bytes + length, words, strlen(words));
    c->tcp = dial(SOCK_STREAM);
    return say(c->tcp, bytes, length + strlen(words));
}

/* ---- the server's ---- */

static void start(const struct tunnel_listen *settings)
{
    struct tunnel_error error;
    listener = tunnel_listen_turbo(settings, &error);
    if (listener == NULL)
        fail_msg("%s", error.text);
}

static int before(void **state)
{
    (void)state;
    start(
        &(struct tunnel_listen){.host = "127.0.0.1", .waiting_max = WAITING_MAX, .sandwich = true});
    return 0;
}

static int after(void **state)
{
    (void)state;
    tunnel_listener_close(listener);
    listener = NULL;
    return 0;
}

static struct tunnel_io *take(void)
{
    struct tunnel_io *io = NULL;
    while (tunnel_listener_accept(listener, &io) == TUNNEL_WANT_READ)
        if (tunnel_listener_wait(listener, WAIT_MS) != TUNNEL_OK)
            return NULL;
    return io;
}

static enum tunnel_result hear(struct tunnel_io *io, void *buffer, size_t capacity, size_t *got)
{
    enum tunnel_result result;
    while ((result = tunnel_io_read(io, buffer, capacity, got)) == TUNNEL_WANT_READ)
        if (tunnel_io_wait(io, result, WAIT_MS) != TUNNEL_OK)
            return TUNNEL_TIMEOUT;
    return result;
}

static bool io_hears(struct tunnel_io *io, const void *data, size_t length)
{
    uint8_t bytes[BYTES];
    size_t got, all = 0;
    for (; all < length; all += got)
        if (hear(io, bytes + all, length - all, &got) != TUNNEL_OK)
            return false;
    return memcmp(bytes, data, length) == 0;
}

static bool io_says(struct tunnel_io *io, const char *words)
{
    return tunnel_io_write_all(io, words, strlen(words), WAIT_MS) == TUNNEL_OK;
}

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

/* ---- waiting without asking first ---- */

static void who_accepts_one_and_waits_is_told_of_the_next(void **state)
{
    (void)state;
    struct client clients[3];
    struct tunnel_io *io;
    for (unsigned i = 0; i < COUNT(clients); i++) {
        client_init(&clients[i], TURBO_DIALECT_PROFILE1, i);
        clients[i].tcp = dial(SOCK_STREAM);
        assert_true(say(clients[i].tcp, clients[i].hello.bytes, clients[i].hello.length));
    }
    for (unsigned i = 0; i < COUNT(clients); i++) {
        assert_int_equal(tunnel_listener_wait(listener, WAIT_MS), TUNNEL_OK);
        io = take();
        assert_non_null(io);
        tunnel_io_close(io);
    }
    for (unsigned i = 0; i < COUNT(clients); i++)
        client_close(&clients[i]);
}

static void what_came_with_an_opening_is_due_at_once(void **state)
{
    (void)state;
    struct client c;
    uint8_t byte;
    size_t got, all = 1;
    client_init(&c, TURBO_DIALECT_PROFILE1, 1);
    c.tcp = dial(SOCK_STREAM);
    assert_true(say(c.tcp, c.hello.bytes, c.hello.length));
    struct tunnel_io *io = take();
    assert_int_equal(hear(io, &byte, 1, &got), TUNNEL_OK);
    for (; all < c.hello.length; all++) {
        assert_int_equal(tunnel_io_wait(io, TUNNEL_WANT_READ, 0), TUNNEL_OK);
        assert_int_equal(tunnel_io_read(io, &byte, 1, &got), TUNNEL_OK);
    }
    assert_int_equal(tunnel_io_wait(io, TUNNEL_WANT_READ, 0), TUNNEL_TIMEOUT);
    tunnel_io_close(io);
    client_close(&c);
}

/* A write takes note of the news, too. */
static void what_came_by_udp_is_due_behind_a_write(void **state)
{
    (void)state;
    struct client c;
    client_init(&c, TURBO_DIALECT_PROFILE1, 1);
    assert_true(ask(&c));
    struct tunnel_io *io = take();
    assert_true(io_says(io, "flight"));
    assert_true(io_says(io, "more"));
    assert_int_equal(tunnel_io_wait(io, TUNNEL_WANT_READ, 0), TUNNEL_OK);
    assert_true(io_hears(io, c.hello.bytes, c.hello.length));
    tunnel_io_close(io);
    client_close(&c);
}

/* ---- what strangers can do ---- */

static void silence_does_not_keep_others_out(void **state)
{
    (void)state;
    struct client c;
    int silent[WAITING_MAX];
    for (size_t i = 0; i < WAITING_MAX; i++)
        silent[i] = dial(SOCK_STREAM);
    client_init(&c, TURBO_DIALECT_PROFILE1, 1);
    c.tcp = dial(SOCK_STREAM);
    assert_true(say(c.tcp, c.hello.bytes, c.hello.length));
    struct tunnel_io *io = take(); /* within the 10 s of take, not after the opening's 60 s */
    assert_non_null(io);
    char byte;
    assert_int_equal(recv(silent[0], &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    tunnel_io_close(io);
    client_close(&c);
    for (size_t i = 0; i < WAITING_MAX; i++)
        close(silent[i]);
}

static void what_was_said_arrives_though_the_peer_was_not_heard(void **state)
{
    (void)state;
    struct client c;
    char byte;
    client_init(&c, TURBO_DIALECT_PROFILE1, 1);
    c.tcp = dial(SOCK_STREAM);
    assert_true(say(c.tcp, c.hello.bytes, c.hello.length));
    struct tunnel_io *io = take();
    assert_true(say(c.tcp, "not heard", 9));
    assert_true(io_says(io, "good-bye"));
    tunnel_io_close(io);
    assert_true(hears(c.tcp, "good-bye"));
    assert_int_equal(recv(c.tcp, &byte, 1, 0), 0);
    client_close(&c);
}

static void wait_for_stop(void)
{
    for (;;)
        pause();
}

/* Its copies of the sockets keep them in an epoll set that does not forget by itself. */
static void a_forked_child_keeps_nothing_alive(void **state)
{
    (void)state;
    struct tunnel_io *none;
    int silent = dial(SOCK_STREAM);
    assert_int_equal(tunnel_listener_wait(listener, WAIT_MS), TUNNEL_OK);
    assert_int_equal(tunnel_listener_accept(listener, &none), TUNNEL_WANT_READ);
    pid_t child = fork();
    if (child == 0)
        wait_for_stop();
    assert_true(child > 0);
    close(silent); /* the child has a copy of this, too */
    kill(child, SIGSTOP);
    int other = dial(SOCK_STREAM);
    shutdown(other, SHUT_WR);
    while (tunnel_listener_wait(listener, 50) == TUNNEL_OK)
        assert_int_equal(tunnel_listener_accept(listener, &none), TUNNEL_WANT_READ);
    int third = dial(SOCK_STREAM);
    struct client c;
    client_init(&c, TURBO_DIALECT_PROFILE1, 1);
    assert_true(ask(&c));
    struct tunnel_io *io = take();
    assert_non_null(io);
    pid_t second = fork(); /* with copies of everything the listener watches */
    if (second == 0)
        wait_for_stop();
    tunnel_listener_close(listener);
    listener = NULL;
    uint8_t byte;
    size_t got;
    assert_int_equal(hear(io, &byte, 1, &got), TUNNEL_IO);
    tunnel_io_close(io);
    kill(child, SIGKILL);
    kill(second, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(waitpid(second, NULL, 0), second);
    close(other);
    close(third);
    client_close(&c);
}

/* ---- closing ---- */

static void a_listener_that_closes_leaves_no_descriptor(void **state)
{
    (void)state;
    struct client c[4];
    for (unsigned i = 0; i < COUNT(c); i++)
        client_init(&c[i], TURBO_DIALECT_PROFILE1, i);
    after(state);
    unsigned open = open_descriptors();
    before(state);
    assert_true(ask(&c[0])); /* is taken, and left with words for TCP */
    struct tunnel_io *left = take();
    assert_true(io_says(left, "flight"));
    tunnel_io_close(left);
    assert_true(ask(&c[1])); /* is taken, and joined */
    struct tunnel_io *joined = take();
    assert_true(io_hears(joined, c[1].hello.bytes, c[1].hello.length));
    assert_true(join(&c[1], 0, "data"));
    assert_true(io_hears(joined, "data", 4));
    assert_true(ask(&c[2])); /* is taken, and not joined */
    struct tunnel_io *alone = take();
    assert_true(ask(&c[3])); /* is never taken */
    c[0].tcp = dial(SOCK_STREAM);
    assert_true(io_says(alone, "flight"));
    tunnel_listener_close(listener);
    listener = NULL;
    tunnel_io_close(joined);
    tunnel_io_close(alone);
    for (unsigned i = 0; i < COUNT(c); i++)
        client_close(&c[i]);
    assert_int_equal(open_descriptors(), open);
}

/* ---- the Sandwich dialect ---- */

static void tcp_that_overtakes_udp_waits_for_it(void **state)
{
    (void)state;
    /* As a ServerHello of TLS 1.3 with TLS_AES_128_GCM_SHA256, and a client's Finished. */
    static const uint8_t server_hello[5 + 122] = {22, 3, 3,   0,        122,         2,
                                                  0,  0, 118, [43] = 0, [44] = 0x13, [45] = 1};
    static const uint8_t change[] = {20, 3, 3, 0, 1, 1}, finished[5 + 53] = {23, 3, 3, 0, 53};
    uint8_t tombstone[SANDWICH_TOMBSTONE_BYTES], byte;
    struct client c;
    size_t got;
    client_init(&c, TURBO_DIALECT_SANDWICH, 7);
    c.tcp = dial(SOCK_STREAM);
    assert_true(ask(&c));
    struct tunnel_io *io = take();
    assert_true(io_hears(io, c.hello.bytes, c.hello.length));
    assert_int_equal(tunnel_io_write(io, server_hello, sizeof(server_hello), &got), TUNNEL_OK);
    uint8_t response[TURBO_DATAGRAM_MAX];
    while (recv(c.udp, response, 1, MSG_PEEK | MSG_DONTWAIT) < 0) { /* it waits for more */
        assert_int_equal(tunnel_io_wait(io, TUNNEL_WANT_READ, WAIT_MS), TUNNEL_OK);
        assert_int_equal(tunnel_io_read(io, &byte, 1, &got), TUNNEL_WANT_READ);
    }
    assert_int_equal(recv(c.udp, response, sizeof(response), 0),
                     SANDWICH_HEADER_BYTES + sizeof(server_hello));
    sandwich_tombstone_encode(
        &(struct turbo_tombstone){.dialect = TURBO_DIALECT_SANDWICH, .id = c.id, .consumed = 1},
        tombstone);
    assert_true(say(c.tcp, tombstone, sizeof(tombstone)));
    assert_true(say(c.tcp, "data", 4));
    struct tunnel_io_report report = {.tcp_us = 0};
    while (report.tcp_us == 0) {
        assert_int_equal(tunnel_io_read(io, &byte, 1, &got), TUNNEL_WANT_READ);
        assert_true(tunnel_io_report(io, &report));
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(tunnel_io_read(io, &byte, 1, &got), TUNNEL_WANT_READ);
    assert_true(request(&c, 15, change, sizeof(change)));
    assert_true(io_hears(io, change, sizeof(change)));
    assert_int_equal(tunnel_io_read(io, &byte, 1, &got), TUNNEL_WANT_READ);
    assert_true(request(&c, 16, finished, sizeof(finished)));
    assert_true(io_hears(io, finished, sizeof(finished)));
    assert_true(io_hears(io, "data", 4));
    assert_true(io_says(io, "answer"));
    assert_true(hears(c.tcp, "answer"));
    tunnel_io_close(io);
    client_close(&c);
}

/* ---- no descriptors left ---- */

static void allow_descriptors(rlim_t count)
{
    struct rlimit limit;
    CHILD_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = count;
    CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static enum tunnel_result accept_something(struct tunnel_io **io)
{
    enum tunnel_result result;
    while ((result = tunnel_listener_accept(listener, io)) == TUNNEL_WANT_READ)
        CHILD_CHECK(tunnel_listener_wait(listener, WAIT_MS) == TUNNEL_OK);
    return result;
}

static void run_out_of_descriptors(void)
{
    static struct client by_tcp, by_udp;
    struct tunnel_io *io;
    struct rlimit usual;
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    CHILD_CHECK(getrlimit(RLIMIT_NOFILE, &usual) == 0);
    client_init(&by_tcp, TURBO_DIALECT_PROFILE1, 1);
    client_init(&by_udp, TURBO_DIALECT_PROFILE1, 2);
    by_tcp.tcp = dial(SOCK_STREAM);
    int free_one = dup(by_tcp.tcp);
    allow_descriptors((rlim_t)free_one);
    close(free_one);
    CHILD_CHECK(accept_something(&io) == TUNNEL_IO && errno == EMFILE);
    allow_descriptors(usual.rlim_cur);
    by_udp.udp = dial(SOCK_DGRAM);
    allow_descriptors((rlim_t)by_udp.udp + 1);
    for (uint32_t i = 1; i <= 6; i++)
        CHILD_CHECK(request(&by_udp, i, i == 1 ? by_udp.hello.bytes : NULL,
                            i == 1 ? by_udp.hello.length : 0));
    /* The session is refused, and nobody hears of it. */
    struct pollfd answer = {.fd = by_udp.udp, .events = POLLIN};
    while (poll(&answer, 1, 0) == 0) {
        enum tunnel_result result = tunnel_listener_accept(listener, &io);
        CHILD_CHECK(result == TUNNEL_WANT_READ || result == TUNNEL_IO);
    }
    CHILD_CHECK(recv(by_udp.udp, bytes, sizeof(bytes), 0) == TURBO_HEADER_BYTES);
    /* With descriptors it goes on by itself. */
    allow_descriptors(usual.rlim_cur);
    CHILD_CHECK(say(by_tcp.tcp, by_tcp.hello.bytes, by_tcp.hello.length));
    while (accept_something(&io) == TUNNEL_IO)
        ;
    CHILD_CHECK(io_hears(io, by_tcp.hello.bytes, by_tcp.hello.length));
    tunnel_io_close(io);
    tunnel_listener_close(listener);
}

static void without_descriptors_it_waits_for_some(void **state)
{
    (void)state;
    if (each_is_slow())
        skip(); /* valgrind has descriptors of its own, beyond the limit */
    child_run(run_out_of_descriptors);
}

/* ---- threads ---- */

enum { CLIENTS = 4, EACH = 6 };

static atomic_uint failures, served, ended;

/* In a thread other than the test's. */
#define check(condition) check_at((condition), #condition, __LINE__)

static void check_at(bool holds, const char *condition, int line)
{
    if (holds)
        return;
    (void)fprintf(stderr, "%s:%d: not so: %s (errno: %s)\n", __FILE__, line, condition,
                  strerror(errno));
    atomic_fetch_add(&failures, 1);
}

/* One connection: whatever its client is. */
static void *serve(void *given)
{
    struct tunnel_io *io = given;
    struct tunnel_io_report report;
    char bytes[BYTES];
    size_t got = 0, all = 0;
    enum tunnel_result result = io_says(io, "flight") ? TUNNEL_OK : TUNNEL_IO;
    while (result == TUNNEL_OK && (all < 4 || memcmp(bytes + all - 4, "data", 4) != 0)) {
        result = hear(io, bytes + all, sizeof(bytes) - all, &got);
        all += got;
        (void)tunnel_io_report(io, &report);
    }
    if (result == TUNNEL_OK) {
        check(io_says(io, "answer"));
        atomic_fetch_add(&served, 1);
    } else {
        check(result == TUNNEL_IO);
        (void)tunnel_io_error(io);
        atomic_fetch_add(&ended, 1);
    }
    tunnel_io_close(io);
    return NULL;
}

static void visit(struct client *c, bool turbo)
{
    char bytes[BYTES];
    if (turbo) {
        check(ask(c));
        check(recv(c->udp, bytes, sizeof(bytes), 0) > TURBO_HEADER_BYTES);
        check(join(c, 1, "data"));
        check(hears(c->tcp, "answer"));
    } else {
        c->tcp = dial(SOCK_STREAM);
        check(say(c->tcp, c->hello.bytes, c->hello.length));
        check(hears(c->tcp, "flight"));
        check(say(c->tcp, "data", 4));
        check(hears(c->tcp, "answer"));
    }
    client_close(c);
}

/* Half of them by UDP; last of all a session that TCP never joins. */
static void *visit_often(void *given)
{
    unsigned number = *(const unsigned *)given;
    struct client *c = malloc(sizeof(*c));
    check(c != NULL);
    for (unsigned i = 0; c != NULL && i <= EACH; i++) {
        client_init(c, TURBO_DIALECT_PROFILE1, number * 100 + i);
        if (i < EACH) {
            visit(c, i % 2 == 0);
            continue;
        }
        (void)ask(c); /* the listener may close upon the first datagram of the last one */
        client_close(c);
    }
    free(c);
    return NULL;
}

/* As many threads as there are connections, while the main one accepts, and closes behind the last.
 */
static void threads_share_a_listener_and_outlive_it(void **state)
{
    (void)state;
    unsigned numbers[CLIENTS];
    pthread_t visitors[CLIENTS], servers[CLIENTS * (EACH + 1)];
    atomic_store(&failures, 0);
    atomic_store(&served, 0);
    atomic_store(&ended, 0);
    after(state);
    start(&(struct tunnel_listen){.host = "127.0.0.1"});
    for (unsigned i = 0; i < CLIENTS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&visitors[i], NULL, visit_often, &numbers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(servers); i++)
        assert_int_equal(pthread_create(&servers[i], NULL, serve, take()), 0);
    tunnel_listener_close(listener);
    listener = NULL;
    for (size_t i = 0; i < COUNT(servers); i++)
        pthread_join(servers[i], NULL);
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(visitors[i], NULL);
    /* One that its TCP had not joined when the listener closed has ended, and its client knows. */
    assert_int_equal(atomic_load(&served) + atomic_load(&ended), COUNT(servers));
    assert_true(atomic_load(&ended) >= CLIENTS);
    if (atomic_load(&ended) == CLIENTS)
        assert_int_equal(atomic_load(&failures), 0);
}

#define FRESH(name) cmocka_unit_test_setup_teardown(name, before, after)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(who_accepts_one_and_waits_is_told_of_the_next),
        FRESH(what_came_with_an_opening_is_due_at_once),
        FRESH(what_came_by_udp_is_due_behind_a_write),
        FRESH(silence_does_not_keep_others_out),
        FRESH(what_was_said_arrives_though_the_peer_was_not_heard),
        FRESH(a_forked_child_keeps_nothing_alive),
        FRESH(a_listener_that_closes_leaves_no_descriptor),
        FRESH(tcp_that_overtakes_udp_waits_for_it),
        FRESH(without_descriptors_it_waits_for_some),
        FRESH(threads_share_a_listener_and_outlive_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
