#include "turbo/flight_end.h"

#include <string.h>

enum record_type { CHANGE_CIPHER_SPEC = 20, ALERT = 21, HANDSHAKE = 22, APPLICATION_DATA = 23 };

/* Header of the message, the hash, the content type, the tag of every AEAD in use. */
enum { FINISHED_SHA256 = 4 + 32 + 1 + 16, FINISHED_SHA384 = 4 + 48 + 1 + 16 };

static uint32_t payload_length(const struct flight_end *f)
{
    return (uint32_t)f->header[3] << 8 | f->header[4];
}

/* The record whose header is at hand is complete. */
static bool ends_flight(const struct flight_end *f)
{
    static const uint8_t server_hello_done[FLIGHT_TAIL_BYTES] = {14, 0, 0, 0};
    switch (f->header[0]) {
    case ALERT: return true;
    case APPLICATION_DATA:
        return payload_length(f) == FINISHED_SHA256 || payload_length(f) == FINISHED_SHA384;
    case HANDSHAKE:
        return f->type_before == CHANGE_CIPHER_SPEC ||
               memcmp(f->tail, server_hello_done, sizeof(f->tail)) == 0;
    default: return false;
    }
}

static void keep_tail(struct flight_end *f, const uint8_t *data, size_t length)
{
    size_t n = length < FLIGHT_TAIL_BYTES ? length : FLIGHT_TAIL_BYTES;
    memmove(f->tail, f->tail + n, FLIGHT_TAIL_BYTES - n);
    memcpy(f->tail + FLIGHT_TAIL_BYTES - n, data + length - n, n);
}

/* Takes bytes of one header or of one payload; returns how many. */
static size_t take(struct flight_end *f, const uint8_t *data, size_t length)
{
    if (f->header_bytes < FLIGHT_RECORD_HEADER_BYTES) {
        f->header[f->header_bytes++] = data[0];
        if (f->header_bytes == FLIGHT_RECORD_HEADER_BYTES)
            f->payload_left = payload_length(f);
        return 1;
    }
    size_t n = length < f->payload_left ? length : f->payload_left;
    keep_tail(f, data, n);
    f->payload_left -= (uint32_t)n;
    return n;
}

static bool record_is_complete(const struct flight_end *f)
{
    return f->header_bytes == FLIGHT_RECORD_HEADER_BYTES && f->payload_left == 0;
}

bool flight_end_push(struct flight_end *f, const uint8_t *data, size_t length)
{
    bool ended = false;
    while (length > 0) {
        size_t n = take(f, data, length);
        data += n;
        length -= n;
        ended = record_is_complete(f) && ends_flight(f);
        if (record_is_complete(f)) {
            f->type_before = f->header[0];
            f->header_bytes = 0;
        }
    }
    return ended;
}
