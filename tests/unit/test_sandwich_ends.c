/* Both ends of the Sandwich dialect with each other: protocol §11.7 and §11.8. */
#include "tests/unit/support/sandwich_end.h"

/* clang-format off */
static const struct line usual[] = {
    {APP, 0, LINE_HELLO, 0}, {SERVER, 1, LINE_SERVER_HELLO, AES_128}, {SERVER, 1, LINE_CCS, 0},
    {SERVER, 1, LINE_ENCRYPTED, 40}, {SERVER, 1, LINE_ENCRYPTED, 2500}, {SERVER, 1, LINE_ENCRYPTED, 300},
    {SERVER, 1, LINE_ENCRYPTED, FINISHED}, {APP, 6, LINE_CCS, 0}, {APP, 6, LINE_ENCRYPTED, FINISHED},
    {APP, 6, LINE_DATA, 700}, {SERVER, 3, LINE_DATA, 239}, {SERVER, 3, LINE_DATA, 239},
    {SERVER, 4, LINE_DATA, 16000}, {APP, 9, LINE_DATA, 16000}, {SERVER, 5, LINE_DATA, 10}, END};
static const struct line idle[] = {
    {APP, 0, LINE_HELLO, 0}, {SERVER, 1, LINE_SERVER_HELLO, AES_128},
    {SERVER, 1, LINE_ENCRYPTED, 2500}, {SERVER, 1, LINE_ENCRYPTED, FINISHED},
    {APP, 3, LINE_ENCRYPTED, FINISHED}, {SERVER, 2, LINE_DATA, 239}, END};
static const struct line tls_1_2[] = {
    {APP, 0, LINE_HELLO, 0}, {SERVER, 1, LINE_SERVER_HELLO, TLS_1_2}, {SERVER, 1, LINE_HANDSHAKE, 3000},
    {APP, 2, LINE_HANDSHAKE, 70}, {APP, 2, LINE_CCS, 0}, {APP, 2, LINE_HANDSHAKE, 40},
    {SERVER, 4, LINE_HANDSHAKE, 200}, {SERVER, 4, LINE_CCS, 0}, {SERVER, 4, LINE_HANDSHAKE, 40},
    {APP, 5, LINE_DATA, 700}, {SERVER, 5, LINE_DATA, 700}, END};
static const struct line padded[] = {
    {APP, 0, LINE_HELLO, 0}, {SERVER, 1, LINE_SERVER_HELLO, AES_128},
    {SERVER, 1, LINE_ENCRYPTED, 2500}, {SERVER, 1, LINE_ENCRYPTED, FINISHED},
    {APP, 3, LINE_ENCRYPTED, 1200}, {SERVER, 2, LINE_DATA, 239}, {APP, 4, LINE_DATA, 100},
    {SERVER, 3, LINE_DATA, 100}, END};
static const struct line *const talks[] = {usual, idle, world_retried, tls_1_2, padded};
/* clang-format on */

static struct world *w;
static struct sandwich_end end;

static void begin(const struct line *lines)
{
    w = world_new(lines);
    sandwich_end_start(w, &end);
}

static void stop(void)
{
    sandwich_end_stop(w);
    world_free(w);
}

static void all_talks_are_the_same_at_both_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(talks); i++) {
        begin(talks[i]);
        world_begin(w);
        world_run(w, 300);
        world_assert_turbo(w);
        for (unsigned k = 1; k < WORLD_INDEX; k++)
            assert_true(w->copies[SERVER][k] <= 1);
        stop();
    }
}

static void tcp_that_is_late_delays_and_no_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(talks); i++) {
        begin(talks[i]);
        w->tcp_delay = 120 * TURBO_MILLISECOND;
        world_begin(w);
        world_run(w, 2000);
        world_assert_turbo(w);
        stop();
    }
}

enum { SEEDS = 300 };

static void draw(uint32_t seed, unsigned requests, unsigned responses)
{
    begin(talks[seed % COUNT(talks)]);
    world_draw(w, seed, requests, responses);
    world_begin(w);
    world_run(w, 60000);
}

static void lost_requests_harm_nobody(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        draw(seed, seed % 40, 0);
        world_assert_turbo(w);
        stop();
    }
}

static void lost_responses_never_garble(void **state)
{
    unsigned done = 0, again = 0;
    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        draw(seed, 0, seed % 40);
        struct turbo_client_report report = turbo_client_report(w->client);
        if (report.outcome == TURBO_OUTCOME_FAILED) {
            assert_true(w->lost[SERVER] > 0);
            assert_int_equal(report.again, !report.delivered);
            again += report.again;
        } else if (report.outcome == TURBO_OUTCOME_NONE) {
            assert_true(w->lost[SERVER] > 0 && report.delivered); /* the app waits for the rest */
        } else {
            world_assert_turbo(w);
            done++;
        }
        stop();
    }
    assert_true(done > SEEDS / 4 && again > SEEDS / 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_talks_are_the_same_at_both_ends),
        CASE(tcp_that_is_late_delays_and_no_more),
        CASE(lost_requests_harm_nobody),
        CASE(lost_responses_never_garble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
