/*
 * The servers that clients of a `requested` upstream have asked for: what is known of each is kept
 * for the next connection to it. Bounded, the least recently used one makes room. Counted: an
 * upstream and the one of the same name in the next configuration share them.
 */
#ifndef PROXY_TARGETS_H
#define PROXY_TARGETS_H

#include "proxy/config/config.h"
#include "proxy/server.h"

enum { TARGETS_MAX = 1024 };

struct targets;

/* Held once by the caller. NULL: out of memory. */
struct targets *targets_create(enum endpoint_kind kind);
struct targets *targets_hold(struct targets *targets);
/* NULL is allowed. */
void targets_release(struct targets *targets);
bool targets_are(const struct targets *targets, enum endpoint_kind kind);

/* The server `host`:`port`, as in struct target; held by the caller. NULL: out of memory. */
struct server *targets_find(struct targets *targets, const char *host, uint16_t port);
/* What all of them add up to, those forgotten included, for metrics. */
struct server *targets_total(const struct targets *targets);

#endif
