/*
 * Administration by HTTP: /metrics, /healthz, /readyz, /status, POST /reload (libmicrohttpd on the
 * worker's loop).
 */
#ifndef PROXY_OPS_ADMIN_H
#define PROXY_OPS_ADMIN_H

#include <ev.h>
#include <stdbool.h>
#include <stdio.h>

#include "proxy/net/address.h"
#include "proxy/net/network.h"

struct admin;

/* Who answers. Each writes the body. */
struct admin_answers {
    void (*metrics)(void *owner, FILE *out);
    void (*status)(void *owner, FILE *out);
    /* False: not ready (draining, or no listener is open); `out` gets why. */
    bool (*ready)(void *owner, FILE *out);
    /* False: the configuration stays; `out` gets the errors, one a line. */
    bool (*reload)(void *owner, FILE *out);
};

/*
 * Takes over `fd`, a listening TCP socket. Asked from an address that `from` does not hold (count
 * 0: the host itself): 403. NULL: `*error` says why, as static text.
 */
struct admin *admin_create(struct ev_loop *loop, int fd, const struct networks *from,
                           const struct admin_answers *answers, void *owner, const char **error);
void admin_destroy(struct admin *admin);

#endif
