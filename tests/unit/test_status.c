/* /status: JSON that says what is in force and how it does. */
#include "tests/unit/support/worker_fixture.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/ops/process.h"
#include "proxy/ops/status.h"
#include "proxy/ops/totals.h"

static const struct process process = {
    .memory = -1, .started_us = 1790000000500000, .reloaded_us = 1790000001000000};

/* The caller gives it back with json_decref. */
static json_t *look(struct fixture *f)
{
    char *text;
    size_t length;
    json_error_t error;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    struct totals *totals = totals_create(f->worker);
    assert_non_null(totals);
    assert_true(status_write(totals, &process, out));
    totals_destroy(totals);
    assert_int_equal(fclose(out), 0);
    json_t *status = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (status == NULL)
        fail_msg("%s: %s", error.text, text);
    assert_int_equal(text[length - 1], '\n');
    free(text);
    return status;
}

static json_t *at(json_t *array, size_t index)
{
    json_t *value = json_array_get(array, index);
    assert_non_null(value);
    return value;
}

static json_int_t number(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static const char *text(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    assert_true(json_is_string(value));
    return json_string_value(value);
}

static bool truth(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    assert_true(json_is_boolean(value));
    return json_is_true(value);
}

static void the_whole_is_told(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    json_t *status = look(f);
    assert_string_equal(text(status, "version"), TURBOTLS_VERSION);
    assert_int_equal(number(status, "pid"), getpid());
    assert_true(json_real_value(json_object_get(status, "started")) == 1790000000.5);
    assert_true(json_real_value(json_object_get(status, "configured")) == 1790000001.);
    assert_true(truth(status, "last_reload_succeeded"));
    assert_true(truth(status, "accepting"));
    assert_false(truth(status, "draining"));
    json_t *connections = json_object_get(status, "connections");
    assert_int_equal(number(connections, "active"), 0);
    assert_int_equal(number(connections, "max"), f->worker->connections_max);
    json_decref(status);
}

static void a_listener_tells_its_address_and_its_routes(void **state)
{
    struct fixture *f = *state;
    fixture_start(f,
                  "--listen turbo:127.0.0.1:0 --listen tcp:127.0.0.1:0 "
                  "--upstream tcp:127.0.0.1:%u",
                  f->server_port);
    struct peer *client = fixture_client(f);
    peer_say(client, "PING");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "PING"));
    peer_say(server, "PONG!");
    peer_finish(client);
    peer_finish(server);
    UNTIL(f, f->worker->connections == 0);
    struct peer *another = fixture_client(f);
    peer_say(another, "PING");
    UNTIL(f, f->worker->relays != NULL);

    json_t *status = look(f), *listeners = json_object_get(status, "listeners");
    assert_int_equal(json_array_size(listeners), 2);
    json_t *first = at(listeners, 0), *second = at(listeners, 1);
    assert_string_equal(text(first, "address"), listener_text(f->worker->listeners[0]));
    assert_string_equal(text(first, "name"), fixture_settings(f, 0)->name);
    assert_true(truth(first, "open"));
    assert_false(truth(first, "leaving"));
    assert_int_equal(number(first, "connections"), 1);
    assert_int_equal(number(first, "pending"), 0);
    assert_null(json_object_get(second, "pending"));
    assert_int_equal(number(second, "connections"), 0);

    json_t *routes = json_object_get(first, "routes");
    assert_int_equal(json_array_size(routes), 2);
    assert_string_equal(text(at(routes, 0), "name"), "");
    assert_true(json_is_null(json_object_get(at(routes, 0), "upstream")));
    json_t *route = at(routes, 1);
    assert_string_equal(text(route, "upstream"), fixture_upstream(f)->settings->name);
    assert_int_equal(number(route, "active"), 1);
    assert_int_equal(number(json_object_get(route, "ended"), "opaque"), 1);
    assert_int_equal(number(json_object_get(route, "ended"), "turbo"), 0);
    assert_int_equal(number(route, "bytes_to_server"), 4);
    assert_int_equal(number(route, "bytes_to_client"), 5);
    json_decref(status);
}

static void an_upstream_tells_of_its_servers(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream turbo:127.0.0.1:%u", f->server_port);
    struct server *s = fixture_upstream(f)->servers[0];
    s->health.out_until = TURBO_NEVER;
    s->connected = 3;
    s->failed = 4;
    s->checked = 11;
    s->check_failed = 5;
    json_t *status = look(f), *upstream = at(json_object_get(status, "upstreams"), 0);
    assert_string_equal(text(upstream, "protocol"), "turbo");
    assert_int_equal(number(upstream, "pending"), 0);
    json_t *server = at(json_object_get(upstream, "servers"), 0);
    assert_string_equal(text(server, "address"), s->text);
    assert_int_equal(number(server, "weight"), 1);
    assert_false(truth(server, "up"));
    assert_int_equal(number(server, "connections"), 0);
    assert_int_equal(number(server, "connected"), 3);
    assert_int_equal(number(server, "failed"), 4);
    assert_int_equal(number(server, "checks"), 11);
    assert_int_equal(number(server, "failed_checks"), 5);
    json_decref(status);
}

static void one_that_is_stopping_says_so(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u --drain-timeout 1000",
                  f->server_port);
    struct peer *client = fixture_client(f);
    peer_say(client, "PING");
    UNTIL(f, f->worker->relays != NULL);
    worker_drain(f->worker);
    json_t *status = look(f), *listener = at(json_object_get(status, "listeners"), 0);
    assert_true(truth(status, "draining"));
    assert_false(truth(listener, "open"));
    assert_int_equal(number(listener, "connections"), 1);
    json_decref(status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(the_whole_is_told),
        FIXTURE_CASE(a_listener_tells_its_address_and_its_routes),
        FIXTURE_CASE(an_upstream_tells_of_its_servers),
        FIXTURE_CASE(one_that_is_stopping_says_so),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
