/* /metrics: what a worker has counted is there, once, and in the format. */
#include "tests/unit/support/wire_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/ops/metrics.h"
#include "proxy/ops/process.h"
#include "proxy/ops/totals.h"

static char *page;

static const char *write_page(struct fixture *f, const struct process *process)
{
    size_t length;
    free(page);
    FILE *out = open_memstream(&page, &length);
    assert_non_null(out);
    struct totals *totals = totals_create(f->worker);
    assert_non_null(totals);
    metrics_write(totals, process, out);
    totals_destroy(totals);
    assert_int_equal(fclose(out), 0);
    return page;
}

static const char *look(struct fixture *f)
{
    struct process process;
    process_open(&process);
    const char *text = write_page(f, &process);
    process_close(&process);
    return text;
}

static int forget_page(void **state)
{
    free(page);
    page = NULL;
    return fixture_close(state);
}

#define METRICS_CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, forget_page)

/* Is it a whole line of the page? */
static bool has(const char *line)
{
    size_t length = strlen(line);
    for (const char *at = page; (at = strstr(at, line)) != NULL; at++)
        if ((at == page || at[-1] == '\n') && at[length] == '\n')
            return true;
    return false;
}

static void assert_line(const char *line)
{
    if (!has(line))
        fail_msg("missing: %s\n%s", line, page);
}

/* With the listener's name in it. */
static void assert_listener_line(struct fixture *f, const char *before, const char *after)
{
    char line[512];
    (void)snprintf(line, sizeof(line), "%s{listener=\"%s\"%s", before, fixture_settings(f, 0)->name,
                   after);
    assert_line(line);
}

static void start(struct fixture *f, const char *options)
{
    fixture_start(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u %s", f->server_port,
                  options);
}

static void route_line(struct fixture *f, const char *name, const char *rest)
{
    char after[256];
    (void)snprintf(after, sizeof(after), ",route=\"%s\"%s", fixture_settings(f, 0)->routes[0].name,
                   rest);
    assert_listener_line(f, name, after);
}

static void connections_count_while_and_after_they_are(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    look(f);
    route_line(f, "turbotls_connections_active", "} 0");
    route_line(f, "turbotls_connections_total", ",outcome=\"turbo\",reason=\"none\"} 0");
    struct peer *client = fixture_client(f);
    peer_say(client, "PING");
    struct peer *server = fixture_server(f, 0);
    UNTIL(f, peer_heard(server, "PING"));
    look(f);
    route_line(f, "turbotls_connections_active", "} 1");
    peer_say(server, "PONG!");
    UNTIL(f, peer_heard(client, "PONG!"));
    peer_finish(client);
    peer_finish(server);
    UNTIL(f, f->worker->connections == 0);
    look(f);
    route_line(f, "turbotls_connections_active", "} 0");
    route_line(f, "turbotls_connections_total", ",outcome=\"opaque\",reason=\"not-tls\"} 1");
    route_line(f, "turbotls_bytes_total", ",direction=\"to_server\"} 4");
    route_line(f, "turbotls_bytes_total", ",direction=\"to_client\"} 5");
    route_line(f, "turbotls_round_trips_saved_total", "} 0");
    route_line(f, "turbotls_first_response_seconds_bucket", ",outcome=\"opaque\",le=\"+Inf\"} 1");
    route_line(f, "turbotls_first_response_seconds_count", ",outcome=\"opaque\"} 1");
}

static void a_session_by_udp_counts_where_it_came(void **state)
{
    struct fixture *f = *state;
    struct wire_client wire;
    start(f, "");
    wire_client_init(&wire, 1);
    wire_client_ask(&wire, f, "127.0.0.1", fixture_udp_port(f, 0));
    struct peer *server = fixture_server(f, 0);
    peer_say(server, "flight");
    UNTIL(f, wire_client_heard(&wire, "flight"));
    look(f);
    assert_listener_line(f, "turbotls_sessions_total", "} 1");
    assert_listener_line(f, "turbotls_sessions_sandwich_total", "} 0");
    assert_listener_line(f, "turbotls_sessions_pending", "} 1");
    assert_listener_line(f, "turbotls_sessions_ended_total", ",how=\"joined\"} 0");
    assert_listener_line(f, "turbotls_sessions_limited_total", ",limit=\"sessions\"} 0");
    assert_listener_line(f, "turbotls_udp_dropped_total", ",reason=\"junk\"} 0");
    char upstream[256];
    (void)snprintf(upstream, sizeof(upstream), "turbotls_upstream_pending{upstream=\"%s\"} 1",
                   fixture_upstream(f)->settings->name);
    assert_line(upstream);
}

static void server_line(struct fixture *f, const char *name, const char *rest)
{
    const struct upstream *u = fixture_upstream(f);
    char line[512];
    (void)snprintf(line, sizeof(line), "%s{upstream=\"%s\",server=\"%s\"%s", name,
                   u->settings->name, u->servers[0]->text, rest);
    assert_line(line);
}

static void servers_tell_how_they_do(void **state)
{
    struct fixture *f = *state;
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream turbo:127.0.0.1:%u", f->server_port);
    struct server *s = fixture_upstream(f)->servers[0];
    look(f);
    server_line(f, "turbotls_server_up", "} 1");
    server_line(f, "turbotls_server_weight", "} 1");
    server_line(f, "turbotls_server_udp_paused", "} 0");
    s->health.out_until = 1;
    s->connections = 2;
    s->connected = 3;
    s->failed = 4;
    s->checked = 11;
    s->check_failed = 5;
    s->flights = (struct server_flights){.whole = 6, .repaired = 7, .partial = 8, .silent = 9};
    struct address address;
    assert_true(address_from_literal(&address, "127.0.0.1", f->server_port));
    memory_of(s->memory, &address)->learned.paused_until = TURBO_NEVER;
    look(f);
    s->connections = 0;
    server_line(f, "turbotls_server_up", "} 0");
    server_line(f, "turbotls_server_connections", "} 2");
    server_line(f, "turbotls_server_connects_total", ",result=\"connected\"} 3");
    server_line(f, "turbotls_server_connects_total", ",result=\"failed\"} 4");
    server_line(f, "turbotls_server_checks_total", ",result=\"passed\"} 6");
    server_line(f, "turbotls_server_checks_total", ",result=\"failed\"} 5");
    server_line(f, "turbotls_server_flights_total", ",came=\"whole\"} 6");
    server_line(f, "turbotls_server_flights_total", ",came=\"repaired\"} 7");
    server_line(f, "turbotls_server_flights_total", ",came=\"partial\"} 8");
    server_line(f, "turbotls_server_flights_total", ",came=\"silent\"} 9");
    server_line(f, "turbotls_server_udp_paused", "} 1");
}

/* Whether parity was of use, and what became of UDP, is a server's affair. */
static void flights_count_by_how_they_came(void **state)
{
    (void)state;
    struct server s = {0};
    const struct turbo_client_report reports[] = {
        {.outcome = TURBO_OUTCOME_CLASSIC}, /* not asked */
        {.asked = true, .refused = true, .responded = true, .outcome = TURBO_OUTCOME_CLASSIC},
        {.asked = true, .responded = true}, /* the client left */
        {.asked = true},
        {.asked = true, .outcome = TURBO_OUTCOME_CLASSIC},
        {.asked = true, .responded = true, .flight_known = true, .flight_by_udp = true},
        {.asked = true,
         .responded = true,
         .flight_known = true,
         .flight_by_udp = true,
         .rebuilt = true},
        {.asked = true, .responded = true, .flight_known = true},
    };
    for (size_t i = 0; i < COUNT(reports); i++)
        server_note_flight(&s, &reports[i]);
    assert_int_equal(s.flights.silent, 1);
    assert_int_equal(s.flights.whole, 1);
    assert_int_equal(s.flights.repaired, 1);
    assert_int_equal(s.flights.partial, 1);
}

/* Port 0 twice is two listeners with one name. */
static void listeners_of_one_name_count_together(void **state)
{
    struct fixture *f = *state;
    start(f, "--listen turbo:127.0.0.1:0");
    for (size_t i = 0; i < 2; i++) {
        struct datagrams *udp = fixture_udp(f, "127.0.0.1", fixture_udp_port(f, i));
        datagrams_send(udp, "x", 1);
        datagrams_send(udp, "y", 1);
    }
    look(f);
    if (strcmp(fixture_settings(f, 0)->name, fixture_settings(f, 1)->name) != 0)
        skip(); /* the command line gives them names of their own */
    UNTIL(f, (look(f), strstr(page, ",reason=\"junk\"} 4\n") != NULL));
}

/* No series and no family twice; HELP and TYPE before the first sample. */
static void everything_is_said_once(void **state)
{
    struct fixture *f = *state;
    enum { LINES_MAX = 1000 };
    static char *lines[LINES_MAX];
    size_t count = 0;
    start(f, "--listen turbo:127.0.0.1:0 --listen tcp:127.0.0.1:0");
    look(f);
    for (char *rest = page, *line; (line = strsep(&rest, "\n")) != NULL && rest != NULL;) {
        assert_true(count < LINES_MAX);
        char *value = line[0] == '#' ? NULL : strrchr(line, ' ');
        if (value != NULL)
            *value = '\0';
        lines[count++] = line;
    }
    assert_true(count > 100);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(lines[i], lines[k]);
}

static void the_process_is_told_of(void **state)
{
    struct fixture *f = *state;
    struct process process;
    char line[128];
    start(f, "");
    process_open(&process);
    process.started_us = 1790000000500000;
    write_page(f, &process);
    assert_line("process_start_time_seconds 1790000000.5");
    assert_line("turbotls_build_info{version=\"" TURBOTLS_VERSION "\"} 1");
    assert_line("turbotls_last_reload_succeeded 1");
    assert_line("turbotls_reloads_total{result=\"succeeded\"} 0");
    assert_line("turbotls_accepting 1");
    assert_line("turbotls_draining 0");
    (void)snprintf(line, sizeof(line), "turbotls_connections_max %zu", f->worker->connections_max);
    assert_line(line);
    uint64_t files = process_open_files(&process);
    int more = dup(STDERR_FILENO);
    assert_int_equal(process_open_files(&process), files + 1);
    close(more);
    (void)snprintf(line, sizeof(line), "process_open_fds %zu", (size_t)files);
    assert_line(line);
    assert_in_range(process_resident_bytes(&process), 1 << 20, 4ULL << 30);
    assert_true(process_cpu_us() > 0);
    assert_true(process_max_files() >= files);
    process_close(&process);
}

static void reloads_count_by_how_they_went(void **state)
{
    struct fixture *f = *state;
    struct process process;
    start(f, "");
    process_open(&process);
    process.reloaded_us = 5;
    process_reloaded(&process, false);
    assert_int_equal(process.reloaded_us, 5);
    process_reloaded(&process, false);
    write_page(f, &process);
    assert_line("turbotls_reloads_total{result=\"failed\"} 2");
    assert_line("turbotls_last_reload_succeeded 0");
    assert_line("turbotls_configuration_time_seconds 0.000005");
    process_reloaded(&process, true);
    assert_true(process.reloaded_us >= process.started_us);
    write_page(f, &process);
    assert_line("turbotls_reloads_total{result=\"succeeded\"} 1");
    assert_line("turbotls_last_reload_succeeded 1");
    process_close(&process);
}

/* In a sandbox, say, or without /proc. */
static void what_is_not_known_is_left_out(void **state)
{
    struct fixture *f = *state;
    const struct process process = {.files = NULL, .memory = -1};
    start(f, "");
    write_page(f, &process);
    assert_null(strstr(page, "process_open_fds"));
    assert_null(strstr(page, "process_resident_memory_bytes"));
    assert_non_null(strstr(page, "\nprocess_max_fds "));
}

static void lines_that_nobody_took_are_counted(void **state)
{
    struct fixture *f = *state;
    start(f, "");
    int reader = f->log_fd[0];
    while (f->log.dropped < 3)
        log_write(&f->log, LOG_LEVEL_ERROR, "a line that nobody reads", NULL);
    char drain[4096];
    while (read(reader, drain, sizeof(drain)) > 0)
        ;
    log_write(&f->log, LOG_LEVEL_ERROR, "one that goes out", NULL);
    assert_int_equal(f->log.dropped, 0);
    look(f);
    assert_line("turbotls_log_lines_dropped_total 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        METRICS_CASE(connections_count_while_and_after_they_are),
        METRICS_CASE(a_session_by_udp_counts_where_it_came),
        METRICS_CASE(servers_tell_how_they_do),
        CASE(flights_count_by_how_they_came),
        METRICS_CASE(listeners_of_one_name_count_together),
        METRICS_CASE(everything_is_said_once),
        METRICS_CASE(the_process_is_told_of),
        METRICS_CASE(reloads_count_by_how_they_went),
        METRICS_CASE(what_is_not_known_is_left_out),
        METRICS_CASE(lines_that_nobody_took_are_counted),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
