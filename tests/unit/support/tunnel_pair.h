/* Two tunnels that speak to each other in memory, driven in turns by one thread. */
#ifndef TEST_TUNNEL_PAIR_H
#define TEST_TUNNEL_PAIR_H

#include "tunnel/tunnel.h"

enum { PAIR_CAPACITY = 64 * 1024 };

/* It is not over: the call is to be made again. */
bool is_want(enum tunnel_result result);

/* Around an end of the memory pair: what it reads can be spoilt. */
struct meddler {
    struct tunnel_io io;
    struct tunnel_io *inner;
    size_t passed; /* bytes read so far */
    size_t spoilt; /* the byte with this number, from 1 on, is read with other bits; 0: none */
    bool vanished; /* nothing more is read, as when the peer's connection ends in order */
};

struct pair_end {
    struct tunnel_context *context; /* owned by the pair */
    struct meddler *io;             /* the tunnel's */
    struct tunnel *tunnel;          /* NULL: ended */
    enum tunnel_result result;      /* of the last call */
    struct tunnel_error error;      /* of its failure */
};

struct pair {
    struct pair_end client, server;
};

/* Takes both contexts over. Options may be NULL: the client's server name is server.example then.
 */
void pair_open(struct pair *pair, struct tunnel_context *client, struct tunnel_context *server,
               const struct tunnel_options *client_options,
               const struct tunnel_options *server_options);
/* Through a memory pair of another size. */
void pair_open_through(struct pair *pair, size_t capacity, struct tunnel_context *client,
                       struct tunnel_context *server, const struct tunnel_options *client_options,
                       const struct tunnel_options *server_options);
void pair_close(struct pair *pair);

/*
 * Handshakes until both know how it ended, each reading once where the other end has failed. An end
 * that fails is freed at once, as programs do.
 */
void pair_handshake(struct pair *pair);
/* It must succeed. */
void pair_agree(struct pair *pair);
/* `length` bytes from one end to the other, which must be those; at most `piece` in one write. */
void pair_carry(struct pair_end *from, struct pair_end *to, size_t length, size_t piece);
/* Lets the client take what the server sends behind its handshake: tickets. */
void pair_settle(struct pair *pair);

#endif
