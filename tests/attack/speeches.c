/*
 * What the connections of each attack say.
 */
#include <string.h>

#include "openings.h"
#include "pace.h"

enum { FAT_BYTES = 16000, CHUNKS_MAX = 64, BIT_OF_HELLO = 40 };
static const uint64_t OLD_ENOUGH = 100000000; /* ns; see replay.c */

static void say(struct speech *s, enum then then, const uint8_t *bytes, size_t length)
{
    if (length > 0)
        memcpy(s->bytes, bytes, length);
    s->length = length;
    s->then = then;
}

/* Nothing, a byte, the beginning of a ClientHello or of a tombstone: all may still become anything.
 */
static void say_a_bit(struct openings *o, struct speech *s, enum then then)
{
    uint8_t tombstone[HEADER_BYTES], id[ID_BYTES];
    id_guess(id, &o->random);
    header_write(tombstone, id, FLAG_REPLAY, 3);
    switch (o->number % 4) {
    case 0: say(s, then, NULL, 0); break;
    case 1: say(s, then, o->hello.bytes, 1); break;
    case 2: say(s, then, o->hello.bytes, BIT_OF_HELLO); break;
    case 3: say(s, then, tombstone, HEADER_BYTES - 1); break;
    }
}

static void half(struct openings *o, struct speech *s)
{
    say_a_bit(o, s, THEN_HOLD);
}

static void in_a_row(struct openings *o, struct speech *s)
{
    say_a_bit(o, s, o->number % 8 == 0 ? THEN_CLOSE : THEN_RESET);
}

/* The newest recording that is old enough; NULL: there is none. */
static const struct recorded *a_recording(struct openings *o)
{
    size_t known = o->recorded_count < RECORDED_MAX ? o->recorded_count : RECORDED_MAX;
    if (known == 0)
        return NULL;
    const struct recorded *r = &o->recorded[random_below(&o->random, (uint32_t)known)];
    return r->at + OLD_ENOUGH < pace_clock() ? r : NULL;
}

static void say_guess(struct openings *o, struct speech *s, uint32_t consumed)
{
    uint8_t id[ID_BYTES];
    id_guess(id, &o->random);
    header_write(s->bytes, id, FLAG_REPLAY, consumed);
    size_t more = consumed > 0 ? o->hello.length : BIT_OF_HELLO;
    memcpy(s->bytes + HEADER_BYTES, o->hello.bytes, more);
    s->length = HEADER_BYTES + more;
    s->then = consumed > 0 ? THEN_AWAIT_ANSWER : THEN_RESET;
}

/* Others' ids, guessed and known; and others' ClientHellos, to be adopted. */
static void tombstones(struct openings *o, struct speech *s)
{
    const struct recorded *r = a_recording(o);
    uint32_t kind = (uint32_t)(o->number % 8);
    if (r == NULL || kind < 3) {
        say_guess(o, s, 1 + random_below(&o->random, CHUNKS_MAX));
    } else if (kind == 3) {
        say_guess(o, s, 0);
    } else if (kind == 4) {
        say(s, THEN_AWAIT_ANSWER, r->bytes + HEADER_BYTES, r->length - HEADER_BYTES);
    } else {
        say(s, THEN_AWAIT_ANSWER, r->bytes, r->length);
        if (kind == 5)
            s->bytes[HEADER_BYTES - 1] = (uint8_t)random_below(&o->random, CHUNKS_MAX + 1);
    }
}

/* Whole ones of 64 KiB; and as much of one of 16 KiB as the edge must keep to know what it is. */
static void large(struct openings *o, struct speech *s)
{
    if (o->number % 2 == 0) {
        hello_make(&o->hello, &o->random, HELLO_LARGE);
        say(s, THEN_AWAIT_ANSWER, o->hello.bytes, o->hello.length);
    } else {
        hello_make(&o->hello, &o->random, HELLO_MAX);
        say(s, THEN_HOLD, o->hello.bytes, FAT_BYTES);
    }
}

int open_half(const struct order *order)
{
    return openings_run(order, half, HELLO_USUAL, false);
}

int open_in_a_row(const struct order *order)
{
    return openings_run(order, in_a_row, HELLO_USUAL, false);
}

int open_tombstones(const struct order *order)
{
    return openings_run(order, tombstones, HELLO_USUAL, true);
}

int open_large(const struct order *order)
{
    return openings_run(order, large, HELLO_LARGE, false);
}
