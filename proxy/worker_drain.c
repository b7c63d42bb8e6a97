#include <stdatomic.h>
#include <string.h>

#include "proxy/arrival.h"
#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/worker_parts.h"
#include "tunnel/net/socket.h"

void worker_on_drain_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(loop, EVBREAK_ALL); /* worker_destroy cuts off what is left */
}

static void stop_listening(struct worker *w, bool even_if_pending)
{
    for (size_t i = 0; i < w->listener_count; i++)
        listener_drain(w->listeners[i], even_if_pending);
}

static void stop_leaving(struct worker *w, bool even_if_pending)
{
    for (size_t i = 0; i < w->leaving_count; i++)
        listener_close(w->leaving[i], even_if_pending);
}

void worker_start_handover_timer(struct worker *w)
{
    ev_timer_stop(w->loop, &w->handover_timer);
    ev_timer_set(&w->handover_timer, w->handover_timeout_s, 0.);
    ev_timer_start(w->loop, &w->handover_timer);
}

static void note_pending(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++)
        listener_note_pending(w->listeners[i]);
    for (size_t i = 0; i < w->leaving_count; i++)
        listener_note_pending(w->leaving[i]);
}

static bool is_pending(const struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++)
        if (listener_is_pending(w->listeners[i]))
            return true;
    for (size_t i = 0; i < w->leaving_count; i++)
        if (listener_is_open(w->leaving[i]) && listener_is_pending(w->leaving[i]))
            return true;
    return false;
}

static bool has_predecessor(const struct worker *w, const struct listener *l)
{
    for (size_t i = 0; i < w->leaving_count; i++)
        if (listener_is_open(w->leaving[i]) && listener_clashes(w->leaving[i], l))
            return true;
    return false;
}

/* Those whose predecessor has closed the port that they share. */
static void start_heirs(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        struct listener *l = w->listeners[i];
        if (!listener_is_waiting(l) || has_predecessor(w, l))
            continue;
        listener_inherit(l);
        if (w->accepting)
            listener_resume(l);
    }
}

static void tell_quiet(struct worker *w)
{
    void (*quiet)(void *) = w->quiet;
    w->quiet = NULL;
    if (quiet != NULL)
        quiet(w->quiet_owner);
}

void worker_on_quiet(struct ev_loop *loop, ev_prepare *event, int events)
{
    (void)loop;
    (void)events;
    tell_quiet(event->data);
}

void worker_on_handover_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct worker *w = timer->data;
    tell_quiet(w);
    stop_leaving(w, true);
    if (w->draining)
        stop_listening(w, true);
    worker_check_drained(w);
}

void worker_quiesce(struct worker *w, void (*quiet)(void *owner), void *owner)
{
    w->quiet = quiet;
    w->quiet_owner = owner;
    for (size_t i = 0; i < w->listener_count; i++)
        if (listener_udp(w->listeners[i]) != NULL)
            turbo_endpoint_drain(udp_endpoint_turbo(listener_udp(w->listeners[i])));
    worker_start_handover_timer(w);
    worker_check_drained(w);
}

void worker_give_up_sockets(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++)
        listener_close(w->listeners[i], true);
    stop_leaving(w, true);
}

void worker_unquiesce(struct worker *w)
{
    w->quiet = NULL;
    for (size_t i = 0; i < w->listener_count; i++)
        if (listener_udp(w->listeners[i]) != NULL)
            turbo_endpoint_resume(udp_endpoint_turbo(listener_udp(w->listeners[i])));
}

size_t worker_sockets(const struct worker *w, int fds[static WORKER_SOCKETS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < w->listener_count; i++)
        count += listener_sockets(w->listeners[i], fds + count);
    return count;
}

void worker_take(struct worker *w, int fd, const char *listener)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        char text[ADDRESS_TEXT_BYTES];
        if (strcmp(address_text(listener_address(w->listeners[i]), text), listener) != 0)
            continue;
        listener_take(w->listeners[i], fd);
        return;
    }
    socket_reset(fd);
}

void worker_drain(struct worker *w)
{
    double seconds = w->generation->config->drain_timeout_s;
    if (w->draining || seconds <= 0.) {
        if (w->index == 0)
            ev_break(w->loop, EVBREAK_ALL); /* and then it ends the others */
        return;
    }
    if (w->index == 0)
        log_event(w->log, LOG_LEVEL_INFO, "stopping: no new connections, the others may finish",
                  LOG_NUMBER("connections", atomic_load(&w->mates->connections)));
    w->draining = true;
    if (w->index == 0) {
        ev_timer_set(&w->drain_timer, seconds, 0.);
        ev_timer_start(w->loop, &w->drain_timer);
    }
    worker_start_handover_timer(w);
    worker_check_drained(w);
}

/* The first one ends when nobody has any more; the others wait for it to end them, since what is on
 * its way to them may be all that is left. */
static void tell_drained(struct worker *w)
{
    if (w->index > 0)
        inbox_wake(&w->mates->workers[0]->inbox);
    else if (atomic_load_explicit(&w->mates->connections, memory_order_acquire) == 0)
        ev_break(w->loop, EVBREAK_ALL);
}

/* For sessions to be joined, or connections to end. */
static bool is_waiting(const struct worker *w)
{
    return w->draining || w->quiet != NULL || w->leaving_count > 0;
}

void worker_tell_mates(const struct worker *w)
{
    for (unsigned i = 0; is_waiting(w) && i < w->mates->count; i++)
        if (i != w->index && w->mates->workers[i] != NULL)
            inbox_wake(&w->mates->workers[i]->inbox);
}

void worker_check_drained(struct worker *w)
{
    if (is_waiting(w))
        note_pending(w);
    if (w->quiet != NULL && !is_pending(w))
        ev_feed_event(w->loop, &w->quiet_event, EV_CUSTOM);
    stop_leaving(w, false);
    start_heirs(w);
    if (w->draining)
        stop_listening(w, false);
    if (w->has_closed)
        arrivals_end_late(w);
    if (w->draining && w->connections == 0)
        tell_drained(w);
}
