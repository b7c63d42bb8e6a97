/*
 * Virtual time: what will happen, in order. Things due at the same time happen in the order in
 * which they were asked for, so a run is the same each time.
 */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include "turbo/turbo.h"

typedef void happening(void *owner, uint64_t detail);

enum { CLOCK_EVENTS_MAX = 16384 };

struct clock_event {
    turbo_time at;
    uint64_t order;
    happening *what;
    void *owner;
    uint64_t detail;
};

struct clock {
    turbo_time now;
    uint64_t happened; /* events so far */
    uint64_t asked;
    size_t count;
    struct clock_event heap[CLOCK_EVENTS_MAX];
};

void clock_start(struct clock *clock, turbo_time now);
/* `what(owner, detail)` happens at `at`, or now when that is past. It cannot be taken back. */
void clock_at(struct clock *clock, turbo_time at, happening *what, void *owner, uint64_t detail);
void clock_after(struct clock *clock, turbo_time delay, happening *what, void *owner,
                 uint64_t detail);
/* Lets the next thing happen. False: nothing is left. */
bool clock_step(struct clock *clock);

/* A timer that moves: it fires at the deadline it was last given, or early, never twice at once. */
struct alarm {
    struct clock *clock;
    happening *fire;
    void *owner;
    turbo_time at; /* of the earliest event under way; TURBO_NEVER: none */
};

void alarm_init(struct alarm *alarm, struct clock *clock, happening *fire, void *owner);
/* TURBO_NEVER leaves it as it is: it may fire for nothing. */
void alarm_set(struct alarm *alarm, turbo_time at);

#endif
