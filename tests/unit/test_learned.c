/* What an upstream has taught, and what follows for the next connection: protocol §4.8, 6.5, 6.9.
 */
#include "tests/unit/support/check.h"

#include "turbo/learned.h"

#define T(seconds) (1000 * TURBO_SECOND + (seconds)*TURBO_SECOND)

enum { BYTES = 3000, CHUNKS = 3 };

static struct turbo_learned learned;
static turbo_time now;

static void set_up(void)
{
    learned = (struct turbo_learned){0};
    now = T(0);
}

#define TEST(name) TEST_BETWEEN(name, set_up(), (void)0)

static struct turbo_client_config configured(void)
{
    struct turbo_client_config config;
    turbo_client_config_init(&config, check_sha256);
    turbo_learned_configure(&learned, now, &config);
    return config;
}

/* ---- connections, as their reports tell them ---- */

/* All of the flight by UDP, before TCP was up. */
static struct turbo_client_report complete(void)
{
    return (struct turbo_client_report){.outcome = TURBO_OUTCOME_TURBO,
                                        .asked = true,
                                        .asked_at = now,
                                        .tcp_up_us = 40 * TURBO_MILLISECOND,
                                        .responded = true,
                                        .delivered = true,
                                        .flight_known = true,
                                        .flight_by_udp = true,
                                        .flight_chunks = CHUNKS,
                                        .flight_bytes = BYTES,
                                        .late_known = true};
}

static struct turbo_client_report late(turbo_time by)
{
    struct turbo_client_report report = complete();
    report.outcome = TURBO_OUTCOME_CLASSIC;
    report.late_us = by;
    return report;
}

static struct turbo_client_report partial(void)
{
    struct turbo_client_report report = complete();
    report.outcome = TURBO_OUTCOME_RESUMED;
    report.flight_by_udp = report.late_known = false;
    return report;
}

static struct turbo_client_report silent(void)
{
    struct turbo_client_report report = partial();
    report.outcome = TURBO_OUTCOME_CLASSIC;
    report.responded = report.delivered = false;
    return report;
}

static void note(struct turbo_client_report report)
{
    turbo_learned_note(&learned, now, &report);
}

static void note_times(int times, struct turbo_client_report report)
{
    while (times-- > 0)
        note(report);
}

/* The next connection goes as `report` says, whether it is a trial or not. */
static void connect_and_note(struct turbo_client_report (*report)(void))
{
    struct turbo_client_report r = report();
    r.trial = configured().trial;
    note(r);
}

static void assert_paused(bool paused)
{
    assert_int_equal(turbo_learned_paused(&learned, now), paused);
}

/* UDP is paused from now on for so long, and no longer. */
static void assert_paused_for(uint64_t seconds)
{
    now += seconds * TURBO_SECOND - 1;
    assert_paused(true);
    assert_true(configured().paused);
    now++;
    assert_paused(false);
}

/* ---- first contact, and what is expected ---- */

TEST(of_an_address_never_heard_of_a_config_stays_as_it_is)
{
    struct turbo_client_config before, config = configured();
    turbo_client_config_init(&before, check_sha256);
    assert_memory_equal(&config, &before, sizeof(config));
    assert_paused(false);
}

TEST(an_address_that_has_answered_speaks_and_gets_all_requests) /* §10.4 */
{
    struct turbo_client_report report = partial();
    report.flight_known = false;
    note(silent());
    assert_int_equal(configured().requests_max, TURBO_REQUESTS_UNPROVEN);
    assert_false(configured().speaks);
    note(report);
    assert_int_equal(configured().requests_max, TURBO_REQUESTS_MAX);
    assert_true(configured().speaks);
    learned = (struct turbo_learned){0};
    report = silent();
    report.refused = true; /* an answer as well */
    note(report);
    assert_true(configured().speaks);
}

TEST(the_largest_of_the_last_8_flights_is_expected) /* §4.8 */
{
    struct turbo_client_report report = complete();
    report.flight_chunks = 2;
    report.flight_bytes = 9000;
    note(report);
    report.flight_chunks = 11;
    report.flight_bytes = 5000;
    note(report);
    assert_int_equal(configured().expected_chunks, 11);
    assert_int_equal(configured().expected_bytes, 9000);
    note_times(TURBO_LEARNED_FLIGHTS - 2, complete());
    assert_int_equal(configured().expected_bytes, 9000);
    note(complete());
    assert_int_equal(configured().expected_bytes, 5000);
    assert_int_equal(configured().expected_chunks, 11);
    note(complete());
    assert_int_equal(configured().expected_bytes, BYTES);
    assert_int_equal(configured().expected_chunks, CHUNKS);
}

TEST(a_flight_is_learned_only_where_udp_was_asked_and_the_app_has_answered)
{
    struct turbo_client_report report = complete();
    report.asked = false;
    note(report);
    report = complete();
    report.flight_known = false;
    note(report);
    assert_int_equal(configured().expected_bytes, TURBO_EXPECTED_BYTES);
    assert_int_equal(configured().wait_us, 0);
    note(silent()); /* TCP tells as well how large it was */
    assert_int_equal(configured().expected_bytes, BYTES);
}

TEST(the_smallest_of_the_last_8_round_trips_is_the_paths) /* a lost SYN says nothing of it */
{
    struct turbo_client_report report = complete();
    assert_int_equal(configured().rtt_us, 0);
    report.tcp_up_us = 30;
    note(report);
    report.tcp_up_us = 1000030;
    note_times(TURBO_LEARNED_FLIGHTS - 1, report);
    assert_int_equal(configured().rtt_us, 30);
    note(report);
    assert_int_equal(configured().rtt_us, 1000030);
    report.tcp_up_us = 0; /* never up */
    note_times(TURBO_LEARNED_FLIGHTS, report);
    assert_int_equal(configured().rtt_us, 1000030);
}

/* ---- the wait: §6.5, RFC 6298 ---- */

TEST(the_wait_is_the_mean_lateness_and_4_deviations)
{
    static const struct {
        turbo_time late, wait;
    } cases[] = {
        {8000, 8000 + 4 * 4000},  /* the first: SRTT = R, RTTVAR = R/2 */
        {8000, 8000 + 4 * 3000},  /* RTTVAR = 3/4 RTTVAR */
        {16000, 9000 + 4 * 4250}, /* 3/4 × 3000 + 8000/4; 7/8 × 8000 + 16000/8 */
        {0, 7875 + 4 * 5437},     /* 3/4 × 4250 + 9000/4, cut to 5437; 7/8 × 9000 */
        {7875, 7875 + 4 * 4077},  /* as it was expected */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        note(late(cases[i].late));
        assert_int_equal(configured().wait_us, cases[i].wait);
    }
}

TEST(the_wait_is_5_ms_at_least_and_50_at_most)
{
    note(partial()); /* says nothing of it */
    assert_int_equal(configured().wait_us, 0);
    note(late(0));
    assert_int_equal(configured().wait_us, TURBO_WAIT_MIN);
    note(late(100 * TURBO_MILLISECOND));
    assert_int_equal(configured().wait_us, TURBO_WAIT_MAX);
}

TEST(no_wait_is_worth_it_where_flights_come_later_than_any)
{
    note(late(TURBO_WAIT_MAX + 1));
    assert_int_equal(configured().wait_us, TURBO_WAIT_MIN);
    learned = (struct turbo_learned){0};
    note(late(TURBO_WAIT_MAX));
    assert_int_equal(configured().wait_us, TURBO_WAIT_MAX);
}

/* ---- pauses: §6.9 ---- */

TEST(nothing_by_udp_twice_in_a_row_is_a_pause_of_30_s)
{
    note(silent());
    assert_paused(false);
    note(silent());
    assert_paused_for(30);
}

TEST(part_of_a_flight_4_times_in_a_row_is_a_pause)
{
    note_times(3, partial());
    assert_paused(false);
    note(partial());
    assert_paused_for(30);
}

TEST(a_complete_flight_ends_the_row_though_it_be_late) /* §6.9c */
{
    for (int i = 0; i < 3; i++) {
        note(silent());
        note(late(900 * TURBO_MILLISECOND));
    }
    note_times(3, partial());
    note(late(TURBO_MILLISECOND));
    note_times(3, partial());
    assert_paused(false);
}

TEST(each_pause_is_twice_as_long_up_to_10_minutes)
{
    static const uint64_t pauses[] = {30, 60, 120, 240, 480, 600, 600, 600};
    connect_and_note(silent);
    for (size_t i = 0; i < COUNT(pauses); i++) {
        connect_and_note(silent); /* from the second on, the trial */
        assert_paused_for(pauses[i]);
    }
    for (int i = 0; i < 80; i++) {
        connect_and_note(silent);
        assert_paused_for(600);
    }
}

TEST(after_a_success_pauses_begin_at_30_s_again)
{
    note_times(2, silent());
    assert_paused_for(30);
    connect_and_note(partial); /* too little for a trial */
    assert_paused_for(60);
    connect_and_note(complete);
    assert_paused(false);
    assert_false(configured().trial);
    note_times(3, silent());
    assert_paused(false);
    note(silent());
    assert_paused_for(30);
}

TEST(where_udp_has_worked_it_takes_4_silent_connections)
{
    note(complete());
    note_times(3, silent());
    assert_paused(false);
    note(silent());
    assert_paused_for(30);
    now += 31 * TURBO_SECOND;
    connect_and_note(silent); /* the trial; and it has not worked since */
    assert_paused_for(60);
}

TEST(what_began_before_a_failure_is_no_other_one) /* a stall lets all of a moment fail */
{
    struct turbo_client_report begun = silent();
    now += TURBO_SECOND;
    for (int i = 0; i < 20; i++) {
        note(begun);
        now += TURBO_MILLISECOND;
    }
    assert_paused(false);
    note(silent());
    assert_paused(true);
}

TEST(one_connection_is_the_trial_and_the_others_wait_for_it)
{
    note_times(2, silent());
    now += TURBO_PAUSE_MIN;
    struct turbo_client_config trial = configured();
    assert_true(trial.trial);
    assert_false(trial.paused);
    for (int i = 0; i < 3; i++) {
        assert_true(configured().paused);
        assert_false(configured().trial);
    }
    now += TURBO_PAUSE_MIN - 1; /* it may take its time, but not for ever */
    assert_true(configured().paused);
    now++;
    assert_true(configured().trial);
}

TEST(a_trial_that_shows_nothing_lets_another_try)
{
    note_times(2, silent());
    now += TURBO_PAUSE_MIN;
    struct turbo_client_report nothing = {.trial = configured().trial};
    assert_true(nothing.trial);
    assert_true(configured().paused);
    note(nothing);
    assert_true(configured().trial);
    nothing = silent();
    nothing.trial = true;
    nothing.refused = true;
    note(nothing);
    assert_true(configured().trial);
}

TEST(what_began_before_a_pause_does_not_bring_about_the_next)
{
    struct turbo_client_report before = silent(), partly = partial();
    now += 1;
    note_times(2, silent());
    note_times(6, before);
    note_times(6, partly);
    now += TURBO_PAUSE_MIN;
    assert_paused(false); /* not a microsecond longer */
    connect_and_note(complete);
    note(silent());
    assert_paused(false);
}

TEST(a_success_that_began_before_a_pause_ends_it)
{
    struct turbo_client_report before = complete();
    now += 1;
    note_times(2, silent());
    note(before);
    assert_paused(false);
}

TEST(what_did_not_put_udp_to_the_test_counts_neither_way)
{
    struct turbo_client_report reports[4];
    for (size_t i = 0; i < COUNT(reports); i++)
        reports[i] = silent();
    reports[0].asked = false;
    reports[1].refused = true;
    reports[2].tcp_up_us = 0;                /* nothing gets through at all */
    reports[3].outcome = TURBO_OUTCOME_NONE; /* the app has left before */
    reports[3].flight_known = false;
    for (size_t i = 0; i < COUNT(reports); i++) {
        learned = (struct turbo_learned){0};
        note(silent());
        note_times(10, reports[i]);
        assert_paused(false);
        note(silent()); /* nor has it ended the row */
        assert_paused(true);
    }
}

TEST(a_draft_server_gets_no_udp_for_10_minutes)
{
    struct turbo_client_report draft = silent();
    draft.draft = true;
    note(draft);
    assert_paused_for(600);
}

static struct turbo_client_report unheard(void)
{
    struct turbo_client_report report = complete(); /* whatever UDP brought */
    report.unheard = true;
    return report;
}

TEST(pauses_for_one_unheard_behind_the_tombstone_grow_though_another_succeeds)
{
    static const uint64_t pauses[] = {30, 60, 120, 240, 480, 600, 600};
    for (size_t i = 0; i < COUNT(pauses); i++) {
        note(unheard());
        assert_paused_for(pauses[i]);
        connect_and_note(complete);
        assert_paused(false);
    }
    for (int i = 0; i < TURBO_LEARNED_FLIGHTS; i++)
        note(complete());
    note(unheard());
    assert_paused_for(30);
}

TEST(the_pause_says_that_udp_reaches_another_host_and_others_do_not)
{
    note(unheard());
    assert_true(configured().paused && configured().elsewhere);
    now += TURBO_PAUSE_MIN;
    assert_true(configured().trial);
    assert_true(configured().paused && configured().elsewhere); /* while the trial is under way */
    now += TURBO_PAUSE_MIN;
    connect_and_note(silent);
    assert_true(configured().paused);
    assert_false(configured().elsewhere);
    learned = (struct turbo_learned){0};
    note_times(2, silent());
    assert_true(configured().paused);
    assert_false(configured().elsewhere);
}

TEST(a_success_that_began_before_one_unheard_does_not_end_its_pause) /* chance led it well */
{
    struct turbo_client_report begun = complete();
    now += 1;
    note(unheard());
    note_times(2 * TURBO_LEARNED_FLIGHTS, begun);
    assert_paused_for(30);
    note(unheard());
    assert_paused_for(60);
}

TEST(what_a_restart_tears_at_once_is_one_reset)
{
    struct turbo_client_report begun = unheard();
    now += TURBO_SECOND;
    for (int i = 0; i < 8; i++)
        note(begun);
    assert_paused_for(30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(of_an_address_never_heard_of_a_config_stays_as_it_is),
        CASE(an_address_that_has_answered_speaks_and_gets_all_requests),
        CASE(the_largest_of_the_last_8_flights_is_expected),
        CASE(a_flight_is_learned_only_where_udp_was_asked_and_the_app_has_answered),
        CASE(the_smallest_of_the_last_8_round_trips_is_the_paths),
        CASE(the_wait_is_the_mean_lateness_and_4_deviations),
        CASE(the_wait_is_5_ms_at_least_and_50_at_most),
        CASE(no_wait_is_worth_it_where_flights_come_later_than_any),
        CASE(nothing_by_udp_twice_in_a_row_is_a_pause_of_30_s),
        CASE(part_of_a_flight_4_times_in_a_row_is_a_pause),
        CASE(a_complete_flight_ends_the_row_though_it_be_late),
        CASE(each_pause_is_twice_as_long_up_to_10_minutes),
        CASE(after_a_success_pauses_begin_at_30_s_again),
        CASE(where_udp_has_worked_it_takes_4_silent_connections),
        CASE(what_began_before_a_failure_is_no_other_one),
        CASE(one_connection_is_the_trial_and_the_others_wait_for_it),
        CASE(a_trial_that_shows_nothing_lets_another_try),
        CASE(what_began_before_a_pause_does_not_bring_about_the_next),
        CASE(a_success_that_began_before_a_pause_ends_it),
        CASE(what_did_not_put_udp_to_the_test_counts_neither_way),
        CASE(a_draft_server_gets_no_udp_for_10_minutes),
        CASE(pauses_for_one_unheard_behind_the_tombstone_grow_though_another_succeeds),
        CASE(the_pause_says_that_udp_reaches_another_host_and_others_do_not),
        CASE(a_success_that_began_before_one_unheard_does_not_end_its_pause),
        CASE(what_a_restart_tears_at_once_is_one_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
