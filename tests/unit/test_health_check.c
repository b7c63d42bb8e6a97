/* Active checks: who is found out, who is found back, how often, and when they stop. */
/* Included, since when a check is due is its own affair. */
#include "proxy/health_check.c"

#include "tests/unit/support/pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include "proxy/generation.h"

static const double OFTEN = 0.02;

static struct health *health_of(const struct fixture *f, size_t server)
{
    return &pool_server(f, server)->health;
}

static struct check *check_of(const struct fixture *f, size_t number)
{
    return &fixture_upstream(f)->checks->checks[number];
}

static void a_server_that_is_down_is_left_out_without_any_client(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {
        .hosts = {"127.0.0.7", "127.0.0.1"}, .refuse = {true}, .check_interval_s = OFTEN};
    pool_start(f, &pool, "tcp");
    UNTIL(f, health_of(f, 0)->out_until != 0);
    UNTIL(f, pool_server(f, 0)->check_failed >= 2 && pool_server(f, 1)->checked >= 2);
    assert_int_equal(pool_server(f, 0)->checked, pool_server(f, 0)->check_failed);
    assert_int_equal(pool_server(f, 1)->check_failed, 0);
    assert_true(fixture_logged(f, "a server is left out"));
    /* Clients are counted by themselves. */
    assert_int_equal(pool_server(f, 0)->failed + pool_server(f, 1)->connected, 0);
    assert_int_equal(pool_server(f, 0)->connections + pool_server(f, 1)->connections, 0);
    pool_stop(&pool);
}

static void one_that_is_back_is_found_before_its_back_off_has_passed(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"},
                        .refuse = {true},
                        .back_off_s = 1000.,
                        .check_interval_s = OFTEN};
    pool_start(f, &pool, "tcp");
    UNTIL(f, health_of(f, 0)->out_until != 0);
    int fd = pool_revive(f, &pool, 0);
    UNTIL(f, health_of(f, 0)->out_until == 0);
    assert_true(fixture_logged(f, "a server is back"));
    socket_close(fd);
    pool_stop(&pool);
}

/* After the back-off it is a check, too, that tries it. */
static void failing_checks_double_the_back_off(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"},
                        .refuse = {true},
                        .back_off_s = 0.001,
                        .check_interval_s = OFTEN};
    pool_start(f, &pool, "tcp");
    UNTIL(f, health_of(f, 0)->back_off >= 4 * TURBO_MILLISECOND);
    pool_stop(&pool);
}

static void a_silent_one_has_the_checks_time_and_no_more(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.7"}, .silent = {true}, .check_interval_s = OFTEN};
    pool_run(f, &pool, "tcp");
    pool_settings(f)->health.check_timeout_s = 0.02;
    assert_true(worker_listen(f->worker));
    UNTIL(f, pool_server(f, 0)->check_failed > 0);
    assert_true(fixture_logged(f, "Connection timed out"));
    pool_stop(&pool);
}

static void the_connection_of_a_check_is_closed_without_a_word(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.1"}, .check_interval_s = OFTEN};
    pool_start(f, &pool, "tcp");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, server->ended);
    assert_int_equal(server->length, 0);
    assert_int_equal(f->worker->connections, 0);
}

static void there_are_none_unless_they_are_asked_for(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.1"}};
    pool_start(f, &pool, "tcp");
    assert_null(fixture_upstream(f)->checks);
}

static void they_do_not_all_come_at_once(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1"},
                        .check_interval_s = 1000.};
    pool_start(f, &pool, "tcp");
    assert_int_equal(fixture_upstream(f)->checks->count, 3); /* one is named twice */
    double first = ev_timer_remaining(f->loop, &check_of(f, 0)->timer);
    double second = ev_timer_remaining(f->loop, &check_of(f, 1)->timer);
    assert_true(first >= 0. && first <= 1001. && second >= 0. && second <= 1001.);
    assert_true(first != second);
    struct check *check = check_of(f, 0);
    double least = 2000., most = 0.;
    for (int i = 0; i < 100; i++) {
        ev_timer_stop(f->loop, &check->timer);
        wait_for_next(check);
        double wait = ev_timer_remaining(f->loop, &check->timer);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    assert_true(least >= 899. && least < 950.);
    assert_true(most <= 1101. && most > 1050.);
}

static void want_of_descriptors_is_not_the_servers_fault(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;
    struct pool pool = {.hosts = {"127.0.0.1"}, .check_interval_s = OFTEN};
    pool_start(f, &pool, "tcp");
    UNTIL(f, pool_server(f, 0)->checked > 0 && f->served_count > 0 && f->served[0]->ended);
    ev_io_stop(f->loop, &f->server_io);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    UNTIL(f, fixture_logged(f, "Too many open files"));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(pool_server(f, 0)->check_failed, 0);
    assert_int_equal(health_of(f, 0)->out_until, 0);
    uint64_t before = pool_server(f, 0)->checked;
    UNTIL(f, pool_server(f, 0)->checked > before); /* and they go on */
}

static void they_stop_with_a_check_under_way(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.7"}, .silent = {true}, .check_interval_s = OFTEN};
    pool_run(f, &pool, "tcp");
    pool_settings(f)->health.check_timeout_s = 60.;
    health_of(f, 0)->out_until = 1; /* long ago: the check is the trial */
    assert_true(worker_listen(f->worker));
    UNTIL(f, check_of(f, 0)->dial != NULL);
    assert_true(health_of(f, 0)->on_trial);
    health_checks_stop(fixture_upstream(f));
    assert_false(health_of(f, 0)->on_trial);
    health_checks_stop(fixture_upstream(f));
    fixture_let_happen(f);
    assert_int_equal(pool_server(f, 0)->checked, 0);
    pool_stop(&pool);
}

/* A connection of before holds its generation, but not the checks. */
static void with_another_configuration_the_checks_are_its(void **state)
{
    struct fixture *f = *state;
    struct pool pool = {.hosts = {"127.0.0.1"}, .check_interval_s = OFTEN};
    pool_start(f, &pool, "tcp");
    UNTIL(f, pool_server(f, 0)->checked > 0);
    struct generation *before = generation_hold(f->worker->generation);
    assert_true(worker_reconfigure(f->worker, f->config));
    assert_null(before->upstreams[0]->checks);
    assert_non_null(fixture_upstream(f)->checks);
    assert_ptr_equal(before->upstreams[0]->servers[0], pool_server(f, 0));
    uint64_t so_far = pool_server(f, 0)->checked;
    UNTIL(f, pool_server(f, 0)->checked > so_far);
    generation_release(before);
}

/* ---- two workers ---- */

static struct worker *create_mate(struct fixture *f)
{
    struct worker *mate = worker_create_among(f->config, &f->log, f->mates, 1);
    assert_non_null(mate);
    return mate;
}

/* The mate's server, once its loop has turned. */
static const struct health *health_at(struct worker *mate, size_t server)
{
    ev_run(mate->loop, EVRUN_NOWAIT);
    return &mate->generation->upstreams[0]->servers[server]->health;
}

static void what_one_worker_finds_all_of_them_know(void **state)
{
    struct fixture *f = *state;
    struct workmates mates = {.count = 2};
    struct pool pool = {.hosts = {"127.0.0.1", "127.0.0.7"},
                        .refuse = {false, true},
                        .back_off_s = 1000.,
                        .check_interval_s = OFTEN};
    f->mates = &mates;
    pool_run(f, &pool, "tcp");
    struct worker *mate = create_mate(f);
    assert_true(worker_listen(f->worker));
    assert_true(worker_listen(mate));
    ev_io_stop(f->loop, &f->server_io); /* however often it is checked */
    assert_null(mate->generation->upstreams[0]->checks);
    UNTIL(f, health_at(mate, 1)->out_until != 0);
    assert_int_equal(health_at(mate, 0)->out_until, 0);
    assert_int_equal(mate->generation->upstreams[0]->servers[1]->checked, 0);
    int fd = pool_revive(f, &pool, 1);
    UNTIL(f, health_at(mate, 1)->out_until == 0);
    /* What changed everywhere is said once. */
    assert_int_equal(fixture_log_count(f, "a server is left out"), 1);
    assert_int_equal(fixture_log_count(f, "a server is back"), 1);
    worker_destroy(mate);
    socket_close(fd);
    pool_stop(&pool);
}

/* The first one has not noticed: no client of its own was there. */
static void one_that_a_mate_leaves_out_is_back_as_well(void **state)
{
    struct fixture *f = *state;
    struct workmates mates = {.count = 2};
    struct pool pool = {.hosts = {"127.0.0.1"}, .check_interval_s = OFTEN};
    f->mates = &mates;
    pool_run(f, &pool, "tcp");
    struct worker *mate = create_mate(f);
    mate->generation->upstreams[0]->servers[0]->health.out_until = TURBO_NEVER;
    assert_true(worker_listen(f->worker));
    assert_true(worker_listen(mate));
    UNTIL(f, health_at(mate, 0)->out_until == 0);
    assert_int_equal(fixture_log_count(f, "a server is back"), 1);
    worker_destroy(mate);
}

/* With another configuration the same place may be another server. */
static void what_was_found_under_another_configuration_is_nothing(void **state)
{
    struct fixture *f = *state;
    struct workmates mates = {.count = 2};
    struct pool pool = {.hosts = {"127.0.0.1"}, .check_interval_s = 1000.};
    f->mates = &mates;
    pool_run(f, &pool, "tcp");
    struct worker *mate = create_mate(f);
    assert_true(worker_listen(f->worker));
    assert_true(worker_listen(mate));
    tell_others(check_of(f, 0), false, false);
    struct config *before = mate->generation->config;
    mate->generation->config = config_create();
    assert_int_equal(health_at(mate, 0)->out_until, 0);
    config_release(mate->generation->config);
    mate->generation->config = before;
    tell_others(check_of(f, 0), false, false);
    assert_true(health_at(mate, 0)->out_until != 0);
    tell_others(check_of(f, 0), true, false); /* nobody hears it any more */
    worker_destroy(mate);
    tell_others(check_of(f, 0), true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(a_server_that_is_down_is_left_out_without_any_client),
        FIXTURE_CASE(one_that_is_back_is_found_before_its_back_off_has_passed),
        FIXTURE_CASE(failing_checks_double_the_back_off),
        FIXTURE_CASE(a_silent_one_has_the_checks_time_and_no_more),
        FIXTURE_CASE(the_connection_of_a_check_is_closed_without_a_word),
        FIXTURE_CASE(there_are_none_unless_they_are_asked_for),
        FIXTURE_CASE(they_do_not_all_come_at_once),
        FIXTURE_CASE(want_of_descriptors_is_not_the_servers_fault),
        FIXTURE_CASE(they_stop_with_a_check_under_way),
        FIXTURE_CASE(with_another_configuration_the_checks_are_its),
        FIXTURE_CASE(what_one_worker_finds_all_of_them_know),
        FIXTURE_CASE(one_that_a_mate_leaves_out_is_back_as_well),
        FIXTURE_CASE(what_was_found_under_another_configuration_is_nothing),
    };
    return cmocka_run_group_tests_name("health checks", tests, NULL, NULL);
}
