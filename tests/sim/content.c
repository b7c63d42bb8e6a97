#include "tests/sim/content.h"

#include <assert.h>
#include <string.h>

#include "tests/sim/rng.h"
#include "turbo/cursor.h"

enum {
    RECORD_HEADER = 5,
    MESSAGE_MIN = CONTENT_HELLO_MIN - RECORD_HEADER,
    PADDING_HEADER = 4,
    NOISE_BYTES = 2 * CONTENT_STREAM_MAX,
};

/* Made once: streams are slices of it. */
static const uint8_t *noise(void)
{
    static uint8_t bytes[NOISE_BYTES];
    static bool made;
    if (!made) {
        struct rng rng = rng_seeded(1, 2);
        rng_fill(&rng, bytes, sizeof(bytes));
        made = true;
    }
    return bytes;
}

static size_t with_headers(size_t message, size_t record)
{
    return message + (message + record - 1) / record * (size_t)RECORD_HEADER;
}

/* Of a hello of about `length` bytes; lengths that padding cannot make are passed over. */
static size_t message_length(size_t length, size_t record)
{
    size_t full = length / (record + RECORD_HEADER), rest = length % (record + RECORD_HEADER);
    size_t message = full * record;
    if (rest > 0)
        message += rest > RECORD_HEADER ? rest - RECORD_HEADER : 1;
    if (message <= MESSAGE_MIN)
        return MESSAGE_MIN;
    return message < MESSAGE_MIN + PADDING_HEADER ? MESSAGE_MIN + PADDING_HEADER : message;
}

size_t content_hello_length(size_t length, size_t record)
{
    return with_headers(message_length(length, record), record);
}

/* The whole handshake message, filled up by a padding extension (RFC 7685). */
static void put_message(struct writer *w, size_t length, uint64_t seed)
{
    uint8_t random[32];
    struct rng rng = rng_seeded(seed, 3);
    rng_fill(&rng, random, sizeof(random));
    size_t padding = length - MESSAGE_MIN;
    writer_number(w, 1, 1);
    writer_number(w, (uint32_t)length - 4, 3);
    writer_number(w, 0x0303, 2);
    writer_bytes(w, random, sizeof(random));
    writer_bytes(w, "\x00\x00\x02\x13\x01\x01\x00", 7);
    writer_number(w, (uint32_t)(7 + padding), 2);
    writer_bytes(w, "\x00\x2b\x00\x03\x02\x03\x04", 7);
    if (padding == 0)
        return;
    writer_number(w, 21, 2);
    writer_number(w, (uint32_t)(padding - PADDING_HEADER), 2);
    memset(w->at, 0, padding - PADDING_HEADER);
    w->at += padding - PADDING_HEADER;
    w->left -= padding - PADDING_HEADER;
}

static void put_hello(uint8_t *out, size_t length, size_t record, uint64_t seed)
{
    static uint8_t message[CONTENT_HELLO_MAX];
    size_t n = message_length(length, record);
    struct writer m = writer_of(message, sizeof(message));
    struct writer w = writer_of(out, length);
    put_message(&m, n, seed);
    for (size_t at = 0; at < n; at += record) {
        size_t content = n - at < record ? n - at : record;
        writer_bytes(&w, "\x16\x03\x01", 3);
        writer_number(&w, (uint32_t)content, 2);
        writer_bytes(&w, message + at, content);
    }
    assert(m.ok && w.ok && w.left == 0);
}

/* One stage of the TLS server's: records, and a Finished at its end where there is room. */
static void put_records(struct writer *w, size_t length, const uint8_t *from, bool finished)
{
    static const size_t finished_record = RECORD_HEADER + 53, record_max = 16384;
    size_t last = finished && length > 2 * finished_record ? finished_record : 0;
    while (length > 0) {
        size_t n = length > last ? length - last : last;
        n = n < record_max ? n : record_max;
        if (n > RECORD_HEADER) {
            writer_bytes(w, length == last ? "\x17\x03\x03" : "\x16\x03\x03", 3);
            writer_number(w, (uint32_t)(n - RECORD_HEADER), 2);
            writer_bytes(w, from, n - RECORD_HEADER);
        } else {
            writer_bytes(w, from, n);
        }
        from += n;
        length -= n;
    }
}

/* Some in records, as TLS is, by which the server end may know a flight's end; some in none. */
static void put_server(uint8_t *out, const struct connection_plan *plan, const uint8_t *from)
{
    struct writer w = writer_of(out, plan->server.total);
    for (size_t i = 0; i < plan->server.count; i++) {
        size_t n = plan->server.stages[i].send;
        if (plan->seed % 4 == 0)
            writer_bytes(&w, from, n);
        else
            put_records(&w, n, from, plan->seed % 4 == 1 || (plan->seed >> i & 16) != 0);
        from += n;
    }
    assert(w.ok && w.left == 0);
}

void content_make(struct content *c, const struct connection_plan *plan, unsigned index)
{
    const uint8_t *from = noise() + (size_t)index * 1021 + plan->seed % 64 * 32;
    uint8_t *behind = c->room + CONTENT_HELLO_MAX;
    size_t more = plan->app.total - plan->hello;
    assert(plan->app.total >= plan->hello && more <= CONTENT_STREAM_MAX &&
           plan->server.total <= CONTENT_STREAM_MAX);
    memcpy(behind, from, more);
    if (plan->ccs)
        memcpy(behind, "\x14\x03\x03\x00\x01\x01", CONTENT_CCS_BYTES);
    c->c2s = behind - plan->hello;
    if (plan->hello > 0)
        put_hello(behind - plan->hello, plan->hello, plan->record, plan->seed);
    put_server(c->server, plan, from + CONTENT_STREAM_MAX / 2);
    c->s2c = c->server;
}
