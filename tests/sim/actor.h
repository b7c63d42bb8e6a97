/*
 * A TLS end, the app or the TLS server, as far as the network can tell: it follows a script, and
 * looks at every byte it is given (protocol §12.1).
 */
#ifndef SIM_ACTOR_H
#define SIM_ACTOR_H

#include "tests/sim/journal.h"
#include "tests/sim/plan.h"

struct actor {
    struct clock *clock;
    struct journal *journal;
    const struct script *script; /* NULL: it has not begun */
    const char *name;
    int who;
    unsigned round; /* counts starts: alarms of an earlier one mean nothing */
    const uint8_t *says, *hears;
    size_t hears_total;
    bool hostile; /* its bytes may have been tampered with: then it gives up, as TLS does */

    turbo_time reads_from;
    size_t stage;
    bool thinking;
    size_t produced, taken, received;
    bool gone, garbled;             /* it has reset the connection, or was told so */
    bool aborted;                   /* by its own will */
    enum turbo_end told;            /* by the other end */
    turbo_time reached[STAGES_MAX]; /* when stage i's bytes had come */
    turbo_time done_at;             /* when everything had; 0: not yet */

    void (*wake)(void *owner); /* it has something to say */
    void *owner;
};

void actor_init(struct actor *actor, struct clock *clock, struct journal *journal, int who,
                const char *name);
/* What it follows; `hears_total` bytes are `hears`, `says` is as long as the script tells. */
void actor_start(struct actor *actor, const struct script *script, const uint8_t *says,
                 const uint8_t *hears, size_t hears_total);
/* Bytes it wants to say now. */
size_t actor_offer(const struct actor *actor, const uint8_t **data);
void actor_taken(struct actor *actor, size_t length);
/* Does it read at all, yet? It wakes its owner when it begins to. */
bool actor_reads(const struct actor *actor);
/* How its stream ends, now that all of it was taken; NONE: it goes on. */
enum turbo_end actor_end(const struct actor *actor);
void actor_receive(struct actor *actor, const uint8_t *data, size_t length);
void actor_told(struct actor *actor, enum turbo_end end);
/* Both streams whole, both ends orderly? */
bool actor_content(const struct actor *actor);

#endif
