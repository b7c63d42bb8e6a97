/*
 * Many TCP connections to the edge at a fixed rate, from 65,536 addresses: what each says first,
 * and what it waits for then.
 */
#ifndef ATTACK_OPENINGS_H
#define ATTACK_OPENINGS_H

#include "attack.h"
#include "hello.h"
#include "wire.h"

enum then {
    THEN_HOLD,         /* stays as it is until the edge ends it */
    THEN_RESET,        /* is reset at once */
    THEN_CLOSE,        /* is closed at once */
    THEN_AWAIT_ANSWER, /* until bytes come, or its end */
};

struct speech {
    uint8_t bytes[HELLO_ROOM];
    size_t length;
    enum then then;
};

struct recorded {
    uint8_t bytes[WIRE_SNAP]; /* a tombstone and what followed in the same segment */
    size_t length;
    uint64_t at;
};

enum { RECORDED_MAX = 256 };

struct openings {
    const struct order *order;
    struct random random;
    struct hello hello;
    uint64_t number; /* of the opening that is being made */
    struct recorded recorded[RECORDED_MAX];
    size_t recorded_count;
};

typedef void speak(struct openings *openings, struct speech *speech);

/* Runs an attack made of such connections; `sniff`: others' tombstones are recorded meanwhile. */
int openings_run(const struct order *order, speak *what, size_t hello, bool sniff);

#endif
