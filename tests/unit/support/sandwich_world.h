/*
 * A client session in the Sandwich dialect, the app on one side and a server on the other that
 * keeps to Sandwich's rules by itself (protocol §11): response i leaves once requests 1..i have
 * come in order, nothing is sent twice, and behind the tombstone it uses TCP alone. Time is
 * virtual.
 *
 * What the two ends of TLS say is a conversation: lines, each said by one of them once it has heard
 * so many of the other's.
 */
#ifndef TEST_SANDWICH_WORLD_H
#define TEST_SANDWICH_WORLD_H

#include "tests/unit/support/check.h"
#include "tests/unit/support/hello.h"
#include "turbo/client.h"

enum speaker { APP, SERVER };

enum line_kind {
    LINE_HELLO,        /* the app's; of `length` bytes, or the smallest */
    LINE_SERVER_HELLO, /* `length` is the cipher suite */
    LINE_CCS,
    LINE_HANDSHAKE, /* a record of type 22 with `length` bytes in it */
    LINE_ENCRYPTED, /* of type 23, in the handshake */
    LINE_DATA,      /* of type 23, behind it */
    LINE_END        /* the app's FIN */
};

struct line {
    enum speaker who;
    unsigned heard; /* lines of the other's */
    enum line_kind kind;
    size_t length;
};

enum { WORLD_STREAM = 512 * 1024, WORLD_PACKETS = 1024, WORLD_LINES = 32, WORLD_INDEX = 256 };

#define WORLD_DELAY (10 * TURBO_MILLISECOND) /* one way */
#define WORLD_START (7 * TURBO_SECOND)

/* A TLS 1.3 Finished behind TLS_AES_128_GCM_SHA256 and TLS_AES_256_GCM_SHA384. */
enum { AES_128 = 0x1301, AES_256 = 0x1302, FINISHED = 53, FINISHED_384 = 69, TLS_1_2 = 0xc02f };

#define END                                                                                        \
    {                                                                                              \
        SERVER, 0, LINE_HELLO, 0                                                                   \
    }
/* One with a HelloRetryRequest, in which both ends say much. */
extern const struct line world_retried[];

/* Datagrams that are lost for certain. */
struct loss {
    enum speaker from;
    unsigned first, last; /* indexes; `last` 0: none */
    unsigned copies;      /* the first so many of each; 0: all */
};

struct stream_said {
    uint8_t bytes[WORLD_STREAM];
    size_t said, line_end[WORLD_LINES];
    unsigned lines;
    size_t heard; /* by the other end, all of them right */
};

enum packet_kind {
    TO_SERVER,
    TO_CLIENT,
    TCP_TO_SERVER,
    TCP_TO_CLIENT,
    TCP_IS_UP,
    TCP_ACCEPTED,
    GONE
};

struct world {
    void *memory;
    struct turbo_client *client;
    struct turbo_client_config config;
    turbo_time now;
    const struct line *lines; /* up to END */
    unsigned next_line[2];
    struct stream_said streams[2]; /* by speaker */
    size_t app_pushed;
    size_t push_most; /* bytes in one push; 0: any */
    bool app_ended;

    struct packet {
        turbo_time at;
        enum packet_kind kind;
        size_t length;
        uint8_t bytes[2048];
    } packets[WORLD_PACKETS];
    unsigned packet_count;
    struct sandwich_end *own; /* our own server end instead; NULL: the other */
    turbo_time tcp_delay;     /* until it is up */
    struct loss loses;
    /* By chance, with a seed above 0: of 256 datagrams so many are lost, and all come up to so much
     * later, in whatever order. */
    uint32_t seed;
    unsigned lost_of_256[2];
    turbo_time jitter;
    unsigned lost[2]; /* so many were */
    unsigned copies[2][WORLD_INDEX];
    unsigned requests; /* datagrams of the client, lost ones too */

    /* The server. */
    uint8_t payloads[WORLD_INDEX][SANDWICH_PAYLOAD_MAX];
    size_t lengths[WORLD_INDEX];
    bool present[WORLD_INDEX];
    unsigned in_order;
    size_t response_end[WORLD_INDEX]; /* offsets in its stream */
    unsigned responses, responded;
    int last; /* -1: no tombstone has come */
    size_t tcp_sent;
    uint8_t held[WORLD_STREAM]; /* from TCP, until the client's handshake has come */
    size_t held_length;
    size_t by_udp; /* C→S bytes that came by UDP */
};

/* Configured as for a first contact; `config` may be changed, then begin. */
struct world *world_new(const struct line *lines);
void world_begin(struct world *w);
/* Up to `milliseconds` after the SYN. */
void world_run(struct world *w, unsigned milliseconds);
/* Before it begins: by chance, with loss in one direction; and in any order for most seeds. */
void world_draw(struct world *w, uint32_t seed, unsigned requests, unsigned responses);
void world_free(struct world *w);
/* Both streams have been heard to their ends, and TCP carries on. */
void world_assert_done(struct world *w);
/* As that, by TurboTLS, and the session is settled. */
void world_assert_turbo(struct world *w);
void world_assert_outcome(const struct world *w, enum turbo_client_state state,
                          enum turbo_outcome outcome, enum turbo_reason reason);
/* ---- for the server's part ---- */

/* Whoever is due says it. */
void world_speak(struct world *w, enum speaker who);
/* The other end has heard these bytes of `from`: the right ones. */
void world_hear(struct world *w, enum speaker from, const uint8_t *data, size_t length);
void world_send_datagram(struct world *w, enum speaker from, const uint8_t *data, size_t length);
void world_send_tcp(struct world *w, enum speaker from, const uint8_t *data, size_t length);

/* Bytes of the first so many of its lines. */
size_t world_said(const struct world *w, enum speaker who, unsigned lines);

#endif
