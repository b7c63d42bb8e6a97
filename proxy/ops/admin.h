/*
 * Administration by HTTP, on the worker's loop (libmicrohttpd):
 *
 *   GET /          what there is
 *   GET /metrics   Prometheus' text format
 *   GET /healthz   200 "ok": the loop turns
 *   GET /readyz    200, or 503 and why not: connections are better made elsewhere
 *   GET /status    JSON
 *   POST /reload   200 "reloaded", or 422 and what is wrong with the configuration
 *
 * HEAD is as GET. Whoever may ask may ask for all of it: there are no passwords. Web pages cannot:
 * a request from one to change something has an Origin
 * (https://fetch.spec.whatwg.org/#origin-header) and is refused, and where only the host itself may
 * ask, so is one for another name than its own, which is what a page has asked for that gave its
 * own name our address (DNS rebinding).
 *
 * Bounded: ADMIN_CONNECTIONS_MAX connections, where the oldest makes room for the next, 16 KiB and
 * 10 s of silence each; a body is thrown away, up to 64 KiB. Nothing blocks the loop but the
 * answers themselves.
 */
#ifndef PROXY_OPS_ADMIN_H
#define PROXY_OPS_ADMIN_H

#include <ev.h>
#include <stdbool.h>
#include <stdio.h>

#include "proxy/net/network.h"
#include "tunnel/net/address.h"

enum {
    ADMIN_CONNECTIONS_MAX = 32,
    ADMIN_FILES = ADMIN_CONNECTIONS_MAX + 2 /* descriptors at most, the listening socket's too */
};

struct admin;

/*
 * Who answers. Each writes the body. They are called from the loop, and must not destroy the admin.
 */
struct admin_answers {
    /* False, from both: out of memory, the connection is closed. */
    bool (*metrics)(void *owner, FILE *out);
    bool (*status)(void *owner, FILE *out);
    /* False: not ready (draining, or no listener is open); `out` gets why. */
    bool (*ready)(void *owner, FILE *out);
    /* False: the configuration stays; `out` gets the errors, one a line. */
    bool (*reload)(void *owner, FILE *out);
};

/*
 * Takes over `fd`, a listening TCP socket, in any case; accepts after admin_start. Asked from an
 * address that `from` does not hold (count 0: the host itself): 403. NULL: `*error` says why, as
 * static text.
 */
struct admin *admin_create(struct ev_loop *loop, int fd, const struct networks *from,
                           const struct admin_answers *answers, void *owner, const char **error);
void admin_start(struct admin *admin);
/* Who may ask from now on, connections that are open included. False: out of memory, as before. */
bool admin_set_from(struct admin *admin, const struct networks *from);
/* The listening socket, which stays the admin's. */
int admin_fd(const struct admin *admin);
/* NULL is allowed. */
void admin_destroy(struct admin *admin);

#endif
