/* The PROXY protocol's header: lines and bytes as proxy-protocol.txt has them, whole, cut, and
 * wrong. */
#include "tests/unit/support/check.h"

#include <stdlib.h>

#include "proxy/prelude/proxy_header.h"

/* A string literal's bytes and how many they are. */
#define BYTES(literal) (literal), (sizeof(literal) - 1)

/* In a block of exactly this size, so that a byte read behind it is seen. */
static enum proxy_header_result read_exactly(const void *bytes, size_t length,
                                             struct proxy_header *out)
{
    uint8_t *copy = malloc(length + (length == 0));
    assert_non_null(copy);
    if (length > 0)
        memcpy(copy, bytes, length);
    enum proxy_header_result result = proxy_header_read(copy, length, out);
    free(copy);
    return result;
}

/* Byte by byte: the first answer that is not "more" is the last word. Tells how many bytes it
 * took. */
static enum proxy_header_result read_slowly(const void *bytes, size_t length, size_t *took)
{
    enum proxy_header_result verdict = PROXY_HEADER_MORE;
    struct proxy_header header;

    *took = 0;
    for (size_t n = 0; n <= length; n++) {
        enum proxy_header_result result = read_exactly(bytes, n, &header);
        if (verdict != PROXY_HEADER_MORE)
            assert_int_equal(result, verdict);
        else if (result != PROXY_HEADER_MORE)
            *took = n;
        verdict = result;
    }
    return verdict;
}

static void assert_address(const struct address *address, const char *expected)
{
    char text[ADDRESS_TEXT_BYTES];

    assert_string_equal(address_text(address, text), expected);
}

/* A header that is understood as soon as it is whole and no sooner, whatever follows it. */
static void assert_reads(const void *bytes, size_t length, const char *client, const char *server)
{
    struct proxy_header header = {.length = 12345};
    uint8_t *longer = malloc(length + 300);
    size_t took;

    assert_non_null(longer);
    memcpy(longer, bytes, length);
    memset(longer + length, 0x16, 300);
    assert_int_equal(read_slowly(longer, length + 300, &took), PROXY_HEADER_DONE);
    assert_int_equal(took, length);
    assert_int_equal(read_exactly(longer, length + 300, &header), PROXY_HEADER_DONE);
    assert_int_equal(header.length, length);
    assert_address(&header.client, client);
    assert_address(&header.server, server);
    free(longer);
}

/* Refused with its `length`-th byte and not before. */
static void assert_bad_at(const void *bytes, size_t length)
{
    size_t took;

    assert_int_equal(read_slowly(bytes, length, &took), PROXY_HEADER_BAD);
    assert_int_equal(took, length);
}

/* ---- version 1 ---- */

static void lines_are_read(void **state)
{
    static const struct {
        const char *line, *client, *server;
    } cases[] = {
        /* The specification's example. */
        {"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324",
         "192.168.0.11:443"},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535",
         "255.255.255.255:65535"},
        {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0", "0.0.0.0:0"},
        {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF:FFFF 65535 65535\r\n",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
        {"PROXY TCP6 2001:db8::1 :: 1 2\r\n", "[2001:db8::1]:1", "[::]:2"},
        /* As haproxy tells IPv4 that came to a socket for both. */
        {"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:c633:6401 1 2\r\n", "192.0.2.1:1", "198.51.100.1:2"},
        {"PROXY UNKNOWN\r\n", "-", "-"},
        {"PROXY UNKNOWN \r\n", "-", "-"},
        {"PROXY UNKNOWN what it is nobody says\t\xff\r\n", "-", "-"},
        {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
         "-", "-"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_reads(cases[i].line, strlen(cases[i].line), cases[i].client, cases[i].server);
}

static void an_unknown_ones_line_may_have_a_zero_byte(void **state)
{
    (void)state;
    assert_reads(BYTES("PROXY UNKNOWN \0\0x\r\n"), "-", "-");
}

/* What is wrong is the last byte of each. */
static void lines_that_break_the_grammar_are_refused_at_once(void **state)
{
    static const char *const cases[] = {
        "PROXYT",
        "PROXY\t",
        "PROXY\r",
        "PROXY  ",
        "PROXY t",
        "PROXY TCP5",
        "PROXY TCP\r",
        "PROXY TCP4\r",
        "PROXY TCP46",
        "PROXY UD",
        "PROXY UNKNOWNS",
        "PROXY UNKNOWN\n",
        "PROXY UNKNOWN\rx",
        "PROXY UNKNOWN\r\r",
        "PROXY UNKNOWN x\n",
        "PROXY UNKNOWN x\rx",
        "PROXY TCP4  ",
        "PROXY TCP4 \r",
        "PROXY TCP4 a",
        "PROXY TCP4 -",
        "PROXY TCP4 1.2.3 ",
        "PROXY TCP4 1.2.3.4.5 ",
        "PROXY TCP4 1.2.3.256 ",
        "PROXY TCP4 1.2.3.04 ",
        "PROXY TCP4 1.2.3.4\r",
        "PROXY TCP4 1.2.3.4\t",
        "PROXY TCP4 1.2.3.4:",
        "PROXY TCP4 1.2.3.4  ",
        "PROXY TCP4 1.2.3.4 1.2.3. ",
        "PROXY TCP4 1.2.3.4 1.2.3.4\r",
        "PROXY TCP4 1.2.3.4 1.2.3.4  ",
        "PROXY TCP4 1.2.3.4 1.2.3.4 +",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 ",
        "PROXY TCP4 1.2.3.4 1.2.3.4 00001 ",
        "PROXY TCP4 1.2.3.4 1.2.3.4 00 ",
        "PROXY TCP4 1.2.3.4 1.2.3.4 123456 ",
        "PROXY TCP4 1.2.3.4 1.2.3.4 99999999999999999999 ",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1  ",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 x",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 ",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 02\r",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r ",
        "PROXY TCP6 1.2.3.4 ",
        "PROXY TCP6 g",
        "PROXY TCP6 [",
        "PROXY TCP6 ::1 1.2.3.4 ",
        "PROXY TCP6 ::1::1 ",
        "PROXY TCP6 1:2:3:4:5:6:7 ",
        "PROXY TCP6 1:2:3:4:5:6:7:8:9 ",
        "PROXY TCP6 12345:: ",
        "PROXY TCP6 fe80::1%",
        "PROXY TCP6 : ",
        /* One character more than any address has. */
        "PROXY TCP6 0000:0000:0000:0000:0000:0000:0000:0000:000000",
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_bad_at(cases[i], strlen(cases[i]));
}

static void a_zero_byte_is_no_letter_of_a_line(void **state)
{
    (void)state;
    assert_bad_at(BYTES("PROXY TCP4 1.2.3.4\0"));
    assert_bad_at(BYTES("PROXY TCP4 \0"));
    assert_bad_at(BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\0"));
    assert_bad_at(BYTES("PROXY\0"));
}

static void a_line_has_107_bytes_at_most(void **state)
{
    char line[120] = "PROXY UNKNOWN ";
    (void)state;

    memset(line + 14, 'x', sizeof(line) - 14);
    assert_bad_at(line, PROXY_HEADER_V1_MAX);
    line[PROXY_HEADER_V1_MAX - 1] = '\r';
    line[PROXY_HEADER_V1_MAX] = '\n';
    assert_bad_at(line, PROXY_HEADER_V1_MAX);
    line[PROXY_HEADER_V1_MAX - 2] = '\r';
    line[PROXY_HEADER_V1_MAX - 1] = '\n';
    assert_reads(line, PROXY_HEADER_V1_MAX, "-", "-");
}

static void so_has_one_with_mapped_addresses(void **state)
{
    static const char line[] = "PROXY TCP6 0000:0000:0000:0000:0000:ffff:255.255.255.255 "
                               "0000:0000:0000:0000:0000:ffff:255.255.255.255 65535 65535\r\n";
    (void)state;
    assert_true(strlen(line) > PROXY_HEADER_V1_MAX);
    assert_bad_at(line, PROXY_HEADER_V1_MAX);
}

/* ---- what is none ---- */

static void another_beginning_is_none(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        {BYTES("\x16")},  {BYTES("GET")}, {BYTES("p")},       {BYTES("PRI * HTTP/2.0")},
        {BYTES("PROX ")}, {BYTES("\0")},  {BYTES("\r\r")},    {BYTES("\r\n\r\nQ")},
        {BYTES("\n")},    {BYTES(" ")},   {BYTES(" PROXY ")}, {BYTES("proxy TCP4")},
    };
    size_t took;
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(read_slowly(cases[i].bytes, cases[i].length, &took), PROXY_HEADER_NONE);
}

static void it_is_told_with_the_first_byte_that_differs(void **state)
{
    static const uint8_t v2[] = "\r\n\r\n\0\r\nQUIT\n";
    static const uint8_t v1[] = "PROXY";
    uint8_t bytes[16];
    size_t took;
    (void)state;

    for (size_t i = 0; i < 12; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(bytes, v2, 12);
            bytes[i] ^= (uint8_t)(1 << bit);
            if (bytes[0] == 'P')
                continue;
            assert_int_equal(read_slowly(bytes, 12, &took), PROXY_HEADER_NONE);
            assert_int_equal(took, i + 1);
        }
    }
    for (size_t i = 0; i < 5; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(bytes, v1, 5);
            bytes[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(read_slowly(bytes, 5, &took), PROXY_HEADER_NONE);
            assert_int_equal(took, i + 1);
        }
    }
}

static void nothing_at_all_may_become_one(void **state)
{
    struct proxy_header header;
    (void)state;
    assert_int_equal(proxy_header_read(NULL, 0, &header), PROXY_HEADER_MORE);
}

static void only_a_whole_header_is_handed_out(void **state)
{
    static const char *const lines[] = {"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r", "PROXY TCP4 1.2.3.4 x",
                                        "G"};
    struct proxy_header header = {.length = 12345};
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        (void)proxy_header_read((const uint8_t *)lines[i], strlen(lines[i]), &header);
        assert_int_equal(header.length, 12345);
    }
}

/* ---- version 2 ---- */

#define SIGNATURE "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
/* 192.0.2.1:56324 to 198.51.100.2:443 */
#define ENDS4 "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
/* [2001:db8::1]:56324 to [2001:db8::2]:443 */
#define ENDS6                                                                                      \
    "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"                             \
    "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"                             \
    "\xdc\x04\x01\xbb"
#define MAPPED(a, b, c, d) "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff" a b c d
#define X27                "xxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X216               X27 X27 X27 X27 X27 X27 X27 X27
#define CLIENT4            "192.0.2.1:56324"
#define SERVER4            "198.51.100.2:443"

/* ALPN h2, www.example.org, an id of 12 bytes, and a checksum from another implementation. */
static const char FULL4[] = SIGNATURE "\x21\x11\x00\x39" ENDS4 "\x01\x00\x02h2"
                                      "\x02\x00\x0fwww.example.org"
                                      "\x05\x00\x0c\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b"
                                      "\x03\x00\x04\xfc\x3f\x60\xf4";
static const char PLAIN6[] = SIGNATURE "\x21\x21\x00\x2b" ENDS6 "\x03\x00\x04\x95\xb3\x79\x3a";
static const char UNKNOWN[] = SIGNATURE "\x21\x00\x00\x07\x03\x00\x04\x3e\xc9\x89\x4e";

static void binary_headers_are_read(void **state)
{
    (void)state;
    assert_reads(BYTES(SIGNATURE "\x21\x11\x00\x0c" ENDS4), CLIENT4, SERVER4);
    assert_reads(BYTES(SIGNATURE "\x21\x21\x00\x24" ENDS6), "[2001:db8::1]:56324",
                 "[2001:db8::2]:443");
    assert_reads(BYTES(FULL4), CLIENT4, SERVER4);
    assert_reads(BYTES(PLAIN6), "[2001:db8::1]:56324", "[2001:db8::2]:443");
}

static void mapped_addresses_become_ipv4(void **state)
{
    (void)state;
    assert_reads(BYTES(SIGNATURE "\x21\x21\x00\x24" MAPPED("\xc0", "\x00", "\x02", "\x01")
                           MAPPED("\xc6", "\x33", "\x64", "\x02") "\xdc\x04\x01\xbb"),
                 CLIENT4, SERVER4);
}

static void what_is_not_tcp_over_ip_speaks_for_itself(void **state)
{
    (void)state;
    assert_reads(BYTES(SIGNATURE "\x21\x12\x00\x0c" ENDS4), "-", "-");
    assert_reads(BYTES(SIGNATURE "\x21\x22\x00\x24" ENDS6), "-", "-");
    assert_reads(BYTES(SIGNATURE "\x21\x31\x00\xd8" X216), "-", "-");
    assert_reads(BYTES(SIGNATURE "\x21\x32\x00\xdb" X216 "\x04\x00\x00"), "-", "-");
    assert_reads(BYTES(SIGNATURE "\x21\x00\x00\x00"), "-", "-");
    assert_reads(BYTES(UNKNOWN), "-", "-");
    assert_reads(BYTES(SIGNATURE "\x21\x10\x00\x05whats"), "-", "-");
    assert_reads(BYTES(SIGNATURE "\x21\x02\x00\x05whats"), "-", "-");
}

static void local_ones_are_skipped_with_whatever_they_have(void **state)
{
    (void)state;
    assert_reads(BYTES(SIGNATURE "\x20\x00\x00\x00"), "-", "-");
    assert_reads(BYTES(SIGNATURE "\x20\x11\x00\x0c" ENDS4), "-", "-");
    assert_reads(BYTES(SIGNATURE "\x20\xff\x00\x03\x03\xff\xff"), "-", "-");
    assert_reads(BYTES(SIGNATURE "\x20\x11\x00\x13" ENDS4 "\x03\x00\x04\x00\x00\x00\x00"), "-",
                 "-");
}

static void other_versions_commands_and_families_are_refused(void **state)
{
    char header[] = SIGNATURE "\x21\x11\x00\x0c" ENDS4;
    (void)state;

    for (unsigned value = 0; value < 256; value++) {
        header[12] = (char)value;
        if (value != 0x20 && value != 0x21)
            assert_bad_at(header, 13);
    }
    header[12] = 0x21;
    for (unsigned value = 0; value < 256; value++) {
        header[13] = (char)value;
        if (value >> 4 > 3 || (value & 0xf) > 2)
            assert_bad_at(header, 14);
    }
}

static void a_length_without_room_for_the_addresses_is_refused(void **state)
{
    (void)state;
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x0b"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x00"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x12\x00\x0b"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x21\x00\x23"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x31\x00\xd7"));
}

static void a_header_has_4096_bytes_at_most(void **state)
{
    char header[PROXY_HEADER_IN_MAX] = SIGNATURE "\x21\x11\x0f\xf0" ENDS4 "\xe0\x0f\xe1";
    (void)state;
    assert_reads(header, sizeof(header), CLIENT4, SERVER4);
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x0f\xf1"));
    assert_bad_at(BYTES(SIGNATURE "\x20\x00\xff\xff"));
}

static void tlvs_are_stepped_over(void **state)
{
    (void)state;
    assert_reads(BYTES(SIGNATURE "\x21\x11\x00\x0f" ENDS4 "\x04\x00\x00"), CLIENT4, SERVER4);
    assert_reads(BYTES(SIGNATURE "\x21\x11\x00\x17" ENDS4 "\xee\x00\x02\x03\x00"
                                 "\x04\x00\x00"
                                 "\x20\x00\x00"),
                 CLIENT4, SERVER4);
}

static void tlvs_that_do_not_fill_the_header_are_refused(void **state)
{
    (void)state;
    /* Less than a TLV's own beginning: the length says so. */
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x0d"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x0e"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x31\x00\xd9"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x0f" ENDS4 "\x04\x00\x01"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x11" ENDS4 "\x04\xff\xff"));
    /* After a good one. */
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x11" ENDS4 "\x04\x00\x00"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x14" ENDS4 "\x04\x00\x02\x00\x00\x04\x00\x01"));
}

static void a_checksum_must_be_right_and_the_only_one(void **state)
{
    (void)state;
    /* Not the last of the TLVs. */
    assert_reads(BYTES(SIGNATURE "\x21\x11\x00\x17" ENDS4 "\x03\x00\x04\x0a\xc1\x5c\xc8"
                                 "\x04\x00\x01\x00"),
                 CLIENT4, SERVER4);
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x17" ENDS4 "\x03\x00\x04\x0a\xc1\x5c\xc8"
                                  "\x04\x00\x01\x01"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x13" ENDS4 "\x03\x00\x04\x00\x00\x00\x00"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x12\x00\x13" ENDS4 "\x03\x00\x04\x00\x00\x00\x00"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x20" ENDS4 "\x03\x00\x03"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x20" ENDS4 "\x03\x00\x05"));
    assert_bad_at(BYTES(SIGNATURE "\x21\x11\x00\x20" ENDS4 "\x03\x00\x04\x00\x00\x00\x00"
                                  "\x03\x00\x04"));
}

/* One that differs in a bit is none, broken, not whole, or tells nothing (LOCAL, UNSPEC); but for
 * the bits that say that there is a checksum. */
static void no_bit_can_be_turned_in_a_header_with_checksum(void **state)
{
    struct proxy_header header;
    char changed[sizeof(FULL4) - 1];
    size_t checksum_type = sizeof(changed) - 7;
    (void)state;

    for (size_t bit = 0; bit < 8 * sizeof(changed); bit++) {
        memcpy(changed, FULL4, sizeof(changed));
        changed[bit / 8] ^= (char)(1 << bit % 8);
        enum proxy_header_result result = read_exactly(changed, sizeof(changed), &header);
        if (result == PROXY_HEADER_DONE) {
            bool nothing_told = bit / 8 == 12 || bit / 8 == 13;
            assert_true(nothing_told || bit / 8 == checksum_type);
            assert_address(&header.client, nothing_told ? "-" : CLIENT4);
        } else if (result == PROXY_HEADER_MORE) {
            assert_true(bit / 8 == 14 || bit / 8 == 15);
        }
    }
}

/* ---- writing ---- */

static struct address literal(const char *host, uint16_t port)
{
    struct address address;

    assert_true(address_from_literal(&address, host, port));
    return address;
}

static void assert_v1(const struct address *client, const struct address *server,
                      const char *expected)
{
    uint8_t out[PROXY_HEADER_OUT_MAX];
    struct proxy_facts facts = {.client = client, .server = server, .server_name = "ignored"};
    size_t length = proxy_header_write_v1(&facts, out);

    assert_int_equal(length, strlen(expected));
    assert_memory_equal(out, expected, length);
}

static void lines_are_written(void **state)
{
    struct address client4 = literal("192.168.0.1", 56324), server4 = literal("192.168.0.11", 443);
    struct address client6 = literal("2001:db8::1", 0), server6 = literal("fe80::1%lo", 65535);
    struct address longest = literal("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
    struct address none = {.length = 0};
    (void)state;

    assert_v1(&client4, &server4, "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n");
    assert_v1(&client6, &server6, "PROXY TCP6 2001:db8::1 fe80::1 0 65535\r\n");
    assert_v1(&longest, &longest,
              "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
              "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n");
    assert_v1(&client4, &server6, "PROXY UNKNOWN\r\n");
    assert_v1(&client6, &server4, "PROXY UNKNOWN\r\n");
    assert_v1(&none, &server4, "PROXY UNKNOWN\r\n");
    assert_v1(&client4, &none, "PROXY UNKNOWN\r\n");
    assert_v1(&none, &none, "PROXY UNKNOWN\r\n");
}

static void assert_v2(const struct proxy_facts *facts, const void *expected, size_t expected_length)
{
    uint8_t out[PROXY_HEADER_OUT_MAX];
    size_t length = proxy_header_write_v2(facts, out);

    assert_int_equal(length, expected_length);
    assert_memory_equal(out, expected, length);
}

static void binary_headers_are_written(void **state)
{
    static const uint8_t id[] = {0x80, 0x81, 0x82, 0x83, 0x84, 0x85,
                                 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8b};
    struct address client4 = literal("192.0.2.1", 56324), server4 = literal("198.51.100.2", 443);
    struct address client6 = literal("2001:db8::1", 56324), server6 = literal("2001:db8::2", 443);
    struct proxy_facts full = {.client = &client4,
                               .server = &server4,
                               .server_name = "www.example.org",
                               .alpn = (const uint8_t *)"h2",
                               .alpn_length = 2,
                               .unique_id = id,
                               .unique_id_length = sizeof(id)};
    struct proxy_facts plain = {.client = &client6, .server = &server6};
    struct proxy_facts mixed = {.client = &client4, .server = &server6, .server_name = ""};
    (void)state;

    assert_v2(&full, BYTES(FULL4));
    assert_v2(&plain, BYTES(PLAIN6));
    assert_v2(&mixed, BYTES(UNKNOWN));
}

static void the_largest_one_fits_and_what_is_larger_is_not_told(void **state)
{
    static uint8_t name[PROXY_HEADER_NAME_MAX + 2];
    struct address end = literal("2001:db8::1", 443);
    struct proxy_facts facts = {.client = &end,
                                .server = &end,
                                .server_name = (const char *)name,
                                .alpn = name,
                                .alpn_length = PROXY_HEADER_ALPN_MAX,
                                .unique_id = name,
                                .unique_id_length = PROXY_HEADER_UNIQUE_ID_MAX};
    uint8_t out[PROXY_HEADER_OUT_MAX];
    struct proxy_header header;
    (void)state;

    memset(name, 'x', PROXY_HEADER_NAME_MAX);
    size_t length = proxy_header_write_v2(&facts, out);
    assert_int_equal(length, 16 + 36 + 3 + 255 + 3 + 255 + 3 + 128 + 3 + 4);
    assert_int_equal(read_exactly(out, length, &header), PROXY_HEADER_DONE);
    name[PROXY_HEADER_NAME_MAX] = 'x';
    facts.alpn_length++;
    facts.unique_id_length++;
    assert_int_equal(proxy_header_write_v2(&facts, out), 16 + 36 + 3 + 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lines_are_read),
        CASE(an_unknown_ones_line_may_have_a_zero_byte),
        CASE(lines_that_break_the_grammar_are_refused_at_once),
        CASE(a_zero_byte_is_no_letter_of_a_line),
        CASE(a_line_has_107_bytes_at_most),
        CASE(so_has_one_with_mapped_addresses),
        CASE(another_beginning_is_none),
        CASE(it_is_told_with_the_first_byte_that_differs),
        CASE(nothing_at_all_may_become_one),
        CASE(only_a_whole_header_is_handed_out),
        CASE(binary_headers_are_read),
        CASE(mapped_addresses_become_ipv4),
        CASE(what_is_not_tcp_over_ip_speaks_for_itself),
        CASE(local_ones_are_skipped_with_whatever_they_have),
        CASE(other_versions_commands_and_families_are_refused),
        CASE(a_length_without_room_for_the_addresses_is_refused),
        CASE(a_header_has_4096_bytes_at_most),
        CASE(tlvs_are_stepped_over),
        CASE(tlvs_that_do_not_fill_the_header_are_refused),
        CASE(a_checksum_must_be_right_and_the_only_one),
        CASE(no_bit_can_be_turned_in_a_header_with_checksum),
        CASE(lines_are_written),
        CASE(binary_headers_are_written),
        CASE(the_largest_one_fits_and_what_is_larger_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
