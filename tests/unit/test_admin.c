/* Administration by HTTP: what is answered, who is refused, and that nobody keeps others out. */
#include "tests/unit/support/worker_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proxy/ops/admin.h"
#include "tunnel/net/clock.h"
#include "tunnel/net/socket.h"

enum { ANSWER_BYTES = 256 * 1024 };

static const turbo_time DEADLINE = 20 * TURBO_SECOND;

struct desk {
    struct ev_loop *loop;
    struct admin *admin;
    struct address address;
    bool is_ready, reload_works, out_of_memory;
    unsigned reloads;
    char text[ANSWER_BYTES];
};

/* ---- who answers ---- */

static bool metrics(void *owner, FILE *out)
{
    (void)owner;
    (void)fputs("a_total 1\n", out);
    return true;
}

static bool status(void *owner, FILE *out)
{
    struct desk *f = owner;
    (void)fputs("{}\n", out);
    return !f->out_of_memory;
}

static bool is_ready(void *owner, FILE *out)
{
    struct desk *f = owner;
    if (!f->is_ready)
        (void)fputs("stopping\n", out);
    return f->is_ready;
}

static bool reload(void *owner, FILE *out)
{
    struct desk *f = owner;
    f->reloads++;
    if (!f->reload_works)
        (void)fputs("edge.txtpb:1:2: this\nedge.txtpb:3:4: that\n", out);
    return f->reload_works;
}

static const struct admin_answers answers = {metrics, status, is_ready, reload};

/* ---- the admin and its clients, in one thread ---- */

static void create(struct desk *f, const char *from)
{
    struct network network;
    struct networks networks = {&network, from != NULL};
    const char *error = NULL;
    assert_true(address_from_literal(&f->address, "127.0.0.1", 0));
    if (from != NULL)
        assert_null(network_parse(from, &network));
    int fd = socket_listen_tcp(&f->address);
    assert_true(fd >= 0);
    f->admin = admin_create(f->loop, fd, &networks, &answers, f, &error);
    assert_non_null(f->admin);
    assert_int_equal(admin_fd(f->admin), fd);
    admin_start(f->admin);
}

static int open_desk(void **state)
{
    struct desk *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return -1;
    f->loop = ev_loop_new(EVFLAG_AUTO);
    f->is_ready = f->reload_works = true;
    *state = f;
    return 0;
}

static int close_desk(void **state)
{
    struct desk *f = *state;
    admin_destroy(f->admin);
    ev_loop_destroy(f->loop);
    free(f);
    return 0;
}

#define ADMIN_CASE(name) cmocka_unit_test_setup_teardown(name, open_desk, close_desk)

static void turn(struct desk *f)
{
    ev_run(f->loop, EVRUN_NOWAIT);
}

static int dial(struct desk *f)
{
    int fd = socket_connect_tcp(&f->address, 0);
    assert_true(fd >= 0);
    return fd;
}

static void say(struct desk *f, int fd, const char *words, size_t length)
{
    turbo_time end = clock_now() + DEADLINE;
    while (length > 0) {
        ssize_t n = send(fd, words, length, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* it was closed: what was said is to be read */
        words += n > 0 ? n : 0;
        length -= n > 0 ? (size_t)n : 0;
        turn(f);
        assert_true(clock_now() < end);
    }
}

/* Up to the end of the connection. */
static const char *hear(struct desk *f, int fd)
{
    turbo_time end = clock_now() + DEADLINE;
    size_t length = 0;
    for (;;) {
        ssize_t n = recv(fd, f->text + length, ANSWER_BYTES - 1 - length, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        length += n > 0 ? (size_t)n : 0;
        turn(f);
        assert_true(clock_now() < end);
    }
    f->text[length] = '\0';
    close(fd);
    return f->text;
}

static const char *ask(struct desk *f, const char *request)
{
    int fd = dial(f);
    say(f, fd, request, strlen(request));
    return hear(f, fd);
}

/* Is it this status, and this body at the end? */
static void assert_answer(const char *text, const char *status_line, const char *body)
{
    assert_non_null(strstr(text, status_line));
    assert_ptr_equal(strstr(text, "HTTP/1."), text);
    assert_ptr_equal(strstr(text, status_line), text + strlen("HTTP/1.1 "));
    const char *end = strstr(text, "\r\n\r\n");
    assert_non_null(end);
    assert_string_equal(end + 4, body);
}

static void assert_refused(const char *text, const char *status_line, const char *words)
{
    assert_non_null(strstr(text, status_line));
    assert_non_null(strstr(text, words));
}

#define END       "Connection: close\r\n\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: localhost\r\n" END

/* ---- answers ---- */

static void everything_has_its_answer(void **state)
{
    struct desk *f = *state;
    create(f, NULL);
    assert_answer(ask(f, GET("/metrics")), "200 OK", "a_total 1\n");
    assert_non_null(strstr(f->text, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_non_null(strstr(f->text, "Cache-Control: no-store\r\n"));
    assert_answer(ask(f, GET("/status?pretty=1")), "200 OK", "{}\n");
    assert_non_null(strstr(f->text, "Content-Type: application/json\r\n"));
    assert_answer(ask(f, GET("/healthz")), "200 OK", "ok\n");
    assert_answer(ask(f, GET("/readyz")), "200 OK", "ready\n");
    const char *list = strstr(ask(f, GET("/")), "\r\n\r\n");
    assert_non_null(strstr(list, "/metrics"));
    assert_non_null(strstr(list, "POST /reload"));
}

static void one_that_is_not_ready_says_why(void **state)
{
    struct desk *f = *state;
    create(f, NULL);
    f->is_ready = false;
    assert_answer(ask(f, GET("/readyz")), "503 Service Unavailable", "stopping\n");
    assert_answer(ask(f, GET("/healthz")), "200 OK", "ok\n");
}

static void half_an_answer_is_none(void **state)
{
    struct desk *f = *state;
    create(f, NULL);
    f->out_of_memory = true;
    assert_string_equal(ask(f, GET("/status")), "");
    f->out_of_memory = false;
    assert_answer(ask(f, GET("/status")), "200 OK", "{}\n");
}

static void head_is_get_without_a_body(void **state)
{
    struct desk *f = *state;
    create(f, NULL);
    assert_answer(ask(f, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n" END), "200 OK", "");
    assert_non_null(strstr(f->text, "Content-Length: 10\r\n"));
}

static void reload_is_posted_and_says_what_is_wrong(void **state)
{
    struct desk *f = *state;
    create(f, NULL);
    assert_answer(ask(f, "POST /reload HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n" END), "200 OK",
                  "reloaded\n");
    f->reload_works = false;
    assert_answer(ask(f, "POST /reload HTTP/1.1\r\nHost: [::1]:9000\r\n" END), "422 Unprocessable",
                  "edge.txtpb:1:2: this\nedge.txtpb:3:4: that\n");
    assert_int_equal(f->reloads, 2);
}

static void several_requests_share_a_connection(void **state)
{
    struct desk *f = *state;
    create(f, NULL);
    const char *text =
        ask(f, "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
               "\r\nabcGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" GET("/readyz"));
    assert_non_null(strstr(text, "reloaded\n"));
    assert_non_null(strstr(text, "ok\n"));
    assert_non_null(strstr(text, "ready\n"));
    assert_int_equal(f->reloads, 1);
}

static void an_answer_may_be_asked_for_byte_by_byte(void **state)
{
    struct desk *f = *state;
    create(f, NULL);
    int fd = dial(f);
    for (const char *at = GET("/healthz"); *at != '\0'; at++)
        say(f, fd, at, 1);
    assert_answer(hear(f, fd), "200 OK", "ok\n");
}

/* ---- refusals ---- */

static void other_names_and_methods_are_refused(void **state)
{
    struct desk *f = *state;
    create(f, NULL);
    assert_refused(ask(f, GET("/nothing")), "404 Not Found", "GET / tells");
    assert_refused(ask(f, GET("/metrics/")), "404 Not Found", "GET / tells");
    assert_refused(ask(f, GET("/reload")), "405 Method Not Allowed", "by POST");
    assert_non_null(strstr(f->text, "Allow: POST\r\n"));
    assert_refused(ask(f, "PUT /metrics HTTP/1.1\r\nHost: localhost\r\n" END),
                   "405 Method Not Allowed", "by GET");
    assert_non_null(strstr(f->text, "Allow: GET, HEAD\r\n"));
    assert_refused(ask(f, "HEAD /reload HTTP/1.1\r\nHost: localhost\r\n" END),
                   "405 Method Not Allowed", "Allow: POST");
    assert_int_equal(f->reloads, 0);
}

static void a_web_page_cannot_reload(void **state)
{
    struct desk *f = *state;
    create(f, NULL);
    const char *origins[] = {"https://evil.example", "null", "http://localhost:9000", ""};
    for (size_t i = 0; i < COUNT(origins); i++) {
        char request[256];
        (void)snprintf(request, sizeof(request),
                       "POST /reload HTTP/1.1\r\nHost: localhost\r\nOrigin: %s\r\n" END,
                       origins[i]);
        assert_refused(ask(f, request), "403 Forbidden", "Origin");
    }
    assert_int_equal(f->reloads, 0);
}

static void a_page_that_gave_its_name_our_address_learns_nothing(void **state)
{
    struct desk *f = *state;
    create(f, NULL);
    const char *others[] = {"evil.example",
                            "evil.example:9000",
                            "localhost.evil.example",
                            "127.0.0.1.evil.example",
                            "[::1",
                            ""};
    const char *ours[] = {"localhost", "LocalHost:9000", "127.0.0.1", "[::1]", "192.0.2.1:80"};
    char request[256];
    for (size_t i = 0; i < COUNT(others) - 2; i++) {
        (void)snprintf(request, sizeof(request), "GET /status HTTP/1.1\r\nHost: %s\r\n" END,
                       others[i]);
        assert_refused(ask(f, request), "403 Forbidden", "Host");
    }
    for (size_t i = 0; i < COUNT(ours); i++) {
        (void)snprintf(request, sizeof(request), "GET /status HTTP/1.1\r\nHost: %s\r\n" END,
                       ours[i]);
        assert_answer(ask(f, request), "200 OK", "{}\n");
    }
    assert_answer(ask(f, "GET /status HTTP/1.0\r\n\r\n"), "200 OK", "{}\n");
}

static void where_networks_are_given_names_may_be_used(void **state)
{
    struct desk *f = *state;
    create(f, "0.0.0.0/0");
    assert_answer(ask(f, "GET /status HTTP/1.1\r\nHost: edge.example:9000\r\n" END), "200 OK",
                  "{}\n");
}

static void they_may_be_the_host_itself(void **state)
{
    struct desk *f = *state;
    create(f, "127.0.0.1");
    assert_refused(ask(f, "GET /status HTTP/1.1\r\nHost: edge.example:9000\r\n" END),
                   "403 Forbidden", "Host");
    assert_answer(ask(f, GET("/status")), "200 OK", "{}\n");
}

static void another_address_is_told_that_it_may_not_ask(void **state)
{
    struct desk *f = *state;
    create(f, "192.0.2.0/24");
    assert_refused(ask(f, GET("/metrics")), "403 Forbidden", "admin.allow_from");
    assert_refused(ask(f, GET("/nothing")), "403 Forbidden", "admin.allow_from");
    assert_refused(ask(f, "POST /reload HTTP/1.1\r\nHost: localhost\r\n" END), "403 Forbidden",
                   "admin.allow_from");
    assert_int_equal(f->reloads, 0);
}

static void who_may_ask_can_change(void **state)
{
    struct desk *f = *state;
    struct network network;
    const struct networks elsewhere = {&network, 1}, host = {NULL, 0};
    assert_null(network_parse("192.0.2.0/24", &network));
    create(f, NULL);
    static const char ask_again[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int fd = dial(f);
    say(f, fd, ask_again, strlen(ask_again));
    turn(f);
    assert_true(admin_set_from(f->admin, &elsewhere));
    say(f, fd, GET("/healthz"), strlen(GET("/healthz")));
    assert_refused(hear(f, fd), "403 Forbidden", "admin.allow_from");
    assert_true(admin_set_from(f->admin, &host));
    assert_answer(ask(f, GET("/healthz")), "200 OK", "ok\n");
}

static void foreigners_have_few_places(void **state)
{
    struct desk *f = *state;
    enum { MANY = 16, PLACES = 8 };
    int fds[MANY], open = 0;
    create(f, "192.0.2.0/24");
    for (int i = 0; i < MANY; i++) {
        fds[i] = dial(f);
        turn(f);
    }
    for (int i = 0; i < MANY; i++) {
        char byte;
        open += recv(fds[i], &byte, 1, 0) < 0 && errno == EAGAIN;
        close(fds[i]);
    }
    assert_int_equal(open, PLACES);
}

/* ---- bodies, garbage, and those who say nothing ---- */

static void a_body_is_thrown_away(void **state)
{
    struct desk *f = *state;
    enum { BODY = 64 * 1024 };
    static char request[BODY + 256];
    create(f, NULL);
    int head = snprintf(request, sizeof(request),
                        "POST /reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                        "Content-Length: %d\r\n\r\n",
                        BODY);
    memset(request + head, 'x', BODY);
    int fd = dial(f);
    say(f, fd, request, (size_t)head + BODY);
    assert_answer(hear(f, fd), "200 OK", "reloaded\n");
    assert_refused(ask(f, "POST /reload HTTP/1.1\r\nHost: localhost\r\n"
                          "Content-Length: 65537\r\n\r\n"),
                   "413 ", "send none");
    assert_refused(ask(f, "POST /reload HTTP/1.1\r\nHost: localhost\r\n"
                          "Content-Length: 99999999999999999999999\r\n\r\n"),
                   "HTTP/1.1 4", "");
    assert_int_equal(f->reloads, 1);
}

static void a_body_without_end_is_cut(void **state)
{
    struct desk *f = *state;
    static const char head[] = "POST /reload HTTP/1.1\r\nHost: localhost\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    static const char chunk[] = "10\r\n0123456789abcdef\r\n";
    create(f, NULL);
    int fd = dial(f);
    say(f, fd, head, strlen(head));
    for (int i = 0; i < 8 * 1024; i++)
        say(f, fd, chunk, strlen(chunk));
    say(f, fd, "0\r\n\r\n", 5);
    assert_string_equal(hear(f, fd), "");
    assert_int_equal(f->reloads, 0);
    assert_answer(ask(f, GET("/healthz")), "200 OK", "ok\n");
}

static void garbage_is_refused_or_cut(void **state)
{
    struct desk *f = *state;
    static const char *const garbage[] = {
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        "GET\r\n\r\n",
        "GET /healthz HTTP/9.9\r\n\r\n",
        "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        "POST /reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /healthz\n\n",
    };
    create(f, NULL);
    for (size_t i = 0; i < COUNT(garbage); i++) {
        int fd = dial(f);
        say(f, fd, garbage[i], strlen(garbage[i]));
        assert_int_equal(shutdown(fd, SHUT_WR), 0);
        const char *text = hear(f, fd);
        assert_null(strstr(text, "200 OK"));
    }
    assert_int_equal(f->reloads, 0);
    assert_answer(ask(f, GET("/healthz")), "200 OK", "ok\n");
}

static void a_head_without_end_is_cut(void **state)
{
    struct desk *f = *state;
    static char header[64 * 1024];
    create(f, NULL);
    memset(header, 'x', sizeof(header));
    static const char begin[] = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ";
    int fd = dial(f);
    say(f, fd, begin, strlen(begin));
    say(f, fd, header, sizeof(header));
    assert_null(strstr(hear(f, fd), "200 OK"));
}

static void the_oldest_makes_room(void **state)
{
    struct desk *f = *state;
    enum { MANY = 3 * ADMIN_CONNECTIONS_MAX };
    int fds[MANY], open = 0;
    char byte;
    create(f, NULL);
    for (int i = 0; i < MANY; i++) {
        fds[i] = dial(f);
        say(f, fds[i], "GET /", 5);
    }
    assert_answer(ask(f, GET("/healthz")), "200 OK", "ok\n");
    assert_int_equal(recv(fds[0], &byte, 1, 0), 0); /* in order: it has said nothing wrong */
    for (int i = 0; i < MANY; i++) {
        open += recv(fds[i], &byte, 1, 0) < 0 && errno == EAGAIN;
        close(fds[i]);
    }
    assert_in_range(open, ADMIN_CONNECTIONS_MAX - 3, ADMIN_CONNECTIONS_MAX);
    assert_answer(ask(f, GET("/healthz")), "200 OK", "ok\n");
}

static void on_beat(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

static unsigned turns_in(struct desk *f, turbo_time time)
{
    unsigned before = ev_iteration(f->loop);
    turbo_time end = clock_now() + time;
    ev_timer beat;
    ev_timer_init(&beat, on_beat, 0.05, 0.05);
    ev_timer_start(f->loop, &beat);
    while (clock_now() < end)
        ev_run(f->loop, EVRUN_ONCE);
    ev_timer_stop(f->loop, &beat);
    return ev_iteration(f->loop) - before;
}

static void it_sleeps_when_there_is_nothing_to_do(void **state)
{
    struct desk *f = *state;
    create(f, NULL);
    int idle = dial(f);
    for (int i = 0; i < 20; i++)
        turn(f);
    assert_in_range(turns_in(f, 200 * TURBO_MILLISECOND), 1, 10);
    close(idle);
}

static void a_lack_of_descriptors_does_not_make_it_spin(void **state)
{
    struct desk *f = *state;
    struct rlimit all, none;
    if (fixture_under_valgrind())
        skip();
    create(f, NULL);
    int fd = dial(f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_in_range(turns_in(f, 700 * TURBO_MILLISECOND), 1, 30);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    say(f, fd, GET("/healthz"), strlen(GET("/healthz")));
    assert_answer(hear(f, fd), "200 OK", "ok\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ADMIN_CASE(everything_has_its_answer),
        ADMIN_CASE(one_that_is_not_ready_says_why),
        ADMIN_CASE(half_an_answer_is_none),
        ADMIN_CASE(head_is_get_without_a_body),
        ADMIN_CASE(reload_is_posted_and_says_what_is_wrong),
        ADMIN_CASE(several_requests_share_a_connection),
        ADMIN_CASE(an_answer_may_be_asked_for_byte_by_byte),
        ADMIN_CASE(other_names_and_methods_are_refused),
        ADMIN_CASE(a_web_page_cannot_reload),
        ADMIN_CASE(a_page_that_gave_its_name_our_address_learns_nothing),
        ADMIN_CASE(where_networks_are_given_names_may_be_used),
        ADMIN_CASE(they_may_be_the_host_itself),
        ADMIN_CASE(another_address_is_told_that_it_may_not_ask),
        ADMIN_CASE(who_may_ask_can_change),
        ADMIN_CASE(foreigners_have_few_places),
        ADMIN_CASE(a_body_is_thrown_away),
        ADMIN_CASE(a_body_without_end_is_cut),
        ADMIN_CASE(garbage_is_refused_or_cut),
        ADMIN_CASE(a_head_without_end_is_cut),
        ADMIN_CASE(the_oldest_makes_room),
        ADMIN_CASE(it_sleeps_when_there_is_nothing_to_do),
        ADMIN_CASE(a_lack_of_descriptors_does_not_make_it_spin),
    };
    return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
