/*
 * A TCP connection until its first bytes have told where it goes: behind a PROXY header, a request
 * and what leads to STARTTLS, where these are due, TCP for a session that began on UDP, classic
 * TLS, or something else (protocol §5).
 */
#ifndef PROXY_ARRIVAL_H
#define PROXY_ARRIVAL_H

#include "tunnel/net/address.h"

struct arrival;
struct listener;
struct worker;

/* Takes over `fd`. It ends by itself: as a relay, as part of one, or not at all well. */
void arrival_start(struct listener *listener, int fd, const struct address *client);
/* Resets those that came to a listener that was leaving, and is closed now: there is nothing left
 * that they could join. */
void arrivals_end_late(struct worker *worker);
/*
 * Those of turbo listeners that have said nothing yet are passed on to the process that receives
 * datagrams from now on: theirs may be among them. The heir takes a copy of the socket; false: it
 * takes no more, and those that are left stay. `listener` is the TCP address they came by.
 */
typedef bool arrival_heir(void *owner, int fd, const struct address *listener);
void arrivals_pass_on(struct worker *worker, arrival_heir *heir, void *owner);
/* Too many, and the oldest has been silent for a while: it is reset. */
void arrivals_make_room(struct worker *worker);
/* Resets it: shutting down. */
void arrival_abort(struct arrival *arrival);

#endif
