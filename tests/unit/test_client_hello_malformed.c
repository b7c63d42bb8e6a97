/* What is not a ClientHello, or lies: told as such, at once, however it is cut. */
#include "tests/unit/support/check.h"

#include "tests/unit/support/hello.h"
#include "turbo/client_hello.h"

static struct hello one;

/* Offsets in a ClientHello of one record without a session id. */
enum {
    AT_RECORD_LENGTH = 3,
    AT_TYPE = 5,
    AT_MESSAGE_LENGTH = 6,
    AT_SESSION_ID_LENGTH = 43,
    AT_CIPHERS_LENGTH = 44,
    AT_COMPRESSION_LENGTH = 52,
    AT_EXTENSIONS_LENGTH = 54,
};

static struct turbo_client_hello read_in(const struct hello *hello, size_t segment)
{
    struct turbo_client_hello read;
    size_t taken = 0;
    turbo_client_hello_init(&read);
    while (taken < hello->length && read.state == TURBO_HELLO_MORE) {
        size_t n = hello->length - taken < segment ? hello->length - taken : segment;
        taken += turbo_client_hello_push(&read, hello->bytes + taken, n);
        assert_true(read.length == taken);
    }
    return read;
}

/* The verdict, which must not depend on how the bytes come. */
static enum turbo_hello_state verdict(const struct hello *hello)
{
    struct turbo_client_hello read = read_in(hello, SIZE_MAX), slow = read_in(hello, 1);
    assert_int_equal(read.state, slow.state);
    assert_int_equal(read.length, slow.length);
    assert_string_equal(read.server_name, slow.server_name);
    assert_int_equal(read.alpn_length, slow.alpn_length);
    return read.state;
}

static void add(size_t at, size_t width, int difference)
{
    int value = 0;
    for (size_t i = 0; i < width; i++)
        value = value * 256 + one.bytes[at + i];
    value += difference;
    for (size_t i = width; i-- > 0; value /= 256)
        one.bytes[at + i] = (uint8_t)(value % 256);
}

/* Takes bytes out, and says so in the lengths around them. */
static void take_out(size_t at, int n)
{
    memmove(one.bytes + at, one.bytes + at + n, one.length - at - (size_t)n);
    one.length -= (size_t)n;
    add(AT_RECORD_LENGTH, 2, -n);
    add(AT_MESSAGE_LENGTH, 3, -n);
}

static enum turbo_hello_state with(size_t at, size_t width, int difference)
{
    hello_make(&one, &(struct hello_spec){.server_name = "www.example.org", .alpn = "h2"});
    add(at, width, difference);
    return verdict(&one);
}

static void a_truncated_hello_asks_for_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < hello_fixture_count(); i++) {
        hello_fixture(i, &one);
        for (size_t whole = one.length; one.length-- > 0;)
            assert_true(one.length < whole && verdict(&one) == TURBO_HELLO_MORE);
    }
}

static void any_changed_byte_gives_the_same_verdict_however_it_is_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < hello_fixture_count(); i++) {
        hello_fixture(i, &one);
        for (size_t at = 0; at < one.length; at++) {
            uint8_t was = one.bytes[at];
            for (unsigned flip = 0; flip < 8; flip += 3) {
                one.bytes[at] = (uint8_t)(was ^ 1u << flip);
                verdict(&one);
            }
            one.bytes[at] = was;
        }
    }
}

static void other_protocols_are_known_by_their_first_wrong_byte(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        struct turbo_client_hello read;
        hello_simple(&one, 0);
        one.bytes[0] = (uint8_t)byte;
        read = read_in(&one, SIZE_MAX);
        if (byte == 22)
            continue;
        assert_int_equal(read.state, TURBO_HELLO_NOT_TLS);
        assert_int_equal(read.length, 1);

        hello_simple(&one, 0);
        one.bytes[1] = (uint8_t)byte;
        if (byte == 3)
            continue;
        read = read_in(&one, SIZE_MAX);
        assert_int_equal(read.state, TURBO_HELLO_NOT_TLS);
        assert_int_equal(read.length, 2);
    }
}

static void the_minor_record_version_does_not_matter(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        hello_simple(&one, 0);
        one.bytes[2] = (uint8_t)byte;
        assert_int_equal(verdict(&one), TURBO_HELLO_COMPLETE);
    }
}

static void another_handshake_message_is_no_client_hello(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        hello_simple(&one, 0);
        one.bytes[AT_TYPE] = (uint8_t)type;
        assert_int_equal(verdict(&one), type == 1 ? TURBO_HELLO_COMPLETE : TURBO_HELLO_NOT_TLS);
    }
}

static void records_are_neither_empty_nor_above_16384_bytes(void **state)
{
    (void)state;
    hello_simple(&one, 0);
    add(AT_RECORD_LENGTH, 2, -(int)(one.length - 5));
    assert_int_equal(verdict(&one), TURBO_HELLO_NOT_TLS);
    hello_simple(&one, 0);
    add(AT_RECORD_LENGTH, 2, 16384 - (int)(one.length - 5));
    assert_int_equal(verdict(&one), TURBO_HELLO_COMPLETE);
    add(AT_RECORD_LENGTH, 2, 1);
    assert_int_equal(verdict(&one), TURBO_HELLO_NOT_TLS);

    /* An empty one in the middle. */
    struct hello *split = &one;
    static struct hello whole;
    hello_simple(&whole, 0);
    hello_split(split, &whole, 60);
    memmove(split->bytes + 70, split->bytes + 65, split->length - 65);
    memcpy(split->bytes + 65, "\x16\x03\x03\x00\x00", 5);
    split->length += 5;
    assert_int_equal(verdict(split), TURBO_HELLO_NOT_TLS);
}

static void a_record_of_another_type_cannot_continue_it(void **state)
{
    static struct hello whole;
    (void)state;
    for (unsigned type = 20; type < 25; type++) {
        hello_simple(&whole, 0);
        hello_split(&one, &whole, 60);
        one.bytes[65] = (uint8_t)type;
        assert_int_equal(verdict(&one), type == 22 ? TURBO_HELLO_COMPLETE : TURBO_HELLO_NOT_TLS);
    }
}

static void lengths_that_lie_are_caught(void **state)
{
    (void)state;
    assert_int_equal(with(AT_RECORD_LENGTH, 2, 0), TURBO_HELLO_COMPLETE);
    assert_int_equal(with(AT_RECORD_LENGTH, 2, 1), TURBO_HELLO_COMPLETE); /* more in it */
    assert_int_equal(with(AT_RECORD_LENGTH, 2, -1), TURBO_HELLO_NOT_TLS);
    assert_int_equal(with(AT_MESSAGE_LENGTH, 3, 1), TURBO_HELLO_NOT_TLS);
    assert_int_equal(with(AT_MESSAGE_LENGTH, 3, -1), TURBO_HELLO_NOT_TLS);
    for (int more = 1; more < 255; more++)
        assert_int_equal(with(AT_SESSION_ID_LENGTH, 1, more), TURBO_HELLO_NOT_TLS);
    assert_int_equal(with(AT_CIPHERS_LENGTH, 2, -5), TURBO_HELLO_NOT_TLS); /* one byte */
    assert_int_equal(with(AT_CIPHERS_LENGTH, 2, -6), TURBO_HELLO_NOT_TLS); /* none */
    assert_int_equal(with(AT_CIPHERS_LENGTH, 2, 60000), TURBO_HELLO_NOT_TLS);
    assert_int_equal(with(AT_COMPRESSION_LENGTH, 1, -1), TURBO_HELLO_NOT_TLS);
    assert_int_equal(with(AT_COMPRESSION_LENGTH, 1, 254), TURBO_HELLO_NOT_TLS);
    for (int more = -20; more <= 20; more++)
        assert_int_equal(with(AT_EXTENSIONS_LENGTH, 2, more),
                         more == 0 ? TURBO_HELLO_COMPLETE : TURBO_HELLO_NOT_TLS);
}

static void a_hello_offers_a_cipher_suite_and_a_compression_method(void **state)
{
    (void)state;
    for (int n = 6; n >= 4; n--) { /* of the three suites' bytes */
        hello_simple(&one, 0);
        add(AT_CIPHERS_LENGTH, 2, -n);
        take_out(AT_CIPHERS_LENGTH + 2, n);
        assert_int_equal(verdict(&one), n == 4 ? TURBO_HELLO_COMPLETE : TURBO_HELLO_NOT_TLS);
    }
    hello_simple(&one, 0);
    add(AT_COMPRESSION_LENGTH, 1, -1);
    take_out(AT_COMPRESSION_LENGTH + 1, 1);
    assert_int_equal(verdict(&one), TURBO_HELLO_NOT_TLS);
}

static void an_extension_may_not_reach_beyond_the_message(void **state)
{
    static const unsigned types[] = {0, 16, 43, 51};
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        hello_make(&one, &(struct hello_spec){.server_name = "www.example.org", .alpn = "h2"});
        size_t at = hello_extension(&one, types[i]) + 2;
        size_t length = (size_t)one.bytes[at] << 8 | one.bytes[at + 1];
        add(at, 2, (int)(one.length - at - 2 - length)); /* up to the end */
        assert_int_equal(verdict(&one), TURBO_HELLO_COMPLETE);
        add(at, 2, 1);
        assert_int_equal(verdict(&one), TURBO_HELLO_NOT_TLS);
        assert_int_equal(read_in(&one, 1).length, at + 2); /* at once */
        add(at, 2, 65535 - (int)(one.length - at - 1));
        assert_int_equal(verdict(&one), TURBO_HELLO_NOT_TLS);
    }
}

/* Fewer bytes than an extension's header at the end. */
static void a_piece_of_an_extension_is_not_one(void **state)
{
    (void)state;
    for (size_t n = 1; n < 4; n++) {
        hello_make(&one, &(struct hello_spec){.extra = (const uint8_t *)"\x12\x34\x00",
                                              .extra_length = n});
        assert_int_equal(verdict(&one), TURBO_HELLO_NOT_TLS);
    }
}

static void a_message_too_short_for_its_fields_is_none(void **state)
{
    (void)state;
    for (int body = 0; body < 45; body++) {
        hello_make(&one, &(struct hello_spec){.no_extensions = true});
        int whole = (int)one.length - 9;
        add(AT_MESSAGE_LENGTH, 3, body - whole);
        if (body != whole)
            assert_int_equal(verdict(&one), TURBO_HELLO_NOT_TLS);
    }
}

static void a_message_above_16_kib_is_too_large_as_soon_as_that_is_known(void **state)
{
    (void)state;
    hello_simple(&one, 0);
    add(AT_MESSAGE_LENGTH, 3, 0xffffff - (int)(one.length - 9));
    struct turbo_client_hello read = read_in(&one, SIZE_MAX);
    assert_int_equal(read.state, TURBO_HELLO_TOO_LARGE);
    assert_int_equal(read.length, 9);
    assert_int_equal(verdict(&one), TURBO_HELLO_TOO_LARGE);
}

static struct turbo_client_hello with_extension(const uint8_t *bytes, size_t length)
{
    hello_make(&one, &(struct hello_spec){.extra = bytes, .extra_length = length});
    assert_int_equal(verdict(&one), TURBO_HELLO_COMPLETE);
    return read_in(&one, SIZE_MAX);
}

static void names_that_are_not_dns_names_are_not_told(void **state)
{
    uint8_t extension[] = {0, 0, 0, 8, 0, 6, 0, 0, 3, 'a', 'b', 'c'};
    (void)state;
    assert_string_equal(with_extension(extension, sizeof(extension)).server_name, "abc");
    for (unsigned byte = 0; byte < 256; byte++) {
        bool good = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                    (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' || byte == '_';
        for (size_t at = 9; at < 12; at++) {
            memcpy(extension + 9, "abc", 3);
            extension[at] = (uint8_t)byte;
            struct turbo_client_hello read = with_extension(extension, sizeof(extension));
            assert_int_equal(strlen(read.server_name), good ? 3 : 0);
        }
    }
}

static void server_name_extensions_that_lie_are_not_told(void **state)
{
    static const struct {
        uint8_t bytes[16];
        size_t length;
    } bad[] = {
        {{0, 0, 0, 0}, 4},                                    /* nothing in it */
        {{0, 0, 0, 2, 0, 0}, 6},                              /* no name in the list */
        {{0, 0, 0, 5, 0, 3, 0, 0, 0}, 9},                     /* an empty name */
        {{0, 0, 0, 8, 0, 6, 1, 0, 3, 'a', 'b', 'c'}, 12},     /* not a host name */
        {{0, 0, 0, 8, 0, 6, 0, 0, 4, 'a', 'b', 'c'}, 12},     /* beyond the extension */
        {{0, 0, 0, 8, 0, 6, 0, 255, 255, 'a', 'b', 'c'}, 12}, /* far beyond */
        {{0, 0, 0, 4, 0, 2, 0, 0}, 8},                        /* half a length */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_string_equal(with_extension(bad[i].bytes, bad[i].length).server_name, "");
}

/* RFC 9846 §4.2 forbids it, and it is the TLS server who says so. */
static void a_second_server_name_is_passed_on_and_one_of_the_two_is_told(void **state)
{
    static const uint8_t two[] = {0, 0, 0, 6, 0, 4, 0, 0, 1, 'a', 0, 0, 0, 6, 0, 4, 0, 0, 1, 'b'};
    static const uint8_t bad_last[] = {0, 0, 0, 6, 0, 4, 0, 0, 1, 'a', 0, 0, 0, 3, 0, 4, 0};
    (void)state;
    assert_string_equal(with_extension(two, sizeof(two)).server_name, "b");
    assert_string_equal(with_extension(bad_last, sizeof(bad_last)).server_name, "a");
}

static void malformed_alpn_is_not_told(void **state)
{
    static const struct {
        uint8_t bytes[16];
        size_t length;
        size_t told;
    } lists[] = {
        {{0, 16, 0, 5, 0, 3, 2, 'h', '2'}, 9, 3},            /* a good one */
        {{0, 16, 0, 0}, 4, 0},                               /* nothing in it */
        {{0, 16, 0, 1, 0}, 5, 0},                            /* half a length */
        {{0, 16, 0, 2, 0, 0}, 6, 0},                         /* an empty list */
        {{0, 16, 0, 5, 0, 4, 2, 'h', '2'}, 9, 0},            /* list beyond the extension */
        {{0, 16, 0, 5, 255, 255, 2, 'h', '2'}, 9, 0},        /* far beyond */
        {{0, 16, 0, 5, 0, 3, 3, 'h', '2'}, 9, 0},            /* name beyond the list */
        {{0, 16, 0, 6, 0, 4, 2, 'h', '2', 1}, 10, 0},        /* a second name that is not there */
        {{0, 16, 0, 6, 0, 3, 2, 'h', '2', 1}, 10, 3},        /* bytes behind the list */
        {{0, 16, 0, 7, 0, 5, 255, 'h', '2', 1, 'x'}, 11, 0}, /* a name of 255 in 4 */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(lists); i++) {
        struct turbo_client_hello read = with_extension(lists[i].bytes, lists[i].length);
        assert_int_equal(read.alpn_length, lists[i].told);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_truncated_hello_asks_for_more),
        CASE(any_changed_byte_gives_the_same_verdict_however_it_is_cut),
        CASE(other_protocols_are_known_by_their_first_wrong_byte),
        CASE(the_minor_record_version_does_not_matter),
        CASE(another_handshake_message_is_no_client_hello),
        CASE(records_are_neither_empty_nor_above_16384_bytes),
        CASE(a_record_of_another_type_cannot_continue_it),
        CASE(lengths_that_lie_are_caught),
        CASE(a_hello_offers_a_cipher_suite_and_a_compression_method),
        CASE(an_extension_may_not_reach_beyond_the_message),
        CASE(a_piece_of_an_extension_is_not_one),
        CASE(a_message_too_short_for_its_fields_is_none),
        CASE(a_message_above_16_kib_is_too_large_as_soon_as_that_is_known),
        CASE(names_that_are_not_dns_names_are_not_told),
        CASE(server_name_extensions_that_lie_are_not_told),
        CASE(a_second_server_name_is_passed_on_and_one_of_the_two_is_told),
        CASE(malformed_alpn_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
