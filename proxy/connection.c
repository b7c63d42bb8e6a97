#include "proxy/connection.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/ops/stats.h"
#include "proxy/prelude/proxy_header.h"
#include "proxy/route.h"
#include "proxy/server.h"
#include "proxy/sides/plain.h"
#include "proxy/target.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"

/* ---- its life ---- */

static struct route_stats *stats_of(const struct connection *c)
{
    return generation_stats(c->generation, c->settings, c->route);
}

struct upstream *connection_upstream(const struct connection *c)
{
    return c->generation->upstreams[c->route->upstream];
}

void connection_begin(struct connection *c, struct connection_asked *asked,
                      struct listener *listener, const struct address *client,
                      const struct address *server, turbo_time since)
{
    *asked = (struct connection_asked){.server = *server};
    *c = (struct connection){.listener = listener_hold(listener),
                             .generation = generation_hold(listener_generation(listener)),
                             .settings = listener_settings(listener),
                             .asked = asked};
    access_init(&c->access, client, since);
    listener_connection_began(listener);
    stats_began(stats_of(c));
}

/* Does a server want to be told where the client connected to? To find out is a system call. */
static bool is_told(const struct generation *g)
{
    for (size_t i = 0; i < g->config->upstream_count; i++)
        if (g->config->upstreams[i].proxy_header != CONFIG_PROXY_NONE)
            return true;
    return false;
}

void connection_accepted(struct connection *c, struct connection_asked *asked,
                         struct listener *listener, const struct address *client, int fd)
{
    struct address server = {0};
    if (is_told(listener_generation(listener)))
        socket_local_address(fd, &server);
    connection_begin(c, asked, listener, client, &server, listener_worker(listener)->now);
}

void connection_refuse(const struct listener *l, const struct address *client,
                       enum turbo_reason reason)
{
    const struct worker *w = listener_worker(l);
    struct route_stats *stats =
        generation_stats(listener_generation(l), listener_settings(l), NULL);
    struct access access;
    access_init(&access, client, w->now);
    access_fail(&access, reason);
    stats_began(stats);
    access_end(&access, &(struct access_names){.listener = listener_settings(l)->name}, w->log,
               w->now);
    stats_ended(stats, &access);
}

void connection_vouched(struct connection *c, const struct address *client,
                        const struct address *server)
{
    c->access.client = *client;
    c->asked->server = *server;
}

void connection_arrived(struct connection *c)
{
    if (c->asked != NULL)
        free(c->asked->target);
    c->asked = NULL;
}

static void release(struct connection *c)
{
    connection_arrived(c);
    struct generation *generation = c->generation;
    struct listener *listener = c->listener;
    memset(c, 0, sizeof(*c));
    generation_release(generation);
    listener_release(listener);
}

void connection_end(struct connection *c, const struct server *server)
{
    const struct worker *worker = listener_worker(c->listener);
    const struct config_route *route = c->route;
    struct access_names names = {.listener = c->settings->name,
                                 .route = route == NULL ? NULL : route->name,
                                 .upstream =
                                     route == NULL ? NULL : connection_upstream(c)->settings->name,
                                 .server = server == NULL ? NULL : server->text};
    listener_connection_ended(c->listener); /* its place is free when its record is read */
    access_end(&c->access, &names, worker->log, worker->now);
    stats_ended(stats_of(c), &c->access);
    release(c);
}

void connection_dismiss(struct connection *c)
{
    listener_connection_ended(c->listener);
    access_free(&c->access);
    stats_left(stats_of(c));
    release(c);
}

/* ---- where it goes ---- */

bool connection_request(struct connection *c, struct target *target)
{
    char text[TARGET_TEXT_BYTES];
    c->asked->target = target;
    if (target != NULL)
        access_add_requested(&c->access, target_text(target, text));
    return target != NULL;
}

enum turbo_reason connection_place(struct connection *c, const struct turbo_client_hello *hello)
{
    if (hello != NULL) {
        c->access.is_tls = true;
        access_add_hello(&c->access, hello, listener_worker(c->listener)->log);
    }
    if (!route_allows(c->settings, &c->access.client))
        return TURBO_REASON_DENIED;
    const struct route_facts facts = {
        .client = &c->access.client, .hello = hello, .target = c->asked->target};
    const struct config_route *route = route_find(c->settings, &facts);
    if (route == NULL)
        return TURBO_REASON_NO_ROUTE;
    if (route == c->route)
        return TURBO_REASON_NONE;
    stats_left(stats_of(c));
    c->route = route;
    stats_began(stats_of(c));
    return TURBO_REASON_NONE;
}

bool connection_is_vouched(const struct connection *c)
{
    return connection_upstream(c)->settings->proxy_header != CONFIG_PROXY_NONE ||
           route_vouches(c->settings, c->route);
}

static size_t write_header(const struct connection *c, const struct turbo_client_hello *hello,
                           const struct turbo_server *session,
                           uint8_t out[static PROXY_HEADER_OUT_MAX])
{
    struct turbo_id id;
    struct proxy_facts facts = {.client = &c->access.client, .server = &c->asked->server};
    if (hello != NULL) {
        size_t at = 0;
        facts.server_name = hello->server_name[0] != '\0' ? hello->server_name : NULL;
        facts.alpn = turbo_client_hello_alpn(hello, &at, &facts.alpn_length);
    }
    if (session != NULL) {
        id = turbo_server_id(session);
        facts.unique_id = id.bytes;
        facts.unique_id_length = turbo_id_bytes(turbo_server_report(session).dialect);
    }
    switch (connection_upstream(c)->settings->proxy_header) {
    case CONFIG_PROXY_V1: return proxy_header_write_v1(&facts, out);
    case CONFIG_PROXY_V2: return proxy_header_write_v2(&facts, out);
    case CONFIG_PROXY_NONE: break;
    }
    return 0;
}

/* Whose HTTPS record may tell of TurboTLS. */
static const char *name_of(const struct connection *c, const struct turbo_client_hello *hello)
{
    const struct target *target = c->asked->target;
    if (target != NULL && target->is_name)
        return target->host;
    return hello != NULL && hello->server_name[0] != '\0' ? hello->server_name : NULL;
}

static struct side *open_far(const struct connection *c, const struct turbo_client_hello *hello,
                             const struct turbo_server *session, bool plain)
{
    uint8_t header[PROXY_HEADER_OUT_MAX];
    struct upstream_call call = {
        .target = c->asked->target, .name = name_of(c, hello), .prelude = header, .plain = plain};
    call.prelude_length = write_header(c, hello, session, header);
    return upstream_open(connection_upstream(c), listener_worker(c->listener), &call);
}

struct side *connection_open(const struct connection *c, const struct turbo_client_hello *hello,
                             const struct turbo_server *session)
{
    return open_far(c, hello, session, c->route->opaque);
}

struct side *connection_open_plain(const struct connection *c)
{
    return open_far(c, NULL, NULL, true);
}
