/*
 * Connecting TCP to a host, without blocking: its name is looked up, then its addresses are
 *
 *   raced: IPv6 and IPv4 in turn, 250 ms apart, or at once when one fails (RFC 8305); or
 *   tried one after the other: TurboTLS asks one address by UDP and TCP (protocol §6.1). All but
 *   the last share 10 s.
 *
 * Driven by its user: no loop, no thread.
 *
 *   RESOLVING ──▶ CONNECTING ──▶ UP: connector_take
 *        └──────────────┴──────▶ FAILED: connector_result, connector_error
 */
#ifndef TUNNEL_IO_CONNECTOR_H
#define TUNNEL_IO_CONNECTOR_H

#include "tunnel/io.h"
#include "tunnel/net/address.h"
#include "turbo/turbo.h"

struct connector;

enum connector_state {
    CONNECTOR_RESOLVING,
    CONNECTOR_CONNECTING, /* SYNs are out: see connector_attempt */
    CONNECTOR_UP,
    CONNECTOR_FAILED,
};

/* What `dial` says of TurboTLS is of no interest here. Nothing leaves before the first step. NULL,
 * with errno: ENOMEM, or EINVAL: the host is empty, or longer than a name may be. */
struct connector *connector_start(const struct tunnel_io_dial *dial, bool race, turbo_time now);
/* Does what can be done now. */
enum connector_state connector_step(struct connector *connector, turbo_time now);
/* Until it is up or has failed. */
void connector_watch(const struct connector *connector, turbo_time now, struct tunnel_watch *watch);

/*
 * Without race: how many attempts have been begun, one for each address; and the socket, which
 * stays the connector's, and the peer of the last one. 0: none.
 */
unsigned connector_attempt(const struct connector *connector, int *fd, struct address *peer);
/*
 * Without race, and while CONNECTING: a second SYN to the address being tried, since the first
 * seems lost; the kernel repeats it after a second only. Every 10 s a fresh one takes its place.
 * Whichever comes up first is the connection (protocol §6.8).
 */
void connector_again(struct connector *connector, turbo_time now);
/* Without race, while CONNECTING or once it was UP: from the next step on another connection to the
 * same address, in the time that is left. It counts as an attempt. */
void connector_repeat(struct connector *connector);

/* Once UP: the socket, the caller's from now on, and its peer. */
int connector_take(struct connector *connector, struct address *peer);
/* Of what has FAILED: UNREACHED, TIMEOUT or MEMORY, and what happened at which address (else NULL).
 */
enum tunnel_result connector_result(const struct connector *connector);
const char *connector_error(const struct connector *connector);
/* When the name was known; 0: not yet. */
turbo_time connector_resolved_at(const struct connector *connector);
void connector_free(struct connector *connector); /* NULL is allowed */

#endif
