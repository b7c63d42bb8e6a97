#include <stdlib.h>

#include "proxy/arrival_parts.h"
#include "proxy/listener.h"
#include "proxy/listener_group.h"
#include "proxy/worker.h"
#include "tunnel/net/crypto.h"
#include "turbo/wire.h"

/* A connection on its way. */
struct removal {
    struct message message;
    struct worker *to;
    struct listener_group *group; /* held: of the listener that it came by */
    struct arrival *arrival;      /* whose connection is begun anew where it goes */
    struct address client, server;
    turbo_time started;
};

/* ---- where it comes from ---- */

static unsigned owners_of(const struct arrival *a)
{
    return listener_group(a->connection.listener)->owners;
}

/* May another worker have its session? Where one has all of them the others have none. */
static bool is_shared(const struct arrival *a)
{
    return owners_of(a) > 0 && a->worker->mates->count > 1;
}

/* Whose first byte is no marked id's may be a draft session's, if any is pending. */
bool arrival_is_undecided(const struct arrival *a)
{
    return is_shared(a) && a->length <= TURBO_SHARE_BYTE &&
           !turbo_starts_record(a->bytes, a->length) &&
           (turbo_looks_like_id(a->bytes, a->length) ||
            listener_is_pending(a->connection.listener));
}

static void leave(struct arrival *a)
{
    struct worker *w = a->worker;
    arrival_leave(a);
    worker_forget(w, a->fd);
    connection_dismiss(&a->connection);
    worker_connection_ended(w);
}

static void deliver(struct message *message, struct worker *worker);

static void move(struct arrival *a, struct worker *to)
{
    struct removal *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        arrival_end(a, TURBO_REASON_NONE, true);
        return;
    }
    r->message.deliver = deliver;
    r->to = to;
    r->group = listener_group_hold(listener_group(a->connection.listener));
    r->arrival = a;
    r->client = a->connection.access.client;
    r->server = a->asked.server;
    r->started = a->connection.access.started;
    worker_connection_sent(a->worker);
    (void)listener_group_began(r->group, 0);
    leave(a);
    inbox_put(&to->inbox, &r->message);
}

/* With no session to join the owner would only note that the id has been used. */
static bool is_served_here(const struct arrival *a)
{
    return (a->far != NULL || a->opening.kind == TURBO_OPENING_CLASSIC) &&
           !listener_is_pending(a->connection.listener);
}

bool arrival_moves(struct arrival *a)
{
    a->stayed = is_shared(a) && is_served_here(a);
    if (!is_shared(a) || a->stayed) {
        a->at_home = true;
        return false;
    }
    int owner = turbo_opening_owner(&a->opening, crypto_sha256, a->bytes, a->length, owners_of(a));
    a->at_home = owner == (int)a->worker->index;
    if (owner < 0 || a->at_home)
        return false;
    move(a, a->worker->mates->workers[owner]);
    return true;
}

/* ---- an id that goes without its connection ---- */

struct used_id {
    struct message message;
    struct listener_group *group; /* held */
    struct turbo_id id;
};

static void free_id(struct used_id *u)
{
    listener_group_release(u->group);
    free(u);
}

static void deliver_id(struct message *message, struct worker *worker)
{
    struct used_id *u = (struct used_id *)message;
    struct listener *l = worker == NULL ? NULL : worker_listener(worker, u->group);
    if (l != NULL && listener_udp(l) != NULL) {
        turbo_endpoint_went_by_tcp(udp_endpoint_turbo(listener_udp(l)), worker->now, &u->id);
        listener_note_pending(l);
        worker_check_drained(worker); /* it may have ended the last one that was waited for */
    }
    free_id(u);
}

/* Out of memory, or the owner does not get round to it, or is just reading the request: that starts
 * a session that nobody joins, and that ends by its timers. */
static void tell_owner(const struct arrival *a, struct worker *owner, const struct turbo_id *id)
{
    struct used_id *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return;
    *u = (struct used_id){.message = {.deliver = deliver_id},
                          .group = listener_group_hold(listener_group(a->connection.listener)),
                          .id = *id};
    if (!inbox_leave(&owner->inbox, &u->message))
        free_id(u);
}

bool arrival_goes_on_here(struct arrival *a)
{
    struct turbo_id id;
    if (!a->stayed)
        return false;
    turbo_id_from_hello(&id, crypto_sha256, a->bytes, a->opening.hello.length);
    unsigned owner = id.bytes[TURBO_SHARE_BYTE] % owners_of(a);
    if (owner != a->worker->index)
        tell_owner(a, a->worker->mates->workers[owner], &id);
    else if (listener_is_pending(a->connection.listener)) /* by now */
        return false;
    else
        turbo_endpoint_went_by_tcp(arrival_endpoint(a), a->worker->now, &id);
    return true;
}

/* ---- where it goes ---- */

static void settle_in(const struct removal *r, struct listener *listener)
{
    struct arrival *a = r->arrival;
    a->worker = listener_worker(listener);
    a->at_home = true;
    ev_io_set(&a->io, a->fd, EV_READ); /* new to this loop, which may know another of its number */
    connection_begin(&a->connection, &a->asked, listener, &r->client, &r->server, r->started);
    listener_group_ended(r->group); /* it has been counted anew */
    arrival_begin(a);
}

static void go_on(struct arrival *a)
{
    if (a->opening.kind == TURBO_OPENING_CLASSIC) {
        arrival_act(a);
        return;
    }
    turbo_opening_init(&a->opening); /* this worker knows more ids */
    arrival_judge(a, 0);
}

/* Its listener is there: what is on its way counts (listener_is_unused). Where the worker ends it
 * is cut off together with what the worker has, and as that. */
static void deliver(struct message *message, struct worker *worker)
{
    struct removal *r = (struct removal *)message;
    struct listener *listener = worker_listener(r->to, r->group);
    settle_in(r, listener);
    if (worker != NULL)
        go_on(r->arrival);
    if (!listener_is_open(listener))
        r->to->has_closed = true; /* while it was on its way: is it too late to join? */
    worker_connection_received(r->to);
    if (worker != NULL)
        worker_check_drained(worker);
    listener_group_release(r->group);
    free(r);
}
