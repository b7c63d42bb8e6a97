#include "proxy/sides/turbo_client_parts.h"

#include <assert.h>
#include <errno.h>

#include "proxy/reach.h"
#include "proxy/sides/turbo_session.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"
#include "turbo/learned.h"

/* ---- sessions ---- */

static struct turbo_learned *learned_of(const struct server *server, const struct address *peer)
{
    return &memory_of(server->memory, peer)->learned;
}

static bool is_in_room(const struct turbo_client_side *s, const struct turbo_client *session)
{
    return (const void *)session == (const void *)s->room;
}

static struct turbo_client *new_session(struct turbo_client_side *s)
{
    discovery_remember(&s->discovery, s->server);
    address_set_port(&s->peer, discovery_udp_port(s->server, &s->peer));
    struct turbo_learned *learned = learned_of(s->server, &s->peer);
    s->unknown = !discovery_allows(&s->discovery, &s->peer, learned);
    struct turbo_session_call call = {.room = is_in_room(s, s->session) ? NULL : s->room,
                                      .blocks = &s->worker->blocks,
                                      .settings = s->upstream->settings,
                                      .learned = learned,
                                      .unknown = s->unknown,
                                      .attempt = s->attempt,
                                      .syn_at = s->syn_at};
    return turbo_session_new(&call, s->worker->now);
}

/* What it has taught is kept for later connections to the address it was for. */
static void free_session(const struct turbo_client_side *s, struct turbo_client *session,
                         struct server *server, const struct address *peer)
{
    if (session != NULL)
        turbo_session_free(session, is_in_room(s, session) ? NULL : &s->worker->blocks, server,
                           learned_of(server, peer), s->worker->now);
}

static void give_up(struct turbo_client_side *s, int error)
{
    reach_cancel(s->reach);
    s->reach = NULL;
    s->base.lost = SIDE_UNREACHED;
    s->base.error = (int16_t)error;
}

/* The session for the SYN that has left to `s->peer`, with what the app has said so far. False: no
 * memory; all is as before. */
static bool begin_session(struct turbo_client_side *s, struct server *server_before,
                          const struct address *peer_before)
{
    struct turbo_client *before = s->session;
    struct turbo_client *session = new_session(s);
    if (session == NULL)
        return false;
    s->session = session;
    s->begins_anew = false;
    session_udp_close(&s->udp); /* that of the attempt before */
    if (turbo_client_uses_udp(s->session))
        session_udp_open(&s->udp, &s->peer, s->syn, s->upstream->config->mark);
    if (before != NULL) {
        const uint8_t *data;
        size_t length = turbo_client_unsent(before, &data);
        turbo_client_push(s->session, s->worker->now, data, length);
        free_session(s, before, server_before, peer_before);
    }
    if (s->ended)
        turbo_client_push_end(s->session, s->worker->now);
    return true;
}

/* ---- what reach and discovery tell ---- */

/* A SYN has left: a new attempt (protocol §6.1). */
static void on_started(void *owner, int fd, const struct address *peer, struct server *server)
{
    struct turbo_client_side *s = owner;
    assert(s->tag == TURBO_CLIENT_TAG);
    struct address peer_before = s->peer;
    struct server *server_before = s->server;
    bool delivered = false;
    if (s->session != NULL && turbo_client_report(s->session).asked) {
        /* The server end that was asked need not wait for us. */
        turbo_client_tcp_failed(s->session, s->worker->now);
        session_udp_send(&s->udp, s->session, s->worker->now);
        delivered = turbo_client_report(s->session).delivered;
    }
    s->peer = *peer;
    s->server = server_hold(server);
    s->syn = fd;
    s->syn_at = s->worker->now;
    /* Else the app has bytes of the host that has now failed. */
    if (!delivered && begin_session(s, server_before, &peer_before)) {
        server_release(server_before);
        turbo_client_step_and_wake(s);
        return;
    }
    server_release(s->server);
    s->peer = peer_before;
    s->server = server_before;
    give_up(s, delivered ? ECONNABORTED : ENOMEM);
    side_wake(&s->base);
}

/* The server turns out to speak TurboTLS while TCP connects: what UDP can still save it saves. */
static void on_told(void *owner)
{
    struct turbo_client_side *s = owner;
    assert(s->tag == TURBO_CLIENT_TAG);
    if (s->session == NULL || s->reach == NULL || !s->unknown ||
        !discovery_allows(&s->discovery, &s->peer,
                          &memory_of(s->server->memory, &s->peer)->learned))
        return;
    struct address peer_before = s->peer;
    (void)begin_session(s, s->server, &peer_before); /* no memory: it goes on without UDP */
    turbo_client_step_and_wake(s);
}

static void on_up(void *owner, int fd, const struct address *peer, struct server *server)
{
    (void)peer;
    struct turbo_client_side *s = owner;
    assert(s->tag == TURBO_CLIENT_TAG);
    s->reach = NULL;
    s->base.server = server;
    stream_open(&s->tcp, fd);
    socket_retry_evenly(fd);
    turbo_client_tcp_up(s->session, s->worker->now);
    turbo_client_step_and_wake(s);
}

static void on_failed(void *owner, int code)
{
    struct turbo_client_side *s = owner;
    assert(s->tag == TURBO_CLIENT_TAG);
    s->reach = NULL;
    s->base.lost = SIDE_UNREACHED;
    s->base.error = (int16_t)code;
    if (s->session != NULL)
        turbo_client_tcp_failed(s->session, s->worker->now);
    turbo_client_step_and_wake(s);
}

static const struct reach_events reach_events = {
    .started = on_started, .up = on_up, .failed = on_failed};

/* ---- for turbo_client.c ---- */

bool turbo_client_connect(struct turbo_client_side *s, const struct upstream_call *call)
{
    s->syn = -1;
    discovery_start(&s->discovery, s->worker, s->upstream, call, on_told, s);
    s->reach = reach_start(s->worker, s->upstream, call->target, &reach_events, s);
    return s->reach != NULL;
}

/* Where the app knows nothing yet of a session that has failed, another may have more luck: with a
 * new TCP connection, since a Sandwich server knows this one by its id. */
void turbo_client_begin_anew(struct turbo_client_side *s)
{
    s->begins_anew = turbo_client_report(s->session).again;
    if (s->begins_anew) {
        s->attempt++;
        stream_close(&s->tcp, s->worker->loop, true);
        reach_cancel(s->reach);
        reach_end(s->base.server);
        s->base.server = NULL;
        s->reach = reach_start(s->worker, s->upstream, NULL, &reach_events, s);
        s->begins_anew = s->reach != NULL;
    }
    if (!s->begins_anew)
        s->base.lost = SIDE_RESET;
}

void turbo_client_connect_end(struct turbo_client_side *s)
{
    discovery_stop(&s->discovery);
    reach_cancel(s->reach);
    reach_end(s->base.server);
    free_session(s, s->session, s->server, &s->peer);
    server_release(s->server);
}
