#include "talk.h"

#include <string.h>

/* Of the ClientHello: record header (5), handshake header (4), version (2), random (32), length of
 * the session id (1), and then the session id. */
enum { RANDOM_AT = 11, SESSION_AT = 44, KIND_AT = SESSION_AT, BYTES_AT = SESSION_AT + 8 };

struct writer {
    uint8_t *at;
};

static void put(struct writer *w, size_t bytes, uint64_t value)
{
    for (size_t i = bytes; i > 0; i--)
        *w->at++ = (uint8_t)(value >> (8 * (i - 1)));
}

static void put_data(struct writer *w, const void *data, size_t length)
{
    memcpy(w->at, data, length);
    w->at += length;
}

static void fill(struct writer *w, size_t length)
{
    memset(w->at, 0x5a, length);
    w->at += length;
}

static void put_server_name(struct writer *w)
{
    const size_t length = sizeof TALK_NAME - 1;
    put(w, 2, 0);
    put(w, 2, length + 5);
    put(w, 2, length + 3);
    put(w, 1, 0);
    put(w, 2, length);
    put_data(w, TALK_NAME, length);
}

/* RFC 8446 §4.2: supported_versions, groups, signature_algorithms and a key share of X25519. */
static void put_extensions(struct writer *w)
{
    put_server_name(w);
    put_data(w, "\x00\x2b\x00\x03\x02\x03\x04", 7);
    put_data(w, "\x00\x0a\x00\x04\x00\x02\x00\x1d", 8);
    put_data(w, "\x00\x0d\x00\x06\x00\x04\x04\x03\x08\x04", 10);
    put_data(w, "\x00\x33\x00\x26\x00\x24\x00\x1d\x00\x20", 10);
    fill(w, 32);
}

void talk_hello(uint8_t out[static TALK_HELLO_BYTES], const struct talk *talk, uint64_t serial)
{
    struct writer w = {out};
    put(&w, 1, 0x16);
    put(&w, 2, 0x0301);
    put(&w, 2, TALK_HELLO_BYTES - 5);
    put(&w, 1, 1);
    put(&w, 3, TALK_HELLO_BYTES - 9);
    put(&w, 2, 0x0303);
    put(&w, 8, serial * 0x9e3779b97f4a7c15u);
    put(&w, 8, serial);
    fill(&w, 16);
    put(&w, 1, 32);
    put(&w, 8, talk->kind);
    put(&w, 8, talk->bytes);
    fill(&w, 16);
    put_data(&w, "\x00\x06\x13\x01\x13\x02\x13\x03\x01\x00", 10);
    uint8_t *extensions = w.at;
    w.at += 2;
    put_extensions(&w);
    size_t padding = TALK_HELLO_BYTES - (size_t)(w.at - out) - 4;
    put(&w, 2, 21); /* RFC 7685 */
    put(&w, 2, padding);
    memset(w.at, 0, padding);
    w.at += padding;
    struct writer length = {extensions};
    put(&length, 2, (uint64_t)(w.at - extensions - 2));
}

bool talk_from_hello(const uint8_t hello[static TALK_HELLO_BYTES], struct talk *talk)
{
    if (hello[0] != 0x16 || hello[5] != 1 || hello[RANDOM_AT + 32] != 32)
        return false;
    talk->kind = hello[KIND_AT + 7];
    talk->bytes = 0;
    for (size_t i = 0; i < 8; i++)
        talk->bytes = talk->bytes << 8 | hello[BYTES_AT + i];
    return talk->kind >= TALK_CLOSE && talk->kind <= TALK_ECHO &&
           (talk->kind == TALK_CLOSE || talk->bytes > 0);
}

void talk_flight(uint8_t out[static TALK_FLIGHT_BYTES])
{
    struct writer w = {out};
    put_data(&w, "\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03", 11);
    fill(&w, 32);
    put(&w, 1, 0);
    put_data(&w, "\x13\x01\x00\x00\x2e\x00\x2b\x00\x02\x03\x04\x00\x33\x00\x24\x00\x1d\x00\x20",
             19);
    fill(&w, 32);
    put_data(&w, "\x14\x03\x03\x00\x01\x01\x17\x03\x03", 9);
    size_t rest = TALK_FLIGHT_BYTES - (size_t)(w.at - out) - 2;
    put(&w, 2, rest);
    fill(&w, rest);
}

void talk_answer(uint8_t out[static TALK_ANSWER_BYTES])
{
    struct writer w = {out};
    put_data(&w, "\x14\x03\x03\x00\x01\x01\x17\x03\x03", 9);
    put(&w, 2, TALK_ANSWER_BYTES - 11);
    fill(&w, TALK_ANSWER_BYTES - 11);
}
