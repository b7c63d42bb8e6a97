#include "proxy/listener_parts.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/arrival.h"
#include "proxy/connection.h"
#include "proxy/generation.h"
#include "proxy/net/inherited.h"
#include "proxy/relay.h"
#include "proxy/route.h"
#include "proxy/sides/plain.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"

enum { ACCEPTS_A_TURN = 64 };

/* ---- accepting ---- */

/* Nothing comes of it. */
static void reset(struct connection *c, int fd, enum turbo_reason reason)
{
    if (reason != TURBO_REASON_NONE)
        access_fail(&c->access, reason);
    connection_end(c, NULL);
    socket_reset(fd);
}

static void turn_away(struct listener *l, int fd, const struct address *client,
                      enum turbo_reason reason)
{
    connection_refuse(l, client, reason);
    socket_reset(fd);
}

/* To a plain upstream nobody looks inside; a turbo upstream's side tells the outcome itself. */
static void start_plain(struct listener *l, int fd, const struct address *client)
{
    struct connection c;
    struct connection_asked asked;
    connection_accepted(&c, &asked, l, client, fd);
    enum turbo_reason refused =
        listener_was_full(l) ? TURBO_REASON_LISTENER_FULL : connection_place(&c, NULL);
    if (refused != TURBO_REASON_NONE) {
        reset(&c, fd, refused);
        return;
    }
    if (connection_upstream(&c)->settings->kind == ENDPOINT_TCP || c.route->opaque) {
        c.access.listener_outcome = TURBO_OUTCOME_OPAQUE;
        c.access.listener_reason = TURBO_REASON_PLAIN_UPSTREAM;
    }
    struct side *near = plain_accepted(fd);
    if (near == NULL) {
        reset(&c, fd, TURBO_REASON_NONE);
        return;
    }
    struct side *far = connection_open(&c, NULL, NULL);
    connection_arrived(&c);
    relay_start(near, far, &c);
}

/* Must the first bytes be looked at before it is known where it goes? */
static bool must_look(const struct listener *l)
{
    const struct config_listener *s = l->settings;
    return l->udp != NULL || s->proxy_from.count > 0 || s->request != CONFIG_REQUEST_NONE ||
           s->starttls != STARTTLS_NONE || route_needs_hello(s);
}

static void look(struct listener *l, int fd, const struct address *client, bool in_front)
{
    if (l->udp != NULL && !in_front)
        udp_endpoint_accepted(l->udp, client);
    arrival_start(l, fd, client);
}

static void accepted(struct listener *l, int fd, const struct address *client)
{
    bool in_front = networks_hold(&l->settings->proxy_from, client); /* who says whom it is for */
    if (listener_is_full(l) &&
        !listener_is_pending(l)) /* a session joined is no more than before */
        turn_away(l, fd, client, TURBO_REASON_LISTENER_FULL);
    else if (!in_front && !route_allows(l->settings, client))
        turn_away(l, fd, client, TURBO_REASON_DENIED);
    else if (must_look(l))
        look(l, fd, client, in_front);
    else
        start_plain(l, fd, client);
}

void listener_take(struct listener *l, int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    struct address client;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) != 0) {
        socket_close(fd); /* it has been reset meanwhile */
        return;
    }
    address_from_sockaddr(&client, (struct sockaddr *)&peer, length);
    accepted(l, fd, &client);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    struct listener *l = io->data;
    assert(l->tag == LISTENER_TAG);
    /* One, if they come one by one: to ask for another would be in vain. */
    bool again = ev_iteration(loop) == l->accepted_at + 1;
    l->accepts = again && 2 * l->accepts < ACCEPTS_A_TURN ? 2 * l->accepts + 1 : 1;
    l->accepted_at = ev_iteration(loop);
    for (unsigned i = 0; i < l->accepts && l->fd >= 0 && l->worker->accepting; i++) {
        struct address client;
        int fd = socket_accept(l->fd, &client);
        if (fd < 0 && socket_exhausted(errno))
            worker_exhausted(l->worker, errno);
        if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
            continue;
        if (fd < 0)
            return;
        accepted(l, fd, &client);
    }
}

void listener_pause(struct listener *l)
{
    ev_io_stop(l->worker->loop, &l->io);
}

void listener_resume(struct listener *l)
{
    if (l->fd < 0 || l->waits)
        return;
    ev_io_start(l->worker->loop, &l->io);
    if (l->udp != NULL)
        udp_endpoint_listen(l->udp);
}

bool listener_is_open(const struct listener *l)
{
    return l->fd >= 0;
}

bool listener_is_leaving(const struct listener *l)
{
    return l->leaving && !l->has_heir;
}

void listener_await(struct listener *l, struct listener *predecessor)
{
    predecessor->has_heir = true;
    l->waits = true;
}

bool listener_is_waiting(const struct listener *l)
{
    return l->waits;
}

void listener_inherit(struct listener *l)
{
    l->waits = false;
}

void listener_drain(struct listener *l, bool even_if_pending)
{
    if (l->fd < 0)
        return;
    l->leaving = true;
    if (l->udp != NULL) {
        struct turbo_endpoint *turbo = udp_endpoint_turbo(l->udp);
        turbo_endpoint_drain(turbo);
        listener_note_pending(l);
        if (listener_is_pending(l) && !even_if_pending)
            return;
        turbo_endpoint_abandon(turbo, l->worker->now);
        udp_endpoint_kick(l->udp);
    }
    ev_io_stop(l->worker->loop, &l->io);
    worker_forget(l->worker, l->fd); /* a successor at the port may have the same socket */
    socket_close(l->fd);
    l->fd = -1;
    atomic_fetch_sub(&l->group->accepting, 1);
    l->worker->has_closed = true;
}

void listener_close(struct listener *l, bool even_if_pending)
{
    listener_drain(l, even_if_pending);
    if (l->fd < 0 && l->udp != NULL)
        udp_endpoint_close(l->udp);
}

size_t listener_sockets(const struct listener *l, int fds[static LISTENER_SOCKETS])
{
    size_t count = 0;
    if (l->fd >= 0)
        fds[count++] = l->fd;
    if (l->udp != NULL && udp_endpoint_fd(l->udp) >= 0)
        fds[count++] = udp_endpoint_fd(l->udp);
    return count;
}

/* ---- its life ---- */

bool listener_clashes(const struct listener *l, const struct listener *other)
{
    return config_clash(&l->bound, &other->bound) != CONFIG_CLASH_NONE;
}

/* False: out of memory. */
static bool join_group(struct listener *l, const struct listener *elder)
{
    l->group = elder == NULL ? listener_group_create() : listener_group_hold(elder->group);
    return l->group != NULL;
}

struct listener *listener_open(struct worker *worker, struct generation *generation, size_t index,
                               struct inherited *inherited, const struct listener *elder)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (l == NULL || !join_group(l, elder)) {
        log_event(worker->log, LOG_LEVEL_ERROR, "cannot listen", LOG_ERRNO(ENOMEM));
        free(l);
        return NULL;
    }
    l->tag = LISTENER_TAG;
    l->references = 1;
    l->worker = worker;
    l->fd = -1;
    listener_adopt(l, generation, index);
    ev_init(&l->io, on_readable);
    l->io.data = l;
    if (!listener_open_sockets(l, inherited, elder)) {
        listener_release(l);
        return NULL;
    }
    atomic_fetch_add(&l->group->accepting, 1);
    ev_io_set(&l->io, l->fd, EV_READ);
    return l;
}

void listener_adopt(struct listener *l, struct generation *generation, size_t index)
{
    struct generation *before = l->generation;
    l->generation = generation_hold(generation);
    l->settings = &generation->config->listeners[index];
    generation_release(before);
    if (l->udp != NULL)
        udp_endpoint_reconfigure(l->udp);
}

struct listener *listener_hold(struct listener *l)
{
    l->references++;
    return l;
}

void listener_release(struct listener *l)
{
    if (l == NULL || --l->references > 0)
        return;
    ev_io_stop(l->worker->loop, &l->io);
    udp_endpoint_destroy(l->udp);
    l->udp = NULL;
    listener_note_pending(l);
    socket_close(l->fd);
    listener_group_release(l->group);
    generation_release(l->generation);
    l->tag = 0;
    free(l);
}

void listener_note_pending(struct listener *l)
{
    bool pending = l->udp != NULL && turbo_endpoint_is_pending(udp_endpoint_turbo(l->udp));
    if (pending == l->is_pending)
        return;
    l->is_pending = pending;
    if (pending)
        atomic_fetch_add(&l->group->pending, 1);
    else if (atomic_fetch_sub(&l->group->pending, 1) == 1)
        worker_tell_mates(l->worker);
}

bool listener_is_pending(const struct listener *l)
{
    return atomic_load(&l->group->pending) > 0;
}

void listener_shed(struct listener *l)
{
    if (l->fd >= 0 || l->udp == NULL || turbo_endpoint_sessions(udp_endpoint_turbo(l->udp)) > 0)
        return;
    udp_endpoint_destroy(l->udp);
    l->udp = NULL;
    listener_note_pending(l);
}

/* In this order: what another one accepts is counted before that one is closed. */
bool listener_is_unused(const struct listener *l)
{
    return l->fd < 0 && l->references == 1 && atomic_load(&l->group->accepting) == 0 &&
           atomic_load(&l->group->connections) == 0;
}

bool listener_bequeath(const struct listener *l, struct inherited *heirs)
{
    int fds[LISTENER_SOCKETS];
    size_t count = listener_sockets(l, fds);
    for (size_t i = 0; i < count; i++) {
        int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
        if (copy < 0 || inherited_add(heirs, copy) != NULL) {
            socket_close(copy);
            return false;
        }
    }
    return true;
}

/* ---- what it is ---- */

struct worker *listener_worker(const struct listener *l)
{
    return l->worker;
}

struct generation *listener_generation(const struct listener *l)
{
    return l->generation;
}

const struct config_listener *listener_settings(const struct listener *l)
{
    return l->settings;
}

const char *listener_text(const struct listener *l)
{
    return l->text;
}

const struct address *listener_address(const struct listener *l)
{
    return &l->bound.address;
}

struct listener_group *listener_group(const struct listener *l)
{
    return l->group;
}

struct udp_endpoint *listener_udp(const struct listener *l)
{
    return l->udp;
}

size_t listener_connections(const struct listener *l)
{
    return l->connections;
}

bool listener_is_full(const struct listener *l)
{
    return listener_group_is_full(l->group, l->settings->connections_max);
}

bool listener_was_full(const struct listener *l)
{
    return l->was_full;
}

void listener_connection_began(struct listener *l)
{
    l->connections++;
    l->was_full = !listener_group_began(l->group, l->settings->connections_max);
}

void listener_connection_ended(struct listener *l)
{
    l->connections--;
    listener_group_ended(l->group);
}
