/*
 * How a running proxy makes way for its successor, and how it began as one: handover.h's line and
 * sockets, the workers that stop or start to accept, and what the log and the service manager are
 * told. One of them is under way at a time.
 */
#ifndef PROXY_REPLACEMENT_H
#define PROXY_REPLACEMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/crew.h"
#include "proxy/handover.h"
#include "proxy/net/inherited.h"

struct replacement {
    struct crew *crew;
    struct log *log;
    char *const *argv; /* the successor is started with the same */
    double patience_s; /* HANDOVER_READY_SECONDS; shorter in tests */
    /* This process may accept now. Called once, from replacement_take_up or from the loop. */
    void (*accept)(void *owner);
    /* The successor accepts: what else this process listens at must be closed. */
    void (*gone)(void *owner);
    void *owner;
    struct handover *handover; /* the one under way; NULL: none */
    bool is_successor;         /* it is with the predecessor */
    bool has_gone;
    bool shares_sockets; /* somebody else has opened them, and may keep them open */
    bool is_leaving;     /* replacement_leave was called */
};

/* What systemd or the predecessor has left open. False, with an explanation in the log. */
bool replacement_inherit(struct log *log, struct inherited *inherited);
/*
 * Opens the crew's listeners, with what has been inherited where it fits, and leaves in `inherited`
 * what is not theirs. False, with an explanation in the log.
 */
bool replacement_open(struct replacement *replacement, struct inherited *inherited);
/* Closes what nobody wanted, and says so. */
void replacement_close_rest(struct replacement *replacement, struct inherited *inherited);
/* Accepts, with a predecessor once that lets go. False, with an explanation in the log. */
bool replacement_take_up(struct replacement *replacement);

/*
 * Starts a successor with the workers' sockets and `fd` (-1: none), unless one of them is under way
 * or this process is ending. The log tells what becomes of it.
 */
void replacement_begin(struct replacement *replacement, int fd);
/* Then the configuration stays as it is: the other process has read its own. */
bool replacement_is_under_way(const struct replacement *replacement);
/*
 * This process ends, and so does a successor that does not accept yet: worker_drain. But where
 * somebody keeps the sockets open, the connections that it no longer takes wait there for the next
 * process, so it takes none that it would not serve: it first lets nothing be pending any more, as
 * it does for a successor. Again: at once. One that has made way does not count the first time: a
 * service manager means its successor as well.
 */
void replacement_leave(struct replacement *replacement);
/* To be called last; a successor that does not accept yet is ended. */
void replacement_cancel(struct replacement *replacement);

#endif
