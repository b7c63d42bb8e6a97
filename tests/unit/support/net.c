#include "tests/unit/support/net.h"

#include <stdlib.h>

enum { C2S = 41, S2C = 42, STREAM_MAX = 512 * 1024, ITEMS_MAX = 512, SERVERS_MAX = 3, PORTS = 2 };

enum kind { TO_EDGE, TO_CLIENT, TCP_UP, TCP_TO_EDGE, TCP_TO_CLIENT, SERVER_SENDS, RESET, RESTART };

struct item {
    turbo_time at;
    enum kind kind;
    size_t length; /* of `data`, or how far a stream has come */
    enum turbo_end end;
    unsigned which; /* port, or TLS server */
    uint8_t data[TURBO_DATAGRAM_MAX];
};

/* One direction of TCP: everything ever written, and how it ends. */
struct pipe {
    uint8_t bytes[STREAM_MAX];
    size_t written, arrived, read;
    enum turbo_end write_end, arrived_end;
};

struct server {
    struct turbo_server *session;
    size_t got, produced, taken;
    enum turbo_end end, told; /* its own, and what the client side told it */
    bool flight_sent, reply_sent, end_kept, end_passed, on_tcp, gone;
};

enum edge_mode { OPENING, PIPING, CLOSED };

static struct net {
    struct net_plan plan;
    struct net_result result;
    turbo_time now;
    struct item items[ITEMS_MAX];
    size_t item_count;
    struct hello hello;
    uint8_t c2s[STREAM_MAX], s2c[STREAM_MAX];

    struct dialer dial;
    size_t app_wants, app_given;
    bool app_ended, app_gone, fin_sent;
    unsigned request_index, response_index;

    struct edge edge;
    struct pipe up, down;
    enum edge_mode mode;
    struct turbo_opening opening;
    size_t opened_at; /* where in `up` the opening under way began */
    struct server servers[SERVERS_MAX];
    unsigned server_count;
    struct server *joined; /* whom TCP goes to */
    struct {
        size_t requests, responses, request_bytes, response_bytes;
    } port[PORTS];
} net;

static bool bit(uint64_t mask, unsigned i)
{
    return i < 64 ? (mask >> i & 1) != 0 : mask == NET_ALL;
}

static struct item *post(turbo_time at, enum kind kind, unsigned which)
{
    assert_true(net.item_count < ITEMS_MAX);
    struct item *item = &net.items[net.item_count++];
    *item = (struct item){.at = at, .kind = kind, .which = which};
    return item;
}

/* ---- TCP ---- */

static void tcp_write(struct pipe *pipe, enum kind kind, const uint8_t *data, size_t length,
                      enum turbo_end end)
{
    assert_true(pipe->written + length <= STREAM_MAX);
    if (pipe->write_end != TURBO_END_NONE)
        return;
    if (length > 0)
        memcpy(pipe->bytes + pipe->written, data, length);
    pipe->written += length;
    pipe->write_end = end;
    struct item *item = post(net.now + NET_ONE_WAY, kind, 0);
    item->length = pipe->written;
    item->end = end;
}

/* ---- UDP ---- */

static void send_datagram(enum kind kind, unsigned i, const uint8_t *data, size_t length,
                          unsigned port, const uint64_t masks[3])
{
    if (bit(masks[0], i))
        return;
    for (int copies = bit(masks[1], i) ? 2 : 1; copies > 0; copies--) {
        turbo_time at = net.now + NET_ONE_WAY + (bit(masks[2], i) ? net.plan.delay : 0);
        struct item *item = post(at, kind, port);
        item->length = length;
        memcpy(item->data, data, length);
    }
}

static void client_sends(void)
{
    uint64_t masks[] = {net.plan.lose_requests, net.plan.repeat_requests, net.plan.delay_requests};
    uint8_t out[TURBO_DATAGRAM_MAX];
    size_t n;
    while ((n = turbo_client_poll_datagram(net.dial.client, out)) > 0) {
        unsigned i = net.request_index++;
        send_datagram(TO_EDGE, i, out, n, bit(net.plan.other_port, i), masks);
    }
}

static void edge_sends(void)
{
    uint64_t masks[] = {net.plan.lose_responses, net.plan.repeat_responses,
                        net.plan.delay_responses};
    uint8_t out[TURBO_DATAGRAM_MAX];
    struct turbo_path path;
    size_t n;
    while ((n = turbo_endpoint_poll_datagram(net.edge.endpoint, net.now, out, &path)) > 0) {
        unsigned port = path.peer.port - 1u;
        net.port[port].responses++;
        net.port[port].response_bytes += n;
        assert_true(net.port[port].responses <= net.port[port].requests);
        assert_true(net.port[port].response_bytes <= 3 * net.port[port].request_bytes);
        send_datagram(TO_CLIENT, net.response_index++, out, n, port, masks);
    }
}

/* ---- the app and the client end ---- */

static void app_receives(const uint8_t *data, size_t length)
{
    assert_true(net.result.app_got + length <= net.plan.flight + net.plan.reply);
    assert_memory_equal(data, net.s2c + net.result.app_got, length);
    net.result.app_got += length;
    if (net.result.app_got < net.plan.flight || net.result.app_flight_at != 0)
        return;
    net.result.app_flight_at = net.now;
    net.app_wants += net.plan.answer;
}

static void app_sends(void)
{
    if (net.now < net.plan.app_start)
        return;
    bool direct = turbo_client_settled(net.dial.client);
    size_t left = net.app_wants - net.app_given;
    if (left > 0 && direct)
        tcp_write(&net.up, TCP_TO_EDGE, net.c2s + net.app_given, left, TURBO_END_NONE);
    else if (left > 0)
        left = turbo_client_push(net.dial.client, net.now, net.c2s + net.app_given, left);
    net.app_given += left;
    bool last = net.plan.half_close && net.result.app_flight_at != 0;
    if (last && net.app_given == net.app_wants && !net.app_ended) {
        net.app_ended = true;
        turbo_client_push_end(net.dial.client, net.now);
    }
}

static void client_reads_end(enum turbo_end end)
{
    net.result.app_end = end;
    if (end == TURBO_END_FIN)
        turbo_client_tcp_read(net.dial.client, net.now, 0);
    else if (!turbo_client_settled(net.dial.client))
        turbo_client_tcp_failed(net.dial.client, net.now);
}

static void client_reads_tcp(void)
{
    struct pipe *p = &net.down;
    if (turbo_client_state(net.dial.client) != TURBO_CLIENT_OPEN) {
        if (p->arrived_end == TURBO_END_RESET)
            turbo_client_tcp_failed(net.dial.client, net.now);
        else if (p->arrived > 0 || p->arrived_end != TURBO_END_NONE)
            turbo_client_tcp_readable(net.dial.client, net.now);
    }
    const uint8_t *unused;
    if (turbo_client_state(net.dial.client) != TURBO_CLIENT_OPEN ||
        turbo_client_peek(net.dial.client, &unused) > 0)
        return;
    if (p->arrived > p->read)
        turbo_client_tcp_read(net.dial.client, net.now, p->arrived - p->read);
    app_receives(p->bytes + p->read, p->arrived - p->read);
    p->read = p->arrived;
    if (p->arrived_end != net.result.app_end)
        client_reads_end(p->arrived_end);
}

static void client_step(void)
{
    struct turbo_client *c = net.dial.client;
    const uint8_t *data;
    size_t n;
    if (net.app_gone)
        return;
    for (int i = 0; i < 3; i++) {
        while ((n = turbo_client_peek(c, &data)) > 0) {
            app_receives(data, n);
            turbo_client_consume(c, n);
        }
        client_reads_tcp();
        app_sends();
        if ((n = turbo_client_tcp_peek(c, &data)) > 0) {
            tcp_write(&net.up, TCP_TO_EDGE, data, n, TURBO_END_NONE);
            turbo_client_tcp_consume(c, n);
        }
        client_sends();
    }
    if (turbo_client_ended(c) && turbo_client_settled(c) && !net.fin_sent) {
        net.fin_sent = true;
        tcp_write(&net.up, TCP_TO_EDGE, NULL, 0, TURBO_END_FIN);
    }
    if (turbo_client_state(c) == TURBO_CLIENT_FAILED) {
        net.app_gone = true;
        net.result.app_end = TURBO_END_RESET;
        if (net.down.arrived_end != TURBO_END_RESET)
            tcp_write(&net.up, TCP_TO_EDGE, NULL, 0, TURBO_END_RESET);
    }
}

/* ---- the TLS server ---- */

static void server_receives(struct server *s, const uint8_t *data, size_t length)
{
    size_t hello = net.hello.length, all = hello + net.plan.answer;
    if (length == 0 || s->gone)
        return;
    assert_true(s->got + length <= all);
    assert_memory_equal(data, net.c2s + s->got, length);
    net.result.servers += s->got == 0;
    s->got += length;
    net.result.server_got = s->got;
    unsigned which = (unsigned)(s - net.servers);
    for (unsigned i = 1; s->got >= hello && !s->flight_sent && i <= net.plan.pieces; i++) {
        struct item *item = post(net.now + i * 2 * TURBO_MILLISECOND, SERVER_SENDS, which);
        item->length = net.plan.flight * i / net.plan.pieces;
        if (i == net.plan.pieces && net.plan.end_with_flight)
            item->end = net.plan.end;
    }
    s->flight_sent = s->got >= hello;
    if (s->got < all || s->reply_sent)
        return;
    s->reply_sent = true;
    net.result.server_answer_at = net.now;
    struct item *item = post(net.now + 100 * TURBO_MILLISECOND, SERVER_SENDS, which);
    item->length = net.plan.flight + net.plan.reply;
    item->end = net.plan.end;
}

static void server_told(struct server *s, enum turbo_end end)
{
    if (s == NULL || s->gone || s->told != TURBO_END_NONE)
        return;
    s->told = net.result.server_end = end;
    s->gone = end == TURBO_END_RESET;
}

static struct server *connect_server(void)
{
    assert_true(net.server_count < SERVERS_MAX);
    return &net.servers[net.server_count++];
}

/* ---- the server end ---- */

static void drop_session(struct server *s)
{
    turbo_server_release(s->session, net.now);
    s->session = NULL;
}

static void poll_events(void)
{
    struct turbo_server *session;
    enum turbo_event event;
    while ((event = turbo_endpoint_poll_event(net.edge.endpoint, &session)) != TURBO_EVENT_NONE) {
        if (event == TURBO_EVENT_ENDED) {
            struct server *s = turbo_server_user(session);
            server_told(s, TURBO_END_RESET);
            drop_session(s);
        } else if (net.plan.no_server) {
            turbo_server_refuse(session);
            turbo_server_release(session, net.now);
        } else {
            const uint8_t *data;
            struct server *s = connect_server();
            s->session = session;
            turbo_server_set_user(session, s);
            size_t n = turbo_server_peek(session, &data);
            server_receives(s, data, n);
            turbo_server_consume(session, n);
        }
    }
}

/* S→C bytes of one TLS server, to UDP before the join and to TCP after it. */
static void pump(struct server *s)
{
    const uint8_t *data;
    size_t n;
    if (s->session != NULL && turbo_server_joined(s->session)) {
        if ((n = turbo_server_tcp_peek(s->session, &data)) > 0) {
            tcp_write(&net.down, TCP_TO_CLIENT, data, n, TURBO_END_NONE);
            turbo_server_tcp_consume(s->session, n);
        }
        if (s->end_kept && !s->end_passed) {
            s->end_passed = true;
            tcp_write(&net.down, TCP_TO_CLIENT, NULL, 0, turbo_server_end(s->session));
        }
        if (turbo_server_replay_left(s->session) == 0)
            drop_session(s);
    }
    n = s->produced - s->taken;
    if (s->session != NULL)
        n = turbo_server_push(s->session, net.now, net.s2c + s->taken, n);
    else if (s->on_tcp && n > 0)
        tcp_write(&net.down, TCP_TO_CLIENT, net.s2c + s->taken, n, TURBO_END_NONE);
    else
        n = 0;
    s->taken += n;
    if (s->taken < s->produced || s->end == TURBO_END_NONE || s->end_kept || s->end_passed)
        return;
    if (s->session != NULL && !turbo_server_joined(s->session)) {
        s->end_kept = true;
        turbo_server_push_end(s->session, s->end);
    } else if (s->session == NULL && s->on_tcp) {
        s->end_passed = true;
        tcp_write(&net.down, TCP_TO_CLIENT, NULL, 0, s->end);
    }
}

static void close_tcp(void)
{
    net.mode = CLOSED;
    tcp_write(&net.down, TCP_TO_CLIENT, NULL, 0, TURBO_END_RESET);
    server_told(net.joined, TURBO_END_RESET);
}

static void opened(enum turbo_join join, struct turbo_server *session)
{
    if (join == TURBO_JOIN_RESET) {
        close_tcp();
        return;
    }
    net.mode = PIPING;
    net.joined = join == TURBO_JOIN_SESSION ? turbo_server_user(session) : connect_server();
    net.joined->on_tcp = true;
}

/* The opening ends with what has been read; `up.read` is set to what goes on from there. */
static void judge_opening(void)
{
    struct turbo_opening *o = &net.opening;
    struct turbo_server *session = NULL;
    const uint8_t *stream = net.up.bytes + net.opened_at;
    enum turbo_join join = TURBO_JOIN_FRESH;
    if (o->kind == TURBO_OPENING_TOMBSTONE) {
        net.opened_at += TURBO_TOMBSTONE_BYTES;
        join = turbo_endpoint_join(net.edge.endpoint, net.now, &o->tombstone, NULL, &session);
        if (join == TURBO_JOIN_FRESH) {
            turbo_opening_init(o);
            net.up.read = net.opened_at;
            return;
        }
    } else if (o->kind == TURBO_OPENING_CLASSIC && o->hello.state == TURBO_HELLO_COMPLETE) {
        join = turbo_endpoint_adopt(net.edge.endpoint, net.now, stream, o->hello.length, NULL,
                                    &session);
    }
    net.up.read = net.opened_at;
    opened(join, session);
}

static void edge_reads(size_t limit)
{
    struct pipe *p = &net.up;
    size_t n = limit - p->read;
    const uint8_t *data = p->bytes + p->read;
    if (net.mode == OPENING) {
        p->read += turbo_opening_push(&net.opening, data, n, turbo_endpoint_prefix_known,
                                      net.edge.endpoint);
        if (net.opening.kind != TURBO_OPENING_MORE)
            judge_opening();
        return;
    }
    struct turbo_server *session = net.joined->session;
    size_t replay = session == NULL ? 0 : turbo_server_replay_left(session);
    p->read += n;
    if (replay > n)
        replay = n;
    if (replay > 0)
        assert_true(turbo_server_replay(session, data, replay));
    server_receives(net.joined, data + replay, n - replay);
}

static void edge_tcp(void)
{
    struct pipe *p = &net.up;
    size_t step = net.plan.segment == 0 ? SIZE_MAX : net.plan.segment;
    while (p->read < p->arrived && net.mode != CLOSED)
        edge_reads(p->arrived - p->read < step ? p->arrived : p->read + step);
    if (p->arrived_end != TURBO_END_NONE && net.mode == PIPING)
        server_told(net.joined, p->arrived_end);
}

static void edge_step(void)
{
    poll_events();
    for (unsigned i = 0; i < net.server_count; i++)
        pump(&net.servers[i]);
    edge_sends();
}

/* Nothing is left of any session; TLS servers without a TCP connection lose theirs. */
static void edge_restarts(void)
{
    for (unsigned i = 0; i < net.server_count; i++) {
        server_told(&net.servers[i], TURBO_END_RESET);
        if (net.servers[i].session != NULL)
            drop_session(&net.servers[i]);
    }
    edge_stop(&net.edge);
    edge_start(&net.edge, EDGE_SESSIONS, EDGE_ENDED);
}

/* ---- time ---- */

static void happen(const struct item *item)
{
    struct turbo_path path = check_path(1, (uint16_t)(item->which + 1));
    struct pipe *pipe = item->kind == TCP_TO_EDGE ? &net.up : &net.down;
    switch (item->kind) {
    case TO_EDGE:
        net.port[item->which].requests++;
        net.port[item->which].request_bytes += item->length;
        turbo_endpoint_datagram(net.edge.endpoint, net.now, &path, item->data, item->length);
        break;
    case TO_CLIENT:
        turbo_client_datagram(net.dial.client, net.now, item->data, item->length);
        break;
    case TCP_UP: turbo_client_tcp_up(net.dial.client, net.now); break;
    case TCP_TO_EDGE:
    case TCP_TO_CLIENT:
        pipe->arrived = item->length;
        pipe->arrived_end = item->end;
        if (item->kind == TCP_TO_EDGE)
            edge_tcp();
        break;
    case SERVER_SENDS:
        net.servers[item->which].produced = item->length;
        net.servers[item->which].end = item->end;
        break;
    case RESET: turbo_client_abort(net.dial.client, net.now); break;
    case RESTART: edge_restarts(); break;
    }
}

static turbo_time earlier(turbo_time a, turbo_time b)
{
    return a < b ? a : b;
}

/* The next thing happens; false when there is nothing left. */
static bool advance(void)
{
    size_t first = 0;
    for (size_t i = 1; i < net.item_count; i++)
        first = net.items[i].at < net.items[first].at ? i : first;
    turbo_time timer =
        earlier(turbo_client_deadline(net.dial.client), turbo_endpoint_deadline(net.edge.endpoint));
    if (net.item_count == 0 && timer == TURBO_NEVER)
        return false;
    if (net.item_count > 0 && net.items[first].at <= timer) {
        static struct item item;
        item = net.items[first];
        net.item_count--;
        memmove(&net.items[first], &net.items[first + 1], (net.item_count - first) * sizeof(item));
        net.now = item.at;
        happen(&item);
    } else {
        net.now = timer;
        turbo_client_tick(net.dial.client, net.now);
        turbo_endpoint_tick(net.edge.endpoint, net.now);
    }
    return true;
}

struct net_plan net_usual(void)
{
    return (struct net_plan){.hello = 600,
                             .flight = 3000,
                             .answer = 200,
                             .reply = 5000,
                             .pieces = 2,
                             .delay = 7 * TURBO_MILLISECOND};
}

static void begin(const struct net_plan *plan)
{
    struct turbo_client_config config;
    memset(&net, 0, sizeof(net));
    net.plan = *plan;
    hello_make(&net.hello, &(struct hello_spec){.server_name = "a.example", .size = plan->hello});
    memcpy(net.c2s, net.hello.bytes, net.hello.length);
    check_fill(net.c2s + net.hello.length, C2S, 0, plan->answer);
    check_fill(net.s2c, S2C, 0, plan->flight + plan->reply);
    net.app_wants = net.hello.length;
    turbo_client_config_init(&config, check_sha256);
    config.always = plan->always;
    config.requests_max = TURBO_REQUESTS_MAX;
    config.expected_chunks = (uint32_t)(plan->flight / TURBO_RESPONSE_PAYLOAD_MAX + 1);
    config.expected_bytes = (uint32_t)plan->flight;
    net.now = DIAL_START;
    dialer_start(&net.dial, &config);
    edge_start(&net.edge, EDGE_SESSIONS, EDGE_ENDED);
    if (plan->no_room)
        turbo_endpoint_drain(net.edge.endpoint);
    turbo_opening_init(&net.opening);
    net.plan.app_start += DIAL_START;
    post(DIAL_START + (plan->tcp_up == 0 ? 2 * NET_ONE_WAY : plan->tcp_up), TCP_UP, 0);
    post(net.plan.app_start, SERVER_SENDS, SERVERS_MAX - 1); /* only to wake the app */
    if (plan->app_reset != 0)
        post(DIAL_START + plan->app_reset, RESET, 0);
    if (plan->edge_restart != 0)
        post(DIAL_START + plan->edge_restart, RESTART, 0);
}

struct net_result net_run(const struct net_plan *plan)
{
    begin(plan);
    do {
        client_step();
        edge_step();
    } while (advance());
    assert_true(net.now < DIAL_START + 120 * TURBO_SECOND);
    net.result.client = turbo_client_report(net.dial.client);
    net.result.edge = turbo_endpoint_counters(net.edge.endpoint);
    net.result.requests = net.request_index;
    net.result.responses = net.response_index;
    net.result.app_flight_at -= net.result.app_flight_at == 0 ? 0 : DIAL_START;
    net.result.server_answer_at -= net.result.server_answer_at == 0 ? 0 : DIAL_START;
    for (unsigned i = 0; i < net.server_count; i++)
        if (net.servers[i].session != NULL)
            drop_session(&net.servers[i]);
    edge_stop(&net.edge); /* every session's memory and timers have ended (12.5) */
    dialer_stop(&net.dial);
    return net.result;
}
