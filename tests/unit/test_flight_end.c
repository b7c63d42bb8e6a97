/* By its records, is a TLS server's flight complete? Protocol §7.2f. */
#include "tests/unit/support/check.h"

#include "turbo/flight_end.h"

enum { CCS = 20, ALERT = 21, HANDSHAKE = 22, DATA = 23 };

static uint8_t stream[8192];
static size_t length;

static void record(uint8_t type, size_t payload, const uint8_t tail[4])
{
    uint8_t header[] = {type, 3, 3, (uint8_t)(payload >> 8), (uint8_t)payload};
    memcpy(stream + length, header, sizeof(header));
    memset(stream + length + sizeof(header), 0x55, payload);
    length += sizeof(header) + payload;
    if (tail != NULL)
        memcpy(stream + length - 4, tail, 4);
}

/* Is it told at the end of the stream, and nowhere before, however the bytes come? */
static void assert_ends(bool expected)
{
    static const size_t pieces[] = {1, 3, 7, 100, sizeof(stream)};
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct flight_end flight = {.header_bytes = 0};
        bool ended = false;
        for (size_t at = 0; at < length; at += pieces[i]) {
            assert_false(ended);
            size_t n = length - at < pieces[i] ? length - at : pieces[i];
            ended = flight_end_push(&flight, stream + at, n);
        }
        assert_int_equal(ended, expected);
    }
    length = 0;
}

static void a_record_as_long_as_a_finished_ends_it(void **state) /* TLS 1.3 */
{
    (void)state;
    static const size_t lengths[] = {53, 69};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        record(HANDSHAKE, 122, NULL);
        record(CCS, 1, NULL);
        record(DATA, 30, NULL);
        record(DATA, 2500, NULL);
        record(DATA, lengths[i], NULL);
        assert_ends(true);
    }
}

static void others_do_not(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 52, 54, 68, 70, 309 /* 256 and 53 */, 4000};
    for (size_t i = 0; i < COUNT(lengths); i++) {
        record(DATA, lengths[i], NULL);
        assert_ends(false);
    }
    record(HANDSHAKE, 53, NULL);
    assert_ends(false);
    record(HANDSHAKE, 122, NULL);
    record(CCS, 1, NULL);
    assert_ends(false);
}

static void server_hello_done_ends_it(void **state) /* TLS 1.2 */
{
    (void)state;
    static const uint8_t done[] = {14, 0, 0, 0}, other[] = {14, 0, 0, 1};
    record(HANDSHAKE, 80, NULL);
    record(HANDSHAKE, 3000, NULL);
    record(HANDSHAKE, 4, done);
    assert_ends(true);
    record(HANDSHAKE, 3000, done); /* all messages in one record */
    assert_ends(true);
    record(HANDSHAKE, 4, other);
    assert_ends(false);
    record(DATA, 4, done);
    assert_ends(false);
}

static void a_finished_behind_change_cipher_spec_ends_it(void **state) /* TLS 1.2, resumed */
{
    (void)state;
    record(HANDSHAKE, 80, NULL);
    record(CCS, 1, NULL);
    record(HANDSHAKE, 40, NULL);
    assert_ends(true);
}

static void an_alert_ends_it(void **state)
{
    (void)state;
    record(ALERT, 2, NULL);
    assert_ends(true);
    record(HANDSHAKE, 80, NULL);
    record(ALERT, 26, NULL);
    assert_ends(true);
}

static void within_a_record_it_is_not_over(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 58; cut++) {
        record(HANDSHAKE, 122, NULL);
        record(DATA, 53, NULL);
        length -= cut;
        assert_ends(false);
    }
}

static void what_comes_behind_it_takes_it_back(void **state)
{
    (void)state;
    struct flight_end flight = {.header_bytes = 0};
    record(DATA, 53, NULL);
    assert_true(flight_end_push(&flight, stream, length));
    length = 0;
    record(DATA, 200, NULL);
    assert_false(flight_end_push(&flight, stream, length));
    assert_false(flight_end_push(&flight, stream, 3));
    length = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_record_as_long_as_a_finished_ends_it),
        CASE(others_do_not),
        CASE(server_hello_done_ends_it),
        CASE(a_finished_behind_change_cipher_spec_ends_it),
        CASE(an_alert_ends_it),
        CASE(within_a_record_it_is_not_over),
        CASE(what_comes_behind_it_takes_it_back),
    };
    return cmocka_run_group_tests_name("flight_end", tests, NULL, NULL);
}
