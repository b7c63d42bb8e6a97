/*
 * One address to accept at: a TCP socket, and for turbo a UDP socket beside it. Counted: the worker
 * holds those it listens at, a connection the one it came by; one that is no longer wanted stops
 * accepting and goes with its last connection.
 */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include "proxy/config/config.h"
#include "proxy/udp_endpoint.h"
#include "tunnel/net/address.h"

struct generation;
struct inherited;
struct listener;
struct listener_group;
struct worker;

/*
 * The listener `index` of the generation's configuration; its sockets are taken from `inherited`
 * (may be NULL) where they are there. `elder` is the first worker's at the same address, which has
 * been opened before; NULL: this is the first worker. Does not accept before listener_resume. Held
 * once by the caller. NULL, with an explanation in the log.
 */
struct listener *listener_open(struct worker *worker, struct generation *generation, size_t index,
                               struct inherited *inherited, const struct listener *elder);
struct listener *listener_hold(struct listener *listener);
/* NULL is allowed. Where the worker's hold is the last one it is given up between two turns of the
 * loop only (worker_reap). */
void listener_release(struct listener *listener);
/* They accept at the same TCP or UDP port. */
bool listener_clashes(const struct listener *listener, const struct listener *other);
/* Closed, nobody but the worker holds it, and no connection of the group, or one that is accepted
 * yet, may still move to it. */
bool listener_is_unused(const struct listener *listener);
/* From now on it is the listener `index` of this generation; the address is the same. */
void listener_adopt(struct listener *listener, struct generation *generation, size_t index);

struct worker *listener_worker(const struct listener *listener);
struct generation *listener_generation(const struct listener *listener);
const struct config_listener *listener_settings(const struct listener *listener);
/* "turbo:127.0.0.1:443,udp=443", with the ports the kernel chose. */
const char *listener_text(const struct listener *listener);
/* Its TCP address, with the port the kernel chose. */
const struct address *listener_address(const struct listener *listener);
/* What it shares with those of other workers. */
struct listener_group *listener_group(const struct listener *listener);
/* NULL: not a turbo listener. */
struct udp_endpoint *listener_udp(const struct listener *listener);
/* Whether sessions wait at its endpoint may have changed. */
void listener_note_pending(struct listener *listener);
/* Sessions that began on UDP wait to be joined, here or at another worker: a TCP connection that is
 * accepted here may be theirs. */
bool listener_is_pending(const struct listener *listener);
/* Closed, it gives back what only sessions need once there are none; like listener_release between
 * two turns only. */
void listener_shed(struct listener *listener);
/* Its connections now. */
size_t listener_connections(const struct listener *listener);
/* Has it as many as its own limit allows? Other workers' count: it may soon have. */
bool listener_is_full(const struct listener *listener);
/* Had it, before the connection that began last? Then that one is too many. */
bool listener_was_full(const struct listener *listener);
void listener_connection_began(struct listener *listener);
void listener_connection_ended(struct listener *listener);
/* Its sockets, which stay its own: TCP while it is open, and UDP. Returns how many. */
enum { LISTENER_SOCKETS = 2 };
size_t listener_sockets(const struct listener *listener, int fds[static LISTENER_SOCKETS]);
/* Adds duplicates of its sockets. False: no descriptors, or too many. */
bool listener_bequeath(const struct listener *listener, struct inherited *heirs);

/* Takes over `fd`, a connection that another process has accepted here and not read from. */
void listener_take(struct listener *listener, int fd);
void listener_pause(struct listener *listener);
void listener_resume(struct listener *listener);
bool listener_is_open(const struct listener *listener);
/* It is no longer wanted: what it accepts from now on may only join a session. */
bool listener_is_leaving(const struct listener *listener);
/*
 * Both accept from the same socket. The predecessor goes on until nothing is pending at it, and
 * serves whoever comes; the listener cannot be resumed before listener_inherit.
 */
void listener_await(struct listener *listener, struct listener *predecessor);
bool listener_is_waiting(const struct listener *listener);
void listener_inherit(struct listener *listener);
/*
 * Stops accepting. A turbo listener whose sessions wait to be joined goes on for those, unless
 * `even_if_pending`.
 */
void listener_drain(struct listener *listener, bool even_if_pending);
/* The same, and then does not even refuse sessions by UDP: somebody else may have the sockets now.
 */
void listener_close(struct listener *listener, bool even_if_pending);

#endif
