/*
 * What is remembered of an upstream, under any order of sessions that begin, overlap and end in any
 * way that a session can: what the next one is told stays within protocol §4.8, §6.5, §6.8, §6.9.
 */
#include "tests/fuzz/support.h"

#include "turbo/learned.h"

enum { OUT_MAX = 6, NOTED_MAX = 800 };

/* A session that was configured and has not been noted. */
struct out {
    bool begun;
    turbo_time since;
    struct turbo_client_config config;
};

struct model {
    struct turbo_learned learned;
    turbo_time now;
    struct out out[OUT_MAX];
    bool spoke;            /* a report has told that it speaks */
    turbo_time failed_at;  /* the last that could pause */
    unsigned failures;     /* that could pause, since a success */
    unsigned in_row[2];    /* of SILENT and PARTIAL, since a pause or a success */
    unsigned pauses;       /* that in_row brought about, since a success */
    turbo_time counted_at; /* the last failure that counted */
    bool worked;           /* since the last pause */
    bool elsewhere;        /* the last pause was for UNHEARD */
    unsigned resets, good; /* UNHEARD since 8 GOOD in a row, and these */
    turbo_time trial_at;   /* a trial that nobody has noted; 0: none */

    struct turbo_client_report noted[NOTED_MAX];
    size_t count;
};

/* ---- reports ---- */

enum how { SILENT, PARTIAL, GOOD, REFUSED, DRAFT, UNHEARD, TCP_FIRST, FAILED, HOWS };

static struct turbo_client_report report_of(const struct model *m, const struct out *out,
                                            enum how how, struct input *in)
{
    struct turbo_client_report r = {.trial = out->config.trial, .outcome = TURBO_OUTCOME_CLASSIC};
    r.tcp_up_us = how == FAILED ? 0 : input_byte(in) * 1000u + 1;
    if (out->config.paused || how == TCP_FIRST) {
        r.reason = out->config.paused ? TURBO_REASON_UDP_PAUSED : TURBO_REASON_TCP_FIRST;
        return r;
    }
    r.asked = true;
    r.asked_at = out->since + (m->now - out->since) / 4;
    r.refused = how == REFUSED;
    r.draft = how == DRAFT;
    r.unheard = how == UNHEARD;
    r.responded = how == PARTIAL || how == GOOD || how == UNHEARD;
    if (r.responded)
        r.outcome = TURBO_OUTCOME_TURBO;
    if (how != PARTIAL && how != GOOD)
        return r;
    r.flight_known = true;
    r.flight_by_udp = r.late_known = how == GOOD;
    r.flight_chunks = (uint8_t)(input_byte(in) % TURBO_CHUNKS_MAX + 1);
    r.flight_bytes = r.flight_chunks * 1182u - input_byte(in);
    r.late_us = how == GOOD ? input_word(in) * 32u : 0; /* up to 2.1 s */
    return r;
}

/* ---- what must be true ---- */

static void check_flight(const struct model *m, const struct turbo_client_config *config)
{
    uint32_t chunks = 0, bytes = 0, known = 0;
    for (size_t i = m->count; i > 0 && known < 8; i--) {
        const struct turbo_client_report *r = &m->noted[i - 1];
        if (!r->flight_known)
            continue;
        chunks = r->flight_chunks > chunks ? r->flight_chunks : chunks;
        bytes = r->flight_bytes > bytes ? r->flight_bytes : bytes;
        known++;
    }
    assert(config->expected_chunks == (known > 0 ? chunks : TURBO_EXPECTED_CHUNKS));
    assert(config->expected_bytes == (known > 0 ? bytes : TURBO_EXPECTED_BYTES));
}

static void check_round_trip(const struct model *m, turbo_time rtt)
{
    turbo_time least = 0;
    unsigned known = 0;
    for (size_t i = m->count; i > 0 && known < 8; i--) {
        turbo_time one = m->noted[i - 1].tcp_up_us;
        least = one != 0 && (least == 0 || one < least) ? one : least;
        known += one != 0;
    }
    assert(rtt == least);
}

static void check_pause(const struct model *m, const struct turbo_client_config *config)
{
    assert(config->paused == turbo_learned_paused(&m->learned, m->now) || config->trial);
    assert(!config->paused || !config->trial);
    bool failing = m->failures > 0;
    assert(failing || (!config->paused && !config->trial));
    assert(config->elsewhere == (config->paused && m->elsewhere));
    bool others = m->trial_at != 0 && m->now < m->trial_at + TURBO_PAUSE_MIN;
    assert(!config->trial || !others); /* one at a time */
    if (failing && m->now >= m->failed_at + TURBO_PAUSE_MAX && !others)
        assert(!config->paused); /* no pause is longer */
}

static void configure(struct model *m, struct out *out)
{
    struct turbo_client_config *config = &out->config;
    turbo_client_config_init(config, check_sha256);
    turbo_learned_configure(&m->learned, m->now, config);
    check_pause(m, config);
    check_flight(m, config);
    check_round_trip(m, config->rtt_us);
    assert(config->speaks == m->spoke);
    assert(config->requests_max == (m->spoke ? TURBO_REQUESTS_MAX : TURBO_REQUESTS_UNPROVEN));
    assert(config->wait_us == 0 ||
           (config->wait_us >= TURBO_WAIT_MIN && config->wait_us <= TURBO_WAIT_MAX));
    if (config->trial)
        m->trial_at = m->now;
    out->begun = true;
    out->since = m->now;
}

/* SILENT or PARTIAL (protocol §6.9 a, b): a pause is due, or nothing changes. */
static void check_failure(struct model *m, enum how how, const struct turbo_client_report *r,
                          turbo_time until_before)
{
    const struct turbo_learned *l = &m->learned;
    unsigned enough = how == SILENT && !m->worked ? 2 : 4;
    bool counts = r->asked_at >= m->counted_at;
    if (counts) {
        m->in_row[how]++;
        m->counted_at = m->now;
    }
    if (!counts || (m->in_row[how] < enough && !r->trial)) {
        assert(l->paused_until == until_before);
        return;
    }
    turbo_time length = 30 * TURBO_SECOND;
    for (unsigned i = 0; i < m->pauses && length < 600 * TURBO_SECOND; i++)
        length *= 2;
    assert(l->paused_until == m->now + (length < 600 * TURBO_SECOND ? length : 600 * TURBO_SECOND));
    m->pauses++;
    m->worked = m->elsewhere = false;
    m->in_row[SILENT] = m->in_row[PARTIAL] = 0;
}

/* What the report must have brought about, by 6.9. */
static void check_judgement(struct model *m, enum how how, const struct turbo_client_report *r,
                            turbo_time until_before)
{
    turbo_time until = m->learned.paused_until;
    if (r->responded)
        m->in_row[SILENT] = 0;
    switch (how) {
    case SILENT:
    case PARTIAL: check_failure(m, how, r, until_before); break;
    case GOOD: /* late or not */
        if (m->elsewhere && r->asked_at < m->counted_at) {
            assert(until == until_before); /* by chance */
            return;
        }
        assert(until == 0);
        m->elsewhere = false;
        m->in_row[SILENT] = m->in_row[PARTIAL] = m->pauses = 0;
        m->failures = 0;
        m->trial_at = m->counted_at = 0;
        m->worked = true;
        if (++m->good >= 8)
            m->resets = 0;
        return;
    case UNHEARD:
        if (r->asked_at < m->counted_at) {
            assert(until == until_before);
            break;
        }
        assert(until == m->now + (m->resets < 5 ? 30u << m->resets : 600u) * TURBO_SECOND);
        m->resets++;
        m->good = 0;
        m->in_row[SILENT] = m->in_row[PARTIAL] = 0;
        m->counted_at = m->now;
        m->worked = false;
        m->elsewhere = true;
        break;
    case DRAFT:
        assert(until == m->now + 600 * TURBO_SECOND);
        m->in_row[SILENT] = m->in_row[PARTIAL] = 0;
        m->counted_at = m->now;
        m->worked = m->elsewhere = false;
        break;
    default: assert(until == until_before); return;
    }
    m->failures++;
    m->failed_at = m->now;
}

static void note(struct model *m, struct out *out, enum how how, struct input *in)
{
    struct turbo_client_report r = report_of(m, out, how, in);
    assert(m->count < NOTED_MAX);
    m->noted[m->count++] = r;
    m->spoke |= r.responded || r.refused;
    if (r.trial)
        m->trial_at = 0;
    turbo_time until = m->learned.paused_until;
    turbo_learned_note(&m->learned, m->now, &r);
    out->begun = false;
    check_judgement(m, r.asked ? how : TCP_FIRST, &r, until);
}

static turbo_time input_time(struct input *in)
{
    uint8_t byte = input_byte(in); /* up to 127 ms, or up to 21 minutes */
    return byte < 128 ? byte * TURBO_MILLISECOND : (byte - 127u) * 10 * TURBO_SECOND;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct model m;
    struct input in = {data, size};
    m = (struct model){.now = 5 * TURBO_SECOND};
    while (in.left > 0 && m.count < NOTED_MAX) {
        uint8_t byte = input_byte(&in);
        struct out *out = &m.out[(byte & 0xf) % OUT_MAX];
        if (out->begun)
            note(&m, out, (byte >> 4) % HOWS, &in);
        else
            configure(&m, out);
        m.now += input_time(&in);
    }
    return 0;
}

void fuzz_seeds(void)
{
    /* clang-format off */
    static const uint8_t good[] = {0, 40, GOOD << 4, 30, 3, 0, 0, 99, 1, 0, 9, GOOD << 4, 20, 9, 9, 9, 9, 9};
    static const uint8_t silent[] = {
        0, 50, SILENT << 4, 30, 9, 0, 50, SILENT << 4, 30, 9, 0, 50, SILENT << 4, 30, 131, 0, 50, 1, 9,
        SILENT << 4, 30, 131, 0, 50, SILENT << 4, 30, 200, 0, 50, GOOD << 4, 30, 3, 0, 0, 99, 9};
    static const uint8_t partial[] = {
        0, 9, PARTIAL << 4, 1, 5, 5, 9, 0, 9, PARTIAL << 4, 1, 5, 5, 9, 0, 9, PARTIAL << 4, 1, 5, 5, 9,
        0, 9, PARTIAL << 4, 1, 5, 5, 140, 0, 9, 1, 9, PARTIAL << 4, 1, 5, 5, 9};
    static const uint8_t worse[] = {
        0, 9, 1, 9, 2, 9, 3, 9, UNHEARD << 4, 1, 9, DRAFT << 4 | 1, 1, 9, REFUSED << 4 | 2, 1, 200,
        TCP_FIRST << 4 | 3, 1, 9, 0, 9, FAILED << 4, 9, 0, 9};
    /* clang-format on */
    seed_write(good, sizeof(good));
    seed_write(silent, sizeof(silent));
    seed_write(partial, sizeof(partial));
    seed_write(worse, sizeof(worse));
}
