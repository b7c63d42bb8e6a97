/*
 * What is kept of a connection beside its bytes: where it came from, the configuration it began
 * under, where it goes, and its record. An arrival has one, and hands it on to its relay.
 */
#ifndef PROXY_CONNECTION_H
#define PROXY_CONNECTION_H

#include "proxy/config/config.h"
#include "proxy/ops/access.h"
#include "turbo/client_hello.h"
#include "turbo/server.h"

struct generation;
struct listener;
struct server;
struct side;
struct target;
struct upstream;
struct worker;

/* What is needed only until it is relayed. */
struct connection_asked {
    struct address server; /* that the client connected to; empty: nobody wants to know */
    struct target *target; /* where the client has asked to go; NULL: it has not */
};

/* Small, as each connection has one for as long as it lasts. */
struct connection {
    struct listener *listener;              /* held */
    struct generation *generation;          /* held, and with it upstreams and statistics */
    const struct config_listener *settings; /* the listener's, in it */
    const struct config_route *route;       /* in it; NULL: none yet */
    struct connection_asked *asked;         /* the caller's, but what is in it; NULL after
                                               connection_arrived */
    struct access access;                   /* with the client's address */
};

/* Where its route leads. It has been placed. */
struct upstream *connection_upstream(const struct connection *connection);
/* From `client` to `server`, since `since`. `asked` is filled in, and outlives the connection or
 * connection_arrived. */
void connection_begin(struct connection *connection, struct connection_asked *asked,
                      struct listener *listener, const struct address *client,
                      const struct address *server, turbo_time since);
/* That of an accepted socket, now. */
void connection_accepted(struct connection *connection, struct connection_asked *asked,
                         struct listener *listener, const struct address *client, int fd);
/* One that is none: only its record is written. It does not count among the listener's, else
 * another worker might see one too many meanwhile, and refuse the next. */
void connection_refuse(const struct listener *listener, const struct address *client,
                       enum turbo_reason reason);
/* A PROXY header has told who it is really from and to. */
void connection_vouched(struct connection *connection, const struct address *client,
                        const struct address *server);
/* The client has asked for `target`, which is the connection's from now on. NULL: out of memory,
 * false. */
bool connection_request(struct connection *connection, struct target *target);
/*
 * May it connect, and where to? `hello` NULL: it has none, or none that is known.
 * TURBO_REASON_NONE: its route and upstream are set; else why not. May be asked again when more is
 * known.
 */
enum turbo_reason connection_place(struct connection *connection,
                                   const struct turbo_client_hello *hello);
/* Was the client's address vouched for (protocol §7.4): told to the server, or decisive for the way
 * the connection took? It has been placed. */
bool connection_is_vouched(const struct connection *connection);
/* The far side, with the PROXY header that the server is to be sent; `session` is the TurboTLS
 * session, whose id it tells, or NULL. It has been placed, and what was asked for resolved. NULL:
 * out of memory.
 */
struct side *connection_open(const struct connection *connection,
                             const struct turbo_client_hello *hello,
                             const struct turbo_server *session);
/* The same over TCP, whatever the upstream speaks: the client has said nothing yet. */
struct side *connection_open_plain(const struct connection *connection);
/* It is being relayed: what was asked for is no longer needed. */
void connection_arrived(struct connection *connection);
/* It is over: writes its record. `server` has served it; NULL: none has. */
void connection_end(struct connection *connection, const struct server *server);
/* Its record goes on elsewhere: as connection_end, but for the record. */
void connection_dismiss(struct connection *connection);

#endif
