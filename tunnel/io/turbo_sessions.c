#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "tunnel/io/turbo_parts.h"
#include "tunnel/net/clock.h"

/* How long whoever has left waits for a reader to take what was said. */
static const turbo_time DELIVERY_TIME = 30 * TURBO_SECOND;

static void append(struct list *list, struct accepted_io *a)
{
    a->next = NULL;
    a->previous = list->last;
    *(list->last == NULL ? &list->first : &list->last->next) = a;
    list->last = a;
    list->count++;
}

static void take_out(struct list *list, struct accepted_io *a)
{
    *(a->previous == NULL ? &list->first : &a->previous->next) = a->next;
    *(a->next == NULL ? &list->last : &a->next->previous) = a->previous;
    list->count--;
}

static struct list *list_of(struct turbo_listener *l, const struct accepted_io *a)
{
    return a->left ? &l->kept : a->taken ? &l->taken : &l->ready;
}

void listener_offer(struct turbo_listener *l, struct accepted_io *a)
{
    append(&l->ready, a);
    (void)eventfd_write(l->ready_fd, 1);
}

/* Whoever accepts one and waits again is told of the others. */
static void signal_ready(struct turbo_listener *l)
{
    if (l->ready.first != NULL)
        (void)eventfd_write(l->ready_fd, 1);
}

/* ---- sessions ---- */

void turbo_listener_leave(struct turbo_listener *l, struct accepted_io *a)
{
    take_out(list_of(l, a), a);
    l->holders--;
}

/* The session is released; without TCP nothing is left of it. */
static void end_session(struct turbo_listener *l, struct accepted_io *a)
{
    turbo_server_release(a->session, clock_now());
    a->session = NULL;
    a->ended = true;
    if (a->taken && !a->left) {
        accepted_wake(a);
        return;
    }
    if (a->watched)
        listener_forget(l, a->tcp.fd);
    turbo_listener_leave(l, a);
    accepted_free(a, true);
}

static void drop_kept(struct turbo_listener *l, struct accepted_io *a, bool reset)
{
    turbo_server_release(a->session, clock_now());
    a->session = NULL;
    if (a->watched)
        listener_forget(l, a->tcp.fd);
    turbo_listener_leave(l, a);
    accepted_free(a, reset);
}

/* Whoever said it has left: TCP gets the rest as it takes it, and is closed. */
void listener_deliver(struct turbo_listener *l, struct accepted_io *a)
{
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = &l->kept};
    enum tunnel_result result = accepted_flush(a);
    if (a->deliver_until_us == 0)
        a->deliver_until_us = clock_now() + DELIVERY_TIME;
    if (result == TUNNEL_WANT_WRITE && !a->watched && !l->closed)
        a->watched = epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, a->tcp.fd, &event) == 0;
    if (result != TUNNEL_WANT_WRITE || !a->watched)
        drop_kept(l, a, result != TUNNEL_OK);
}

void listener_deliver_all(struct turbo_listener *l)
{
    for (struct accepted_io *a = l->kept.first, *next; a != NULL; a = next) {
        next = a->next;
        if (a->tcp.fd >= 0)
            listener_deliver(l, a);
    }
}

/* A reader that takes nothing does not hold it for ever. */
void listener_end_old_deliveries(struct turbo_listener *l, turbo_time now)
{
    for (struct accepted_io *a = l->kept.first, *next; a != NULL; a = next) {
        next = a->next;
        if (a->tcp.fd >= 0 && now >= a->deliver_until_us)
            drop_kept(l, a, true);
    }
}

turbo_time listener_delivery_deadline(const struct turbo_listener *l)
{
    turbo_time deadline = TURBO_NEVER;
    for (const struct accepted_io *a = l->kept.first; a != NULL; a = a->next)
        if (a->tcp.fd >= 0 && a->deliver_until_us < deadline)
            deadline = a->deliver_until_us;
    return deadline;
}

void turbo_listener_keep(struct turbo_listener *l, struct accepted_io *a)
{
    take_out(&l->taken, a);
    a->left = true;
    append(&l->kept, a);
    if (a->tcp.fd >= 0)
        listener_deliver(l, a);
}

static void new_session(struct turbo_listener *l, struct turbo_server *session, turbo_time now)
{
    struct accepted_io *a = accepted_session(l, session, now);
    if (a == NULL) {
        turbo_server_refuse(session);
        turbo_server_release(session, now);
        return;
    }
    l->holders++;
    listener_offer(l, a);
}

void listener_handle_events(struct turbo_listener *l, turbo_time now)
{
    struct turbo_server *session;
    enum turbo_event event;
    while ((event = turbo_endpoint_poll_event(l->turbo, &session)) != TURBO_EVENT_NONE)
        switch (event) {
        case TURBO_EVENT_NONE: break;
        case TURBO_EVENT_NEW: new_session(l, session, now); break;
        case TURBO_EVENT_MORE: accepted_wake(turbo_server_user(session)); break;
        case TURBO_EVENT_ENDED: end_session(l, turbo_server_user(session)); break;
        }
}

static void drop_ready(struct turbo_listener *l)
{
    struct accepted_io *a;
    while ((a = l->ready.first) != NULL) {
        take_out(&l->ready, a);
        if (a->session != NULL) {
            turbo_server_release(a->session, clock_now());
            l->holders--;
        }
        accepted_free(a, true);
    }
}

struct accepted_io *listener_take_ready(struct turbo_listener *l)
{
    struct accepted_io *a = l->ready.first;
    if (a == NULL)
        return NULL;
    take_out(&l->ready, a);
    a->taken = true;
    if (a->session != NULL)
        append(&l->taken, a);
    signal_ready(l);
    return a;
}

void listener_end_sessions(struct turbo_listener *l)
{
    turbo_time now = clock_now();
    drop_ready(l);
    turbo_endpoint_drain(l->turbo);
    turbo_endpoint_abandon(l->turbo, now);
    listener_handle_events(l, now);
    while (l->kept.first != NULL)
        drop_kept(l, l->kept.first, true);
}
