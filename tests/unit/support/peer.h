/*
 * The other ends of the proxy's sockets, on the proxy's own loop: a TCP connection and a UDP socket
 * that collect what comes and send what they are told.
 */
#ifndef TEST_PEER_H
#define TEST_PEER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tunnel/net/address.h"
#include "turbo/protocol.h"

/* ---- TCP ---- */

struct peer {
    struct peer *next; /* the owner's list */
    struct ev_loop *loop;
    int fd; /* -1: closed */
    ev_io io;
    uint8_t *received;
    size_t length, capacity;
    uint8_t *sending; /* what the socket has not taken yet */
    size_t sending_length, sending_used;
    bool finishing; /* FIN goes behind it */
    bool deaf;      /* does not read */
    bool ended;     /* FIN came */
    int error;      /* what ended it otherwise */
};

/* Takes over `fd`, connected or connecting. */
struct peer *peer_new(struct ev_loop *loop, int fd);
void peer_free(struct peer *peer);

void peer_send(struct peer *peer, const void *data, size_t length);
void peer_say(struct peer *peer, const char *words);
/* FIN, behind what is still to be sent. */
void peer_finish(struct peer *peer);
void peer_reset(struct peer *peer);
void peer_deafen(struct peer *peer);
void peer_hear(struct peer *peer);

/* Exactly this has come, and nothing else. */
bool peer_heard(const struct peer *peer, const char *words);
bool peer_heard_bytes(const struct peer *peer, const void *data, size_t length);
/* Also after its FIN has come, or while it does not read. */
bool peer_was_reset(struct peer *peer);
bool peer_is_up(const struct peer *peer);

/* ---- UDP ---- */

enum { DATAGRAMS_MAX = 128 };

struct datagram {
    uint8_t bytes[TURBO_DATAGRAM_MAX + 1];
    size_t length;
    struct sockaddr_storage from;
    socklen_t from_length;
};

struct datagrams {
    struct datagrams *next; /* the owner's list */
    struct ev_loop *loop;
    int fd;
    ev_io io;
    struct datagram received[DATAGRAMS_MAX];
    size_t count;
};

/* Takes over `fd`. */
struct datagrams *datagrams_new(struct ev_loop *loop, int fd);
void datagrams_free(struct datagrams *datagrams);
void datagrams_close(struct datagrams *datagrams);
/* On a connected socket. */
void datagrams_send(struct datagrams *datagrams, const void *data, size_t length);
/* To whom datagram `number` came from. */
void datagrams_answer(struct datagrams *datagrams, size_t number, const void *data, size_t length);

#endif
