#include "proxy/arrival_parts.h"
#include "proxy/listener.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"

/* A client may take so long for its first bytes, however many others there are: a round trip, long
 * or, where nobody else could be accepted, short. */
static const turbo_time GRACE_TIME = 250 * TURBO_MILLISECOND;
static const turbo_time GRACE_TIME_FULL = 50 * TURBO_MILLISECOND;

void arrivals_end_late(struct worker *w)
{
    if (w->ending_late)
        return; /* each end comes back here */
    w->ending_late = true;
    while (w->has_closed) {
        w->has_closed = false;
        struct arrival *next;
        for (struct arrival *a = w->arrivals; a != NULL; a = next) {
            next = a->next;
            if (a->only_joins && !listener_is_open(a->connection.listener))
                arrival_end(a, a->otherwise, true);
        }
    }
    w->ending_late = false;
}

/* Who has said nothing may have a session by UDP, which goes to whoever listens now. */
static bool is_anybodys(const struct arrival *a)
{
    return !a->spoke && !a->only_joins && a->far == NULL && arrival_endpoint(a) != NULL;
}

static void leave(struct arrival *a)
{
    struct worker *w = a->worker;
    connection_dismiss(&a->connection);
    socket_close(a->fd);
    arrival_dismiss(a);
    worker_connection_ended(w);
}

void arrivals_pass_on(struct worker *w, arrival_heir *heir, void *owner)
{
    bool ending_late = w->ending_late;
    bool taken = true;
    struct arrival *next;
    w->ending_late = true; /* none but those that are passed on may go meanwhile */
    for (struct arrival *a = w->arrivals; a != NULL && taken; a = next) {
        next = a->next;
        if (!is_anybodys(a))
            continue;
        taken = heir(owner, a->fd, listener_address(a->connection.listener));
        if (taken)
            leave(a);
    }
    w->ending_late = ending_late;
}

void arrivals_make_room(struct worker *w)
{
    turbo_time grace = w->connections < w->connections_max ? GRACE_TIME : GRACE_TIME_FULL;
    if (worker_is_crowded(w) && w->now >= w->oldest_arrival->connection.access.started + grace)
        arrival_end(w->oldest_arrival, TURBO_REASON_CROWDED_OUT, true);
}
