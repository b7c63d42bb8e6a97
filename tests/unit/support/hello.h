/*
 * ClientHellos: built to order, cut into records, or as real programs sent them.
 */
#ifndef TEST_HELLO_H
#define TEST_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HELLO_ROOM = 128 * 1024, HELLO_RECORD_MAX = 16384 };

struct hello {
    uint8_t bytes[HELLO_ROOM];
    size_t length;
};

struct hello_spec {
    const char *server_name; /* NULL: no such extension */
    const char *alpn;        /* "h2,http/1.1"; NULL: no such extension */
    bool early_data;
    bool encrypted;       /* an outer ECH extension */
    bool grease;          /* RFC 8701: unknown suites and extensions, the first and last ones */
    bool post_quantum;    /* a key share of 1216 bytes */
    bool no_extensions;   /* not even their length: as before TLS 1.2 */
    size_t session_id;    /* its length, 0..32 */
    size_t size;          /* padded up to exactly this, record headers included; 0: as it comes */
    const uint8_t *extra; /* extensions as they are on the wire, after the others */
    size_t extra_length;
    unsigned random; /* another number, another ClientHello */
};

/* In one record, or in full ones where it does not fit. */
void hello_make(struct hello *hello, const struct hello_spec *spec);
/* The smallest ClientHello with a name, and with another `random` another one. */
void hello_simple(struct hello *hello, unsigned random);
/* The same message in records of `record` bytes of content. */
void hello_split(struct hello *to, const struct hello *from, size_t record);
/* Where an extension's type begins in a ClientHello of one record; 0: it has none such. */
size_t hello_extension(const struct hello *hello, unsigned type);

struct hello_fixture {
    const char *program;
    const char *server_name;
    const char *alpn; /* names, each followed by a comma */
    bool encrypted;
};

size_t hello_fixture_count(void);
struct hello_fixture hello_fixture(size_t index, struct hello *hello);

#endif
