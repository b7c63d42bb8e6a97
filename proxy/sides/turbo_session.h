/*
 * A client session in its block of memory: begun with what is remembered of its server's address,
 * and what it has taught is remembered at its end.
 */
#ifndef PROXY_SIDES_TURBO_SESSION_H
#define PROXY_SIDES_TURBO_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "turbo/learned.h"

struct blocks;
struct config_upstream;
struct server;

struct turbo_session_call {
    void *room; /* of turbo_client_bytes(); NULL: from `blocks` */
    struct blocks *blocks;
    const struct config_upstream *settings;
    struct turbo_learned *learned; /* of the server's address */
    bool unknown;                  /* nothing says that it speaks TurboTLS */
    uint8_t attempt;               /* sessions before it that reported `again` */
    turbo_time syn_at;
};

/* NULL: out of memory, or of randomness where an id is random. */
struct turbo_client *turbo_session_new(const struct turbo_session_call *call, turbo_time now);
/* NULL is allowed. `blocks` NULL: it is in the caller's room. */
void turbo_session_free(struct turbo_client *session, struct blocks *blocks, struct server *server,
                        struct turbo_learned *learned, turbo_time now);

#endif
