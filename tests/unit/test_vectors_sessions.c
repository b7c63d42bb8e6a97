/*
 * The exchanges of tests/vectors/sessions.txt between turbo_client and turbo_endpoint: each sends
 * what the transcript says, when it says so, and nothing else.
 */
#include "tests/unit/support/edge.h"
#include "tests/unit/support/vectors.h"

#include "turbo/client.h"
#include "turbo/opening.h"

#include <stdlib.h>

#define DIAL_AT (5 * TURBO_SECOND)

enum { ROOM = 64 * 1024 };

struct play {
    const struct block *block;
    turbo_time now;
    struct turbo_client_config config;
    struct turbo_client *client;
    struct edge edge;
    struct turbo_server *session; /* passed on */
    struct turbo_path path;
    const char *joins;
    uint8_t value[ROOM]; /* of the line at hand */
    size_t length;
};

#define SAYS(play, condition) BLOCK_ASSERT((play)->block, condition)

static bool is_value(const struct play *p, const uint8_t *data, size_t length)
{
    return length == p->length && memcmp(data, p->value, length) == 0;
}

/* Before anything new happens, all has been said. */
static void assert_silence(struct play *p)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    const uint8_t *data;
    struct turbo_path path;
    struct turbo_server *session;
    SAYS(p, turbo_client_poll_datagram(p->client, out) == 0);
    SAYS(p, turbo_client_peek(p->client, &data) == 0);
    SAYS(p, turbo_client_tcp_peek(p->client, &data) == 0);
    SAYS(p, turbo_endpoint_poll_datagram(p->edge.endpoint, p->now, out, &path) == 0);
    SAYS(p, turbo_endpoint_poll_event(p->edge.endpoint, &session) == TURBO_EVENT_NONE);
}

/* ---- what happens ---- */

static void learned(struct play *p)
{
    char *at;
    p->config.expected_chunks = (uint32_t)strtoul(block_value(p->block, "learned"), &at, 10);
    p->config.expected_bytes = (uint32_t)strtoul(at, &at, 10);
    p->config.requests_max = (uint32_t)strtoul(at, &at, 10);
    turbo_client_init(p->client, &p->config, p->now);
}

static void time_passes(struct play *p, const char *milliseconds)
{
    assert_silence(p);
    turbo_time now = DIAL_AT + (turbo_time)(strtod(milliseconds, NULL) * TURBO_MILLISECOND + 0.5);
    SAYS(p, now >= p->now);
    p->now = now;
    turbo_client_tick(p->client, now);
    turbo_endpoint_tick(p->edge.endpoint, now);
}

static void app_says(struct play *p)
{
    assert_silence(p);
    SAYS(p, turbo_client_push(p->client, p->now, p->value, p->length) == p->length);
}

static void app_resets(struct play *p)
{
    assert_silence(p);
    turbo_client_abort(p->client, p->now);
}

static void tls_says(struct play *p)
{
    assert_silence(p);
    SAYS(p, turbo_server_push(p->session, p->now, p->value, p->length) == p->length);
}

static void tcp_is_up(struct play *p)
{
    assert_silence(p);
    turbo_client_tcp_up(p->client, p->now);
}

static void refuse(struct play *p)
{
    assert_silence(p);
    turbo_server_refuse(p->session);
    turbo_server_release(p->session, p->now);
    p->session = NULL;
}

static void server_is_lost(struct play *p)
{
    assert_silence(p);
    turbo_server_release(p->session, p->now);
    p->session = NULL;
    edge_stop(&p->edge);
    edge_start(&p->edge, EDGE_SESSIONS, EDGE_ENDED);
}

/* ---- what comes of it ---- */

static void request(struct play *p, bool arrives)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    size_t length = turbo_client_poll_datagram(p->client, out);
    SAYS(p, is_value(p, out, length));
    if (arrives)
        turbo_endpoint_datagram(p->edge.endpoint, p->now, &p->path, out, length);
}

static void drops_request(struct play *p)
{
    uint64_t before = turbo_endpoint_counters(p->edge.endpoint).junk;
    turbo_endpoint_datagram(p->edge.endpoint, p->now, &p->path, p->value, p->length);
    SAYS(p, turbo_endpoint_counters(p->edge.endpoint).junk == before + 1);
}

static void response(struct play *p, bool arrives)
{
    uint8_t out[TURBO_DATAGRAM_MAX];
    struct turbo_path path;
    size_t length = turbo_endpoint_poll_datagram(p->edge.endpoint, p->now, out, &path);
    SAYS(p, is_value(p, out, length));
    if (arrives)
        SAYS(p, turbo_client_datagram(p->client, p->now, out, length));
}

static void drops_response(struct play *p)
{
    SAYS(p, !turbo_client_datagram(p->client, p->now, p->value, p->length));
}

static void tls_gets(struct play *p)
{
    const uint8_t *data;
    p->session = edge_event(&p->edge, TURBO_EVENT_NEW);
    size_t length = turbo_server_peek(p->session, &data);
    SAYS(p, is_value(p, data, length));
    turbo_server_consume(p->session, p->length);
}

static void tls_is_reset(struct play *p)
{
    SAYS(p, edge_event(&p->edge, TURBO_EVENT_ENDED) == p->session);
}

static void app_gets(struct play *p)
{
    const uint8_t *data;
    size_t length = turbo_client_peek(p->client, &data);
    SAYS(p, is_value(p, data, length));
    turbo_client_consume(p->client, p->length);
}

static void opens_with_tombstone(struct play *p, const struct turbo_opening *opening)
{
    struct turbo_server *session = NULL;
    enum turbo_join join =
        turbo_endpoint_join(p->edge.endpoint, p->now, &opening->tombstone, NULL, &session);
    p->joins = join == TURBO_JOIN_SESSION ? "tombstone"
               : join == TURBO_JOIN_FRESH ? "fresh"
                                          : "reset";
    if (join == TURBO_JOIN_SESSION)
        SAYS(p, turbo_server_replay(session, p->value + TURBO_TOMBSTONE_BYTES,
                                    turbo_server_replay_left(session)));
}

static void opens_classically(struct play *p, const struct turbo_opening *opening)
{
    struct turbo_server *session = NULL;
    enum turbo_join join = turbo_endpoint_adopt(p->edge.endpoint, p->now, p->value,
                                                opening->hello.length, NULL, &session);
    p->joins = join == TURBO_JOIN_SESSION ? "adopted" : "fresh";
}

static void tcp_opens(struct play *p)
{
    const uint8_t *data;
    struct turbo_opening opening;
    size_t length = turbo_client_tcp_peek(p->client, &data);
    SAYS(p, is_value(p, data, length));
    turbo_client_tcp_consume(p->client, p->length);
    turbo_opening_init(&opening);
    turbo_opening_push(&opening, p->value, p->length, turbo_endpoint_prefix_known,
                       p->edge.endpoint);
    if (opening.kind == TURBO_OPENING_TOMBSTONE)
        opens_with_tombstone(p, &opening);
    else if (opening.kind == TURBO_OPENING_CLASSIC)
        opens_classically(p, &opening);
}

static void tcp_brings(struct play *p)
{
    const uint8_t *data;
    size_t length = turbo_server_tcp_peek(p->session, &data);
    SAYS(p, is_value(p, data, length));
    turbo_server_tcp_consume(p->session, p->length);
}

static void outcome_is(struct play *p, const char *value)
{
    const uint8_t *data;
    enum turbo_outcome outcome = turbo_client_report(p->client).outcome;
    SAYS(p, strcmp(value, turbo_outcome_text(outcome)) == 0);
    if (p->session != NULL) /* nothing is left for TCP that the transcript does not tell */
        SAYS(p, turbo_server_tcp_peek(p->session, &data) == 0);
}

/* ---- the transcript ---- */

static void lost_request(struct play *p)
{
    request(p, false);
}

static void true_request(struct play *p)
{
    request(p, true);
}

static void lost_response(struct play *p)
{
    response(p, false);
}

static void true_response(struct play *p)
{
    response(p, true);
}

static const struct {
    const char *key;
    void (*act)(struct play *p); /* the value is bytes, or nothing */
} acts[] = {
    {"app>", app_says},
    {"app<", app_gets},
    {"app-reset", app_resets},
    {"udp>", true_request},
    {"udp<", true_response},
    {"udp>lost", lost_request},
    {"udp<lost", lost_response},
    {"tls>", tls_gets},
    {"tls<", tls_says},
    {"tls-reset", tls_is_reset},
    {"tcp-up", tcp_is_up},
    {"tcp>", tcp_opens},
    {"tcp<", tcp_brings},
    {"refuse", refuse},
    {"drop>", drops_request},
    {"drop<", drops_response},
    {"server-lost", server_is_lost},
};

static void play_line(struct play *p, const char *key, const char *value)
{
    if (strcmp(key, "at") == 0) {
        time_passes(p, value);
    } else if (strcmp(key, "learned") == 0) {
        learned(p);
    } else if (strcmp(key, "joins") == 0) {
        SAYS(p, p->joins != NULL && strcmp(value, p->joins) == 0);
    } else if (strcmp(key, "outcome") == 0) {
        outcome_is(p, value);
    } else {
        size_t i = 0;
        while (i < COUNT(acts) && strcmp(acts[i].key, key) != 0)
            i++;
        SAYS(p, i < COUNT(acts));
        p->length = vector_bytes(value, p->value, sizeof(p->value));
        acts[i].act(p);
    }
}

static void play(const struct block *block)
{
    static struct play p;
    p = (struct play){.block = block, .now = DIAL_AT, .path = check_path(1, 40000)};
    turbo_client_config_init(&p.config, check_sha256);
    void *memory = malloc(turbo_client_bytes());
    assert_non_null(memory);
    p.client = turbo_client_init(memory, &p.config, p.now);
    edge_start(&p.edge, EDGE_SESSIONS, EDGE_ENDED);
    for (size_t i = 1; i < block->count; i++)
        play_line(&p, block->lines[i].key, block->lines[i].value);
    assert_silence(&p);
    if (p.session != NULL)
        turbo_server_release(p.session, p.now);
    edge_stop(&p.edge);
    free(memory);
}

static void both_ends_keep_to_the_transcripts(void **state)
{
    (void)state;
    vectors_each("session", play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(both_ends_keep_to_the_transcripts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
