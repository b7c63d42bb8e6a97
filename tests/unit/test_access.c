/* The access record: who knew first, what took how long, and one line at the end. */
#include "tests/unit/support/hello.h"
#include "tests/unit/support/worker_fixture.h"

#include "proxy/ops/access.h"

static struct access access_record;

static void begin(void)
{
    struct address client;
    assert_true(address_from_literal(&client, "192.0.2.7", 50122));
    access_init(&access_record, &client, 1000);
}

static const char *end_at(struct fixture *f, const struct access_names *names, turbo_time now)
{
    access_end(&access_record, names, &f->log, now);
    const char *text = fixture_log(f);
    assert_int_equal(fixture_log_count(f, "\n"), 1);
    return strstr(text, " info ");
}

static const char *end(struct fixture *f, turbo_time now)
{
    return end_at(f,
                  &(struct access_names){.listener = "turbo:192.0.2.1:443,udp=443",
                                         .upstream = "tcp:example.org:443"},
                  now);
}

static void add_hello(struct fixture *f, const char *name)
{
    static struct hello hello;
    struct turbo_client_hello parsed;
    hello_make(&hello, &(struct hello_spec){.server_name = name});
    turbo_client_hello_init(&parsed);
    turbo_client_hello_push(&parsed, hello.bytes, hello.length);
    assert_int_equal(parsed.state, TURBO_HELLO_COMPLETE);
    access_add_hello(&access_record, &parsed, &f->log);
}

static void a_connection_of_which_nothing_is_known_has_its_line(void **state)
{
    begin();
    assert_string_equal(
        end(*state, 1500),
        " info connection client=192.0.2.7:50122 "
        "listener=\"turbo:192.0.2.1:443,udp=443\" route=- "
        "upstream=tcp:example.org:443 requested=- server=- server_name=- outcome=none reason=- "
        "dialect=- rtt_us=0 first_response_us=0 "
        "first_answer_us=0 bytes_c2s=0 bytes_s2c=0 duration_us=500\n");
}

static void route_upstream_and_server_are_told(void **state)
{
    begin();
    const char *line = end_at(
        *state,
        &(struct access_names){
            .listener = "l", .route = "web", .upstream = "servers", .server = "tcp:192.0.2.9:443"},
        1500);
    assert_non_null(
        strstr(line, " route=web upstream=servers requested=- server=tcp:192.0.2.9:443 "));
}

static void a_record_without_a_line_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    begin();
    add_hello(f, "www.example.org");
    access_add_requested(&access_record, "www.example.org:443");
    access_free(&access_record);
    access_free(&access_record);
    assert_null(access_record.server_name);
    assert_int_equal(fixture_log_count(f, "\n"), 0);
}

static void times_count_from_the_first_request(void **state)
{
    struct fixture *f = *state;
    begin();
    add_hello(f, "www.example.org");
    access_count_c2s(&access_record, 2000, 300); /* ClientHello */
    access_count_c2s(&access_record, 2100, 17);  /* its rest: no answer to anything */
    access_count_s2c(&access_record, 2500, 4000);
    access_count_s2c(&access_record, 2600, 500);
    access_count_c2s(&access_record, 3000, 64); /* the answer */
    access_count_c2s(&access_record, 4000, 1);
    access_add_rtt(&access_record, 777);
    access_add_outcome(&access_record, TURBO_OUTCOME_TURBO, TURBO_REASON_NONE);
    const char *line = end(f, 6000);
    assert_non_null(
        strstr(line, "server_name=www.example.org outcome=turbo reason=- dialect=- rtt_us=777 "
                     "first_response_us=500 first_answer_us=1000 bytes_c2s=382 "
                     "bytes_s2c=4500 duration_us=5000\n"));
}

static void a_server_that_speaks_first_has_no_time_of_response(void **state)
{
    begin();
    access_count_s2c(&access_record, 1100, 3);
    access_count_c2s(&access_record, 1200, 4);
    assert_non_null(strstr(end(*state, 1300), "first_response_us=0 first_answer_us=0 bytes_c2s=4 "
                                              "bytes_s2c=3"));
}

static void what_comes_within_a_turn_has_come(void **state)
{
    begin();
    access_count_c2s(&access_record, 2000, 1);
    access_count_s2c(&access_record, 2000, 1);
    access_count_c2s(&access_record, 2000, 1);
    assert_non_null(strstr(end(*state, 2000), "first_response_us=1 first_answer_us=1 "));
}

static void times_too_long_for_the_record_are_told_as_the_longest(void **state)
{
    begin();
    access_count_c2s(&access_record, 2000, 1);
    access_count_s2c(&access_record, 2000 + (1ull << 32), 1);
    access_add_rtt(&access_record, 1ull << 40);
    assert_non_null(strstr(end(*state, 1ull << 33),
                           "rtt_us=4294967295 first_response_us=4294967295 first_answer_us=0 "));
}

static void the_round_trip_is_asked_for_where_it_is_told(void **state)
{
    struct fixture *f = *state;
    begin();
    assert_true(access_wants_rtt(&access_record, &f->log));
    f->log.level = LOG_LEVEL_WARNING;
    assert_false(access_wants_rtt(&access_record, &f->log));
    access_add_outcome(&access_record, TURBO_OUTCOME_TURBO, TURBO_REASON_NONE);
    assert_true(access_wants_rtt(&access_record, &f->log)); /* stats_ended counts it */
    access_add_rtt(&access_record, 1);
    assert_false(access_wants_rtt(&access_record, &f->log));
    access_free(&access_record);
}

static void a_name_that_nobody_is_told_takes_no_memory(void **state)
{
    struct fixture *f = *state;
    begin();
    f->log.level = LOG_LEVEL_WARNING;
    add_hello(f, "www.example.org");
    assert_null(access_record.server_name);
    f->log.level = LOG_LEVEL_INFO;
    add_hello(f, "www.example.org");
    assert_non_null(access_record.server_name);
    access_free(&access_record);
}

static void the_first_that_knows_wins(void **state)
{
    struct fixture *f = *state;
    begin();
    add_hello(f, NULL); /* does not know */
    add_hello(f, "first.example");
    add_hello(f, "second.example");
    access_add_rtt(&access_record, 0);
    access_add_rtt(&access_record, 10);
    access_add_rtt(&access_record, 20);
    access_add_outcome(&access_record, TURBO_OUTCOME_NONE, TURBO_REASON_REFUSED);
    access_add_outcome(&access_record, TURBO_OUTCOME_CLASSIC, TURBO_REASON_TCP_FIRST);
    access_add_outcome(&access_record, TURBO_OUTCOME_TURBO, TURBO_REASON_NONE);
    assert_non_null(strstr(end(f, 1300), "server_name=first.example outcome=classic "
                                         "reason=tcp-first dialect=- rtt_us=10 "));
}

static void what_the_listener_saw_counts_where_the_sides_say_nothing(void **state)
{
    begin();
    access_record.listener_outcome = TURBO_OUTCOME_OPAQUE;
    access_record.listener_reason = TURBO_REASON_NOT_TLS;
    assert_non_null(strstr(end(*state, 1300), "outcome=opaque reason=not-tls"));
}

static void and_only_there(void **state)
{
    begin();
    access_record.listener_outcome = TURBO_OUTCOME_OPAQUE;
    access_record.listener_reason = TURBO_REASON_NOT_TLS;
    access_add_outcome(&access_record, TURBO_OUTCOME_RESUMED, TURBO_REASON_NONE);
    assert_non_null(strstr(end(*state, 1300), "outcome=resumed-on-tcp reason=-"));
}

static void one_that_is_cut_keeps_its_outcome_whoever_tells_it(void **state)
{
    begin();
    access_cut(&access_record, TURBO_REASON_IDLE);
    access_add_outcome(&access_record, TURBO_OUTCOME_CLASSIC, TURBO_REASON_TCP_FIRST);
    assert_non_null(strstr(end(*state, 1300), "outcome=classic reason=idle"));
    assert_int_equal(access_record.reason, TURBO_REASON_IDLE); /* for stats_ended */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(a_connection_of_which_nothing_is_known_has_its_line),
        FIXTURE_CASE(route_upstream_and_server_are_told),
        FIXTURE_CASE(a_record_without_a_line_leaves_nothing_behind),
        FIXTURE_CASE(times_count_from_the_first_request),
        FIXTURE_CASE(a_server_that_speaks_first_has_no_time_of_response),
        FIXTURE_CASE(what_comes_within_a_turn_has_come),
        FIXTURE_CASE(times_too_long_for_the_record_are_told_as_the_longest),
        FIXTURE_CASE(the_round_trip_is_asked_for_where_it_is_told),
        FIXTURE_CASE(a_name_that_nobody_is_told_takes_no_memory),
        FIXTURE_CASE(the_first_that_knows_wins),
        FIXTURE_CASE(what_the_listener_saw_counts_where_the_sides_say_nothing),
        FIXTURE_CASE(and_only_there),
        FIXTURE_CASE(one_that_is_cut_keeps_its_outcome_whoever_tells_it),
    };
    return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
