/*
 * One --listen: a TCP socket that accepts, and for turbo a UDP socket beside it.
 */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include "proxy/net/address.h"
#include "proxy/options.h"
#include "proxy/udp_endpoint.h"

struct listener;
struct worker;

/* NULL, with an explanation in the log. Accepts from the loop's next iteration on. */
struct listener *listener_open(struct worker *worker, const struct listen_option *option);
/* No connection may still use it. */
void listener_close(struct listener *listener);

/* "turbo:127.0.0.1:443,udp=443", with the ports the kernel chose. */
const char *listener_text(const struct listener *listener);
/* NULL: not a turbo listener. */
struct udp_endpoint *listener_udp(const struct listener *listener);

void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);
bool listener_is_open(const struct listener *listener);
/*
 * Stops accepting. A turbo listener whose sessions wait to be joined goes on for those, unless
 * `even_if_pending`.
 */
void listener_drain(struct listener *listener, bool even_if_pending);

#endif
