#include "proxy/prelude/prelude_parts.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *prelude_fault_text(enum prelude_fault fault)
{
    switch (fault) {
    case PRELUDE_NO_FAULT: break;
    case PRELUDE_LEFT: return "left";
    case PRELUDE_MALFORMED: return "malformed";
    case PRELUDE_REFUSED: return "refused";
    case PRELUDE_NO_LOGIN: return "no-login";
    case PRELUDE_INJECTED: return "injected";
    case PRELUDE_CUT_SHORT: return "cut-short";
    }
    return "-";
}

/* ---- its life ---- */

size_t prelude_bytes(const struct prelude_part *part)
{
    return sizeof(struct prelude) + part->input_max;
}

struct prelude *prelude_init(void *memory, const struct prelude_part *part,
                             const struct prelude_setting *setting)
{
    struct prelude *p = memory;
    memset(p, 0, sizeof(*p));
    p->part = part;
    p->setting = *setting;
    p->state = PRELUDE_MORE;
    if (part->start != NULL)
        part->start(p);
    return p;
}

enum prelude_state prelude_state(const struct prelude *p)
{
    return p->state;
}

enum prelude_fault prelude_fault(const struct prelude *p)
{
    return p->fault;
}

/* ---- input ---- */

static bool may_take(const struct prelude *p)
{
    return p->state == PRELUDE_MORE && p->output_length == 0;
}

static void drop_taken(struct prelude *p, size_t length)
{
    p->input_length -= length;
    memmove(p->input, p->input + length, p->input_length);
}

/* Where nothing may come before the go-ahead has been read, something came: it is not given. */
static void refuse_injected(struct prelude *p)
{
    p->output_length = p->output_used = 0;
    prelude_over(p, PRELUDE_INJECTED);
}

/* Is whatever comes behind the last unit as injected? */
static bool must_wait(const struct prelude *p)
{
    return p->state == PRELUDE_DONE && !p->part->may_go_on && p->direct_alpn == NULL;
}

static void take(struct prelude *p)
{
    while (may_take(p) && p->input_length > 0) {
        size_t taken = p->part->take(p, p->input, p->input_length);
        assert(taken <= p->input_length);
        if (taken == 0)
            break;
        drop_taken(p, taken);
    }
    if (may_take(p) && p->input_length == p->part->input_max) {
        prelude_over(p, PRELUDE_MALFORMED);
        if (p->part->overlong != NULL)
            p->part->overlong(p);
    }
    if (must_wait(p) && p->input_length > 0)
        refuse_injected(p);
}

static size_t fill(struct prelude *p, const uint8_t *data, size_t length)
{
    size_t room = p->part->input_max - p->input_length;
    size_t n = length < room ? length : room;

    memcpy(p->input + p->input_length, data, n);
    p->input_length += n;
    return n;
}

size_t prelude_push(struct prelude *p, const uint8_t *data, size_t length)
{
    size_t taken = 0;

    while (p->state == PRELUDE_MORE && taken < length) {
        size_t n = fill(p, data + taken, length - taken);
        if (n == 0)
            break;
        taken += n;
        take(p);
    }
    if (must_wait(p) && taken < length)
        refuse_injected(p);
    return taken;
}

size_t prelude_room(const struct prelude *p)
{
    return p->state == PRELUDE_MORE ? p->part->input_max - p->input_length : 0;
}

void prelude_push_end(struct prelude *p)
{
    if (p->state == PRELUDE_MORE || p->state == PRELUDE_ASKED)
        prelude_over(p, PRELUDE_CUT_SHORT);
}

size_t prelude_rest(const struct prelude *p, const uint8_t **data)
{
    *data = p->input;
    return p->input_length;
}

/* ---- output ---- */

size_t prelude_peek(const struct prelude *p, const uint8_t **data)
{
    *data = p->output + p->output_used;
    return p->output_length - p->output_used;
}

void prelude_consume(struct prelude *p, size_t length)
{
    p->output_used += length;
    assert(p->output_used <= p->output_length);
    if (p->output_used < p->output_length)
        return;
    p->output_used = p->output_length = 0;
    take(p);
}

/* ---- what was asked for ---- */

const char *prelude_host(const struct prelude *p)
{
    return p->host;
}

uint16_t prelude_port(const struct prelude *p)
{
    return p->port;
}

void prelude_answer(struct prelude *p, enum prelude_answer answer)
{
    assert(p->state == PRELUDE_ASKED);
    p->part->answer(p, answer);
    assert(p->state == PRELUDE_DONE || p->state == PRELUDE_OVER);
}

const char *prelude_direct_alpn(const struct prelude *p)
{
    return p->direct_alpn;
}

const char *prelude_said(const struct prelude *p)
{
    return p->said;
}

/* ---- for the parts ---- */

void prelude_put(struct prelude *p, const void *data, size_t length)
{
    bool fits = length <= sizeof(p->output) - p->output_length;
    assert(fits);
    if (!fits)
        return;
    memcpy(p->output + p->output_length, data, length);
    p->output_length += length;
}

void prelude_print(struct prelude *p, const char *format, ...)
{
    char text[PRELUDE_OUTPUT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    bool fits = n >= 0 && (size_t)n < sizeof(text);
    assert(fits);
    if (fits)
        prelude_put(p, text, (size_t)n);
}

void prelude_done(struct prelude *p)
{
    p->state = PRELUDE_DONE;
}

void prelude_over(struct prelude *p, enum prelude_fault fault)
{
    p->state = PRELUDE_OVER;
    p->fault = fault;
}

void prelude_note(struct prelude *p, const void *said, size_t length)
{
    const uint8_t *bytes = said;
    size_t n = length < PRELUDE_SAID_MAX ? length : PRELUDE_SAID_MAX;
    for (size_t i = 0; i < n; i++)
        p->said[i] = (char)(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '?');
    p->said[n] = '\0';
}
