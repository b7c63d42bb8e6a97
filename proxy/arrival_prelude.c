#include <sys/socket.h>

#include "proxy/arrival_parts.h"
#include "proxy/listener.h"
#include "proxy/talk.h"
#include "proxy/worker.h"

/* What a client is told may be behind bytes of its own that nobody reads: a reset would take it
 * back. So it has this long to read it, and go. */
static const double LEAVE_SECONDS = 2.;

static void watch(struct arrival *a, int events)
{
    ev_io_stop(a->worker->loop, &a->io);
    ev_io_set(&a->io, a->fd, events);
    if (events != 0)
        ev_io_start(a->worker->loop, &a->io);
}

void arrival_limit_leaving(struct arrival *a)
{
    struct ev_loop *loop = a->worker->loop;
    ev_timer_stop(loop, &a->timeout);
    ev_timer_set(&a->timeout, LEAVE_SECONDS, 0.);
    ev_timer_start(loop, &a->timeout);
}

/* It comes to nothing, and the record says why; the client is given time to read what it was told.
 */
static void leave(struct arrival *a, enum turbo_reason reason)
{
    arrival_drop_plans(a);
    a->stage = ARRIVAL_LEAVING;
    a->otherwise = reason;
    talk_end(a->talk);
    a->talk = NULL;
    shutdown(a->fd, SHUT_WR);
    watch(a, EV_READ);
    arrival_limit_leaving(a);
}

static enum turbo_reason reason_of(const struct arrival *a, enum prelude_fault fault)
{
    if (a->otherwise != TURBO_REASON_NONE)
        return a->otherwise;
    if (fault == PRELUDE_INJECTED)
        return TURBO_REASON_INJECTED;
    if (fault == PRELUDE_NO_LOGIN)
        return TURBO_REASON_NO_LOGIN;
    return a->stage == ARRIVAL_REQUEST ? TURBO_REASON_BAD_REQUEST : TURBO_REASON_NO_TLS;
}

static void done(struct arrival *a)
{
    const struct prelude *prelude = talk_prelude(a->talk);
    const uint8_t *rest;
    size_t length = prelude_rest(prelude, &rest);
    if (!arrival_keep(a, rest, length, talk_unheard(a->talk))) {
        arrival_end(a, TURBO_REASON_NONE, true);
        return;
    }
    a->only_tls = a->stage == ARRIVAL_STARTTLS;
    a->only_alpn = prelude_direct_alpn(prelude);
    talk_end(a->talk);
    a->talk = NULL;
    watch(a, EV_READ);
    arrival_next_stage(a);
}

static void over(struct arrival *a)
{
    enum prelude_fault fault = prelude_fault(talk_prelude(a->talk));
    enum turbo_reason reason = reason_of(a, fault);
    if (fault == PRELUDE_INJECTED)
        arrival_end(a, reason, true);
    else
        leave(a, reason);
}

void arrival_converse(struct arrival *a)
{
    switch (talk_run(a->talk)) {
    case TALK_MORE: watch(a, talk_wants_write(a->talk) ? EV_WRITE : EV_READ); break;
    case TALK_ASKED:
        watch(a, 0); /* until there is an answer */
        arrival_asked(a);
        break;
    case TALK_DONE: done(a); break;
    case TALK_OVER: over(a); break;
    case TALK_LOST: arrival_end(a, TURBO_REASON_NONE, true); break;
    }
}

void arrival_speak(struct arrival *a, const struct prelude_part *part)
{
    const struct config_listener *settings = a->connection.settings;
    a->talk = talk_start(part, a->fd, settings->logins, settings->login_count);
    if (a->talk == NULL) {
        arrival_end(a, TURBO_REASON_NONE, true);
        return;
    }
    talk_hear_first(a->talk, a->bytes, a->length);
    arrival_converse(a);
}
