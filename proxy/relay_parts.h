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

/* What a receiving side has not taken yet, in memory or in a pipe. */
struct cargo {
    struct pump_pipe pipe; /* borrowed; none: `bytes` */
    size_t length, used;
    uint8_t bytes[];
};

/* Idle, it is all that a connection takes, but for its two sides. */
struct relay {
    struct side_owner owner; /* of the sides */
    uint32_t tag;
    struct flow {
        bool ended : 1;    /* the sending side has given its end */
        bool finished : 1; /* and the receiving side was told */
        uint8_t reads : 3; /* that have brought bytes, as far as they are counted */
        bool bulk : 1;     /* so much came at once the last time that splicing is cheaper */
    } flows[2];            /* flows[end]: from sides[end] to the other, as cargo[end] */
    struct relay *next, *previous;
    struct side *sides[2];
    struct cargo *cargo[2]; /* NULL: nothing is held */
    struct doom *doom;      /* NULL: all is well */
    turbo_time active_at;   /* bytes moved, or a side ended, the last time */
    struct connection connection;
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
/* It tells its peer, and before that the record what it knows. */
void relay_reset_side(struct relay *relay, enum end end, bool unreached);
/* It is gone. Returns what it was connected to, held; NULL: a client, or nothing. */
struct server *relay_drop_side(struct relay *relay, enum end end);

/* ---- relay_timeouts.c ---- */

/* A connection with these settings has begun: from now on it is looked at. */
void relay_begin_looks(struct worker *worker, const struct config_listener *settings);

static inline struct worker *relay_worker(const struct relay *relay)
{
    return relay->owner.worker;
}

/* ---- relay_move.c ---- */

/* Some bytes, or the end, of the side at `from` go to the other. */
enum verdict relay_move(struct relay *relay, enum end from);
/* The same for what has been read already, and the end behind it, and nothing else. */
enum verdict relay_move_held(struct relay *relay, enum end from);
/* Has anything been read from the side at `from` that the other has not taken? */
static inline bool relay_is_holding(const struct relay *relay, enum end from)
{
    return relay->cargo[from] != NULL;
}
/* It leads nowhere. */
void relay_drop_cargo(struct relay *relay, enum end from);

/* ---- relay_doom.c: each may destroy the relay ---- */

/* `lost` was reset, or could not be reached: the other side is told, after its last words. */
void relay_pass_reset_on(struct relay *relay, enum end lost, bool unreached);
/* `lost` takes no more, but what it sent before may still be read: an answer that says why, say. */
void relay_drain_and_pass_reset_on(struct relay *relay, enum end lost);
void relay_run_doomed(struct relay *relay);
/* The server that the side at `lost` was connected to, which the record is going to tell; NULL:
 * none. */
struct server *relay_doom_free(struct relay *relay);

#endif
