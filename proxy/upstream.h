/*
 * Where connections go: one host, and what the proxy keeps about it.
 */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "proxy/memory.h"
#include "proxy/ops/log.h"
#include "proxy/options.h"

struct side;
struct worker;

enum { UPSTREAM_TEXT_BYTES = OPTIONS_HOST_MAX + 32 };

struct upstream {
    struct upstream_option option;
    char text[UPSTREAM_TEXT_BYTES]; /* "turbo:example.com:443" for logs */
    struct memory memory;           /* of its addresses */
    uint32_t pending;               /* connections to it whose client has not joined by TCP yet */
};

void upstream_init(struct upstream *upstream, const struct upstream_option *option);
/* The far side of a new connection. NULL: out of memory. */
struct side *upstream_open(struct upstream *upstream, struct worker *worker);
/* May one more session that began on UDP connect to it (§7.1)? From a source that is `proven`: is
 * there room at all; from another: in the half that strangers may have. */
bool upstream_has_room(const struct upstream *upstream, bool proven);
/* It could not be reached: says so in the log. */
void upstream_failed(const struct upstream *upstream, struct log *log, const char *error);

#endif
