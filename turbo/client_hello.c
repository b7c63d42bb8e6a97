#include "turbo/client_hello.h"

#include <string.h>

#include "turbo/cursor.h"

/* RFC 9846 §5.1, §4.2; RFC 6066 §3; RFC 7301 §3.1; draft-ietf-tls-esni (RFC 9849). */
enum {
    RECORD_HANDSHAKE = 22,
    RECORD_MAJOR_VERSION = 3,
    RECORD_HEADER_BYTES = 5,
    RECORD_MAX = 1 << 14,
    HANDSHAKE_CLIENT_HELLO = 1,
    HANDSHAKE_HEADER_BYTES = 4,
    SESSION_ID_MAX = 32,
    VERSION_AND_RANDOM_BYTES = 2 + 32,
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_ALPN = 16,
    EXTENSION_EARLY_DATA = 42,
    EXTENSION_ECH = 0xfe0d,
    NAME_TYPE_HOST = 0,
};

/* The grammar of the message: a step is a number to read, or bytes to pass over. */
enum step {
    STEP_TYPE,
    STEP_BODY_LENGTH,
    STEP_VERSION_AND_RANDOM,
    STEP_SESSION_ID_LENGTH,
    STEP_SESSION_ID,
    STEP_CIPHERS_LENGTH,
    STEP_CIPHERS,
    STEP_COMPRESSION_LENGTH,
    STEP_COMPRESSION,
    STEP_EXTENSIONS_LENGTH,
    STEP_EXTENSION_TYPE,
    STEP_EXTENSION_LENGTH,
    STEP_EXTENSION,
};

static bool is_bytes(uint8_t step)
{
    return step == STEP_VERSION_AND_RANDOM || step == STEP_SESSION_ID || step == STEP_CIPHERS ||
           step == STEP_COMPRESSION || step == STEP_EXTENSION;
}

static void begin_number(struct turbo_client_hello *h, enum step step, uint8_t width)
{
    h->step = (uint8_t)step;
    h->number = 0;
    h->number_left = width;
}

static void begin_bytes(struct turbo_client_hello *h, enum step step, uint32_t length)
{
    h->step = (uint8_t)step;
    h->left = length;
}

void turbo_client_hello_init(struct turbo_client_hello *h)
{
    memset(h, 0, sizeof(*h));
    begin_number(h, STEP_TYPE, 1);
}

/* A DNS name in its printable form; anything else is not worth telling (or logging). */
static bool is_dns_name(const uint8_t *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        uint8_t c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
            return false;
    }
    return length > 0 && length <= TURBO_SERVER_NAME_MAX;
}

static void read_server_name(struct turbo_client_hello *h)
{
    struct reader r = reader_of(h->capture, h->captured);
    reader_number(&r, 2);
    uint32_t type = reader_number(&r, 1);
    uint32_t length = reader_number(&r, 2);
    const uint8_t *name = reader_bytes(&r, length);
    if (name == NULL || type != NAME_TYPE_HOST || !is_dns_name(name, length))
        return;
    memcpy(h->server_name, name, length);
    h->server_name[length] = '\0';
}

static void read_alpn(struct turbo_client_hello *h)
{
    struct reader r = reader_of(h->capture, h->captured);
    uint32_t length = reader_number(&r, 2);
    const uint8_t *list = reader_bytes(&r, length);
    if (list == NULL)
        return;
    struct reader names = reader_of(list, length);
    while (names.ok && names.left > 0)
        reader_bytes(&names, reader_number(&names, 1));
    if (!names.ok)
        return;
    memcpy(h->alpn, list, length);
    h->alpn_length = (uint16_t)length;
}

static void extension_begins(struct turbo_client_hello *h, uint32_t length)
{
    h->captured = 0;
    h->early_data |= h->extension == EXTENSION_EARLY_DATA;
    h->encrypted |= h->extension == EXTENSION_ECH;
    begin_bytes(h, STEP_EXTENSION, length);
}

static void extension_ends(struct turbo_client_hello *h)
{
    if (h->extension == EXTENSION_SERVER_NAME)
        read_server_name(h);
    else if (h->extension == EXTENSION_ALPN)
        read_alpn(h);
}

/* The length just read lies within the message. */
static bool fits(const struct turbo_client_hello *h)
{
    return h->number <= h->body_left;
}

static enum turbo_hello_state number_read(struct turbo_client_hello *h)
{
    bool good = true;
    switch ((enum step)h->step) {
    case STEP_TYPE:
        good = h->number == HANDSHAKE_CLIENT_HELLO;
        begin_number(h, STEP_BODY_LENGTH, 3);
        break;
    case STEP_BODY_LENGTH:
        if (h->number + HANDSHAKE_HEADER_BYTES + RECORD_HEADER_BYTES > TURBO_HELLO_MAX)
            return TURBO_HELLO_TOO_LARGE;
        h->body_left = h->number;
        good = h->body_left > VERSION_AND_RANDOM_BYTES;
        begin_bytes(h, STEP_VERSION_AND_RANDOM, VERSION_AND_RANDOM_BYTES);
        break;
    case STEP_SESSION_ID_LENGTH:
        good = h->number <= SESSION_ID_MAX && fits(h);
        begin_bytes(h, STEP_SESSION_ID, h->number);
        break;
    case STEP_CIPHERS_LENGTH:
        good = h->number >= 2 && fits(h);
        begin_bytes(h, STEP_CIPHERS, h->number);
        break;
    case STEP_COMPRESSION_LENGTH:
        good = h->number >= 1 && fits(h);
        begin_bytes(h, STEP_COMPRESSION, h->number);
        break;
    case STEP_EXTENSIONS_LENGTH:
        good = h->number == h->body_left;
        begin_number(h, STEP_EXTENSION_TYPE, 2);
        break;
    case STEP_EXTENSION_TYPE:
        h->extension = (uint16_t)h->number;
        begin_number(h, STEP_EXTENSION_LENGTH, 2);
        break;
    case STEP_EXTENSION_LENGTH:
        good = fits(h);
        extension_begins(h, h->number);
        break;
    default: good = false; break;
    }
    return good ? TURBO_HELLO_MORE : TURBO_HELLO_NOT_TLS;
}

static void bytes_read(struct turbo_client_hello *h)
{
    switch ((enum step)h->step) {
    case STEP_VERSION_AND_RANDOM: begin_number(h, STEP_SESSION_ID_LENGTH, 1); break;
    case STEP_SESSION_ID: begin_number(h, STEP_CIPHERS_LENGTH, 2); break;
    case STEP_CIPHERS: begin_number(h, STEP_COMPRESSION_LENGTH, 1); break;
    case STEP_COMPRESSION: begin_number(h, STEP_EXTENSIONS_LENGTH, 2); break;
    case STEP_EXTENSION:
        extension_ends(h);
        begin_number(h, STEP_EXTENSION_TYPE, 2);
        break;
    default: break;
    }
}

/* The message may end where a number would begin, once compression methods were read. */
static bool may_end(const struct turbo_client_hello *h)
{
    return h->step == STEP_EXTENSIONS_LENGTH || h->step == STEP_EXTENSION_TYPE;
}

static void capture(struct turbo_client_hello *h, const uint8_t *data, size_t length)
{
    if (h->step != STEP_EXTENSION ||
        (h->extension != EXTENSION_SERVER_NAME && h->extension != EXTENSION_ALPN))
        return;
    if (length > sizeof(h->capture) - h->captured)
        length = sizeof(h->capture) - h->captured;
    memcpy(h->capture + h->captured, data, length);
    h->captured = (uint16_t)(h->captured + length);
}

/* Type and length stand before the body; settle() sees to it that it is not empty later. */
static void number_byte(struct turbo_client_hello *h, uint8_t byte)
{
    if (h->step > STEP_BODY_LENGTH)
        h->body_left--;
    h->number = h->number << 8 | byte;
    h->number_left--;
}

/* Passes over empty fields, and tells what the end of the message means where it has been reached.
 */
static enum turbo_hello_state settle(struct turbo_client_hello *h)
{
    while (is_bytes(h->step) && h->left == 0)
        bytes_read(h);
    if (h->body_left > 0)
        return TURBO_HELLO_MORE;
    return may_end(h) && h->number_left == 2 ? TURBO_HELLO_COMPLETE : TURBO_HELLO_NOT_TLS;
}

/* Takes content of handshake records, up to the end of the ClientHello. */
static size_t push_content(struct turbo_client_hello *h, const uint8_t *data, size_t length)
{
    size_t used = 0;
    while (used < length && h->state == TURBO_HELLO_MORE) {
        if (is_bytes(h->step)) {
            size_t n = length - used < h->left ? length - used : h->left;
            capture(h, data + used, n);
            h->left -= (uint32_t)n;
            h->body_left -= (uint32_t)n;
            used += n;
        } else {
            number_byte(h, data[used++]);
            if (h->number_left == 0)
                h->state = number_read(h);
        }
        if (h->state == TURBO_HELLO_MORE && h->step > STEP_BODY_LENGTH)
            h->state = settle(h);
    }
    return used;
}

static void push_record_header(struct turbo_client_hello *h, uint8_t byte)
{
    bool good = true;
    switch (h->record_header_bytes++) {
    case 0: good = byte == RECORD_HANDSHAKE; break;
    case 1: good = byte == RECORD_MAJOR_VERSION; break;
    case 2: break;
    case 3: h->record_left = (uint16_t)(byte << 8); break;
    default:
        h->record_left |= byte;
        good = h->record_left > 0 && h->record_left <= RECORD_MAX;
        break;
    }
    if (!good)
        h->state = TURBO_HELLO_NOT_TLS;
}

size_t turbo_client_hello_push(struct turbo_client_hello *h, const uint8_t *data, size_t length)
{
    size_t used = 0;
    while (used < length && h->state == TURBO_HELLO_MORE) {
        size_t n = 1;
        if (h->record_header_bytes < RECORD_HEADER_BYTES) {
            push_record_header(h, data[used]);
        } else {
            n = length - used < h->record_left ? length - used : h->record_left;
            n = push_content(h, data + used, n);
            h->record_left = (uint16_t)(h->record_left - n);
            if (h->record_left == 0)
                h->record_header_bytes = 0;
        }
        used += n;
        h->length += n;
        if (h->length > TURBO_HELLO_MAX)
            h->state = TURBO_HELLO_TOO_LARGE;
    }
    return used;
}

const uint8_t *turbo_client_hello_alpn(const struct turbo_client_hello *h, size_t *at,
                                       size_t *length)
{
    if (*at >= h->alpn_length)
        return NULL;
    *length = h->alpn[*at];
    const uint8_t *name = h->alpn + *at + 1;
    *at += 1 + *length;
    return name;
}
