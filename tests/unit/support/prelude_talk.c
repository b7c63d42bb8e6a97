#include "tests/unit/support/prelude_talk.h"

#include <stdlib.h>

/* How one is held. */
struct way {
    bool at_once; /* all that the peer says is there from the start */
    bool late;    /* output is taken only when no more input is */
    bool sips;    /* and byte by byte */
    size_t piece; /* the peer's bytes in pieces of so many; 0: whole */
    size_t cut;   /* and one cut behind so many; 0: none */
};

struct run {
    const struct talk *talk;
    const struct way *way;
    struct prelude *prelude;
    uint8_t heard[TALK_BYTES_MAX]; /* what the peer has said */
    size_t heard_length, taken;
    uint8_t told[TALK_BYTES_MAX]; /* what the prelude has */
    size_t told_length;
    uint8_t expected[TALK_BYTES_MAX];
    size_t expected_length;
};

static void fail_run(const struct run *r, const char *what)
{
    const struct way *w = r->way;

    print_error("\"%s\"%s%s%s, pieces of %zu, cut at %zu: %s; state %d, %s, \"%s\"\n",
                r->talk->title, w->at_once ? ", at once" : "", w->late ? ", late" : "",
                w->sips ? ", in sips" : "", w->piece, w->cut, what, prelude_state(r->prelude),
                prelude_fault_text(prelude_fault(r->prelude)), prelude_said(r->prelude));
    print_error("told     \"%.*s\"\nexpected \"%.*s\"\n", (int)r->told_length,
                (const char *)r->told, (int)r->expected_length, (const char *)r->expected);
    fail();
}

static void check_run(const struct run *r, bool good, const char *what)
{
    if (!good)
        fail_run(r, what);
}

static void add(uint8_t *to, size_t *length, const void *bytes, size_t more)
{
    assert_true(more <= TALK_BYTES_MAX - *length);
    if (more > 0)
        memcpy(to + *length, bytes, more);
    *length += more;
}

/* ---- the driver ---- */

static size_t next_piece(const struct run *r)
{
    size_t n = r->heard_length - r->taken, cut = r->way->cut;

    if (r->way->piece > 0 && n > r->way->piece)
        n = r->way->piece;
    if (r->taken < cut && r->taken + n > cut)
        n = cut - r->taken;
    return n;
}

static bool push(struct run *r)
{
    size_t n = next_piece(r);
    if (n == 0)
        return false;
    uint8_t *piece = malloc(n);
    assert_non_null(piece);
    memcpy(piece, r->heard + r->taken, n);
    size_t taken = prelude_push(r->prelude, piece, n);
    free(piece);
    check_run(r, taken <= n, "took more than there was");
    r->taken += taken;
    return taken > 0;
}

static bool consume(struct run *r)
{
    const uint8_t *data;
    size_t n = prelude_peek(r->prelude, &data);
    if (n == 0)
        return false;
    if (r->way->sips)
        n = 1;
    add(r->told, &r->told_length, data, n);
    prelude_consume(r->prelude, n);
    return true;
}

/* Until nothing moves. As callers must, it pushes what there is before it takes a go-ahead. */
static void pump(struct run *r)
{
    bool moved = true;

    while (moved) {
        moved = push(r);
        if (!moved || !r->way->late)
            moved |= consume(r);
    }
}

/* ---- a dialogue ---- */

static void check_told(const struct run *r)
{
    check_run(r,
              r->told_length == r->expected_length &&
                  memcmp(r->told, r->expected, r->told_length) == 0,
              "other words");
}

static void check_asked(const struct run *r, const struct talk_line *line)
{
    check_run(r, prelude_state(r->prelude) == PRELUDE_ASKED, "nothing asked for");
    check_run(r, strcmp(prelude_host(r->prelude), line->bytes) == 0, prelude_host(r->prelude));
    check_run(r, prelude_port(r->prelude) == line->port, "another port");
}

static void hold_line(struct run *r, const struct talk_line *line)
{
    switch (line->kind) {
    case TALK_NOTHING: break;
    case TALK_PEER:
        if (r->way->at_once)
            break;
        check_told(r);
        add(r->heard, &r->heard_length, line->bytes, line->length);
        pump(r);
        break;
    case TALK_WE: add(r->expected, &r->expected_length, line->bytes, line->length); break;
    case TALK_ASKS: check_asked(r, line); break;
    case TALK_ANSWER:
        check_run(r, prelude_state(r->prelude) == PRELUDE_ASKED, "nothing asked for");
        prelude_answer(r->prelude, line->answer);
        pump(r);
        break;
    case TALK_END: prelude_push_end(r->prelude); break;
    }
}

static void hear_all(struct run *r)
{
    for (size_t i = 0; i < TALK_LINES_MAX; i++) {
        const struct talk_line *line = &r->talk->lines[i];
        if (line->kind == TALK_PEER)
            add(r->heard, &r->heard_length, line->bytes, line->length);
    }
}

/* What the prelude took and did not use, and then what it did not take. */
static void check_rest(const struct run *r)
{
    const uint8_t *rest;
    size_t n = prelude_rest(r->prelude, &rest);
    size_t untaken = r->heard_length - r->taken;

    check_run(r, n + untaken == r->talk->rest_length, "another rest");
    check_run(r, n == 0 || memcmp(rest, r->talk->rest, n) == 0, "another rest");
    check_run(r, untaken == 0 || memcmp(r->heard + r->taken, r->talk->rest + n, untaken) == 0,
              "another rest");
}

static void check_outcome(const struct run *r)
{
    const char *noted = r->talk->noted == NULL ? "" : r->talk->noted;

    check_told(r);
    check_run(r, prelude_state(r->prelude) == r->talk->state, "another state");
    check_run(r, prelude_fault(r->prelude) == r->talk->fault, "another fault");
    check_run(r, strcmp(prelude_said(r->prelude), noted) == 0, "another note");
    if (r->talk->state == PRELUDE_DONE)
        check_rest(r);
}

static void hold(const struct prelude_part *part, const struct prelude_setting *setting,
                 const struct talk *talk, const struct way *way)
{
    static struct run only; /* large, and many are held */
    struct run *r = &only;
    void *memory = malloc(prelude_bytes(part));
    assert_non_null(memory);
    memset(memory, 0xa5, prelude_bytes(part));
    r->talk = talk;
    r->way = way;
    r->heard_length = r->taken = r->told_length = r->expected_length = 0;
    r->prelude = prelude_init(memory, part, setting);

    if (way->at_once)
        hear_all(r);
    pump(r);
    for (size_t i = 0; i < TALK_LINES_MAX; i++)
        hold_line(r, &talk->lines[i]);
    check_outcome(r);
    free(memory);
}

/* ---- every way ---- */

static size_t bytes_of_peer(const struct talk *talk)
{
    size_t length = 0;

    for (size_t i = 0; i < TALK_LINES_MAX; i++)
        length += talk->lines[i].kind == TALK_PEER ? talk->lines[i].length : 0;
    return length;
}

/* More than this is cut in some places only. */
enum { SHORT_BYTES = 400, LONG_CUTS = 40 };

/* Whole, in small pieces, and with one cut anywhere. */
static void hold_in_pieces(const struct prelude_part *part, const struct prelude_setting *setting,
                           const struct talk *talk, struct way way)
{
    size_t length = bytes_of_peer(talk);
    size_t step = length <= SHORT_BYTES ? 1 : length / LONG_CUTS;

    for (way.piece = 0; way.piece < 8; way.piece++)
        hold(part, setting, talk, &way);
    way.piece = 0;
    if (way.sips)
        return;
    for (way.cut = 1; way.cut < length; way.cut += step)
        hold(part, setting, talk, &way);
}

static void hold_every_way(const struct prelude_part *part, const struct prelude_setting *setting,
                           const struct talk *talk)
{
    for (unsigned bits = 0; bits < 8; bits++) {
        struct way way = {.at_once = bits & 1, .late = bits & 2, .sips = bits & 4};
        if (way.at_once && talk->waits)
            continue;
        /* Who has been told to go on before the rest came is not found out. */
        if (!way.late && talk->fault == PRELUDE_INJECTED)
            hold(part, setting, talk, &way);
        else
            hold_in_pieces(part, setting, talk, way);
    }
}

void talks_hold(const struct prelude_part *part, const struct prelude_setting *setting,
                const struct talk *talks, size_t count)
{
    static const struct prelude_setting nobody = {.name = "[192.0.2.1]"};

    for (size_t i = 0; i < count; i++)
        hold_every_way(part, setting == NULL ? &nobody : setting, &talks[i]);
}

/* ---- bytes ---- */

void talk_repeat(char *bytes, size_t size, const char *line)
{
    size_t length = strlen(line);

    for (size_t i = 0; i < size; i++)
        bytes[i] = line[i % length];
}

void talk_stretch(char *bytes, size_t size, const char *begin, const char *end)
{
    size_t begin_length = strlen(begin), end_length = strlen(end);

    assert_true(begin_length + end_length <= size);
    memset(bytes, 'x', size);
    for (size_t i = 0; i < begin_length; i++)
        bytes[i] = begin[i];
    for (size_t i = 0; i < end_length; i++)
        bytes[size - end_length + i] = end[i];
}
