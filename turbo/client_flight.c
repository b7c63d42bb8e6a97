#include "turbo/client_flight.h"

enum record_type { CHANGE_CIPHER_SPEC = 20, HANDSHAKE = 22, APPLICATION_DATA = 23 };

/* ServerHello: type (1), length (3), version (2), random (32), session id (1 + n), suite (2). */
enum { SERVER_HELLO = 2, SESSION_ID_AT = 38, SUITE_BYTES = 2, NO_HELLO = UINT16_MAX };

/* A TLS 1.3 Finished, encrypted: header, hash, content type, the AEAD's tag. */
enum { FINISHED_OVERHEAD = 4 + 1, TAG = 16, SHORT_TAG = 8, SHA256 = 32, SHA384 = 48 };

/* The payload of a TLS 1.3 Finished; 0: the suite is TLS 1.2's (RFC 9846 §B.4, RFC 8998). */
static uint16_t finished_length(uint16_t suite)
{
    switch (suite) {
    case 0x1301: /* TLS_AES_128_GCM_SHA256 */
    case 0x1303: /* TLS_CHACHA20_POLY1305_SHA256 */
    case 0x1304: /* TLS_AES_128_CCM_SHA256 */
    case 0x00c6: /* TLS_SM4_GCM_SM3 */
    case 0x00c7: /* TLS_SM4_CCM_SM3 */ return FINISHED_OVERHEAD + SHA256 + TAG;
    case 0x1302: /* TLS_AES_256_GCM_SHA384 */ return FINISHED_OVERHEAD + SHA384 + TAG;
    case 0x1305: /* TLS_AES_128_CCM_8_SHA256 */ return FINISHED_OVERHEAD + SHA256 + SHORT_TAG;
    default: return 0;
    }
}

static bool header_is_complete(const struct client_flight_records *r)
{
    return r->header_bytes == CLIENT_FLIGHT_RECORD_HEADER_BYTES;
}

static uint16_t payload_length(const struct client_flight_records *r)
{
    return (uint16_t)(r->header[3] << 8 | r->header[4]);
}

/* Takes bytes of one header or of one payload; returns how many. */
static size_t take(struct client_flight_records *r, const uint8_t *data, size_t length)
{
    if (!header_is_complete(r)) {
        r->header[r->header_bytes++] = data[0];
        if (header_is_complete(r))
            r->payload_left = payload_length(r);
        return 1;
    }
    size_t n = length < r->payload_left ? length : r->payload_left;
    r->payload_left = (uint16_t)(r->payload_left - n);
    return n;
}

/* Once for each record: the next one's header is awaited then. */
static bool record_ends(struct client_flight_records *r)
{
    if (!header_is_complete(r) || r->payload_left > 0)
        return false;
    r->header_bytes = 0;
    return true;
}

/* ---- S→C ---- */

static void read_hello(struct client_flight *f, uint8_t byte)
{
    if (f->hello_bytes == NO_HELLO)
        return;
    uint16_t at = f->hello_bytes++;
    if (at == 0 && byte != SERVER_HELLO)
        f->hello_bytes = NO_HELLO;
    else if (at == SESSION_ID_AT)
        f->suite_at = (uint16_t)(SESSION_ID_AT + 1 + byte);
    else if (f->suite_at > 0 && at >= f->suite_at)
        f->cipher_suite = (uint16_t)(f->cipher_suite << 8 | byte);
}

static bool hello_is_read(const struct client_flight *f)
{
    return f->suite_at > 0 && f->hello_bytes >= f->suite_at + SUITE_BYTES;
}

bool client_flight_may_be_complete(const struct client_flight *f)
{
    return f->encrypted && f->client.header_bytes == 0;
}

void client_flight_server(struct client_flight *f, const uint8_t *data, size_t length)
{
    if (length > 0 && client_flight_may_be_complete(f))
        f->complete = true; /* the server has answered: tickets, mostly */
    while (length > 0 && !hello_is_read(f)) {
        bool content = header_is_complete(&f->server) && f->server.header[0] == HANDSHAKE;
        size_t n = take(&f->server, data, length);
        for (size_t i = 0; content && i < n && !hello_is_read(f); i++)
            read_hello(f, data[i]);
        record_ends(&f->server);
        data += n;
        length -= n;
    }
}

/* ---- C→S ---- */

/* The record whose header is at hand has ended. */
static bool ends_handshake(const struct client_flight *f)
{
    uint16_t finished = finished_length(f->cipher_suite);
    if (!hello_is_read(f))
        return false;
    if (finished > 0)
        return f->client.header[0] == APPLICATION_DATA && payload_length(&f->client) == finished;
    return f->client.header[0] == HANDSHAKE && f->changed_cipher;
}

/* Application data without a Finished that we saw: TLS 1.2 encrypts nothing else like this. */
static bool is_behind_handshake(const struct client_flight *f, uint8_t type)
{
    return f->client.header_bytes == 0 && type == APPLICATION_DATA && hello_is_read(f) &&
           finished_length(f->cipher_suite) == 0;
}

static void record_ended(struct client_flight *f)
{
    uint8_t type = f->client.header[0];
    f->complete = ends_handshake(f);
    f->changed_cipher = f->changed_cipher || type == CHANGE_CIPHER_SPEC;
    f->encrypted = f->encrypted || (type == APPLICATION_DATA && hello_is_read(f));
}

size_t client_flight_client(struct client_flight *f, const uint8_t *data, size_t length)
{
    size_t used = 0;
    while (used < length && !f->complete) {
        if (is_behind_handshake(f, data[used])) {
            f->complete = true;
            break;
        }
        used += take(&f->client, data + used, length - used);
        if (record_ends(&f->client))
            record_ended(f);
    }
    return used;
}
