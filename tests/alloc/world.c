#include "tests/alloc/world.h"

#include <ares.h>
#include <stdio.h>

#include "proxy/listener.h"
#include "tests/alloc/faults.h"

enum { PATIENCE = 200 /* turns */ };

static const double BEAT_SECONDS = 0.0005; /* the edge's loop runs when the fixture's one wakes */

/* ---- its life ---- */

void world_open(struct world *w)
{
    void *state = NULL;
    memset(w, 0, sizeof(*w));
    w->reply_bytes = WORLD_REPLY_BYTES;
    w->blocks_before = faults_blocks();
    assert_int_equal(fixture_open(&state), 0);
    w->f = state;
}

void world_close(struct world *w)
{
    void *state = w->f;
    worker_destroy(w->edge);
    w->f = NULL;
    assert_int_equal(fixture_close(&state), 0);
    assert_int_equal(faults_blocks(), w->blocks_before);
}

void world_abandon(struct world *w)
{
    void *state = w->f;
    worker_destroy(w->edge);
    w->f = NULL;
    (void)fixture_close(&state);
}

unsigned world_start_edge(struct world *w)
{
    struct fixture *f = w->f;
    unsigned port = 0;
    fixture_parse(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    w->edge = worker_create(f->config, &f->log);
    assert_non_null(w->edge);
    assert_true(worker_listen(w->edge));
    assert_int_equal(sscanf(listener_text(w->edge->listeners[0]), "turbo:127.0.0.1:%u", &port), 1);
    return port;
}

/* ---- names ---- */

void world_start_names(struct world *w)
{
    char server[32];
    uint16_t port;
    w->names = fixture_udp_server(w->f, &port);
    snprintf(server, sizeof(server), "127.0.0.1:%u", port);
    assert_true(resolver_set_servers(w->f->worker->resolver, server));
}

/* RFC 1035 §4: the question comes back with its answer behind it, and nothing else. */
static void answer_name(struct world *w, size_t number)
{
    enum { HEADER = 12, TYPE_A = 1, TTL_0 = 0 };
    static const uint8_t record[] = {0xc0, HEADER, 0, TYPE_A, 0,   1, 0, 0,
                                     0,    TTL_0,  0, 4,      127, 0, 0, 1};
    uint8_t bytes[512];
    const struct datagram *asked = &w->names->received[number];
    size_t end = HEADER;
    while (end < asked->length && asked->bytes[end] != 0)
        end += asked->bytes[end] + 1u;
    end += 5;
    assert_true(end <= asked->length && end + sizeof(record) <= sizeof(bytes));
    bool has = asked->bytes[end - 3] == TYPE_A;
    memcpy(bytes, asked->bytes, end);
    memcpy(bytes + end, record, sizeof(record));
    bytes[2] |= 0x80;                 /* a response, */
    bytes[7] = has;                   /* so many answers, */
    memset(bytes + 8, 0, HEADER - 8); /* and nothing additional */
    datagrams_answer(w->names, number, bytes, end + (has ? sizeof(record) : 0));
}

/* ---- the server ---- */

static void say(struct world *w, size_t i, const void *words, size_t length)
{
    peer_send(w->f->served[i], words, length);
    w->said[i]++;
}

/* What came must be what the client says, as far as it goes. */
static bool has_come(const struct world *w, const struct peer *server, const char *answer)
{
    size_t length = w->speaks_first ? 0 : w->wire.hello.length;
    size_t more = server->length > length ? server->length - length : 0;
    assert_true(more <= strlen(WORLD_ANSWER));
    assert_memory_equal(server->received, w->wire.hello.bytes,
                        server->length < length ? server->length : length);
    if (more > 0)
        assert_memory_equal(server->received + length, WORLD_ANSWER, more);
    return server->length >= length + strlen(answer);
}

const uint8_t world_starttls[8] = {0, 0, 0, 8, 4, 210, 22, 47};

static bool agree(struct world *w, size_t i)
{
    struct peer *server = w->f->served[i];
    if (!w->starttls || w->agreed[i])
        return true;
    if (server->length < sizeof(world_starttls))
        return false;
    assert_true(peer_heard_bytes(server, world_starttls, sizeof(world_starttls)));
    server->length = 0;
    peer_say(server, WORLD_AGREED);
    w->agreed[i] = true;
    return true;
}

static void serve(struct world *w, size_t i)
{
    static const char reply[WORLD_REPLY_MAX];
    struct peer *server = w->f->served[i];
    if (!agree(w, i))
        return;
    if (w->said[i] == 0 && has_come(w, server, ""))
        say(w, i, WORLD_FLIGHT, strlen(WORLD_FLIGHT));
    if (w->said[i] == 1 && has_come(w, server, WORLD_ANSWER))
        say(w, i, reply, w->reply_bytes);
    if (w->said[i] == 2 && server->ended) {
        peer_finish(server);
        w->said[i]++;
    }
}

/* ---- sessions ---- */

void world_begin(struct world *w)
{
    world_let_happen(w); /* late connections of the session before */
    wire_client_init(&w->wire, ++w->sessions);
    w->turns = 0;
    w->first = w->f->served_count;
    w->connections = w->f->worker->connections;
    w->edge_connections = w->edge == NULL ? 0 : w->edge->connections;
}

bool world_is_over(const struct world *w)
{
    return w->f->worker->connections <= w->connections &&
           (w->edge == NULL || w->edge->connections <= w->edge_connections);
}

static void run(struct world *w)
{
    while (w->names != NULL && w->names_answered < w->names->count)
        answer_name(w, w->names_answered++);
    for (size_t i = w->first; i < w->f->served_count; i++)
        serve(w, i);
    faults_on();
    if (w->edge != NULL)
        ev_run(w->edge->loop, EVRUN_NOWAIT);
    faults_off();
}

void world_turn(struct world *w, const char *what, const char *file, int line)
{
    struct fixture *f = w->f;
    if (f->beat.repeat > BEAT_SECONDS) {
        f->beat.repeat = BEAT_SECONDS;
        ev_timer_again(f->loop, &f->beat);
    }
    w->turns++;
    run(w);
    faults_on();
    fixture_turn(f, what, file, line);
    faults_off();
}

void world_let_happen(struct world *w)
{
    for (int i = 0; i < 16; i++) {
        run(w);
        faults_on();
        ev_run(w->f->loop, EVRUN_NOWAIT);
        faults_off();
    }
}

bool world_lost(const struct world *w, struct peer *client)
{
    if (faults_struck() && w->turns > PATIENCE && client->fd >= 0)
        peer_reset(client);
    return client->fd < 0 || client->error != 0 || client->ended;
}

bool world_heard_flight(const struct peer *client)
{
    return client->length >= strlen(WORLD_FLIGHT) &&
           memcmp(client->received, WORLD_FLIGHT, strlen(WORLD_FLIGHT)) == 0;
}

bool world_heard_all(const struct world *w, const struct peer *client)
{
    return world_heard_flight(client) && client->length == strlen(WORLD_FLIGHT) + w->reply_bytes;
}
