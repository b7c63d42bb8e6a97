/*
 * Answers of a DNS server to the question for an HTTPS record, put together piece by piece: what is
 * wrong with one is wrong in one place.
 */
#ifndef TEST_HTTPS_ANSWER_H
#define TEST_HTTPS_ANSWER_H

#include "tests/unit/support/check.h"

#include "proxy/net/svcb.h"

enum { MESSAGE_MAX = 8192, TYPE_A = 1, TYPE_NS = 2, TYPE_CNAME = 5, TYPE_SOA = 6 };
enum { TTL = 300 };

/* A literal with its zero bytes. */
#define BYTES(text) text, sizeof(text) - 1

#define TURBO          "\xff\xc8\0\0" /* key65480, no value */
#define TURBO_AT(port) "\xff\xc8\0\2" port
#define PORT(port)     "\0\3\0\2" port /* port */
#define ALPN_H2        "\0\1\0\3\2h2"  /* alpn=h2 */
#define P443           "\x01\xbb"
#define P8443          "\x20\xfb"

struct https_answer {
    uint8_t bytes[MESSAGE_MAX];
    size_t length;
};

void put_bytes(struct https_answer *m, const void *bytes, size_t length);
/* "www.example" as on the wire; "" and "." are the root. */
void put_name(struct https_answer *m, const char *name);
/* What follows a record's name, up to its data. */
void put_fixed(struct https_answer *m, uint16_t type, uint32_t ttl, size_t length);

/* Begins with the question. */
void ask_for(struct https_answer *m, const char *name);
/* An HTTPS record at `owner`; at www.example, which leads to itself. */
void https_at(struct https_answer *m, const char *owner, uint32_t ttl, uint16_t priority,
              const char *target, const void *params, size_t length);
void https(struct https_answer *m, uint16_t priority, const void *params, size_t length);
void cname(struct https_answer *m, const char *owner, uint32_t ttl, const char *target);
void soa(struct https_answer *m, uint32_t ttl, uint32_t minimum);

/* Its first `length` bytes, from a block of just this size: a byte read behind it is seen. */
bool read_answer(const struct https_answer *m, size_t length, uint16_t tcp_port, struct svcb *out);
/* Of an answer that is understood: the UDP port; 0: no turbo. */
uint16_t udp_port_of(const struct https_answer *m, uint16_t tcp_port);
uint32_t ttl_of(const struct https_answer *m);

#endif
