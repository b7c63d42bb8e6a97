/* Listeners of libtunnel: TurboTLS sessions and the TCP connections that join them, plain TLS, and
 * anything else. */
#include "tests/unit/support/check.h"
#include "tests/unit/support/hello.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/io.h"
#include "turbo/wire.h"

enum { REQUESTS = 6, WAIT_MS = 10000, BYTES = 8192 };

static struct tunnel_listener *listener;
static struct hello hello;
static struct turbo_id id;

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
    start(&(struct tunnel_listen){.host = "127.0.0.1", .waiting_max = 4});
    hello_simple(&hello, 1);
    turbo_id_from_hello(&id, check_sha256, hello.bytes, hello.length);
    return 0;
}

static int after(void **state)
{
    (void)state;
    tunnel_listener_close(listener);
    listener = NULL;
    return 0;
}

/* ---- the client's ends: blocking sockets ---- */

static int dial(int type)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(tunnel_listener_port(listener)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, type, 0);
    struct timeval patience = {.tv_sec = WAIT_MS / 1000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const void *data, size_t length)
{
    assert_int_equal(send(fd, data, length, MSG_NOSIGNAL), length);
}

static void request(int udp, uint8_t flags, uint32_t sequence, const void *payload, size_t length)
{
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    struct turbo_datagram datagram = {
        .id = id, .flags = flags, .sequence = sequence, .payload = payload, .length = length};
    say(udp, bytes, turbo_datagram_encode(&datagram, bytes));
}

static int ask(void)
{
    int udp = dial(SOCK_DGRAM);
    for (uint32_t i = 0; i < REQUESTS / 2; i++) {
        request(udp, 0, 1, hello.bytes, hello.length);
        request(udp, 0, 2 + i, NULL, 0);
    }
    return udp;
}

static int open_with_tombstone(uint32_t consumed, const char *words)
{
    uint8_t bytes[TURBO_TOMBSTONE_BYTES];
    struct turbo_tombstone tombstone = {.id = id, .replay = true, .consumed = consumed};
    int tcp = dial(SOCK_STREAM);
    turbo_tombstone_encode(&tombstone, bytes);
    say(tcp, bytes, sizeof(bytes));
    say(tcp, hello.bytes, hello.length);
    say(tcp, words, strlen(words));
    return tcp;
}

static void assert_says(int fd, const char *words)
{
    char bytes[BYTES];
    size_t length = 0, expected = strlen(words);
    while (length < expected) {
        ssize_t n = recv(fd, bytes + length, sizeof(bytes) - length, 0);
        assert_true(n > 0);
        length += (size_t)n;
    }
    assert_int_equal(length, expected);
    assert_memory_equal(bytes, words, expected);
}

/* ---- the server's ---- */

static struct tunnel_io *take(void)
{
    struct tunnel_io *io = NULL;
    enum tunnel_result result;
    while ((result = tunnel_listener_accept(listener, &io)) == TUNNEL_WANT_READ)
        assert_int_equal(tunnel_listener_wait(listener, WAIT_MS), TUNNEL_OK);
    assert_int_equal(result, TUNNEL_OK);
    return io;
}

static enum tunnel_result hear(struct tunnel_io *io, void *buffer, size_t capacity, size_t *got)
{
    enum tunnel_result result;
    while ((result = tunnel_io_read(io, buffer, capacity, got)) == TUNNEL_WANT_READ)
        assert_int_equal(tunnel_io_wait(io, result, WAIT_MS), TUNNEL_OK);
    return result;
}

static void assert_hears(struct tunnel_io *io, const void *data, size_t length)
{
    uint8_t bytes[BYTES];
    size_t got, all = 0;
    while (all < length) {
        assert_int_equal(hear(io, bytes + all, length - all, &got), TUNNEL_OK);
        all += got;
    }
    assert_memory_equal(bytes, data, length);
}

static void answer(struct tunnel_io *io, const char *words)
{
    assert_int_equal(tunnel_io_write_all(io, words, strlen(words), WAIT_MS), TUNNEL_OK);
}

/* Responses leave when the listener is looked after, as a user does who waits. */
static void assert_answered_by_udp(int udp, const char *words)
{
    struct turbo_datagram response;
    uint8_t bytes[TURBO_DATAGRAM_MAX + 1];
    struct tunnel_io *none;
    ssize_t n;
    while ((n = recv(udp, bytes, sizeof(bytes), MSG_DONTWAIT)) < 0) {
        assert_int_equal(tunnel_listener_wait(listener, WAIT_MS), TUNNEL_OK);
        assert_int_equal(tunnel_listener_accept(listener, &none), TUNNEL_WANT_READ);
    }
    assert_true(turbo_response_decode(&response, bytes, (size_t)n));
    assert_int_equal(response.length, strlen(words));
    assert_memory_equal(response.payload, words, response.length);
}

static void assert_outcome(const struct tunnel_io *io, const char *outcome)
{
    struct tunnel_io_report report;
    assert_true(tunnel_io_report(io, &report));
    assert_string_equal(report.outcome, outcome);
}

static void tls_over_tcp_is_offered_with_all_its_bytes(void **state)
{
    (void)state;
    int tcp = dial(SOCK_STREAM);
    say(tcp, hello.bytes, hello.length);
    say(tcp, "more", 4);
    struct tunnel_io *io = take();
    assert_hears(io, hello.bytes, hello.length);
    assert_hears(io, "more", 4);
    answer(io, "flight");
    assert_says(tcp, "flight");
    assert_outcome(io, "classic");
    tunnel_io_close(io);
    close(tcp);
}

static void a_session_goes_on_over_tcp(void **state)
{
    (void)state;
    int udp = ask();
    struct tunnel_io *io = take();
    assert_hears(io, hello.bytes, hello.length);
    answer(io, "flight");
    assert_answered_by_udp(udp, "flight");
    int tcp = open_with_tombstone(1, "finished, data");
    assert_hears(io, "finished, data", 14);
    assert_outcome(io, "turbo");
    answer(io, "answer");
    assert_says(tcp, "answer");
    close(tcp);
    uint8_t byte;
    size_t got;
    assert_int_equal(hear(io, &byte, 1, &got), TUNNEL_CLOSED);
    tunnel_io_close(io);
    close(udp);
}

static void what_udp_lost_comes_by_tcp(void **state)
{
    (void)state;
    int udp = ask();
    struct tunnel_io *io = take();
    assert_hears(io, hello.bytes, hello.length);
    answer(io, "flight");
    assert_answered_by_udp(udp, "flight");
    int tcp = open_with_tombstone(0, "");
    answer(io, ", on");
    assert_says(tcp, "flight, on");
    assert_outcome(io, "resumed-on-tcp");
    tunnel_io_close(io);
    close(tcp);
    close(udp);
}

static void a_classic_opening_joins_as_well(void **state)
{
    (void)state;
    int udp = ask();
    struct tunnel_io *io = take();
    assert_hears(io, hello.bytes, hello.length);
    answer(io, "flight");
    int tcp = dial(SOCK_STREAM);
    say(tcp, hello.bytes, hello.length);
    say(tcp, "data", 4);
    assert_hears(io, "data", 4);
    assert_says(tcp, "flight");
    tunnel_io_close(io);
    close(tcp);
    close(udp);
}

static void a_repetition_that_differs_ends_it(void **state)
{
    (void)state;
    int udp = ask();
    struct tunnel_io *io = take();
    assert_hears(io, hello.bytes, hello.length);
    answer(io, "flight");
    hello.bytes[hello.length - 1] ^= 1;
    int tcp = open_with_tombstone(0, "");
    uint8_t byte;
    size_t got;
    assert_int_equal(hear(io, &byte, 1, &got), TUNNEL_IO);
    tunnel_io_close(io);
    close(tcp);
    close(udp);
}

static void what_is_no_tls_is_offered_as_it_is(void **state)
{
    (void)state;
    int tcp = dial(SOCK_STREAM);
    say(tcp, "GET / HTTP/1.0\r\n", 16);
    struct tunnel_io *io = take();
    assert_hears(io, "GET / HTTP/1.0\r\n", 16);
    tunnel_io_close(io);
    close(tcp);
}

static void a_client_that_gives_up_ends_its_session(void **state)
{
    (void)state;
    uint8_t byte;
    size_t got;
    int udp = ask();
    struct tunnel_io *io = take();
    assert_hears(io, hello.bytes, hello.length);
    request(udp, TURBO_FLAG_ABORT, 5, NULL, 0);
    assert_int_equal(hear(io, &byte, 1, &got), TUNNEL_IO);
    assert_string_equal(tunnel_io_error(io), "the client began by UDP, and did not come by TCP");
    tunnel_io_close(io);
    close(udp);
}

static void a_client_that_gives_up_early_is_never_offered(void **state)
{
    (void)state;
    struct tunnel_io *io;
    int udp = ask();
    assert_int_equal(tunnel_listener_wait(listener, WAIT_MS), TUNNEL_OK);
    request(udp, TURBO_FLAG_ABORT, 5, NULL, 0);
    usleep(20000);
    assert_int_equal(tunnel_listener_accept(listener, &io), TUNNEL_WANT_READ);
    close(udp);
}

static void what_was_said_before_leaving_is_delivered_when_tcp_comes(void **state)
{
    (void)state;
    struct tunnel_io *none;
    int udp = ask();
    struct tunnel_io *io = take();
    answer(io, "alert");
    tunnel_io_close(io);
    int tcp = open_with_tombstone(0, "");
    char byte;
    while (recv(tcp, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
        assert_int_equal(tunnel_listener_wait(listener, WAIT_MS), TUNNEL_OK);
        assert_int_equal(tunnel_listener_accept(listener, &none), TUNNEL_WANT_READ);
    }
    assert_says(tcp, "alert");
    close(tcp);
    close(udp);
}

static void a_listener_that_closes_ends_what_no_tcp_has_joined(void **state)
{
    (void)state;
    uint8_t byte;
    size_t got;
    int udp = ask();
    struct tunnel_io *waiting = take();
    assert_hears(waiting, hello.bytes, hello.length);
    hello_simple(&hello, 2);
    turbo_id_from_hello(&id, check_sha256, hello.bytes, hello.length);
    int second = ask();
    struct tunnel_io *joined = take();
    assert_hears(joined, hello.bytes, hello.length);
    answer(joined, "flight");
    int tcp = open_with_tombstone(0, "data");
    assert_hears(joined, "data", 4);
    tunnel_listener_close(listener);
    listener = NULL;
    assert_int_equal(hear(waiting, &byte, 1, &got), TUNNEL_IO);
    answer(joined, ", on");
    assert_says(tcp, "flight, on");
    tunnel_io_close(waiting);
    tunnel_io_close(joined);
    close(tcp);
    close(udp);
    close(second);
}

static void silent_connections_are_bounded(void **state)
{
    (void)state;
    struct tunnel_io *none;
    int silent[4];
    for (size_t i = 0; i < COUNT(silent); i++)
        silent[i] = dial(SOCK_STREAM);
    int late = dial(SOCK_STREAM);
    say(late, hello.bytes, hello.length);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(tunnel_listener_accept(listener, &none), TUNNEL_WANT_READ);
        usleep(1000);
    }
    close(silent[0]);
    struct tunnel_io *io = take();
    assert_hears(io, hello.bytes, hello.length);
    tunnel_io_close(io);
    for (size_t i = 1; i < COUNT(silent); i++)
        close(silent[i]);
    close(late);
}

static void a_port_that_is_taken_is_told(void **state)
{
    (void)state;
    struct tunnel_error error;
    struct tunnel_listen settings = {.host = "127.0.0.1", .port = tunnel_listener_port(listener)};
    assert_null(tunnel_listen_tcp(&settings, &error));
    assert_int_equal(error.result, TUNNEL_IO);
    assert_non_null(strstr(error.text, "choose another port"));
    settings.host = "localhost";
    assert_null(tunnel_listen_turbo(&settings, &error));
    assert_int_equal(error.result, TUNNEL_CONFIGURATION);
}

static void a_tcp_listener_offers_what_connects(void **state)
{
    (void)state;
    struct tunnel_error error;
    tunnel_listener_close(listener);
    listener = tunnel_listen_tcp(&(struct tunnel_listen){.host = NULL}, &error);
    assert_non_null(listener);
    int tcp = dial(SOCK_STREAM);
    struct tunnel_io *io = take();
    say(tcp, "words", 5);
    assert_hears(io, "words", 5);
    assert_outcome(io, "tcp");
    tunnel_io_close(io);
    close(tcp);
}

#define FRESH(name) cmocka_unit_test_setup_teardown(name, before, after)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(tls_over_tcp_is_offered_with_all_its_bytes),
        FRESH(a_session_goes_on_over_tcp),
        FRESH(what_udp_lost_comes_by_tcp),
        FRESH(a_classic_opening_joins_as_well),
        FRESH(a_repetition_that_differs_ends_it),
        FRESH(what_is_no_tls_is_offered_as_it_is),
        FRESH(a_client_that_gives_up_ends_its_session),
        FRESH(a_client_that_gives_up_early_is_never_offered),
        FRESH(what_was_said_before_leaving_is_delivered_when_tcp_comes),
        FRESH(a_listener_that_closes_ends_what_no_tcp_has_joined),
        FRESH(silent_connections_are_bounded),
        FRESH(a_port_that_is_taken_is_told),
        FRESH(a_tcp_listener_offers_what_connects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
