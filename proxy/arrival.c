#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/arrival_parts.h"
#include "proxy/listener.h"
#include "proxy/net/resolver.h"
#include "proxy/prelude/proxy_header.h"
#include "proxy/relay.h"
#include "proxy/route.h"
#include "proxy/server.h"
#include "proxy/sides/plain.h"
#include "proxy/talk.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"

enum {
    /* A PROXY header, a tombstone, the largest ClientHello, and what may come with its last byte.
     */
    BYTES_MAX = PROXY_HEADER_IN_MAX + TURBO_TOMBSTONE_BYTES + TURBO_HELLO_MAX + 16384,
    BYTES_STEP = 4096,
};

struct turbo_endpoint *arrival_endpoint(const struct arrival *a)
{
    struct udp_endpoint *udp = listener_udp(a->connection.listener);
    return udp == NULL ? NULL : udp_endpoint_turbo(udp);
}

/* ---- its ends ---- */

static void drop_far(struct arrival *a)
{
    if (a->far != NULL)
        a->far->ops->destroy(a->far);
    a->far = NULL;
}

static void drop_query(struct resolver_query **query)
{
    if (*query != NULL)
        resolver_cancel(*query);
    *query = NULL;
}

void arrival_heed_far(struct arrival *a, void (*wake)(struct side_owner *owner))
{
    a->owner = (struct side_owner){.wake = wake, .worker = a->worker};
    a->far->owner = &a->owner;
}

void arrival_report_far(struct arrival *a)
{
    if (a->far == NULL)
        return;
    a->far->ops->report(a->far, &a->connection.access);
    server_release(a->server);
    a->server = a->far->server == NULL ? NULL : server_hold(a->far->server);
}

void arrival_drop_plans(struct arrival *a)
{
    drop_far(a);
    drop_query(&a->query);
    drop_query(&a->record);
}

void arrival_leave(struct arrival *a)
{
    struct worker *w = a->worker;
    ev_io_stop(w->loop, &a->io);
    ev_timer_stop(w->loop, &a->timeout);
    ev_timer_stop(w->loop, &a->sniff);
    arrival_drop_plans(a);
    talk_end(a->talk);
    a->talk = NULL;
    if (a->previous != NULL)
        a->previous->next = a->next;
    else
        w->arrivals = a->next;
    if (a->next != NULL)
        a->next->previous = a->previous;
    else
        w->oldest_arrival = a->previous;
    w->arrival_count--;
    server_release(a->server);
    a->server = NULL;
}

void arrival_dismiss(struct arrival *a)
{
    arrival_leave(a);
    free(a->bytes);
    a->tag = 0;
    free(a);
}

void arrival_end(struct arrival *a, enum turbo_reason reason, bool reset)
{
    struct worker *w = a->worker;
    arrival_report_far(a);
    connection_arrived(&a->connection);
    struct connection connection = a->connection;
    struct server *server = a->server;
    a->server = NULL;
    if (reset)
        socket_reset(a->fd);
    else
        socket_close(a->fd);
    arrival_dismiss(a);
    if (reason != TURBO_REASON_NONE)
        access_fail(&connection.access, reason);
    connection_end(&connection, server);
    server_release(server);
    worker_connection_ended(w);
}

void arrival_abort(struct arrival *a)
{
    arrival_end(a, TURBO_REASON_NONE, true);
}

/* The far side: the one there is, where it leads to the same servers, or a new one. */
static struct side *take_far(struct arrival *a)
{
    struct side *far = a->far;
    if (far == NULL || a->far_upstream != connection_upstream(&a->connection))
        return connection_open(&a->connection, arrival_hello(a), NULL);
    a->far = NULL;
    return far;
}

/* A connection of its own: what came goes to the upstream first. */
void arrival_become_relay(struct arrival *a, enum turbo_outcome outcome, enum turbo_reason reason)
{
    struct worker *w = a->worker;
    if (a->only_joins) {
        arrival_end(a, a->otherwise, true);
        return;
    }
    enum turbo_reason refused = connection_place(&a->connection, arrival_hello(a));
    if (refused != TURBO_REASON_NONE) {
        arrival_end(a, refused, true);
        return;
    }
    struct side *near = plain_left_over(w, a->fd, a->bytes, a->length, true);
    if (near == NULL) {
        arrival_end(a, TURBO_REASON_NONE, true);
        return;
    }
    a->bytes = NULL;
    struct side *far = take_far(a);
    connection_arrived(&a->connection);
    struct connection connection = a->connection;
    connection.access.listener_outcome = (uint8_t)outcome;
    connection.access.listener_reason = (uint8_t)reason;
    arrival_dismiss(a);
    worker_connection_goes_on(w);
    relay_start(near, far, &connection);
}

/* ---- what it says ---- */

void arrival_drop_front(struct arrival *a, size_t length)
{
    a->length -= length;
    memmove(a->bytes, a->bytes + length, a->length);
}

/* Where a PROXY header is due nothing else is listened to. */
static void read_header(struct arrival *a)
{
    struct proxy_header header;
    switch (proxy_header_read(a->bytes, a->length, &header)) {
    case PROXY_HEADER_MORE: return;
    case PROXY_HEADER_NONE:
    case PROXY_HEADER_BAD: arrival_end(a, TURBO_REASON_PROXY_HEADER, true); return;
    case PROXY_HEADER_DONE: break;
    }
    if (header.client.length > 0)
        connection_vouched(&a->connection, &header.client, &header.server);
    if (!route_allows(a->connection.settings, &a->connection.access.client)) {
        arrival_end(a, TURBO_REASON_DENIED, true); /* whoever joins a session is not asked again */
        return;
    }
    arrival_drop_front(a, header.length);
    arrival_next_stage(a);
}

/* ---- events ---- */

/* For so many bytes more, or for any (0). False: they are too many, or out of memory. */
static bool make_room(struct arrival *a, size_t bytes)
{
    size_t capacity = a->capacity == 0 ? BYTES_STEP : a->capacity;
    while (capacity <= a->length || capacity - a->length < bytes) {
        if (capacity >= BYTES_MAX)
            return false;
        capacity = capacity * 2 < BYTES_MAX ? capacity * 2 : BYTES_MAX;
    }
    if (capacity == a->capacity)
        return true;
    uint8_t *grown = realloc(a->bytes, capacity);
    if (grown == NULL)
        return false;
    a->bytes = grown;
    a->capacity = capacity;
    return true;
}

/* The client has ended its stream before the opening was clear: as it is, if there is anything. */
static void ended_early(struct arrival *a)
{
    if (a->stage == ARRIVAL_HEADER)
        arrival_end(a, TURBO_REASON_PROXY_HEADER, true);
    else if (a->only_tls)
        arrival_end(a, TURBO_REASON_NO_TLS, true);
    else if (a->length > 0 || a->connection.settings->sniff_timeout_s > 0.)
        arrival_become_relay(a, TURBO_OUTCOME_OPAQUE, TURBO_REASON_HELLO_CUT_SHORT);
    else
        arrival_end(a, TURBO_REASON_CLIENT_SILENT, false);
}

/* What it still says leads nowhere. */
static void discard(struct arrival *a)
{
    ssize_t n = recv(a->fd, a->worker->scratch, WORKER_SCRATCH_BYTES, 0);
    if (n == 0 || (n < 0 && !socket_is_again(errno)))
        arrival_end(a, a->otherwise, false);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct arrival *a = io->data;
    assert(a->tag == ARRIVAL_TAG);
    if (a->talk != NULL) {
        arrival_converse(a);
        return;
    }
    if (a->stage == ARRIVAL_LEAVING) {
        discard(a);
        return;
    }
    if (!make_room(a, 0)) {
        arrival_end(a, TURBO_REASON_NONE, true);
        return;
    }
    ssize_t n = recv(a->fd, a->bytes + a->length, a->capacity - a->length, 0);
    if (n < 0 && socket_is_again(errno))
        return;
    if (n < 0) {
        arrival_end(a, TURBO_REASON_NONE, true);
        return;
    }
    if (n == 0) {
        ended_early(a);
        return;
    }
    ev_timer_stop(a->worker->loop, &a->sniff);
    a->spoke = true;
    size_t from = a->length;
    a->length += (size_t)n;
    if (a->stage == ARRIVAL_HEADER)
        read_header(a);
    else
        arrival_judge(a, from);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct arrival *a = timer->data;
    assert(a->tag == ARRIVAL_TAG);
    if (a->stage == ARRIVAL_LEAVING)
        arrival_end(a, a->otherwise, false);
    else if (a->stage != ARRIVAL_REQUEST || !arrival_answer_late(a))
        arrival_end(a, TURBO_REASON_OPENING_TIMEOUT, true);
}

/* The far side is connected, or has failed, or the server has spoken first. What is there on trial
 * may just end. */
static void on_far(struct side_owner *owner)
{
    struct arrival *a = (struct arrival *)owner;
    assert(a->tag == ARRIVAL_TAG);
    ssize_t bytes = a->far->ops->peek(a->far);
    if (bytes > 0)
        arrival_become_relay(a, TURBO_OUTCOME_OPAQUE, TURBO_REASON_SERVER_FIRST);
    else if (bytes == SIDE_AGAIN)
        a->far->ops->watch(a->far, true, false);
    else
        drop_far(a);
}

static void on_silence(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct arrival *a = timer->data;
    assert(a->tag == ARRIVAL_TAG);
    enum turbo_reason refused = connection_place(&a->connection, NULL);
    if (refused == TURBO_REASON_DENIED)
        arrival_end(a, refused, true);
    if (refused != TURBO_REASON_NONE)
        return; /* it takes a ClientHello to know where to */
    /* Over TCP also where the upstream speaks TurboTLS: there is no ClientHello to send by UDP. */
    a->far_upstream = connection_upstream(&a->connection);
    a->far = connection_open_plain(&a->connection);
    if (a->far != NULL)
        arrival_heed_far(a, on_far);
}

static void start_timer(struct worker *w, ev_timer *timer, double seconds)
{
    if (seconds <= 0.)
        return;
    ev_timer_set(timer, seconds, 0.);
    ev_timer_start(w->loop, timer);
}

static void start_sniffing(struct arrival *a)
{
    if (!a->only_joins && a->length == 0 && a->far == NULL)
        start_timer(a->worker, &a->sniff, a->connection.settings->sniff_timeout_s);
}

/* ---- from stage to stage ---- */

bool arrival_keep(struct arrival *a, const uint8_t *rest, size_t length, size_t unread)
{
    if (unread < a->length)
        arrival_drop_front(a, a->length - unread);
    if (length == 0)
        return true;
    if (!make_room(a, length))
        return false;
    memmove(a->bytes + length, a->bytes, a->length);
    memcpy(a->bytes, rest, length);
    a->length += length;
    return true;
}

/* Does its route say that nothing is to be looked at? Those that ask for a ClientHello come later.
 */
static bool is_opaque(const struct arrival *a)
{
    const struct connection *c = &a->connection;
    const struct route_facts facts = {.client = &c->access.client, .target = c->asked->target};
    if (c->settings->kind != ENDPOINT_TCP)
        return false;
    const struct config_route *route = route_find(c->settings, &facts);
    return route != NULL && route->opaque;
}

static void begin_opening(struct arrival *a)
{
    if (is_opaque(a)) {
        arrival_become_relay(a, TURBO_OUTCOME_OPAQUE, TURBO_REASON_PLAIN_UPSTREAM);
        return;
    }
    start_sniffing(a);
    if (a->far != NULL)
        a->far->ops->watch(a->far, true, false);
    if (a->length > 0)
        arrival_judge(a, 0);
}

static void begin_request(struct arrival *a)
{
    switch (a->connection.settings->request) {
    case CONFIG_REQUEST_NONE: arrival_next_stage(a); break;
    case CONFIG_REQUEST_HTTP_CONNECT: arrival_speak(a, &prelude_http_connect); break;
    case CONFIG_REQUEST_SOCKS5: arrival_speak(a, &prelude_socks5); break;
    case CONFIG_REQUEST_REDIRECT:
    case CONFIG_REQUEST_TPROXY:
        if (arrival_find_destination(a))
            arrival_next_stage(a);
        break;
    }
}

void arrival_next_stage(struct arrival *a)
{
    const struct prelude_part *starttls;
    switch (++a->stage) {
    case ARRIVAL_HEADER: break;
    case ARRIVAL_REQUEST: begin_request(a); break;
    case ARRIVAL_STARTTLS:
        starttls = prelude_starttls_server(a->connection.settings->starttls);
        if (starttls == NULL)
            arrival_next_stage(a);
        else
            arrival_speak(a, starttls);
        break;
    case ARRIVAL_OPENING: begin_opening(a); break;
    case ARRIVAL_LEAVING: break;
    }
}

static void link_in(struct arrival *a)
{
    struct worker *w = a->worker;
    a->next = w->arrivals;
    if (a->next != NULL)
        a->next->previous = a;
    else
        w->oldest_arrival = a;
    w->arrivals = a;
    w->arrival_count++;
}

struct arrival *arrival_create(struct listener *listener, int fd)
{
    struct arrival *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        socket_reset(fd);
        return NULL;
    }
    a->tag = ARRIVAL_TAG;
    a->worker = listener_worker(listener);
    a->fd = fd;
    turbo_opening_init(&a->opening);
    ev_io_init(&a->io, on_readable, fd, EV_READ);
    ev_init(&a->timeout, on_timeout);
    ev_init(&a->sniff, on_silence);
    a->io.data = a->timeout.data = a->sniff.data = a;
    return a;
}

void arrival_begin(struct arrival *a)
{
    struct worker *w = a->worker;
    a->next = a->previous = NULL;
    link_in(a);
    worker_connection_began(w);
    ev_io_start(w->loop, &a->io);
    start_timer(w, &a->timeout, a->connection.settings->opening_timeout_s);
    arrivals_make_room(w);
}

void arrival_start(struct listener *listener, int fd, const struct address *client)
{
    struct arrival *a = arrival_create(listener, fd);
    if (a == NULL)
        return;
    connection_accepted(&a->connection, &a->asked, listener, client, fd);
    bool leaving = listener_is_leaving(listener), full = listener_was_full(listener);
    if (!leaving && full)
        a->otherwise = TURBO_REASON_LISTENER_FULL;
    a->only_joins = leaving || full;
    arrival_begin(a);
    if (!networks_hold(&a->connection.settings->proxy_from, client))
        arrival_next_stage(a);
}
