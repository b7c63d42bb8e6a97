#include <errno.h>
#include <sys/epoll.h>

#include "tunnel/io/turbo_parts.h"
#include "tunnel/net/socket.h"

/* Out of descriptors or memory: how long no connection is accepted. */
static const turbo_time ACCEPT_PAUSE = 100 * TURBO_MILLISECOND;

/* Others wait for its place: so long a client has to say something. */
static const turbo_time OPENING_TIME_MIN = TURBO_SECOND;

void listener_forget(struct turbo_listener *l, int fd)
{
    if (fd >= 0)
        epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void drop(struct turbo_listener *l, struct opening *o)
{
    listener_forget(l, o->fd);
    openings_remove(&l->openings, o, true);
}

/* Its socket and bytes are somebody else's from now on. */
static void let_go(struct turbo_listener *l, struct opening *o)
{
    listener_forget(l, o->fd);
    o->fd = -1;
    o->bytes = NULL;
    openings_remove(&l->openings, o, false);
}

static void plain(struct turbo_listener *l, struct opening *o)
{
    struct accepted_io *a = accepted_tcp(o->fd, &o->peer, o->bytes, o->length);
    if (a == NULL) {
        drop(l, o);
        return;
    }
    a->outcome = TURBO_OUTCOME_CLASSIC;
    let_go(l, o);
    listener_offer(l, a);
}

static void join(struct turbo_listener *l, struct opening *o, struct turbo_server *session,
                 turbo_time now)
{
    struct accepted_io *a = turbo_server_user(session);
    accepted_join(a, o->fd, o->bytes, o->length, now);
    let_go(l, o);
    if (a->left)
        listener_deliver(l, a);
}

static void classic(struct turbo_listener *l, struct opening *o, turbo_time now)
{
    struct turbo_address from;
    struct turbo_server *session;
    const struct turbo_client_hello *hello = &o->opening.hello;
    address_to_turbo(&o->peer, &from);
    turbo_endpoint_prove(l->turbo, now, &from);
    if (hello->state == TURBO_HELLO_COMPLETE &&
        turbo_endpoint_adopt(l->turbo, now, o->bytes, hello->length, &from, &session) ==
            TURBO_JOIN_SESSION)
        join(l, o, session, now);
    else
        plain(l, o);
}

static enum opening_news tombstone(struct turbo_listener *l, struct opening *o, turbo_time now)
{
    struct turbo_address from;
    struct turbo_server *session;
    address_to_turbo(&o->peer, &from);
    turbo_endpoint_prove(l->turbo, now, &from);
    switch (turbo_endpoint_join(l->turbo, now, &o->opening.tombstone, &from, &session)) {
    case TURBO_JOIN_SESSION: join(l, o, session, now); return OPENING_MORE;
    case TURBO_JOIN_FRESH: return opening_judge_afresh(o, l->turbo);
    case TURBO_JOIN_RESET: break;
    }
    return OPENING_ENDED;
}

void listener_handle_opening(struct turbo_listener *l, struct opening *o, turbo_time now)
{
    enum opening_news news = opening_read(o, l->turbo);
    if (news == OPENING_TOMBSTONE)
        news = tombstone(l, o, now); /* MORE: it may be gone */
    switch (news) {
    case OPENING_MORE: break;
    case OPENING_CLASSIC: classic(l, o, now); break;
    case OPENING_TOMBSTONE:
    case OPENING_ENDED: drop(l, o); break;
    case OPENING_OTHER: plain(l, o); break;
    }
}

static void watch_tcp(struct turbo_listener *l, bool accepting)
{
    if (accepting == l->accepting || l->tcp_fd < 0)
        return;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &l->tcp_fd};
    if (epoll_ctl(l->epoll_fd, accepting ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, l->tcp_fd, &event) == 0)
        l->accepting = accepting;
}

static bool has_room(const struct turbo_listener *l)
{
    return l->openings.count + l->ready.count < l->waiting_max;
}

static void pause_accepting(struct turbo_listener *l, int error, turbo_time now)
{
    l->accept_error = error;
    l->accept_again = now + ACCEPT_PAUSE;
    watch_tcp(l, false);
}

static bool begin_opening(struct turbo_listener *l, int fd, const struct address *peer,
                          turbo_time now)
{
    struct opening *o = openings_add(&l->openings, fd, peer, now);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = o};
    if (o == NULL) {
        socket_reset(fd);
        return false;
    }
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        openings_remove(&l->openings, o, true);
        return false;
    }
    struct turbo_address from;
    address_to_turbo(peer, &from);
    turbo_endpoint_accepted(l->turbo, now, &from);
    return true;
}

void listener_accept_all(struct turbo_listener *l, turbo_time now)
{
    struct address peer;
    int fd;
    while (has_room(l) && (fd = socket_accept(l->tcp_fd, &peer)) >= 0)
        if (!begin_opening(l, fd, &peer, now)) {
            pause_accepting(l, ENOMEM, now);
            return;
        }
    if (!has_room(l))
        watch_tcp(l, false);
    else if (socket_exhausted(errno))
        pause_accepting(l, errno, now);
}

/* Is it silence that keeps others out? */
static bool is_crowded(const struct turbo_listener *l)
{
    return !has_room(l) && l->openings.count >= l->waiting_max / 2;
}

/* When the oldest must have said what it is. */
static turbo_time opening_deadline(const struct turbo_listener *l)
{
    if (l->openings.oldest == NULL)
        return TURBO_NEVER;
    return l->openings.oldest->since + (is_crowded(l) ? OPENING_TIME_MIN : TURBO_OPENING_TIME);
}

turbo_time listener_tcp_deadline(const struct turbo_listener *l)
{
    turbo_time deadline = opening_deadline(l);
    return l->accept_again < deadline ? l->accept_again : deadline;
}

void listener_tend_tcp(struct turbo_listener *l, turbo_time now)
{
    while (now >= opening_deadline(l))
        drop(l, l->openings.oldest);
    if (now >= l->accept_again)
        l->accept_again = TURBO_NEVER;
    watch_tcp(l, has_room(l) && l->accept_again == TURBO_NEVER);
}

void listener_end_openings(struct turbo_listener *l)
{
    while (l->openings.oldest != NULL)
        drop(l, l->openings.oldest);
}
