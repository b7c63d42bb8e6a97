#include "proxy/udp_endpoint.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "proxy/connection.h"
#include "proxy/listener.h"
#include "proxy/listener_group.h"
#include "proxy/relay.h"
#include "proxy/sides/turbo_server.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "tunnel/net/crypto.h"
#include "tunnel/net/server_datagrams.h"
#include "tunnel/net/socket.h"

enum { UDP_ENDPOINT_TAG = 0x55647045 /* "UdpE" */ };

/* An id is remembered for so long, rounded up. */
enum { ENDED_SECONDS = (TURBO_ENDED_TIME / TURBO_SECOND) + 2 };

static const turbo_time COMPLAINT_PAUSE = 10 * TURBO_SECOND;

struct udp_endpoint {
    uint32_t tag;
    struct worker *worker;
    struct turbo_endpoint *turbo;
    struct listener *listener; /* its owner */
    int fd, family;
    struct udp_offload offload;
    uint32_t sessions_max; /* that there is room for */
    /* A timer of its own: the loop's has a grain of a millisecond, a hold lasts half of one. */
    int timer_fd;
    turbo_time armed;                    /* when it fires; TURBO_NEVER: it does not */
    uint64_t limited[TURBO_LIMIT_COUNT]; /* of the counters, as complained of so far */
    turbo_time quiet_until;
    ev_io io, timer_io;
    ev_prepare kick; /* never started, only fed */
};

static void *acquire(void *owner, size_t bytes)
{
    struct udp_endpoint *e = owner;
    return blocks_take(&e->worker->blocks, bytes);
}

static void release(void *owner, void *memory)
{
    struct udp_endpoint *e = owner;
    blocks_give(&e->worker->blocks, memory);
}

/* It goes on as classic TLS, by TCP, and has its record there. */
static void refuse(struct udp_endpoint *e, struct turbo_server *session)
{
    turbo_server_refuse(session);
    turbo_server_release(session, e->worker->now);
}

static bool has_room(const struct udp_endpoint *e, const struct connection *c,
                     const struct turbo_server *session)
{
    struct turbo_path path = turbo_server_path(session);
    bool proven = turbo_endpoint_is_proven(e->turbo, e->worker->now, &path.peer);
    unsigned owners = listener_group(e->listener)->owners;
    return upstream_has_room(connection_upstream(c), proven, owners) &&
           worker_has_room_for_udp(e->worker);
}

/* The address that the client asked; the port is the one it is going to connect to. */
static struct address asked_address(const struct udp_endpoint *e, const struct turbo_path *path)
{
    struct address local;
    address_from_turbo(&path->local, &local);
    address_set_port(&local, address_port(listener_address(e->listener)));
    return local;
}

static void start_connection(struct udp_endpoint *e, struct turbo_server *session)
{
    struct turbo_path path = turbo_server_path(session);
    const struct turbo_client_hello *hello = turbo_server_hello(session);
    struct address client, server = asked_address(e, &path);
    struct connection c;
    struct connection_asked asked;
    address_from_turbo(&path.peer, &client);
    listener_note_pending(e->listener); /* before it counts: its TCP is let in where that is full */
    connection_begin(&c, &asked, e->listener, &client, &server, e->worker->now);
    bool full = listener_was_full(e->listener);
    struct side *near = NULL;
    if (!full && connection_place(&c, hello) == TURBO_REASON_NONE && has_room(e, &c, session))
        near = turbo_server_side(e->worker, e, session, connection_upstream(&c));
    if (near == NULL) {
        connection_dismiss(&c);
        refuse(e, session);
        return;
    }
    if (connection_is_vouched(&c))
        turbo_server_vouch(session);
    struct side *far = connection_open(&c, hello, session);
    connection_arrived(&c);
    relay_start(near, far, &c);
}

static void handle_events(struct udp_endpoint *e)
{
    struct turbo_server *session;
    enum turbo_event event;
    while ((event = turbo_endpoint_poll_event(e->turbo, &session)) != TURBO_EVENT_NONE) {
        if (event == TURBO_EVENT_NEW)
            start_connection(e, session);
        else if (event == TURBO_EVENT_MORE)
            turbo_server_side_more(turbo_server_user(session));
        else
            turbo_server_side_ended(turbo_server_user(session));
    }
}

static void arm(struct udp_endpoint *e)
{
    turbo_time deadline = turbo_endpoint_deadline(e->turbo);
    bool has_fired = e->armed <= e->worker->now; /* and is forgotten by setting, without a read */
    if (deadline >= e->armed && !has_fired)      /* early at worst, and then it comes back here */
        return;
    e->armed = deadline;
    struct itimerspec when = {0}; /* never */
    if (deadline != TURBO_NEVER) {
        when.it_value.tv_sec = (time_t)(deadline / TURBO_SECOND);
        when.it_value.tv_nsec = (long)(deadline % TURBO_SECOND) * 1000;
    }
    timerfd_settime(e->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Sessions are being refused: which limit it is, once until none has been for a while. */
static void complain(struct udp_endpoint *e)
{
    struct turbo_endpoint_counters c = turbo_endpoint_counters(e->turbo);
    turbo_time now = e->worker->now;
    for (int limit = 0; limit < TURBO_LIMIT_COUNT; limit++) {
        if (c.limited[limit] == e->limited[limit])
            continue;
        if (limit != TURBO_LIMIT_DRAINING && now >= e->quiet_until)
            log_event(e->worker->log, LOG_LEVEL_WARNING,
                      "sessions by UDP are refused, and go on as classic TLS",
                      LOG_TEXT("listener", listener_settings(e->listener)->name),
                      LOG_TEXT("limit", turbo_limit_text((enum turbo_limit)limit)));
        e->quiet_until = now + COMPLAINT_PAUSE;
        e->limited[limit] = c.limited[limit];
    }
}

/* Everything an endpoint may want after anything happened to it. */
static void service(struct udp_endpoint *e)
{
    turbo_endpoint_tick(e->turbo, e->worker->now);
    handle_events(e);
    server_datagrams_send(e->fd, e->family, e->turbo, e->worker->now, &e->offload);
    complain(e);
    arm(e);
    listener_note_pending(e->listener);
    worker_check_drained(e->worker);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct udp_endpoint *e = io->data;
    assert(e->tag == UDP_ENDPOINT_TAG);
    server_datagrams_receive(e->fd, e->turbo, e->worker->now);
    service(e);
}

static void on_timer(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct udp_endpoint *e = io->data;
    assert(e->tag == UDP_ENDPOINT_TAG);
    if (e->armed <= e->worker->now) /* else it has been set anew in this turn */
        service(e);
}

static void on_kick(struct ev_loop *loop, ev_prepare *kick, int events)
{
    (void)loop;
    (void)events;
    struct udp_endpoint *e = kick->data;
    assert(e->tag == UDP_ENDPOINT_TAG);
    service(e);
}

void udp_endpoint_kick(struct udp_endpoint *e)
{
    if (!ev_is_pending(&e->kick))
        ev_feed_event(e->worker->loop, &e->kick, EV_CUSTOM);
}

void udp_endpoint_close(struct udp_endpoint *e)
{
    if (e->fd < 0)
        return;
    ev_io_stop(e->worker->loop, &e->io);
    listener_group_close_udp(listener_group(e->listener), e->worker->index, e->fd);
    e->fd = -1;
}

/* ---- who has connected by TCP ---- */

struct acquaintance {
    struct message message;
    struct listener_group *group; /* held */
    struct turbo_address peer;
};

static void note_accepted(struct udp_endpoint *e, const struct turbo_address *peer)
{
    turbo_endpoint_accepted(e->turbo, e->worker->now, peer);
    udp_endpoint_kick(e);
}

static void deliver(struct message *message, struct worker *w)
{
    struct acquaintance *a = (struct acquaintance *)message;
    struct listener *l = w == NULL ? NULL : worker_listener(w, a->group);
    if (l != NULL && listener_udp(l) != NULL)
        note_accepted(listener_udp(l), &a->peer);
    listener_group_release(a->group);
    free(a);
}

/* The session may be any worker's. */
static void tell_mates(const struct udp_endpoint *e, const struct turbo_address *peer)
{
    struct listener_group *group = listener_group(e->listener);
    for (unsigned i = 0; i < group->owners; i++) {
        struct acquaintance *a = i == e->worker->index ? NULL : calloc(1, sizeof(*a));
        if (a == NULL)
            continue;
        *a = (struct acquaintance){
            .message = {.deliver = deliver}, .group = listener_group_hold(group), .peer = *peer};
        inbox_put(&e->worker->mates->workers[i]->inbox, &a->message);
    }
}

void udp_endpoint_accepted(struct udp_endpoint *e, const struct address *peer)
{
    struct turbo_address turbo;
    if (!listener_settings(e->listener)->sandwich)
        return;
    address_to_turbo(peer, &turbo);
    note_accepted(e, &turbo);
    tell_mates(e, &turbo);
}

/* ---- its settings ---- */

/* As long as an arrival waits for the client's first bytes. */
static turbo_time silent_time(const struct config_listener *settings)
{
    return (turbo_time)(settings->opening_timeout_s * (double)TURBO_SECOND);
}

/* What the endpoints at one port may do together, each does a part of: ids are random. */
static uint32_t share(uint32_t of, unsigned owners)
{
    return (of + owners - 1) / owners;
}

void udp_endpoint_reconfigure(struct udp_endpoint *e)
{
    const struct config_listener *settings = listener_settings(e->listener);
    unsigned owners = listener_group(e->listener)->owners;
    uint32_t source_rate = share(settings->source_rate, owners);
    turbo_endpoint_set_rates(e->turbo, share(settings->session_rate, owners), source_rate,
                             2 * source_rate);
    turbo_endpoint_set_sandwich(e->turbo, settings->sandwich, silent_time(settings));
    if (settings->sessions_max != e->sessions_max)
        log_event(e->worker->log, LOG_LEVEL_WARNING,
                  "another max_sessions takes effect with the next start",
                  LOG_TEXT("listener", listener_settings(e->listener)->name),
                  LOG_NUMBER("now", e->sessions_max), LOG_NUMBER("then", settings->sessions_max));
}

int udp_endpoint_fd(const struct udp_endpoint *e)
{
    return e->fd;
}

struct listener *udp_endpoint_listener(const struct udp_endpoint *e)
{
    return e->listener;
}

struct turbo_endpoint *udp_endpoint_turbo(struct udp_endpoint *e)
{
    return e->turbo;
}

static struct turbo_endpoint *new_turbo(struct udp_endpoint *e,
                                        const struct config_listener *settings, unsigned owners)
{
    struct turbo_endpoint_config config;
    turbo_endpoint_config_init(&config);
    config.sessions_max = share(settings->sessions_max, owners);
    config.rate = share(settings->session_rate, owners);
    config.source_rate = share(settings->source_rate, owners);
    config.site_rate = 2 * config.source_rate;
    config.ended_max = share(config.ended_max, owners);
    uint64_t ended = (uint64_t)config.rate * ENDED_SECONDS;
    if (ended > config.ended_max)
        config.ended_max = (uint32_t)ended; /* else they would be the lower limit */
    /* Of either dialect: the next configuration may have the other one as well. */
    config.memory_max = (uint64_t)config.sessions_max * turbo_sandwich_server_bytes();
    config.sandwich = settings->sandwich;
    config.silent_time = silent_time(settings);
    config.sha256 = crypto_sha256;
    config.acquire = acquire;
    config.release = release;
    config.owner = e;
    if (!crypto_random(config.seed, sizeof(config.seed))) {
        errno = EIO;
        return NULL;
    }
    void *memory = malloc(turbo_endpoint_bytes(&config));
    return memory == NULL ? NULL : turbo_endpoint_init(memory, &config);
}

struct udp_endpoint *udp_endpoint_create(struct listener *listener, int fd)
{
    struct udp_endpoint *e = calloc(1, sizeof(*e));
    if (e == NULL)
        return NULL;
    struct worker *worker = listener_worker(listener);
    e->turbo = new_turbo(e, listener_settings(listener), listener_group(listener)->owners);
    e->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (e->turbo == NULL || e->timer_fd < 0) {
        int error = errno;
        socket_close(e->timer_fd);
        free(e->turbo);
        free(e);
        errno = error;
        return NULL;
    }
    e->tag = UDP_ENDPOINT_TAG;
    e->worker = worker;
    e->listener = listener;
    e->sessions_max = listener_settings(listener)->sessions_max;
    e->fd = fd;
    if (fd >= 0)
        listener_group_opened_udp(listener_group(listener));
    e->family = address_family(listener_address(listener));
    e->armed = TURBO_NEVER;
    ev_io_init(&e->io, on_readable, fd, EV_READ);
    ev_io_init(&e->timer_io, on_timer, e->timer_fd, EV_READ);
    ev_prepare_init(&e->kick, on_kick);
    e->io.data = e->timer_io.data = e->kick.data = e;
    ev_io_start(worker->loop, &e->timer_io);
    return e;
}

void udp_endpoint_listen(struct udp_endpoint *e)
{
    if (e->fd >= 0)
        ev_io_start(e->worker->loop, &e->io);
}

/* What became of datagrams and openings: the only place where drops are told. */
static void log_counters(const struct udp_endpoint *e)
{
    struct turbo_endpoint_counters c = turbo_endpoint_counters(e->turbo);
    if (c.requests + c.junk + c.late + c.unknown == 0)
        return;
    log_event(e->worker->log, LOG_LEVEL_INFO, "datagrams",
              LOG_TEXT("listener", listener_settings(e->listener)->name),
              LOG_NUMBER("requests", c.requests), LOG_NUMBER("responses", c.responses),
              LOG_NUMBER("junk", c.junk), LOG_NUMBER("late", c.late),
              LOG_NUMBER("orphans_dropped", c.orphans_dropped),
              LOG_NUMBER("addresses_beyond", c.addresses_beyond),
              LOG_NUMBER("parities", c.parities), LOG_NUMBER("sessions", c.sessions),
              LOG_NUMBER("sandwich", c.sandwich),
              LOG_NUMBER("limited_draining", c.limited[TURBO_LIMIT_DRAINING]),
              LOG_NUMBER("limited_sessions", c.limited[TURBO_LIMIT_SESSIONS]),
              LOG_NUMBER("limited_memory", c.limited[TURBO_LIMIT_MEMORY]),
              LOG_NUMBER("limited_ended_ids", c.limited[TURBO_LIMIT_ENDED]),
              LOG_NUMBER("limited_rate", c.limited[TURBO_LIMIT_RATE]),
              LOG_NUMBER("limited_source_rate", c.limited[TURBO_LIMIT_SOURCE]),
              LOG_NUMBER("limited_site_rate", c.limited[TURBO_LIMIT_SITE]),
              LOG_NUMBER("limited_tls_server", c.limited[TURBO_LIMIT_TLS_SERVER]),
              LOG_NUMBER("refused", c.refused), LOG_NUMBER("refused_silent", c.refused_silent),
              LOG_NUMBER("joined", c.joined), LOG_NUMBER("adopted", c.adopted),
              LOG_NUMBER("expired", c.expired), LOG_NUMBER("aborted", c.aborted),
              LOG_NUMBER("unknown", c.unknown));
}

void udp_endpoint_destroy(struct udp_endpoint *e)
{
    if (e == NULL)
        return;
    log_counters(e);
    udp_endpoint_close(e);
    ev_io_stop(e->worker->loop, &e->timer_io);
    ev_clear_pending(e->worker->loop, &e->kick);
    turbo_endpoint_fini(e->turbo);
    free(e->turbo);
    socket_close(e->timer_fd);
    e->tag = 0;
    free(e);
}
