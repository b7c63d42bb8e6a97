/*
 * What every test of libturbo begins with: cmocka, and a SHA-256 for the ids.
 */
#ifndef TEST_CHECK_H
#define TEST_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "turbo/turbo.h"

#define CASE(name)   cmocka_unit_test(name)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* TEST_BETWEEN(name, before, after) { … }: a test, between what each test of its file does. */
#define TEST_BETWEEN(name, before_, after_)                                                        \
    static void name(void **unused_);                                                              \
    static void name##_(void);                                                                     \
    static void name(void **unused_)                                                               \
    {                                                                                              \
        (void)unused_;                                                                             \
        before_;                                                                                   \
        name##_();                                                                                 \
        after_;                                                                                    \
    }                                                                                              \
    static void name##_(void)

/* A turbo_sha256: libcrypto's. */
void check_sha256(const uint8_t *data, size_t length, uint8_t digest[static 32]);

/* Client number `client` (an IPv4 address mapped into IPv6) at `port`, asking one server. */
struct turbo_path check_path(uint8_t client, uint16_t port);

/* Bytes that differ from place to place: byte `i` of stream number `stream`. */
uint8_t check_byte(unsigned stream, size_t i);
void check_fill(uint8_t *out, unsigned stream, size_t from, size_t length);

#endif
