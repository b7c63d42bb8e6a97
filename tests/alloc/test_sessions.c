/*
 * Sessions of every kind while the n-th allocation, or the n-th new descriptor, fails: for n = 1,
 * 2, 3 ... until a session needs no more of them. The one it hits works or ends; the next one
 * works; nothing is kept.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/alloc/faults.h"
#include "tests/alloc/world.h"
#include "tests/unit/support/pool.h"

struct scenario {
    const char *name;
    void (*start)(struct world *w);
    /* Whether it went well. */
    bool (*session)(struct world *w);
};

/* ---- what clients do ---- */

/* From the flight on; the client has sent its ClientHello. */
static bool finish_session(struct world *w, struct peer *client, const char *answer)
{
    UNTIL_OR_LOST(w, world_lost(w, client), world_heard_flight(client));
    peer_say(client, answer);
    UNTIL_OR_LOST(w, world_lost(w, client), world_heard_all(w, client));
    peer_finish(client);
    UNTIL_OR_LOST(w, client->error != 0, client->ended && world_is_over(w));
    return true;
}

static bool talk(struct world *w)
{
    world_begin(w);
    struct peer *client = fixture_client(w->f);
    wire_client_hello(&w->wire, client);
    return finish_session(w, client, WORLD_ANSWER);
}

/* A failed look-up is remembered for a second: another session asks for another name. */
static bool talk_to_a_name(struct world *w)
{
    struct server *server = fixture_upstream(w->f)->servers[0];
    snprintf(server->host, sizeof(server->host), "server%u.test", w->sessions);
    return talk(w);
}

/* Before TLS. False: it was told something else, or nothing. */
static bool be_answered(struct world *w, struct peer *client, const void *words, size_t length,
                        const char *answer)
{
    peer_send(client, words, length);
    UNTIL_OR_LOST(w, world_lost(w, client), client->length >= strlen(answer));
    bool good = peer_heard(client, answer);
    client->length = 0;
    if (!good)
        peer_reset(client);
    return good;
}

/* Each session asks for another name. */
static bool ask_for_a_name(struct world *w)
{
    char text[128];
    world_begin(w);
    struct peer *client = fixture_client(w->f);
    int length = snprintf(text, sizeof(text), "CONNECT server%u.test:%u HTTP/1.1\r\n\r\n",
                          w->sessions, w->asked_port);
    if (!be_answered(w, client, text, (size_t)length,
                     "HTTP/1.1 200 Connection established\r\n\r\n"))
        return false;
    wire_client_hello(&w->wire, client);
    return finish_session(w, client, WORLD_ANSWER);
}

static bool ask_for_tls(struct world *w)
{
    world_begin(w);
    struct peer *client = fixture_client(w->f);
    if (!be_answered(w, client, world_starttls, sizeof(world_starttls), WORLD_AGREED))
        return false;
    wire_client_hello(&w->wire, client);
    return finish_session(w, client, WORLD_ANSWER);
}

/* The UDP session that never got an answer: refused, or let go. */
static bool lost_by_udp(struct world *w)
{
    return wire_client_was_refused(&w->wire) || world_is_over(w);
}

static bool hear_by_udp(struct world *w)
{
    world_begin(w);
    wire_client_ask(&w->wire, w->f, "127.0.0.1", fixture_udp_port(w->f, 0));
    world_let_happen(w);
    UNTIL_OR_LOST(w, lost_by_udp(w), wire_client_heard(&w->wire, WORLD_FLIGHT));
    return true;
}

/* ---- the kinds of sessions ---- */

static void start_plain(struct world *w)
{
    fixture_start(w->f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", w->f->server_port);
}

/* Bytes that a reader does not take are held: without pipes, in memory. */
static void start_slow_reader(struct world *w)
{
    start_plain(w);
    w->f->worker->pipes.max = 0;
    w->reply_bytes = WORLD_REPLY_MAX;
}

static bool read_slowly(struct world *w)
{
    world_begin(w);
    struct peer *client = fixture_client(w->f);
    wire_client_hello(&w->wire, client);
    UNTIL_OR_LOST(w, world_lost(w, client), world_heard_flight(client));
    peer_deafen(client);
    peer_say(client, WORLD_ANSWER);
    world_let_happen(w);
    peer_hear(client);
    return finish_session(w, client, "");
}

static void start_name(struct world *w)
{
    fixture_start(w->f, "--listen tcp:127.0.0.1:0 --upstream tcp:server.test:%u",
                  w->f->server_port);
    world_start_names(w);
}

/* Nobody listens at the first one, so that there is always another server to be tried. */
static void start_pool(struct world *w)
{
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .back_off_s = 0.0001};
    pool_start(w->f, &pool, "tcp");
}

static void start_turbo_pool(struct world *w)
{
    struct pool pool = {.hosts = {"127.0.0.7", "127.0.0.1"}, .back_off_s = 0.0001};
    pool_start(w->f, &pool, "turbo");
}

static void start_checks(struct world *w)
{
    struct pool pool = {.hosts = {"127.0.0.7"}, .check_interval_s = 0.001};
    pool_start(w->f, &pool, "tcp");
}

static bool be_checked(struct world *w)
{
    uint64_t before = pool_server(w->f, 0)->check_failed;
    world_begin(w);
    UNTIL_OR_LOST(w, false, pool_server(w->f, 0)->check_failed > before);
    return true;
}

static void start_edge(struct world *w)
{
    fixture_start(w->f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u",
                  w->f->server_port);
}

static bool join_by_tombstone(struct world *w)
{
    if (!hear_by_udp(w))
        return false;
    struct peer *client = fixture_client(w->f);
    wire_client_tombstone(&w->wire, client, 0);
    wire_client_hello(&w->wire, client);
    return finish_session(w, client, WORLD_ANSWER);
}

static bool join_by_adoption(struct world *w)
{
    if (!hear_by_udp(w))
        return false;
    struct peer *client = fixture_client(w->f);
    wire_client_hello(&w->wire, client);
    return finish_session(w, client, WORLD_ANSWER);
}

/* The server is reset behind its flight: who joins gets the flight, then the reset. */
static bool join_the_doomed(struct world *w)
{
    if (!hear_by_udp(w))
        return false;
    peer_reset(w->f->served[w->first]);
    world_let_happen(w);
    if (world_is_over(w)) /* nothing is kept for who joins */
        return false;
    struct peer *client = fixture_client(w->f);
    wire_client_tombstone(&w->wire, client, 0);
    wire_client_hello(&w->wire, client);
    UNTIL_OR_LOST(w, world_lost(w, client), world_heard_flight(client));
    UNTIL_OR_LOST(w, client->ended, peer_was_reset(client) && world_is_over(w));
    return true;
}

static bool be_refused(struct world *w)
{
    size_t connections_max = w->f->worker->connections_max;
    w->f->worker->connections_max = 0;
    world_begin(w);
    wire_client_ask(&w->wire, w->f, "127.0.0.1", fixture_udp_port(w->f, 0));
    UNTIL_OR_LOST(w, false, wire_client_was_refused(&w->wire));
    w->f->worker->connections_max = connections_max;
    return true;
}

static void start_sniffing_edge(struct world *w)
{
    fixture_start(w->f,
                  "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u --sniff-timeout 0.001",
                  w->f->server_port);
    w->speaks_first = true;
}

static bool let_the_server_speak(struct world *w)
{
    world_begin(w);
    return finish_session(w, fixture_client(w->f), WORLD_ANSWER);
}

/* Through a sidecar and an edge. */
static void start_both(struct world *w, const char *how)
{
    unsigned port = world_start_edge(w);
    fixture_start(w->f, "--listen tcp:127.0.0.1:0 --upstream turbo:127.0.0.1:%u%s", port, how);
}

static void start_turbo(struct world *w)
{
    start_both(w, ",turbo=always");
}

static void start_classic(struct world *w)
{
    start_both(w, "");
}

#define ASKING                                                                                     \
    "listener { address: '127.0.0.1:0' protocol: TCP request: HTTP_CONNECT "                       \
    "route { requested_host: ['*', '127.0.0.0/8'] requested_port: %u upstream: 'asked' } } "       \
    "upstream { name: 'asked' requested: true %s }"

/* As from a file: what the proxy allocates it frees itself. */
static void configure(const struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void configure(const struct world *w, const char *format, ...)
{
    va_list values;
    int fd = memfd_create("configuration", MFD_CLOEXEC);
    assert_true(fd >= 0);
    va_start(values, format);
    assert_true(vdprintf(fd, format, values) > 0);
    va_end(values);
    fixture_parse(w->f, "--config /proc/self/fd/%d", fd);
    close(fd);
    fixture_serve(w->f);
}

static void start_asking(struct world *w, unsigned port, const char *upstream)
{
    w->asked_port = port;
    configure(w, ASKING, port, upstream);
    world_start_names(w);
}

static void start_request(struct world *w)
{
    start_asking(w, w->f->server_port, "protocol: TCP");
}

static void start_turbo_request(struct world *w)
{
    start_asking(w, world_start_edge(w), "protocol: TURBO turbo: ALWAYS");
}

static void start_starttls(struct world *w)
{
    w->starttls = true;
    configure(w,
              "listener { address: '127.0.0.1:0' protocol: TCP starttls: POSTGRESQL "
              "route { upstream: 'u' } } upstream { name: 'u' protocol: TCP "
              "starttls: POSTGRESQL server { address: '127.0.0.1:%u' } }",
              w->f->server_port);
}

/* ---- every n ---- */

static struct world w;

static bool survives(const struct scenario *s, const struct fault *fault, unsigned n)
{
    world_open(&w);
    s->start(&w);
    faults_plan(fault, n);
    bool good = s->session(&w);
    bool struck = faults_cancel();
    assert_true(good || struck);
    assert_true(s->session(&w)); /* there is memory again */
    world_close(&w);
    return struck;
}

static void at_every_n(void **state)
{
    const struct scenario *s = *state;
    for (size_t i = 0; i < FAULTS; i++) {
        unsigned n = 1;
        while (survives(s, &faults[i], n))
            n++;
        print_message("%s: %u times a failed %s\n", s->name, n - 1, faults[i].name);
    }
    faults_plan(NULL, 0); /* nothing to explain */
}

/* A test that has not come to its end. */
static int explain(void **state)
{
    (void)state;
    faults_off();
    faults_print();
    if (w.f != NULL)
        world_abandon(&w);
    return 0;
}

/* Libraries keep what they make when first used. */
static int warm_up(void **state)
{
    static struct wire_client wire;
    (void)state;
    wire_client_init(&wire, 0);
    return 0;
}

static const struct scenario scenarios[] = {
    {"a plain relay", start_plain, talk},
    {"a slow reader", start_slow_reader, read_slowly},
    {"an upstream with a name", start_name, talk_to_a_name},
    {"several servers", start_pool, talk},
    {"several turbo servers", start_turbo_pool, talk},
    {"active checks", start_checks, be_checked},
    {"classic, to an edge", start_edge, talk},
    {"a tombstone", start_edge, join_by_tombstone},
    {"an adoption", start_edge, join_by_adoption},
    {"a doomed session", start_edge, join_the_doomed},
    {"a refusal", start_edge, be_refused},
    {"a server that speaks first", start_sniffing_edge, let_the_server_speak},
    {"turbo, through both", start_turbo, talk},
    {"classic, through both", start_classic, talk},
    {"a request", start_request, ask_for_a_name},
    {"a request, to an edge", start_turbo_request, ask_for_a_name},
    {"STARTTLS at both ends", start_starttls, ask_for_tls},
};

int main(int argc, char *argv[])
{
    struct CMUnitTest tests[COUNT(scenarios)];
    faults_install();
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    for (size_t i = 0; i < COUNT(scenarios); i++)
        tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
                                       .test_func = at_every_n,
                                       .teardown_func = explain,
                                       .initial_state = (void *)(uintptr_t)&scenarios[i]};
    return cmocka_run_group_tests_name("sessions", tests, warm_up, NULL);
}
