/* By the records of both streams, where does the client's handshake end? Protocol §11. */
#include "tests/unit/support/check.h"

#include "turbo/client_flight.h"

enum { CCS = 20, ALERT = 21, HANDSHAKE = 22, DATA = 23 };
enum { HELLO = 1, SERVER_HELLO = 2, OTHER = 11 };

/* What both ends say, in turns: the client begins. */
enum { TURNS_MAX = 8 };

static struct turn {
    uint8_t bytes[4096];
    size_t length;
    size_t handshake; /* of the client's: so much belongs to it */
} turns[TURNS_MAX];
static size_t turn;

static int begin(void **state)
{
    (void)state;
    memset(turns, 0, sizeof(turns));
    turn = 0;
    return 0;
}

static void put(const void *bytes, size_t length)
{
    memcpy(turns[turn].bytes + turns[turn].length, bytes, length);
    turns[turn].length += length;
}

static void record(uint8_t type, size_t payload)
{
    uint8_t header[] = {type, 3, 3, (uint8_t)(payload >> 8), (uint8_t)payload};
    uint8_t content[2048];
    memset(content, 0x55, sizeof(content));
    put(header, sizeof(header));
    put(content, payload);
}

/* A handshake record that begins with a message of this type. */
static void message(uint8_t type, size_t payload)
{
    size_t at = turns[turn].length + 5;
    record(HANDSHAKE, payload);
    uint8_t header[] = {type, 0, (uint8_t)((payload - 4) >> 8), (uint8_t)(payload - 4)};
    memcpy(turns[turn].bytes + at, header, sizeof(header));
}

static void server_hello(uint16_t suite, uint8_t session_id)
{
    size_t at = turns[turn].length + 5;
    message(SERVER_HELLO, 120);
    turns[turn].bytes[at + 38] = session_id;
    turns[turn].bytes[at + 39 + session_id] = (uint8_t)(suite >> 8);
    turns[turn].bytes[at + 40 + session_id] = (uint8_t)suite;
}

/* So far the client's handshake goes in this turn. */
static void handshake_until_here(void)
{
    turns[turn].handshake = turns[turn].length;
}

static void next(void)
{
    turn++;
}

/* All turns in pieces of `size`: the handshake is complete after exactly these bytes. */
static void run(size_t size, bool completes)
{
    struct client_flight f = {.complete = false};
    size_t last = 0;
    for (size_t t = 0; t <= turn; t += 2)
        if (turns[t].handshake > 0)
            last = t;
    for (size_t t = 0; t <= turn; t++) {
        size_t taken = 0;
        for (size_t at = 0; at < turns[t].length; at += size) {
            size_t n = turns[t].length - at < size ? turns[t].length - at : size;
            if (t % 2 == 1) {
                client_flight_server(&f, turns[t].bytes + at, n);
            } else {
                size_t used = client_flight_client(&f, turns[t].bytes + at, n);
                assert_true(used == n || f.complete);
                taken += used;
            }
            if (t < last)
                assert_false(f.complete);
        }
        if (t % 2 == 0)
            assert_int_equal(taken, turns[t].handshake);
    }
    assert_int_equal(f.complete, completes);
}

static void assert_complete(bool completes)
{
    static const size_t sizes[] = {1, 2, 3, 7, 100, sizeof(turns[0].bytes)};
    for (size_t i = 0; i < COUNT(sizes); i++)
        run(sizes[i], completes);
    begin(NULL);
}

static void client_hello(void)
{
    message(HELLO, 300);
    handshake_until_here();
    next();
}

static void server_flight_13(uint16_t suite)
{
    server_hello(suite, 32);
    record(CCS, 1);
    record(DATA, 1500);
    record(DATA, 69);
    record(DATA, 53);
    next();
}

static void tls13_ends_with_its_finished(void **state)
{
    static const struct {
        uint16_t suite;
        size_t finished;
    } cases[] = {{0x1301, 53}, {0x1302, 69}, {0x1303, 53}, {0x1304, 53}, {0x1305, 45}, {0xc6, 53}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        client_hello();
        server_flight_13(cases[i].suite);
        record(CCS, 1);
        record(DATA, cases[i].finished);
        handshake_until_here();
        record(DATA, 53); /* the application's */
        assert_complete(true);
    }
}

static void the_other_length_is_a_certificate(void **state)
{
    (void)state;
    client_hello();
    server_flight_13(0x1302);
    record(CCS, 1);
    record(DATA, 53);
    record(DATA, 900);
    record(DATA, 69);
    handshake_until_here();
    record(DATA, 10);
    assert_complete(true);
}

static void a_second_hello_goes_before(void **state) /* HelloRetryRequest */
{
    (void)state;
    client_hello();
    server_hello(0x1302, 0);
    record(CCS, 1);
    next();
    record(CCS, 1);
    message(HELLO, 400);
    handshake_until_here();
    next();
    server_flight_13(0x1302);
    record(DATA, 69);
    handshake_until_here();
    record(DATA, 100);
    assert_complete(true);
}

static void hellos_in_many_records_are_read(void **state)
{
    (void)state;
    uint8_t bytes[4 + 34 + 1 + 32 + 2 + 50] = {SERVER_HELLO, 0, 0, sizeof(bytes) - 4};
    bytes[38] = 32;
    bytes[39 + 32] = 0x13;
    bytes[39 + 32 + 1] = 0x02;
    client_hello();
    for (size_t i = 0; i < sizeof(bytes); i += 3) {
        const uint8_t header[] = {HANDSHAKE, 3, 3, 0, 3};
        put(header, sizeof(header));
        put(bytes + i, 3);
    }
    next();
    record(DATA, 69);
    handshake_until_here();
    record(DATA, 69);
    assert_complete(true);
}

static void tls12_ends_with_the_record_behind_change_cipher_spec(void **state)
{
    static const uint8_t session_ids[] = {0, 32};
    (void)state;
    for (size_t i = 0; i < COUNT(session_ids); i++) {
        client_hello();
        server_hello(0xc02f, session_ids[i]);
        message(OTHER, 1200);
        message(14, 4);
        next();
        message(OTHER, 900); /* its certificate */
        message(16, 70);
        message(15, 80);
        record(CCS, 1);
        record(HANDSHAKE, 40);
        handshake_until_here();
        record(DATA, 53); /* false start */
        next();
        record(CCS, 1);
        record(HANDSHAKE, 40);
        assert_complete(true);
    }
}

static void a_resumed_tls12_session_too(void **state)
{
    (void)state;
    client_hello();
    server_hello(0xc02f, 32);
    record(CCS, 1);
    record(HANDSHAKE, 40);
    next();
    record(CCS, 1);
    record(HANDSHAKE, 40);
    handshake_until_here();
    record(ALERT, 26);
    assert_complete(true);
}

static void application_data_in_tls12_is_behind_it(void **state)
{
    (void)state;
    client_hello();
    server_hello(0xc02f, 32);
    next();
    record(HANDSHAKE, 40);
    handshake_until_here();
    record(DATA, 40);
    assert_complete(true);
}

static void a_finished_in_one_record_with_others_shows_by_the_answer(void **state)
{
    (void)state;
    client_hello();
    server_flight_13(0x1301);
    record(CCS, 1);
    record(DATA, 1000);
    handshake_until_here();
    next();
    record(DATA, 200);
    next();
    record(DATA, 53);
    assert_complete(true);
}

static void an_answer_to_half_a_record_tells_nothing(void **state)
{
    (void)state;
    client_hello();
    server_flight_13(0x1301);
    record(DATA, 1000);
    put("\x17\x03\x03", 3);
    handshake_until_here();
    next();
    record(DATA, 200);
    next();
    put("\0\x35", 2);
    record(DATA, 48); /* 53 bytes */
    handshake_until_here();
    record(DATA, 53);
    assert_complete(true);
}

static void nothing_ends_without_a_server_hello(void **state)
{
    (void)state;
    client_hello();
    message(HELLO, 10); /* not a ServerHello */
    server_hello(0x1301, 0);
    next();
    record(CCS, 1);
    record(DATA, 53);
    record(HANDSHAKE, 40);
    record(DATA, 69);
    handshake_until_here();
    assert_complete(false);
    record(HANDSHAKE, 100);
    record(CCS, 1);
    record(HANDSHAKE, 40);
    handshake_until_here();
    assert_complete(false);
}

static void an_alert_does_not_end_it(void **state)
{
    (void)state;
    client_hello();
    server_flight_13(0x1301);
    record(ALERT, 2);
    record(DATA, 19);
    handshake_until_here();
    assert_complete(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(tls13_ends_with_its_finished),
        CASE(the_other_length_is_a_certificate),
        CASE(a_second_hello_goes_before),
        CASE(hellos_in_many_records_are_read),
        CASE(tls12_ends_with_the_record_behind_change_cipher_spec),
        CASE(a_resumed_tls12_session_too),
        CASE(application_data_in_tls12_is_behind_it),
        CASE(a_finished_in_one_record_with_others_shows_by_the_answer),
        CASE(an_answer_to_half_a_record_tells_nothing),
        CASE(nothing_ends_without_a_server_hello),
        CASE(an_alert_does_not_end_it),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
