/*
 * What the three parts of a relay share: relay.c, its life and its turn; relay_move.c, bytes from
 * one side to the other; relay_doom.c, what happens when a side is lost.
 */
#ifndef PROXY_RELAY_PARTS_H
#define PROXY_RELAY_PARTS_H

#include <ev.h>

#include "proxy/pump.h"
#include "proxy/relay.h"

enum { RELAY_TAG = 0x52656c61 /* "Rela" */, RELAY_ROUNDS_A_TURN = 16 };

enum end { NEAR, FAR };

/* One direction. What the receiving side has not taken yet is in `held` or in `pipe`. */
struct flow {
    uint8_t *held; /* NULL: nothing */
    size_t held_length, held_used;
    struct pump_pipe pipe; /* while spliced bytes are under way */
    bool ended;            /* the sending side has given its end */
    bool finished;         /* and the receiving side was told */
};

struct relay {
    uint32_t tag;
    struct worker *worker;
    struct relay *next, *previous;
    struct side *sides[2];
    struct flow flows[2]; /* flows[end]: from sides[end] to the other */
    struct doom *doom;    /* NULL: all is well */
    struct connection connection;
    ev_timer timer;       /* its timeouts */
    turbo_time active_at; /* bytes moved, or a side ended, the last time */
};

enum verdict {
    MOVED,
    STUCK,
    SENDER_LOST,      /* its read failed: there is nothing left to be had from it */
    SENDER_UNREACHED, /* it could never be connected to */
    SELF_LOST,        /* it says so itself; something may be left to read */
    RECEIVER_LOST,
    NO_MEMORY,
};

static inline enum end relay_other(enum end end)
{
    return end == NEAR ? FAR : NEAR;
}

/* ---- relay.c ---- */

void relay_destroy(struct relay *relay);
/* The side's report is taken, and it is gone. */
void relay_drop_side(struct relay *relay, enum end end);

/* ---- relay_timeouts.c ---- */

void relay_start_timeouts(struct relay *relay);
void relay_stop_timeouts(struct relay *relay);

/* ---- relay_move.c ---- */

/* Some bytes, or the end, of the side at `from` go to the other. */
enum verdict relay_move(struct relay *relay, enum end from);
/* The same for what has been read already, and the end behind it, and nothing else. */
enum verdict relay_move_held(struct relay *relay, enum end from);
/* Has anything been read that the receiving side has not taken? */
bool relay_is_holding(const struct flow *flow);

/* ---- relay_doom.c: each may destroy the relay ---- */

/* `lost` was reset, or could not be reached: the other side is told, after its last words. */
void relay_pass_reset_on(struct relay *relay, enum end lost, bool unreached);
/* `lost` takes no more, but what it sent before may still be read: an answer that says why, say. */
void relay_drain_and_pass_reset_on(struct relay *relay, enum end lost);
void relay_run_doomed(struct relay *relay);
void relay_doom_free(struct relay *relay);

#endif
