/* Connecting to one of several servers: the next one when one fails, and what is told of each. */
/* Included, since how long one of several has is its own affair, and nobody waits for 10 s here. */
#include "proxy/reach.c"

#include "tests/unit/support/names.h"
#include "tests/unit/support/pool.h"
#include "tunnel/net/socket.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { STARTS_MAX = 8 };

struct client {
    struct reach *reach;
    struct server *started[STARTS_MAX], *server;
    int starts, ups, failures, fd;
    bool cancels; /* from within `started` */
};

static void note_started(void *owner, int fd, const struct address *peer, struct server *server)
{
    struct client *c = owner;
    char text[ADDRESS_TEXT_BYTES];
    assert_true(fd >= 0);
    assert_true(c->starts < STARTS_MAX);
    assert_string_equal(address_text(peer, text), server->text + strlen("tcp:"));
    c->started[c->starts++] = server;
    if (c->cancels)
        reach_cancel(c->reach);
}

static void note_up(void *owner, int fd, const struct address *peer, struct server *server)
{
    struct client *c = owner;
    assert_int_equal(address_port(peer), server->port);
    c->ups++;
    c->fd = fd;
    c->server = server;
}

static void note_failed(void *owner, int code)
{
    struct client *c = owner;
    (void)code;
    c->failures++;
}

static const struct reach_events note = {
    .started = note_started, .up = note_up, .failed = note_failed};

static void begin(struct fixture *f, struct client *c)
{
    *c = (struct client){.fd = -1};
    c->reach = reach_start(f->worker, fixture_upstream(f), NULL, &note, c);
    assert_non_null(c->reach);
    assert_int_equal(c->starts + c->ups + c->failures, 0); /* never from within */
}

static bool is_over(const struct client *c)
{
    return c->ups + c->failures == 1;
}

/* The connection is of no further interest. */
static void end(struct client *c)
{
    socket_close(c->fd);
    reach_end(c->server);
}

/* A server that has been left out, and may be tried again. */
static void wait_for_back_off(struct fixture *f, size_t server)
{
    UNTIL(f, f->worker->now >= pool_server(f, server)->health.out_until);
}

/* ---- one after the other ---- */

static void when_one_refuses_another_is_tried(void **state)
{
    struct fixture *f = *state;
    struct client c;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .refuse = {true}};
    pool_start(f, &pool, "tcp");
    begin(f, &c);
    UNTIL(f, is_over(&c));
    assert_int_equal(c.ups, 1);
    assert_int_equal(c.starts, 2);
    assert_ptr_equal(c.started[0], pool_server(f, 0));
    assert_ptr_equal(c.server, pool_server(f, 1));
    assert_int_equal(pool_server(f, 0)->failed, 1);
    assert_int_equal(pool_server(f, 0)->connected, 0);
    assert_int_equal(pool_server(f, 0)->connections, 0);
    assert_int_equal(pool_server(f, 1)->failed, 0);
    assert_int_equal(pool_server(f, 1)->connected, 1);
    assert_int_equal(pool_server(f, 1)->connections, 1);
    end(&c);
    assert_int_equal(pool_server(f, 1)->connections, 0);
    pool_stop(&pool);
}

static void each_is_tried_once_and_then_it_has_failed(void **state)
{
    struct fixture *f = *state;
    struct client c;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.8", "127.0.0.9"},
                        .refuse = {true, true, true}};
    pool_start(f, &pool, "tcp");
    for (int round = 1; round <= 2; round++) { /* also when all of them are out */
        begin(f, &c);
        UNTIL(f, is_over(&c));
        assert_int_equal(c.failures, 1);
        assert_int_equal(c.starts, 3);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(pool_server(f, i)->failed, round);
            assert_int_equal(pool_server(f, i)->connections, 0);
        }
    }
    pool_stop(&pool);
}

static void a_name_that_is_none_is_a_failure_of_that_server(void **state)
{
    struct fixture *f = *state;
    struct client c;
    struct pool pool = {.hosts = {"no..name", "127.0.0.1"}};
    pool_start(f, &pool, "tcp");
    begin(f, &c);
    UNTIL(f, is_over(&c));
    assert_int_equal(c.ups, 1);
    assert_ptr_equal(c.server, pool_server(f, 1));
    assert_int_equal(pool_server(f, 0)->failed, 1);
    assert_true(fixture_logged(f, "a server is left out upstream="));
    end(&c);
}

static void all_addresses_of_a_server_come_before_the_next_one(void **state)
{
    struct fixture *f = *state;
    struct names names;
    struct client c = {.fd = -1};
    struct pool pool = {.hosts = {"example.org", "127.0.0.9"}};
    static const struct reach_events few = {.up = note_up, .failed = note_failed};
    uint16_t port = f->server_port;
    int refusing = fixture_refusing_port(NAMES_FIRST, &port);
    pool_start(f, &pool, "tcp");
    names_start(&names, f);
    c.reach = reach_start(f->worker, fixture_upstream(f), NULL, &few, &c);
    UNTIL(f, is_over(&c));
    assert_ptr_equal(c.server, pool_server(f, 0)); /* by its second address */
    assert_int_equal(pool_server(f, 0)->failed, 0);
    end(&c);
    names_stop(&names);
    close(refusing);
}

static void a_silent_one_of_several_has_less_time_than_the_last(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.1", "127.0.0.2", "127.0.0.3"}};
    pool_run(f, &pool, "tcp");
    struct reach r = {.upstream = fixture_upstream(f)};
    pool_settings(f)->connect_timeout_s = 60.;
    r.tried = 1;
    assert_true(seconds_for_one(&r) == 10.);
    r.tried = 3;
    assert_true(seconds_for_one(&r) == 10.);
    r.tried = 7;
    assert_true(seconds_for_one(&r) == 60.);
    pool_settings(f)->connect_timeout_s = 2.;
    r.tried = 1;
    assert_true(seconds_for_one(&r) == 2.);
    r.tried = 7;
    assert_true(seconds_for_one(&r) == 2.);
}

static void when_one_is_silent_another_is_tried(void **state)
{
    struct fixture *f = *state;
    struct client c;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .silent = {true}};
    pool_start(f, &pool, "tcp");
    pool_settings(f)->connect_timeout_s = 0.5; /* the other one's as well: stalls are shorter */
    begin(f, &c);
    UNTIL(f, is_over(&c));
    assert_ptr_equal(c.server, pool_server(f, 1));
    assert_true(fixture_logged(f, "error=\"Connection timed out\""));
    end(&c);
    pool_stop(&pool);
}

/* ---- health ---- */

static void one_that_failed_is_left_out_then_tried_by_one_and_back(void **state)
{
    struct fixture *f = *state;
    struct client first, others[4];
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .refuse = {true}};
    pool_start(f, &pool, "tcp");
    begin(f, &first);
    UNTIL(f, is_over(&first));
    end(&first);
    assert_true(fixture_logged(f, " warning a server is left out upstream="));
    assert_true(fixture_logged(f, "error=\"Connection refused\" back_off_ms=50\n"));
    for (size_t i = 0; i < COUNT(others); i++)
        begin(f, &others[i]); /* within the back-off, or no less than one of them tries it */
    assert_true(pool_server(f, 0)->connections <= 1);
    for (size_t i = 0; i < COUNT(others); i++) {
        UNTIL(f, is_over(&others[i]));
        end(&others[i]);
    }
    int fd = pool_revive(f, &pool, 0);
    wait_for_back_off(f, 0);
    for (size_t i = 0; i < COUNT(others); i++)
        begin(f, &others[i]);
    assert_int_equal(pool_server(f, 0)->connections, 1);
    for (size_t i = 0; i < COUNT(others); i++)
        UNTIL(f, is_over(&others[i]));
    assert_int_equal(pool_server(f, 0)->connected, 1);
    assert_int_equal(fixture_log_count(f, " info a server is back upstream="), 1);
    for (size_t i = 0; i < COUNT(others); i++)
        end(&others[i]);
    begin(f, &others[0]);
    begin(f, &others[1]);
    UNTIL(f, is_over(&others[0]) && is_over(&others[1]));
    assert_ptr_not_equal(others[0].server, others[1].server); /* in turns again */
    end(&others[0]);
    end(&others[1]);
    socket_close(fd);
    pool_stop(&pool);
}

static void a_failed_trial_doubles_the_back_off(void **state)
{
    struct fixture *f = *state;
    struct client c;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .refuse = {true}};
    pool_start(f, &pool, "tcp");
    for (int i = 0; i < 8 && pool_server(f, 0)->failed < 2; i++) {
        begin(f, &c);
        UNTIL(f, is_over(&c));
        assert_int_equal(c.ups, 1);
        end(&c);
        wait_for_back_off(f, 0);
    }
    assert_int_equal(pool_server(f, 0)->failed, 2);
    assert_int_equal(pool_server(f, 0)->health.back_off, 100 * TURBO_MILLISECOND);
    assert_true(fixture_logged(f, "back_off_ms=100\n"));
    pool_stop(&pool);
}

static void many_failures_are_not_as_many_lines(void **state)
{
    struct fixture *f = *state;
    struct client c;
    struct pool pool = {.hosts = {"127.0.0.7"}, .refuse = {true}, .back_off_s = 30.};
    pool_start(f, &pool, "tcp");
    pool_settings(f)->health.max_failures = 5;
    for (int i = 0; i < 12; i++) {
        begin(f, &c);
        UNTIL(f, is_over(&c));
    }
    assert_int_equal(pool_server(f, 0)->failed, 12);
    assert_int_equal(fixture_log_count(f, "cannot connect to a server"), 1);
    assert_int_equal(fixture_log_count(f, "a server is left out"), 1);
    assert_int_equal(pool_server(f, 0)->health.back_off, 30 * TURBO_SECOND);
    pool_stop(&pool);
}

static void what_a_server_does_once_it_has_accepted_is_no_failure(void **state)
{
    struct fixture *f = *state;
    struct client c;
    struct pool pool = {.hosts = {"127.0.0.1", "127.0.0.7"}};
    pool_start(f, &pool, "tcp");
    begin(f, &c);
    peer_reset(fixture_server(f, 0));
    UNTIL(f, is_over(&c));
    fixture_let_happen(f);
    assert_int_equal(c.ups, 1);
    assert_int_equal(pool_server(f, 0)->failed, 0);
    assert_true(health_is_up(&pool_server(f, 0)->health, f->worker->now));
    end(&c);
}

static void want_of_descriptors_is_no_failure_of_the_server(void **state)
{
    struct fixture *f = *state;
    struct client c;
    struct rlimit limit;
    struct pool pool = {.hosts = {"127.0.0.1", "127.0.0.7"}};
    pool_start(f, &pool, "tcp");
    begin(f, &c);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    UNTIL(f, is_over(&c));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(c.failures, 1);
    assert_int_equal(pool_server(f, 0)->failed, 0);
    assert_int_equal(pool_server(f, 0)->connections + pool_server(f, 1)->connections, 0);
    assert_true(health_is_up(&pool_server(f, 0)->health, f->worker->now));
    assert_true(fixture_logged(f, "cannot connect to a server upstream="));
    assert_true(fixture_logged(f, "error=\"Too many open files\""));
}

/* ---- giving up ---- */

static void giving_up_counts_nothing_and_gives_the_trial_back(void **state)
{
    struct fixture *f = *state;
    struct client c;
    struct pool pool = {.hosts = {"127.0.0.7"}, .silent = {true}};
    pool_start(f, &pool, "tcp");
    struct health *health = &pool_server(f, 0)->health;
    health->out_until = 1; /* long ago */
    begin(f, &c);
    assert_true(health->on_trial);
    assert_int_equal(pool_server(f, 0)->connections, 1);
    reach_cancel(c.reach); /* before the name is known */
    assert_false(health->on_trial);
    begin(f, &c);
    UNTIL(f, c.starts == 1);
    reach_again(c.reach);
    reach_cancel(c.reach); /* while it connects */
    assert_false(health->on_trial);
    begin(f, &c);
    c.cancels = true; /* from within `started` */
    UNTIL(f, c.starts == 1);
    fixture_let_happen(f);
    assert_false(health->on_trial);
    assert_int_equal(c.ups + c.failures, 0);
    assert_int_equal(pool_server(f, 0)->connections, 0);
    assert_int_equal(pool_server(f, 0)->failed, 0);
    reach_cancel(NULL);
    reach_end(NULL);
    pool_stop(&pool);
}

/* A reload while somebody connects; the sanitizer looks on. */
static void the_upstream_lives_as_long_as_somebody_connects(void **state)
{
    struct fixture *f = *state;
    struct client c;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .refuse = {true}};
    pool_start(f, &pool, "tcp");
    struct upstream *other = upstream_create(f->config, 0, NULL);
    c = (struct client){.fd = -1};
    c.reach = reach_start(f->worker, other, NULL, &note, &c);
    upstream_release(other);
    UNTIL(f, is_over(&c));
    assert_int_equal(c.ups, 1);
    assert_string_equal(c.server->host, "127.0.0.1"); /* which the connection holds */
    end(&c);
    pool_stop(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(when_one_refuses_another_is_tried),
        FIXTURE_CASE(each_is_tried_once_and_then_it_has_failed),
        FIXTURE_CASE(a_name_that_is_none_is_a_failure_of_that_server),
        FIXTURE_CASE(all_addresses_of_a_server_come_before_the_next_one),
        FIXTURE_CASE(a_silent_one_of_several_has_less_time_than_the_last),
        FIXTURE_CASE(when_one_is_silent_another_is_tried),
        FIXTURE_CASE(one_that_failed_is_left_out_then_tried_by_one_and_back),
        FIXTURE_CASE(a_failed_trial_doubles_the_back_off),
        FIXTURE_CASE(many_failures_are_not_as_many_lines),
        FIXTURE_CASE(what_a_server_does_once_it_has_accepted_is_no_failure),
        FIXTURE_CASE(want_of_descriptors_is_no_failure_of_the_server),
        FIXTURE_CASE(giving_up_counts_nothing_and_gives_the_trial_back),
        FIXTURE_CASE(the_upstream_lives_as_long_as_somebody_connects),
    };
    return cmocka_run_group_tests_name("reach", tests, NULL, NULL);
}
