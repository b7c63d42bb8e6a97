#include "tests/unit/support/hello.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/hellos.h"
#include "turbo/cursor.h"

enum {
    RECORD_HEADER = 5,
    SERVER_NAME = 0,
    ALPN = 16,
    PADDING = 21,
    EARLY_DATA = 42,
    VERSIONS = 43,
    KEY_SHARE = 51,
    ECH = 0xfe0d,
    GREASE = 0x2a2a,
    GREASE_LAST = 0xcaca,
    X25519MLKEM768 = 0x11ec,
    POST_QUANTUM_SHARE = 1216,
    ECH_BYTES = 218,
};

/* A length field that is filled in when what it counts has been written. */
struct span {
    uint8_t *field;
    size_t width;
};

static struct span begin(struct writer *w, size_t width)
{
    struct span span = {w->at, width};
    writer_number(w, 0, width);
    return span;
}

static void end(const struct writer *w, struct span span)
{
    size_t length = (size_t)(w->at - span.field) - span.width;
    struct writer field = writer_of(span.field, span.width);
    writer_number(&field, (uint32_t)length, span.width);
}

static void filler(struct writer *w, unsigned seed, size_t length)
{
    for (size_t i = 0; i < length; i++)
        writer_number(w, check_byte(seed, i), 1);
}

static struct span extension(struct writer *w, unsigned type)
{
    writer_number(w, type, 2);
    return begin(w, 2);
}

static void put_server_name(struct writer *w, const char *name)
{
    struct span whole = extension(w, SERVER_NAME), list = begin(w, 2);
    writer_number(w, 0, 1);
    struct span one = begin(w, 2);
    writer_bytes(w, name, strlen(name));
    end(w, one);
    end(w, list);
    end(w, whole);
}

static void put_alpn(struct writer *w, const char *names)
{
    struct span whole = extension(w, ALPN), list = begin(w, 2);
    while (*names != '\0') {
        size_t n = strcspn(names, ",");
        writer_number(w, (uint32_t)n, 1);
        writer_bytes(w, names, n);
        names += n + (names[n] == ',');
    }
    end(w, list);
    end(w, whole);
}

static void put_key_share(struct writer *w, const struct hello_spec *spec)
{
    struct span whole = extension(w, KEY_SHARE), list = begin(w, 2);
    writer_number(w, spec->post_quantum ? X25519MLKEM768 : 29, 2);
    struct span key = begin(w, 2);
    filler(w, spec->random + 3, spec->post_quantum ? POST_QUANTUM_SHARE : 32);
    end(w, key);
    end(w, list);
    end(w, whole);
}

static void put_extensions(struct writer *w, const struct hello_spec *spec, size_t padding)
{
    struct span all = begin(w, 2);
    if (spec->grease)
        end(w, extension(w, GREASE));
    if (spec->server_name != NULL)
        put_server_name(w, spec->server_name);
    if (spec->alpn != NULL)
        put_alpn(w, spec->alpn);
    put_key_share(w, spec);
    struct span versions = extension(w, VERSIONS);
    writer_bytes(w, "\x02\x03\x04", 3);
    end(w, versions);
    if (spec->early_data)
        end(w, extension(w, EARLY_DATA));
    if (spec->encrypted) {
        struct span ech = extension(w, ECH);
        filler(w, spec->random + 4, ECH_BYTES);
        end(w, ech);
    }
    if (spec->extra_length > 0)
        writer_bytes(w, spec->extra, spec->extra_length);
    if (spec->grease) {
        struct span last = extension(w, GREASE_LAST);
        writer_number(w, 0, 1);
        end(w, last);
    }
    if (spec->size > 0) {
        struct span pad = extension(w, PADDING);
        for (size_t i = 0; i < padding; i++)
            writer_number(w, 0, 1);
        end(w, pad);
    }
    end(w, all);
}

static size_t put_message(uint8_t *out, size_t room, const struct hello_spec *spec, size_t padding)
{
    struct writer w = writer_of(out, room);
    writer_number(&w, 1, 1);
    struct span message = begin(&w, 3);
    writer_number(&w, 0x0303, 2);
    filler(&w, spec->random + 1, 32);
    struct span session_id = begin(&w, 1);
    filler(&w, spec->random + 2, spec->session_id);
    end(&w, session_id);
    struct span ciphers = begin(&w, 2);
    if (spec->grease)
        writer_number(&w, GREASE, 2);
    writer_bytes(&w, "\x13\x01\x13\x02\xc0\x2f", 6);
    end(&w, ciphers);
    writer_bytes(&w, "\x01\x00", 2);
    if (!spec->no_extensions)
        put_extensions(&w, spec, padding);
    end(&w, message);
    assert(w.ok);
    return room - w.left;
}

static void put_records(struct hello *to, const uint8_t *message, size_t length, size_t record)
{
    struct writer w = writer_of(to->bytes, sizeof(to->bytes));
    for (size_t at = 0; at < length; at += record) {
        size_t n = length - at < record ? length - at : record;
        writer_bytes(&w, "\x16\x03\x01", 3);
        writer_number(&w, (uint32_t)n, 2);
        writer_bytes(&w, message + at, n);
    }
    assert(w.ok);
    to->length = sizeof(to->bytes) - w.left;
}

void hello_make(struct hello *hello, const struct hello_spec *spec)
{
    static uint8_t message[HELLO_ROOM];
    size_t length = put_message(message, sizeof(message), spec, 0);
    put_records(hello, message, length, HELLO_RECORD_MAX);
    if (spec->size == 0)
        return;
    /* Padding may need another record, and that another header. */
    for (size_t padding = 0; hello->length != spec->size; padding++) {
        assert(hello->length < spec->size);
        if (spec->size - hello->length > 2 * RECORD_HEADER)
            padding += spec->size - hello->length - 2 * RECORD_HEADER;
        length = put_message(message, sizeof(message), spec, padding);
        put_records(hello, message, length, HELLO_RECORD_MAX);
    }
}

void hello_simple(struct hello *hello, unsigned random)
{
    hello_make(hello, &(struct hello_spec){.server_name = "www.example.org", .random = random});
}

void hello_split(struct hello *to, const struct hello *from, size_t record)
{
    static uint8_t message[HELLO_ROOM];
    struct reader r = reader_of(from->bytes, from->length);
    size_t length = 0;
    while (r.left > 0) {
        reader_bytes(&r, 3);
        size_t n = reader_number(&r, 2);
        const uint8_t *content = reader_bytes(&r, n);
        assert(content != NULL);
        memcpy(message + length, content, n);
        length += n;
    }
    put_records(to, message, length, record);
}

size_t hello_extension(const struct hello *hello, unsigned type)
{
    struct reader r = reader_of(hello->bytes, hello->length);
    reader_bytes(&r, RECORD_HEADER + 4 + 2 + 32);
    reader_bytes(&r, reader_number(&r, 1));
    reader_bytes(&r, reader_number(&r, 2));
    reader_bytes(&r, reader_number(&r, 1));
    reader_bytes(&r, 2);
    while (r.ok && r.left > 0) {
        size_t at = hello->length - r.left;
        if (reader_number(&r, 2) == type)
            return at;
        reader_bytes(&r, reader_number(&r, 2));
    }
    return 0;
}

size_t hello_fixture_count(void)
{
    return sizeof(CAPTURED) / sizeof(CAPTURED[0]);
}

struct hello_fixture hello_fixture(size_t index, struct hello *hello)
{
    const char *hex = CAPTURED[index].hex;
    hello->length = strlen(hex) / 2;
    for (size_t i = 0; i < hello->length; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        hello->bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return (struct hello_fixture){.program = CAPTURED[index].program,
                                  .server_name = CAPTURED[index].server_name,
                                  .alpn = CAPTURED[index].alpn,
                                  .encrypted = CAPTURED[index].encrypted};
}
