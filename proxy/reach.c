#include "proxy/reach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/listener.h"
#include "proxy/net/dial.h"
#include "proxy/target.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"
#include "turbo/protocol.h"

static const double ONE_OF_SEVERAL_SECONDS = (double)TURBO_ADDRESS_TIME / (double)TURBO_SECOND;

struct reach {
    struct worker *worker;
    struct upstream *upstream; /* held */
    const struct reach_events *events;
    void *owner;
    uint64_t tried;        /* bits, for upstream_pick */
    struct server *server; /* being tried: held, and counts it */
    bool on_trial;         /* its health_try */
    struct dial *dial;
};

void reach_end(struct server *server)
{
    if (server != NULL)
        server_left(server);
}

static void destroy(struct reach *r)
{
    reach_end(r->server);
    upstream_release(r->upstream);
    free(r);
}

static void fail(struct reach *r, int code)
{
    const struct reach_events *events = r->events;
    void *owner = r->owner;
    destroy(r);
    events->failed(owner, code);
}

static double seconds_for_one(const struct reach *r)
{
    double seconds = r->upstream->settings->connect_timeout_s;
    size_t count = r->upstream->settings->server_count;
    bool is_last = r->tried == UINT64_MAX >> (64 - count);
    return is_last || seconds < ONE_OF_SEVERAL_SECONDS ? seconds : ONE_OF_SEVERAL_SECONDS;
}

static void on_started(void *owner, int fd, const struct address *peer)
{
    struct reach *r = owner;
    if (r->events->started != NULL)
        r->events->started(r->owner, fd, peer, r->server);
}

/* Whose clients say where they want to go. */
static bool asks_at(const struct listener *listener, const struct address *address)
{
    const struct config_listener *settings = listener_settings(listener);
    const struct address *own = listener_address(listener);
    struct address any;
    address_wildcard(&any, address_family(own), address_port(address));
    bool has_all = address_equal(own, &any) &&
                   (settings->dual_stack || address_family(own) == address_family(address));
    return settings->request != CONFIG_REQUEST_NONE && (has_all || address_equal(own, address));
}

/* Where a client could ask again, in what it is relayed, and take one connection after the other
 * with a single one of its own. */
static bool is_ourselves(const struct reach *r, int fd, const struct address *peer)
{
    struct address local;
    if (!r->upstream->settings->requested)
        return false;
    socket_local_address(fd, &local);
    address_set_port(&local, address_port(peer));
    if (!address_equal(&local, peer))
        return false; /* it is not even this host */
    for (size_t i = 0; i < r->worker->listener_count; i++)
        if (asks_at(r->worker->listeners[i], peer))
            return true;
    return false;
}

static void on_failed(void *owner, const char *error, int code);

static void on_up(void *owner, int fd, const struct address *peer)
{
    struct reach *r = owner;
    if (is_ourselves(r, fd, peer)) {
        socket_close(fd);
        on_failed(r, "it is this proxy itself", ECONNREFUSED);
        return;
    }
    const struct reach_events *events = r->events;
    struct server *server = r->server;
    void *its_owner = r->owner;
    server_note_connect(server, true);
    if (!r->upstream->settings->requested)
        upstream_connected(r->upstream, server, r->worker);
    r->server = NULL;
    destroy(r);
    events->up(its_owner, fd, peer, server);
}

/* False: out of memory. */
static bool start_dial(struct reach *r, const struct dial_target *target, double seconds)
{
    static const struct dial_events events = {
        .started = on_started, .up = on_up, .failed = on_failed};
    r->dial = dial_start(r->worker->loop, r->worker->resolver, target, seconds, &events, r);
    return r->dial != NULL;
}

/* The only one that the client has asked for, at addresses that it may be connected to: its name is
 * not looked up again. False: there are none, or no memory. */
static bool try_requested(struct reach *r, const struct target *target)
{
    if (target->address_count == 0)
        return false;
    struct dial_target there = {.host = target->host,
                                .addresses = target->addresses,
                                .address_count = target->address_count,
                                .port = target->port,
                                .mark = r->upstream->config->mark,
                                .spares = &r->worker->spares,
                                .at_once = r->events->started == NULL};
    struct server *server = upstream_requested(r->upstream, target);
    if (server == NULL)
        return false;
    r->server = server_joined(server);
    server_release(server);
    return start_dial(r, &there, r->upstream->settings->connect_timeout_s);
}

/* False: nothing is left to be tried, or there is no memory. */
static bool try_next(struct reach *r)
{
    struct server *server = upstream_pick(r->upstream, r->worker->now, &r->tried);
    if (server == NULL)
        return false;
    struct dial_target there = {.host = server->host,
                                .port = server->port,
                                .mark = r->upstream->config->mark,
                                .spares = &r->worker->spares,
                                .at_once = r->events->started == NULL};
    r->server = server_joined(server);
    r->on_trial = health_try(&server->health, r->worker->now);
    if (start_dial(r, &there, seconds_for_one(r)))
        return true;
    upstream_gave_up(r->upstream, server, r->worker, r->on_trial, strerror(ENOMEM));
    return false;
}

static void on_failed(void *owner, const char *error, int code)
{
    struct reach *r = owner;
    r->dial = NULL;
    if (socket_exhausted(code)) { /* another server would need the same */
        upstream_gave_up(r->upstream, r->server, r->worker, r->on_trial, error);
        fail(r, code);
        return;
    }
    server_note_connect(r->server, false);
    if (r->upstream->settings->requested) {
        log_event(r->worker->log, LOG_LEVEL_INFO, "cannot connect to a server that was asked for",
                  LOG_TEXT("server", r->server->text), LOG_TEXT("error", error));
        fail(r, code);
        return;
    }
    upstream_failed(r->upstream, r->server, r->worker, r->on_trial, error);
    reach_end(r->server);
    r->server = NULL;
    if (!try_next(r))
        fail(r, code);
}

struct reach *reach_start(struct worker *worker, struct upstream *upstream,
                          const struct target *target, const struct reach_events *events,
                          void *owner)
{
    struct reach *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return NULL;
    r->worker = worker;
    r->upstream = upstream_hold(upstream);
    r->events = events;
    r->owner = owner;
    if (upstream->settings->requested ? try_requested(r, target) : try_next(r))
        return r;
    destroy(r);
    return NULL;
}

void reach_again(struct reach *r)
{
    dial_again(r->dial);
}

void reach_cancel(struct reach *r)
{
    if (r == NULL)
        return;
    dial_cancel(r->dial);
    health_gave_up(&r->server->health, r->on_trial);
    destroy(r);
}
