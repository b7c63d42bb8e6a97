/* The client end in the Sandwich dialect, against a server that keeps to Sandwich's rules: §11. */
#include "tests/unit/support/sandwich_world.h"

#include "turbo/learned.h"

/* clang-format off */
#define FLIGHT_1_3(suite, certificate, finished) \
    {APP, 0, LINE_HELLO, 0}, {SERVER, 1, LINE_SERVER_HELLO, suite}, {SERVER, 1, LINE_CCS, 0}, \
    {SERVER, 1, LINE_ENCRYPTED, 40}, {SERVER, 1, LINE_ENCRYPTED, certificate}, \
    {SERVER, 1, LINE_ENCRYPTED, 300}, {SERVER, 1, LINE_ENCRYPTED, finished}
/* The client's answer, its request at once, tickets, the response. */
#define ANSWER_1_3(finished, data) \
    {APP, 6, LINE_CCS, 0}, {APP, 6, LINE_ENCRYPTED, finished}, {APP, 6, LINE_DATA, data}, \
    {SERVER, 3, LINE_DATA, 239}, {SERVER, 3, LINE_DATA, 239}, {SERVER, 4, LINE_DATA, data}

static const struct line usual[] = {
    FLIGHT_1_3(AES_128, 2500, FINISHED), ANSWER_1_3(FINISHED, 700), END};
/* clang-format on */

static struct world *w;

static void begin(const struct line *lines)
{
    w = world_new(lines);
    world_begin(w);
}

static void begin_losing(const struct line *lines, struct loss loses)
{
    w = world_new(lines);
    w->loses = loses;
    world_begin(w);
}

static void assert_failed(enum turbo_reason reason, bool again)
{
    world_assert_outcome(w, TURBO_CLIENT_FAILED, TURBO_OUTCOME_FAILED, reason);
    assert_int_equal(turbo_client_report(w->client).again, again);
    assert_int_equal(turbo_client_deadline(w->client), TURBO_NEVER);
    assert_false(turbo_client_uses_udp(w->client));
}

#define TEST(name) TEST_BETWEEN(name, (void)0, world_free(w))

/* ---- what travels where ---- */

TEST(the_handshake_goes_by_udp_and_the_rest_by_tcp)
{
    begin(usual);
    assert_int_equal(w->requests, SANDWICH_FIRST_FLIGHT);
    world_run(w, 15);
    assert_int_equal(w->last, -1);
    world_run(w, 200);
    world_assert_turbo(w);
    assert_int_equal(w->by_udp, world_said(w, APP, 3));
    assert_int_equal(w->last, 3);
    assert_true(w->requests <= SANDWICH_FIRST_FLIGHT + 1); /* what was heard of is not repeated */
    for (unsigned i = 1; i <= w->responded; i++)
        assert_int_equal(w->copies[SERVER][i], 1);
}

TEST(a_finished_is_longer_with_sha384)
{
    static const struct line lines[] = {FLIGHT_1_3(AES_256, 2500, FINISHED_384),
                                        ANSWER_1_3(FINISHED_384, 700), END};
    begin(lines);
    world_run(w, 200);
    world_assert_turbo(w);
    assert_int_equal(w->by_udp, world_said(w, APP, 3));
}

TEST(each_push_may_be_one_byte)
{
    w = world_new(usual);
    w->push_most = 1;
    world_begin(w);
    world_run(w, 200);
    world_assert_turbo(w);
    assert_int_equal(w->requests, SANDWICH_FIRST_FLIGHT + 2); /* whole records only */
}

TEST(a_large_hello_takes_several_requests)
{
    static const struct line lines[] = {{APP, 0, LINE_HELLO, 14336},
                                        {SERVER, 1, LINE_SERVER_HELLO, AES_128},
                                        {SERVER, 1, LINE_ENCRYPTED, 53},
                                        {APP, 2, LINE_ENCRYPTED, FINISHED},
                                        {APP, 2, LINE_DATA, 100},
                                        {SERVER, 3, LINE_DATA, 100},
                                        END};
    begin(lines);
    assert_int_equal(w->requests, SANDWICH_FIRST_FLIGHT);
    world_run(w, 200);
    world_assert_turbo(w);
}

TEST(a_retry_and_a_client_certificate_go_by_udp)
{
    static const struct line lines[] = {{APP, 0, LINE_HELLO, 0},
                                        {SERVER, 1, LINE_SERVER_HELLO, AES_256}, /* a retry */
                                        {SERVER, 1, LINE_CCS, 0},
                                        {APP, 2, LINE_CCS, 0},
                                        {APP, 2, LINE_HELLO, 600},
                                        {SERVER, 3, LINE_SERVER_HELLO, AES_256},
                                        {SERVER, 3, LINE_ENCRYPTED, 5000},
                                        {APP, 4, LINE_ENCRYPTED, 9000},
                                        {APP, 4, LINE_ENCRYPTED, 281},
                                        {APP, 4, LINE_ENCRYPTED, FINISHED_384},
                                        {APP, 4, LINE_DATA, 100},
                                        {SERVER, 7, LINE_DATA, 100},
                                        END};
    begin(lines);
    world_run(w, 200);
    world_assert_turbo(w);
    assert_int_equal(w->by_udp, world_said(w, APP, 6));
}

TEST(a_flight_of_more_than_14_responses_gets_more_requests)
{
    static const struct line lines[] = {FLIGHT_1_3(AES_128, 15000, FINISHED),
                                        ANSWER_1_3(FINISHED, 700), END};
    begin(lines);
    world_run(w, 150);
    world_assert_turbo(w);
    assert_true(w->responded > SANDWICH_FIRST_FLIGHT);
}

TEST(a_flight_known_to_be_large_gets_them_at_once)
{
    struct turbo_learned learned = {0};
    static const struct line lines[] = {FLIGHT_1_3(AES_128, 15000, FINISHED),
                                        ANSWER_1_3(FINISHED, 700), END};
    begin(lines);
    world_run(w, 150);
    struct turbo_client_report report = turbo_client_report(w->client);
    assert_int_equal(report.flight_chunks, 16);
    turbo_learned_note(&learned, w->now, &report);
    assert_false(learned.speaks); /* nothing is known of profile 1 */
    world_free(w);
    w = world_new(lines);
    turbo_learned_configure(&learned, w->now, &w->config);
    world_begin(w);
    assert_int_equal(w->requests, 16 + SANDWICH_SPARE);
    world_run(w, 61); /* three one-way trips, and the fourth to the app */
    assert_int_equal(w->last, 16);
}

TEST(a_flight_that_needs_more_than_64_responses_fails)
{
    static const struct line lines[] = {{APP, 0, LINE_HELLO, 0},
                                        {SERVER, 1, LINE_SERVER_HELLO, AES_128},
                                        {SERVER, 1, LINE_ENCRYPTED, 16000},
                                        {SERVER, 1, LINE_ENCRYPTED, 16000},
                                        {SERVER, 1, LINE_ENCRYPTED, 16000},
                                        {SERVER, 1, LINE_ENCRYPTED, 16000},
                                        {SERVER, 1, LINE_ENCRYPTED, 16000},
                                        {APP, 6, LINE_ENCRYPTED, FINISHED},
                                        END};
    begin(lines);
    world_run(w, 60000);
    assert_failed(TURBO_REASON_FLIGHT_TOO_LARGE, false);
}

TEST(a_client_flight_that_is_too_large_fails)
{
    static const struct line lines[] = {{APP, 0, LINE_HELLO, 0},
                                        {SERVER, 1, LINE_SERVER_HELLO, AES_128},
                                        {SERVER, 1, LINE_ENCRYPTED, 500},
                                        {APP, 2, LINE_ENCRYPTED, 16000},
                                        {APP, 2, LINE_ENCRYPTED, 16000},
                                        {APP, 2, LINE_ENCRYPTED, 16000},
                                        END};
    begin(lines);
    world_run(w, 60000);
    assert_failed(TURBO_REASON_FLIGHT_TOO_LARGE, false);
}

TEST(tls_1_2_goes_by_udp_up_to_its_last_finished)
{
    static const struct line lines[] = {{APP, 0, LINE_HELLO, 0},
                                        {SERVER, 1, LINE_SERVER_HELLO, TLS_1_2},
                                        {SERVER, 1, LINE_HANDSHAKE, 3000},
                                        {APP, 2, LINE_HANDSHAKE, 70},
                                        {APP, 2, LINE_CCS, 0},
                                        {APP, 2, LINE_HANDSHAKE, 40},
                                        {SERVER, 4, LINE_HANDSHAKE, 200},
                                        {SERVER, 4, LINE_CCS, 0},
                                        {SERVER, 4, LINE_HANDSHAKE, 40},
                                        {APP, 5, LINE_DATA, 700},
                                        {SERVER, 5, LINE_DATA, 700},
                                        END};
    begin(lines);
    world_run(w, 49);
    assert_int_equal(w->last, -1);
    world_run(w, 200);
    world_assert_turbo(w);
    assert_int_equal(w->last, w->responded);
}

TEST(large_streams_go_through_tcp)
{
    static const struct line lines[] = {FLIGHT_1_3(AES_128, 2500, FINISHED),
                                        ANSWER_1_3(FINISHED, 16000),
                                        {APP, 6, LINE_DATA, 16384},
                                        {APP, 6, LINE_DATA, 16384},
                                        {APP, 6, LINE_DATA, 16384},
                                        {SERVER, 6, LINE_DATA, 16384},
                                        {SERVER, 6, LINE_DATA, 16384},
                                        {SERVER, 6, LINE_DATA, 16384},
                                        END};
    begin(lines);
    world_run(w, 300);
    world_assert_turbo(w);
}

/* ---- where the client's handshake ends ---- */

static const struct line idle[] = {FLIGHT_1_3(AES_128, 2500, FINISHED), {APP, 6, LINE_CCS, 0},
                                   {APP, 6, LINE_ENCRYPTED, FINISHED},  {SERVER, 3, LINE_DATA, 239},
                                   {SERVER, 3, LINE_DATA, 239},         END};

TEST(an_idle_client_gets_tickets_by_udp_and_then_its_tombstone)
{
    begin(idle);
    world_run(w, 39);
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_WAITING);
    world_run(w, 200);
    world_assert_turbo(w);
    assert_int_equal(w->last, w->responded);
    assert_int_equal(w->last, 4);
}

TEST(a_server_that_speaks_first_hears_of_tcp)
{
    static const struct line lines[] = {
        FLIGHT_1_3(AES_128, 2500, FINISHED), {APP, 6, LINE_ENCRYPTED, FINISHED}, END};
    begin(lines);
    world_run(w, 200);
    assert_int_equal(w->last, 3);
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_OPEN);
}

TEST(a_padded_finished_is_known_by_the_tickets)
{
    static const struct line lines[] = {
        FLIGHT_1_3(AES_128, 2500, FINISHED), {APP, 6, LINE_ENCRYPTED, 1200},
        {SERVER, 2, LINE_DATA, 239},         {APP, 7, LINE_DATA, 100},
        {SERVER, 3, LINE_DATA, 100},         END};
    begin(lines);
    world_run(w, 150);
    world_assert_turbo(w);
}

TEST(a_padded_finished_without_tickets_is_known_by_silence)
{
    static const struct line lines[] = {
        FLIGHT_1_3(AES_128, 2500, FINISHED), {APP, 6, LINE_ENCRYPTED, 1200}, END};
    begin(lines);
    world_run(w, 199);
    assert_int_equal(w->last, -1);
    world_run(w, 400);
    assert_int_equal(w->last, 3);
}

TEST(an_app_that_ends_after_its_request_ends_tcp)
{
    static const struct line lines[] = {FLIGHT_1_3(AES_128, 2500, FINISHED),
                                        {APP, 6, LINE_ENCRYPTED, FINISHED},
                                        {APP, 6, LINE_DATA, 100},
                                        {APP, 6, LINE_END, 0},
                                        {SERVER, 3, LINE_DATA, 100},
                                        END};
    begin(lines);
    world_run(w, 200);
    world_assert_turbo(w);
    assert_true(turbo_client_ended(w->client));
}

TEST(an_app_that_ends_within_its_handshake_says_so_by_tcp)
{
    static const struct line lines[] = {FLIGHT_1_3(AES_128, 2500, FINISHED),
                                        {APP, 6, LINE_ENCRYPTED, 19}, /* an alert */
                                        {APP, 6, LINE_END, 0},
                                        END};
    begin(lines);
    world_run(w, 80);
    assert_int_equal(w->by_udp, world_said(w, APP, 2));
    assert_int_equal(w->last, 3);
    assert_true(turbo_client_ended(w->client));
    world_run(w, 3000);
    assert_true(turbo_client_settled(w->client));
}

/* ---- loss ---- */

TEST(a_lost_request_is_repeated)
{
    begin_losing(usual, (struct loss){APP, 1, 1, 1});
    world_run(w, 500);
    world_assert_turbo(w);
    assert_int_equal(w->copies[APP][1], 2);
}

TEST(lost_padding_is_repeated_as_well)
{
    begin_losing(usual, (struct loss){APP, 2, 2, 1});
    world_run(w, 500);
    world_assert_turbo(w);
    assert_int_equal(w->copies[APP][2], 2);
}

TEST(a_lost_finished_is_repeated_until_the_server_is_heard)
{
    begin_losing(usual, (struct loss){APP, SANDWICH_FIRST_FLIGHT + 1, WORLD_INDEX, 3});
    world_run(w, 1000);
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_OPEN);
    assert_false(turbo_client_settled(w->client));
    assert_int_equal(w->last, -1); /* TCP has brought the tombstone, and it waits */
    world_run(w, 1700);
    world_assert_turbo(w);
}

TEST(a_finished_that_nobody_answers_is_repeated_for_10_s)
{
    static const struct line lines[] = {FLIGHT_1_3(AES_128, 2500, FINISHED),
                                        {APP, 6, LINE_ENCRYPTED, FINISHED},
                                        {APP, 6, LINE_DATA, 100},
                                        END};
    begin(lines);
    world_run(w, 9000);
    assert_true(w->copies[APP][SANDWICH_FIRST_FLIGHT + 1] >= 5);
    assert_false(turbo_client_settled(w->client));
    world_run(w, 10100);
    world_assert_turbo(w);
}

TEST(a_lost_response_begins_anew_while_the_app_knows_nothing)
{
    begin_losing(usual, (struct loss){SERVER, 2, 2, 0});
    world_run(w, 1000);
    assert_failed(TURBO_REASON_DATAGRAM_LOST, true);
    assert_int_equal(w->now, WORLD_START + 1000 * TURBO_MILLISECOND);
    const uint8_t *data;
    assert_int_equal(turbo_client_unsent(w->client, &data), world_said(w, APP, 1));
    assert_memory_equal(data, w->streams[APP].bytes, world_said(w, APP, 1));
}

TEST(a_lost_response_fails_in_the_last_attempt)
{
    w = world_new(usual);
    w->loses = (struct loss){SERVER, 2, 2, 0};
    w->config.attempt = SANDWICH_RESTARTS_MAX;
    world_begin(w);
    world_run(w, 1000);
    assert_failed(TURBO_REASON_DATAGRAM_LOST, false);
}

TEST(a_lost_last_response_shows_by_a_record_that_is_not_whole)
{
    begin_losing(usual, (struct loss){SERVER, 3, 3, 0});
    world_run(w, 300);
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_WAITING);
    world_run(w, 1000);
    assert_failed(TURBO_REASON_DATAGRAM_LOST, true);
}

TEST(a_lost_only_response_begins_anew)
{
    begin_losing(usual, (struct loss){SERVER, 0, WORLD_INDEX, 0});
    world_run(w, 590);
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_WAITING);
    world_run(w, 700);
    assert_failed(TURBO_REASON_NO_RESPONSE, true);
}

TEST(silence_fails_the_last_attempt_in_the_end)
{
    w = world_new(usual);
    w->loses = (struct loss){SERVER, 0, WORLD_INDEX, 0};
    w->config.attempt = SANDWICH_RESTARTS_MAX;
    world_begin(w);
    world_run(w, 9000);
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_WAITING);
    world_run(w, 20000);
    assert_failed(TURBO_REASON_NO_RESPONSE, false);
}

TEST(a_lost_response_after_delivery_fails)
{
    static const struct line lines[] = {{APP, 0, LINE_HELLO, 0},
                                        {SERVER, 1, LINE_SERVER_HELLO, AES_128}, /* a retry */
                                        {APP, 1, LINE_HELLO, 0},
                                        {SERVER, 2, LINE_SERVER_HELLO, AES_128},
                                        {SERVER, 2, LINE_ENCRYPTED, 2500},
                                        {APP, 3, LINE_ENCRYPTED, FINISHED},
                                        END};
    begin_losing(lines, (struct loss){SERVER, 3, 3, 0});
    world_run(w, 1000);
    assert_failed(TURBO_REASON_DATAGRAM_LOST, false);
    assert_true(turbo_client_report(w->client).delivered);
}

TEST(lost_tickets_come_by_tcp)
{
    begin_losing(idle, (struct loss){SERVER, 4, 4, 0});
    world_run(w, 200);
    world_assert_turbo(w);
    assert_int_equal(w->last, 3);
}

TEST(an_app_that_thinks_for_long_is_no_loss)
{
    static const struct line lines[] = {FLIGHT_1_3(AES_128, 2500, FINISHED), END};
    static const uint8_t finished[5 + FINISHED] = {23, 3, 3, 0, FINISHED};
    begin(lines);
    world_run(w, 45000);
    world_assert_outcome(w, TURBO_CLIENT_WAITING, TURBO_OUTCOME_NONE, TURBO_REASON_NONE);
    assert_true(w->requests < 200);
    assert_int_equal(turbo_client_push(w->client, w->now, finished, sizeof(finished)),
                     sizeof(finished));
    assert_true(turbo_client_deadline(w->client) <= w->now + SANDWICH_REPEAT_MIN);
}

/* ---- by chance ---- */

enum { SEEDS = 300 };

static void draw(const struct line *lines, uint32_t seed, unsigned requests, unsigned responses)
{
    w = world_new(lines);
    world_draw(w, seed, requests, responses);
    world_begin(w);
    world_run(w, 60000);
}

/* A fifth of them lost, in any order: nothing is wrong, it only takes longer. */
static void lost_requests_harm_nobody(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        draw(seed % 2 != 0 ? usual : world_retried, seed, seed % 50, 0);
        world_assert_turbo(w);
        world_free(w);
    }
}

/* What is lost of the server's is said once: it begins anew, fails, or was not needed. */
static void lost_responses_never_garble(void **state)
{
    unsigned done = 0, again = 0;
    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        draw(seed % 2 != 0 ? usual : world_retried, seed, 0, seed % 40);
        struct turbo_client_report report = turbo_client_report(w->client);
        if (report.outcome == TURBO_OUTCOME_FAILED) {
            assert_true(w->lost[SERVER] > 0);
            assert_true(report.reason == TURBO_REASON_DATAGRAM_LOST ||
                        report.reason == TURBO_REASON_NO_RESPONSE);
            assert_int_equal(report.again, !report.delivered);
            again += report.again;
        } else {
            world_assert_turbo(w);
            done++;
        }
        world_free(w);
    }
    assert_true(done > SEEDS / 4 && again > SEEDS / 20);
}

/* ---- TCP ---- */

TEST(tcp_may_be_up_last)
{
    w = world_new(usual);
    w->tcp_delay = 300 * TURBO_MILLISECOND;
    world_begin(w);
    world_run(w, 299);
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_ASKING);
    assert_int_equal(w->by_udp, world_said(w, APP, 3));
    world_run(w, 500);
    world_assert_turbo(w);
}

TEST(an_idle_client_opens_when_tcp_is_up)
{
    w = world_new(idle);
    w->tcp_delay = 300 * TURBO_MILLISECOND;
    world_begin(w);
    world_run(w, 600);
    world_assert_turbo(w);
}

TEST(without_tcp_nothing_is_given_up_that_it_may_bring)
{
    w = world_new(usual);
    w->tcp_delay = TURBO_NEVER;
    w->loses = (struct loss){SERVER, 0, WORLD_INDEX, 0};
    world_begin(w);
    world_run(w, 30000);
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_ASKING);
    turbo_client_tcp_failed(w->client, w->now);
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_FAILED);
    assert_false(turbo_client_uses_udp(w->client));
}

TEST(tcp_that_ends_before_the_tombstone_fails)
{
    begin(idle);
    world_run(w, 25);
    turbo_client_tcp_readable(w->client, w->now);
    assert_failed(TURBO_REASON_SERVER_ENDED, false);
}

TEST(a_reset_behind_the_tombstone_says_that_tcp_reached_another_host)
{
    begin(usual);
    for (unsigned at = 1; turbo_client_state(w->client) != TURBO_CLIENT_OPEN; at++)
        world_run(w, at);
    turbo_client_tcp_failed(w->client, w->now);
    assert_failed(TURBO_REASON_UDP_ELSEWHERE, false);
    assert_true(turbo_client_report(w->client).unheard);
}

TEST(a_full_buffer_has_room_for_the_tombstone_and_no_more)
{
    static const struct line lines[] = {
        FLIGHT_1_3(AES_128, 2500, FINISHED), {APP, 6, LINE_ENCRYPTED, FINISHED},
        {APP, 6, LINE_DATA, 16384},          {APP, 6, LINE_DATA, 16384},
        {APP, 6, LINE_DATA, 16384},          END};
    w = world_new(lines);
    w->tcp_delay = TURBO_NEVER;
    world_begin(w);
    world_run(w, 100);
    assert_int_equal(w->app_pushed, TURBO_CLIENT_HELD_MAX);
    turbo_client_tcp_up(w->client, w->now);
    assert_int_equal(turbo_client_state(w->client), TURBO_CLIENT_OPEN);
    assert_int_equal(turbo_client_room(w->client), 0);
    world_run(w, 101);
}

/* ---- no other way ---- */

TEST(what_is_not_tls_fails)
{
    w = world_new(usual);
    w->client = turbo_client_init(w->memory, &w->config, w->now);
    turbo_client_push(w->client, w->now, (const uint8_t *)"GET / ", 6);
    assert_failed(TURBO_REASON_NOT_TLS, false);
}

static void assert_hello_fails(const struct hello_spec *spec, enum turbo_reason reason)
{
    static struct hello hello;
    hello_make(&hello, spec);
    w = world_new(usual);
    w->config.paused = w->config.unknown = true; /* have no effect */
    w->client = turbo_client_init(w->memory, &w->config, w->now);
    turbo_client_push(w->client, w->now, hello.bytes, hello.length);
    assert_failed(reason, false);
}

TEST(early_data_fails)
{
    assert_hello_fails(&(struct hello_spec){.early_data = true}, TURBO_REASON_EARLY_DATA);
}

TEST(a_hello_of_more_than_14_requests_fails)
{
    assert_hello_fails(&(struct hello_spec){.size = 14337}, TURBO_REASON_HELLO_TOO_LARGE);
}

TEST(an_end_within_the_hello_fails)
{
    w = world_new(usual);
    w->client = turbo_client_init(w->memory, &w->config, w->now);
    turbo_client_push(w->client, w->now, (const uint8_t *)"\x16\x03\x01", 3);
    turbo_client_push_end(w->client, w->now);
    assert_failed(TURBO_REASON_HELLO_CUT_SHORT, false);
}

TEST(an_unreachable_port_fails)
{
    begin(usual);
    turbo_client_unreachable(w->client, w->now);
    assert_failed(TURBO_REASON_UNREACHABLE, false);
}

TEST(an_abort_says_nothing)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    begin(usual);
    world_run(w, 25);
    turbo_client_abort(w->client, w->now);
    assert_int_equal(turbo_client_poll_datagram(w->client, out), 0);
    assert_false(turbo_client_uses_udp(w->client));
    assert_int_equal(turbo_client_deadline(w->client), TURBO_NEVER);
}

static void respond(unsigned index, const uint8_t *payload, size_t length)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    memcpy(out, w->config.id.bytes, SANDWICH_ID_BYTES);
    out[SANDWICH_ID_BYTES] = (uint8_t)index;
    memcpy(out + SANDWICH_HEADER_BYTES, payload, length);
    assert_true(turbo_client_datagram(w->client, w->now, out, SANDWICH_HEADER_BYTES + length));
}

TEST(nothing_is_given_to_the_app_while_a_response_is_missing)
{
    static const uint8_t record[] = {22, 3, 3, 0, 1, 2};
    const uint8_t *data;
    begin(usual);
    respond(3, record, sizeof(record));
    respond(1, record, sizeof(record));
    assert_int_equal(turbo_client_peek(w->client, &data), 0);
    respond(2, record, sizeof(record) - 1); /* nor while one is not whole */
    assert_int_equal(turbo_client_peek(w->client, &data), 0);
}

TEST(strangers_are_dropped)
{
    uint8_t out[SANDWICH_DATAGRAM_MAX] = {0};
    begin(usual);
    memcpy(out, w->config.id.bytes, SANDWICH_ID_BYTES);
    assert_false(turbo_client_datagram(w->client, w->now, out, 18)); /* index 0 */
    out[SANDWICH_ID_BYTES] = 1;
    assert_false(turbo_client_datagram(w->client, w->now, out, 17)); /* empty */
    out[3] ^= 1;
    assert_false(turbo_client_datagram(w->client, w->now, out, 18)); /* another id */
    out[3] ^= 1;
    assert_true(turbo_client_datagram(w->client, w->now, out, 18));
    assert_false(turbo_client_datagram(w->client, w->now, out, 19)); /* a contradiction */
    assert_true(turbo_client_datagram(w->client, w->now, out, 18));  /* a repeat */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_handshake_goes_by_udp_and_the_rest_by_tcp),
        CASE(a_finished_is_longer_with_sha384),
        CASE(each_push_may_be_one_byte),
        CASE(a_large_hello_takes_several_requests),
        CASE(a_retry_and_a_client_certificate_go_by_udp),
        CASE(a_flight_of_more_than_14_responses_gets_more_requests),
        CASE(a_flight_known_to_be_large_gets_them_at_once),
        CASE(a_flight_that_needs_more_than_64_responses_fails),
        CASE(a_client_flight_that_is_too_large_fails),
        CASE(tls_1_2_goes_by_udp_up_to_its_last_finished),
        CASE(large_streams_go_through_tcp),
        CASE(an_idle_client_gets_tickets_by_udp_and_then_its_tombstone),
        CASE(a_server_that_speaks_first_hears_of_tcp),
        CASE(a_padded_finished_is_known_by_the_tickets),
        CASE(a_padded_finished_without_tickets_is_known_by_silence),
        CASE(an_app_that_ends_after_its_request_ends_tcp),
        CASE(an_app_that_ends_within_its_handshake_says_so_by_tcp),
        CASE(a_lost_request_is_repeated),
        CASE(lost_padding_is_repeated_as_well),
        CASE(a_lost_finished_is_repeated_until_the_server_is_heard),
        CASE(a_finished_that_nobody_answers_is_repeated_for_10_s),
        CASE(a_lost_response_begins_anew_while_the_app_knows_nothing),
        CASE(a_lost_response_fails_in_the_last_attempt),
        CASE(a_lost_last_response_shows_by_a_record_that_is_not_whole),
        CASE(a_lost_only_response_begins_anew),
        CASE(silence_fails_the_last_attempt_in_the_end),
        CASE(a_lost_response_after_delivery_fails),
        CASE(lost_tickets_come_by_tcp),
        CASE(an_app_that_thinks_for_long_is_no_loss),
        CASE(lost_requests_harm_nobody),
        CASE(lost_responses_never_garble),
        CASE(tcp_may_be_up_last),
        CASE(an_idle_client_opens_when_tcp_is_up),
        CASE(without_tcp_nothing_is_given_up_that_it_may_bring),
        CASE(tcp_that_ends_before_the_tombstone_fails),
        CASE(what_is_not_tls_fails),
        CASE(early_data_fails),
        CASE(a_hello_of_more_than_14_requests_fails),
        CASE(an_end_within_the_hello_fails),
        CASE(an_unreachable_port_fails),
        CASE(an_abort_says_nothing),
        CASE(a_reset_behind_the_tombstone_says_that_tcp_reached_another_host),
        CASE(a_full_buffer_has_room_for_the_tombstone_and_no_more),
        CASE(nothing_is_given_to_the_app_while_a_response_is_missing),
        CASE(strangers_are_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
