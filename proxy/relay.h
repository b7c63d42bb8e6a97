/*
 * A connection: a near side, a far side, and the bytes between them, both ways.
 *
 * The relay knows nothing of TurboTLS. It moves bytes while one side has some and the other has
 * room, passes each end and each reset on, and holds at most one read's worth that a socket did
 * not take: a slow reader stops its writer, and memory stays bounded. When a side has become a
 * plain TCP socket, the session behind it is given back and the relay goes on with the socket.
 */
#ifndef PROXY_RELAY_H
#define PROXY_RELAY_H

#include <ev.h>

#include "proxy/connection.h"
#include "proxy/sides/side.h"

struct relay;

/*
 * Starts relaying between `near` and `far`, both the relay's from now on, as `connection` is. `far`
 * NULL: there was no memory for it. Failures are dealt with here, as the connection's end.
 */
void relay_start(struct side *near, struct side *far, const struct connection *connection);

/* The worker's look_timer: ends relays that have waited for too long. */
void relay_on_look(struct ev_loop *loop, ev_timer *timer, int events);

/* Resets both sides and ends it: shutting down. */
void relay_abort(struct relay *relay);

#endif
