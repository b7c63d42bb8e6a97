#include "proxy/connection.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/ops/stats.h"
#include "proxy/prelude/proxy_header.h"
#include "proxy/route.h"
#include "proxy/sides/plain.h"
#include "proxy/target.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"

/* ---- its life ---- */

static void count_under(struct connection *c, const struct config_route *route)
{
    stats_left(c->stats);
    stats_release(c->worker->stats, c->stats);
    c->stats = stats_hold_again(generation_stats(c->generation, c->settings, route));
    stats_began(c->stats);
}

void connection_begin(struct connection *c, struct listener *listener, const struct address *client,
                      const struct address *server, turbo_time since)
{
    *c = (struct connection){.worker = listener_worker(listener),
                             .listener = listener_hold(listener),
                             .generation = generation_hold(listener_generation(listener)),
                             .settings = listener_settings(listener),
                             .server = *server};
    access_init(&c->access, client, c->settings->name, NULL, since);
    listener_connection_began(listener);
    count_under(c, NULL);
}

void connection_accepted(struct connection *c, struct listener *listener,
                         const struct address *client, int fd)
{
    struct address server;
    socket_local_address(fd, &server);
    connection_begin(c, listener, client, &server, listener_worker(listener)->now);
}

void connection_vouched(struct connection *c, const struct address *client,
                        const struct address *server)
{
    c->access.client = *client;
    c->server = *server;
}

void connection_arrived(struct connection *c)
{
    free(c->target);
    c->target = NULL;
}

static void release(struct connection *c)
{
    connection_arrived(c);
    stats_release(c->worker->stats, c->stats);
    upstream_release(c->upstream);
    struct generation *generation = c->generation;
    struct listener *listener = c->listener;
    memset(c, 0, sizeof(*c));
    listener_connection_ended(listener);
    generation_release(generation);
    listener_release(listener);
}

void connection_end(struct connection *c)
{
    access_end(&c->access, c->worker->log, c->worker->now);
    stats_ended(c->stats, &c->access);
    release(c);
}

void connection_dismiss(struct connection *c)
{
    access_free(&c->access);
    stats_left(c->stats);
    release(c);
}

/* ---- where it goes ---- */

bool connection_request(struct connection *c, struct target *target)
{
    char text[TARGET_TEXT_BYTES];
    c->target = target;
    if (target != NULL)
        access_add_requested(&c->access, target_text(target, text));
    return target != NULL;
}

enum turbo_reason connection_place(struct connection *c, const struct turbo_client_hello *hello)
{
    if (hello != NULL) {
        c->is_tls = true;
        access_add_hello(&c->access, hello);
    }
    if (!route_allows(c->settings, &c->access.client))
        return TURBO_REASON_DENIED;
    const struct route_facts facts = {
        .client = &c->access.client, .hello = hello, .target = c->target};
    const struct config_route *route = route_find(c->settings, &facts);
    if (route == NULL)
        return TURBO_REASON_NO_ROUTE;
    if (route == c->route)
        return TURBO_REASON_NONE;
    upstream_release(c->upstream);
    c->route = route;
    c->upstream = upstream_hold(c->generation->upstreams[route->upstream]);
    access_add_route(&c->access, route->name, c->upstream->settings->name);
    count_under(c, route);
    return TURBO_REASON_NONE;
}

bool connection_is_vouched(const struct connection *c)
{
    return c->upstream->settings->proxy_header != CONFIG_PROXY_NONE ||
           route_vouches(c->settings, c->route);
}

static size_t write_header(const struct connection *c, const struct turbo_client_hello *hello,
                           const struct turbo_server *session,
                           uint8_t out[static PROXY_HEADER_OUT_MAX])
{
    struct turbo_id id;
    struct proxy_facts facts = {.client = &c->access.client, .server = &c->server};
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
    switch (c->upstream->settings->proxy_header) {
    case CONFIG_PROXY_V1: return proxy_header_write_v1(&facts, out);
    case CONFIG_PROXY_V2: return proxy_header_write_v2(&facts, out);
    case CONFIG_PROXY_NONE: break;
    }
    return 0;
}

/* Whose HTTPS record may tell of TurboTLS. */
static const char *name_of(const struct connection *c, const struct turbo_client_hello *hello)
{
    if (c->target != NULL && c->target->is_name)
        return c->target->host;
    return hello != NULL && hello->server_name[0] != '\0' ? hello->server_name : NULL;
}

static struct side *open_far(const struct connection *c, const struct turbo_client_hello *hello,
                             const struct turbo_server *session, bool plain)
{
    uint8_t header[PROXY_HEADER_OUT_MAX];
    struct upstream_call call = {
        .target = c->target, .name = name_of(c, hello), .prelude = header, .plain = plain};
    call.prelude_length = write_header(c, hello, session, header);
    return upstream_open(c->upstream, c->worker, &call);
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
