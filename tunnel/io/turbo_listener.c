#include "tunnel/io/turbo_listener.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tunnel/failure.h"
#include "tunnel/io/listener.h"
#include "tunnel/io/openings.h"
#include "tunnel/net/clock.h"
#include "tunnel/net/crypto.h"
#include "tunnel/net/socket.h"
#include "tunnel/net/udp.h"

enum { EVENTS_A_TURN = 64, BATCHES_A_TURN = 4, WAITING_DEFAULT = 1024 };

/* Out of descriptors or memory: how long no connection is accepted. */
static const turbo_time ACCEPT_PAUSE = 100 * TURBO_MILLISECOND;

struct list {
    struct accepted_io *first, *last;
    uint32_t count;
};

struct turbo_listener {
    pthread_mutex_t lock;
    unsigned holders; /* its user, and every accepted_io with a session */
    int epoll_fd, tcp_fd, udp_fd, timer_fd;
    int ready_fd; /* an eventfd: `ready` has grown */
    int family;   /* of the UDP socket */
    struct turbo_endpoint *turbo;
    struct openings openings;
    struct list ready; /* to be accepted */
    struct list taken; /* sessions that their users have */
    struct list kept;  /* sessions that their users have left */
    uint32_t waiting_max;
    bool accepting; /* TCP is being watched */
    int accept_error;
    turbo_time accept_again; /* TURBO_NEVER: no pause */
};

/* ---- lists ---- */

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

static void offer(struct turbo_listener *l, struct accepted_io *a)
{
    append(&l->ready, a);
    (void)eventfd_write(l->ready_fd, 1);
}

/* ---- sessions ---- */

void turbo_listener_leave(struct turbo_listener *l, struct accepted_io *a)
{
    take_out(list_of(l, a), a);
    l->holders--;
}

void turbo_listener_keep(struct turbo_listener *l, struct accepted_io *a)
{
    take_out(&l->taken, a);
    append(&l->kept, a);
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
    turbo_listener_leave(l, a);
    accepted_free(a, true);
}

/* TCP has come for one whose user has left: what it said is delivered, as far as that goes at once.
 */
static void deliver_and_free(struct turbo_listener *l, struct accepted_io *a)
{
    const uint8_t *data;
    size_t taken = 0, length = turbo_server_tcp_peek(a->session, &data);
    bool all = length == 0 ||
               (descriptor_write(a->tcp, data, length, &taken) == TUNNEL_OK && taken == length);
    turbo_server_release(a->session, clock_now());
    a->session = NULL;
    turbo_listener_leave(l, a);
    accepted_free(a, !all);
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
    offer(l, a);
}

static void handle_events(struct turbo_listener *l, turbo_time now)
{
    struct turbo_server *session;
    enum turbo_event event;
    while ((event = turbo_endpoint_poll_event(l->turbo, &session)) != TURBO_EVENT_NONE) {
        if (event == TURBO_EVENT_NEW)
            new_session(l, session, now);
        else
            end_session(l, turbo_server_user(session));
    }
}

/* ---- TCP ---- */

/* Its socket and bytes are somebody else's from now on. */
static void let_go(struct turbo_listener *l, struct opening *o)
{
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, o->fd, NULL);
    o->fd = -1;
    o->bytes = NULL;
    openings_remove(&l->openings, o, false);
}

static void plain(struct turbo_listener *l, struct opening *o)
{
    struct accepted_io *a = accepted_tcp(o->fd, &o->peer, o->bytes, o->length);
    if (a == NULL) {
        openings_remove(&l->openings, o, true);
        return;
    }
    a->outcome = TURBO_OUTCOME_CLASSIC;
    let_go(l, o);
    offer(l, a);
}

static void join(struct turbo_listener *l, struct opening *o, struct turbo_server *session,
                 turbo_time now)
{
    struct accepted_io *a = turbo_server_user(session);
    accepted_join(a, o->fd, o->bytes, o->length, now);
    let_go(l, o);
    if (a->left)
        deliver_and_free(l, a);
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

static void handle_opening(struct turbo_listener *l, struct opening *o, turbo_time now)
{
    enum opening_news news = opening_read(o, l->turbo);
    if (news == OPENING_TOMBSTONE)
        news = tombstone(l, o, now); /* MORE: it may be gone */
    switch (news) {
    case OPENING_MORE: break;
    case OPENING_CLASSIC: classic(l, o, now); break;
    case OPENING_TOMBSTONE:
    case OPENING_ENDED: openings_remove(&l->openings, o, true); break;
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
    return true;
}

static void accept_all(struct turbo_listener *l, turbo_time now)
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

static void end_old_openings(struct turbo_listener *l, turbo_time now)
{
    while (l->openings.oldest != NULL && now >= l->openings.oldest->since + TURBO_OPENING_TIME)
        openings_remove(&l->openings, l->openings.oldest, true);
}

/* ---- UDP ---- */

static void receive(struct turbo_listener *l, turbo_time now)
{
    struct udp_datagram batch[UDP_BATCH];
    int count = UDP_BATCH;
    for (int i = 0; i < BATCHES_A_TURN && count == UDP_BATCH; i++) {
        count = udp_receive(l->udp_fd, batch);
        for (int k = 0; k < count; k++)
            turbo_endpoint_datagram(l->turbo, now, &batch[k].path, batch[k].data, batch[k].length);
    }
    const uint8_t *data;
    for (struct accepted_io *a = l->taken.first; a != NULL; a = a->next)
        if (a->session != NULL && turbo_server_peek(a->session, &data) > 0)
            accepted_wake(a);
}

/* One that cannot be sent is lost; those behind it may fare better. */
static void send_datagrams(struct turbo_listener *l, turbo_time now)
{
    struct udp_datagram batch[UDP_BATCH];
    int count;
    do {
        count = 0;
        while (count < UDP_BATCH && (batch[count].length = turbo_endpoint_poll_datagram(
                                         l->turbo, now, batch[count].data, &batch[count].path)) > 0)
            count++;
        for (int sent = 0; l->udp_fd >= 0 && sent < count;) {
            int n = udp_send(l->udp_fd, l->family, batch + sent, count - sent);
            sent += n > 0 ? n : 1;
        }
    } while (count == UDP_BATCH);
}

/* ---- the pump ---- */

static void arm(struct turbo_listener *l)
{
    turbo_time deadline = turbo_endpoint_deadline(l->turbo);
    if (l->openings.oldest != NULL && l->openings.oldest->since + TURBO_OPENING_TIME < deadline)
        deadline = l->openings.oldest->since + TURBO_OPENING_TIME;
    if (l->accept_again < deadline)
        deadline = l->accept_again;
    struct itimerspec when = {.it_value = {0}};
    if (deadline != TURBO_NEVER)
        when.it_value = (struct timespec){.tv_sec = (time_t)(deadline / TURBO_SECOND),
                                          .tv_nsec = (long)(deadline % TURBO_SECOND) * 1000};
    timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void handle(struct turbo_listener *l, void *what, turbo_time now)
{
    uint64_t unused;
    if (what == &l->udp_fd)
        receive(l, now);
    else if (what == &l->tcp_fd)
        accept_all(l, now);
    else if (what == &l->timer_fd)
        (void)!read(l->timer_fd, &unused, sizeof(unused));
    else
        handle_opening(l, what, now);
}

/*
 * An opening that ends does so in its own turn, and each comes once in a turn: none of the events
 * is of one that is gone already. Old ones end after the turn.
 */
void turbo_listener_pump(struct turbo_listener *l)
{
    struct epoll_event events[EVENTS_A_TURN];
    turbo_time now = clock_now();
    int count = epoll_wait(l->epoll_fd, events, EVENTS_A_TURN, 0);
    for (int i = 0; i < count; i++)
        handle(l, events[i].data.ptr, now);
    end_old_openings(l, now);
    if (now >= l->accept_again)
        l->accept_again = TURBO_NEVER;
    watch_tcp(l, has_room(l) && l->accept_again == TURBO_NEVER);
    turbo_endpoint_tick(l->turbo, now);
    handle_events(l, now);
    send_datagrams(l, now);
    arm(l);
}

int turbo_listener_fd(const struct turbo_listener *l)
{
    return l->epoll_fd;
}

/* ---- life ---- */

static void *acquire(void *owner, size_t bytes)
{
    (void)owner;
    return malloc(bytes);
}

static void release(void *owner, void *memory)
{
    (void)owner;
    free(memory);
}

static struct turbo_endpoint *new_endpoint(const struct tunnel_listen *settings)
{
    struct turbo_endpoint_config config;
    turbo_endpoint_config_init(&config);
    if (settings->sessions_max != 0)
        config.sessions_max = settings->sessions_max;
    config.memory_max = (uint64_t)config.sessions_max * turbo_server_bytes();
    config.sha256 = crypto_sha256;
    config.acquire = acquire;
    config.release = release;
    if (!crypto_random(config.seed, sizeof(config.seed)))
        return NULL;
    void *memory = malloc(turbo_endpoint_bytes(&config));
    return memory == NULL ? NULL : turbo_endpoint_init(memory, &config);
}

static void destroy(struct turbo_listener *l)
{
    if (l->turbo != NULL)
        turbo_endpoint_fini(l->turbo);
    free(l->turbo);
    socket_close(l->epoll_fd);
    socket_close(l->timer_fd);
    socket_close(l->ready_fd);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static bool watch_for_ever(struct turbo_listener *l, int *fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};
    return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, *fd, &event) == 0;
}

struct turbo_listener *turbo_listener_create(const struct tunnel_listen *settings, int tcp_fd,
                                             int udp_fd, int family)
{
    struct turbo_listener *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return NULL;
    pthread_mutex_init(&l->lock, NULL);
    l->holders = 1;
    l->family = family;
    l->accept_again = TURBO_NEVER;
    l->waiting_max = settings->waiting_max == 0 ? WAITING_DEFAULT : settings->waiting_max;
    l->tcp_fd = tcp_fd;
    l->udp_fd = udp_fd;
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    l->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->turbo = new_endpoint(settings);
    if (l->turbo != NULL && l->epoll_fd >= 0 && l->timer_fd >= 0 && l->ready_fd >= 0 &&
        watch_for_ever(l, &l->timer_fd) && watch_for_ever(l, &l->udp_fd)) {
        watch_tcp(l, true);
        return l;
    }
    int error = errno;
    destroy(l);
    errno = error;
    return NULL;
}

void turbo_listener_lock(struct turbo_listener *l)
{
    pthread_mutex_lock(&l->lock);
}

void turbo_listener_unlock(struct turbo_listener *l)
{
    bool last = l->holders == 0;
    pthread_mutex_unlock(&l->lock);
    if (last)
        destroy(l);
}

static void end_all(struct turbo_listener *l, struct list *list)
{
    for (struct accepted_io *a = list->first, *next; a != NULL; a = next) {
        next = a->next;
        if (a->session != NULL && a->tcp.fd < 0)
            end_session(l, a);
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

void turbo_listener_close(struct turbo_listener *l)
{
    turbo_listener_lock(l);
    while (l->openings.oldest != NULL)
        openings_remove(&l->openings, l->openings.oldest, true);
    drop_ready(l);
    end_all(l, &l->taken);
    end_all(l, &l->kept);
    socket_close(l->tcp_fd);
    socket_close(l->udp_fd);
    l->tcp_fd = l->udp_fd = -1;
    l->accepting = false;
    l->holders--;
    turbo_listener_unlock(l);
}

enum tunnel_result turbo_listener_accept(struct turbo_listener *l, struct tunnel_io **io)
{
    eventfd_t unused;
    turbo_listener_lock(l);
    (void)eventfd_read(l->ready_fd, &unused);
    turbo_listener_pump(l);
    struct accepted_io *a = l->ready.first;
    enum tunnel_result result = TUNNEL_WANT_READ;
    int error = l->accept_error;
    if (a != NULL) {
        take_out(&l->ready, a);
        a->taken = true;
        if (a->session != NULL)
            append(&l->taken, a);
        *io = &a->base;
        result = TUNNEL_OK;
    } else if (error != 0) {
        l->accept_error = 0;
        result = TUNNEL_IO;
    }
    turbo_listener_unlock(l);
    errno = error;
    return result;
}

void turbo_listener_watch(struct turbo_listener *l, struct tunnel_watch *watch)
{
    watch->fds[watch->count++] = (struct pollfd){.fd = l->ready_fd, .events = POLLIN};
    watch->fds[watch->count++] = (struct pollfd){.fd = l->epoll_fd, .events = POLLIN};
}
