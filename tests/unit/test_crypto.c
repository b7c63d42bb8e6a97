/* SHA-256 by the standard's examples (FIPS 180-2, B.1 and B.2), and random bytes. */
#include "tests/unit/support/check.h"

#include "tunnel/net/crypto.h"

enum { RANDOM_BYTES = 64, ROOM = RANDOM_BYTES + 8 };

static void sha256_is_the_standards(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t digest[32];
    } examples[] = {
        {"", {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
              0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
              0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55}},
        {"abc", {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad}},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         {0x24, 0x8d, 0x6a, 0x61, 0xd2, 0x06, 0x38, 0xb8, 0xe5, 0xc0, 0x26,
          0x93, 0x0c, 0x3e, 0x60, 0x39, 0xa3, 0x3c, 0xe4, 0x59, 0x64, 0xff,
          0x21, 0x67, 0xf6, 0xec, 0xed, 0xd4, 0x19, 0xdb, 0x06, 0xc1}},
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        uint8_t digest[32];
        crypto_sha256((const uint8_t *)examples[i].text, strlen(examples[i].text), digest);
        assert_memory_equal(digest, examples[i].digest, sizeof(digest));
    }
}

static void random_bytes_differ_each_time_and_stay_within_bounds(void **state)
{
    (void)state;
    uint8_t a[ROOM] = {0}, b[ROOM] = {0};
    static const uint8_t untouched[ROOM - RANDOM_BYTES];
    assert_true(crypto_random(a, RANDOM_BYTES));
    assert_true(crypto_random(b, RANDOM_BYTES));
    assert_memory_not_equal(a, b, RANDOM_BYTES);
    assert_memory_not_equal(a, a + RANDOM_BYTES / 2, RANDOM_BYTES / 2);
    assert_memory_equal(a + RANDOM_BYTES, untouched, sizeof(untouched));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(sha256_is_the_standards),
        CASE(random_bytes_differ_each_time_and_stay_within_bounds),
    };
    return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
