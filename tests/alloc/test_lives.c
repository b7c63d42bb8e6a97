/*
 * A worker's beginning and end while the n-th allocation, or the n-th new descriptor, fails: it
 * starts or says why not, it changes its configuration or says why not, it drains, it ends, and
 * nothing is kept.
 */
#include "tests/alloc/faults.h"
#include "tests/alloc/world.h"

#include "proxy/listener.h"

static struct world w;

/* ---- starting ---- */

static bool starts(struct fixture *f)
{
    f->worker = worker_create(f->config, &f->log);
    return f->worker != NULL && worker_listen(f->worker);
}

/* One line that says what, and why in the system's words. */
static void assert_explained(struct fixture *f)
{
    const char *line = strstr(fixture_log(f), " error ");
    assert_int_equal(fixture_log_count(f, " error "), 1);
    assert_non_null(strstr(line, " error="));
    assert_null(strstr(line, "Success"));
}

static bool survives_starting(const struct fault *fault, unsigned n)
{
    world_open(&w);
    struct fixture *f = w.f;
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --listen turbo:127.0.0.1:0 --upstream tcp:[::1]:1");
    faults_plan(fault, n);
    faults_on();
    bool started = starts(f);
    worker_destroy(f->worker);
    f->worker = NULL;
    faults_off();
    bool struck = faults_cancel();
    assert_true(started || struck);
    if (!started)
        assert_explained(f);
    world_close(&w);
    return struck;
}

static void a_worker_starts_or_says_why_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < FAULTS; i++) {
        unsigned n = 1;
        while (survives_starting(&faults[i], n))
            n++;
        print_message("starting: %u times a failed %s\n", n - 1, faults[i].name);
    }
    faults_plan(NULL, 0);
}

/* ---- draining ---- */

static void on_check(struct ev_loop *loop, ev_check *check, int events)
{
    (void)loop, (void)events;
    struct fixture *f = check->data;
    for (size_t i = 0; i < f->served_count; i++)
        if (f->served[i]->length > 0 && !f->served[i]->ended)
            peer_finish(f->served[i]);
}

/* A client that says its first words while the worker drains, and a server that hangs up on it. */
static bool survives_draining(const struct fault *fault, unsigned n)
{
    ev_check check;
    world_open(&w);
    struct fixture *f = w.f;
    fixture_start(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u --drain-timeout 1000",
                  f->server_port);
    f->worker->handover_timeout_s = 1000; /* it must end by itself */
    world_begin(&w);
    struct peer *client = fixture_client(f);
    UNTIL(f, f->worker->connections == 1);
    fixture_call(f, worker_drain);
    UNTIL(f, f->worker->draining);
    wire_client_hello(&w.wire, client);
    peer_finish(client);
    ev_check_init(&check, on_check);
    check.data = f;
    ev_check_start(f->loop, &check);
    faults_plan(fault, n);
    faults_on();
    fixture_run_to_the_end(f);
    faults_off();
    ev_check_stop(f->loop, &check);
    assert_int_equal(f->worker->connections, 0);
    world_close(&w);
    return faults_cancel();
}

static void a_drain_ends_whatever_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < FAULTS; i++) {
        unsigned n = 1;
        while (survives_draining(&faults[i], n))
            n++;
        print_message("draining: %u times a failed %s\n", n - 1, faults[i].name);
    }
    faults_plan(NULL, 0);
}

/* ---- another configuration ---- */

#define BEFORE                                                                                     \
    "--listen turbo:127.0.0.1:0 --listen tcp:127.0.0.2:0 --listen turbo:127.0.0.3:0 "              \
    "--upstream tcp:127.0.0.1:%u"
#define AFTER                                                                                      \
    "--listen tcp:127.0.0.4:0 --listen turbo:127.0.0.1:0 --listen turbo:127.0.0.5:0 "              \
    "--upstream tcp:[::1]:%u"

/* While one client is being served and another has said nothing; it takes place whole or not. */
static bool survives_reconfiguring(const struct fault *fault, unsigned n)
{
    world_open(&w);
    struct fixture *f = w.f;
    fixture_start(f, BEFORE, f->server_port);
    struct worker *worker = f->worker;
    struct generation *before = worker->generation;
    struct listener *kept = worker->listeners[0], *second = worker->listeners[1];
    struct peer *client = fixture_connect(f, "127.0.0.3", fixture_port(f, 2));
    struct peer *silent = fixture_connect(f, "127.0.0.3", fixture_port(f, 2));
    peer_say(client, "PING");
    UNTIL(f, f->served_count == 1 && worker->connections == 2);
    fixture_parse(f, AFTER, f->server_port);
    faults_plan(fault, n);
    faults_on();
    bool changed = worker_reconfigure(worker, f->config);
    faults_off();
    bool struck = faults_cancel();
    assert_true(changed || struck);
    assert_int_equal(worker->listener_count, 3);
    assert_ptr_equal(worker->listeners[changed ? 1 : 0], kept);
    if (!changed) {
        assert_explained(f);
        assert_ptr_equal(worker->generation, before);
        assert_ptr_equal(worker->listeners[1], second);
        assert_int_equal(worker->leaving_count, 0);
        assert_int_equal(f->config->references, 1);
    }
    peer_say(f->served[0], "PONG");
    UNTIL(f, peer_heard(client, "PONG"));
    peer_reset(client);
    peer_reset(silent);
    UNTIL(f, worker->connections == 0 && worker->leaving_count == 0);
    world_close(&w);
    return struck;
}

static void a_configuration_is_changed_whole_or_not_at_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < FAULTS; i++) {
        unsigned n = 1;
        while (survives_reconfiguring(&faults[i], n))
            n++;
        print_message("reconfiguring: %u times a failed %s\n", n - 1, faults[i].name);
    }
    faults_plan(NULL, 0);
}

/* A test that has not come to its end. */
static int explain(void **state)
{
    (void)state;
    faults_off();
    faults_print();
    if (w.f != NULL)
        world_abandon(&w);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_worker_starts_or_says_why_not, explain),
        cmocka_unit_test_teardown(a_drain_ends_whatever_fails, explain),
        cmocka_unit_test_teardown(a_configuration_is_changed_whole_or_not_at_all, explain),
    };
    faults_install();
    return cmocka_run_group_tests_name("a worker's life", tests, NULL, NULL);
}
