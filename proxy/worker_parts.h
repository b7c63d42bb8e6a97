/*
 * What the parts of a worker share: worker.c, its life; worker_limits.c, how much it takes on at
 * once; worker_reconfigure.c, from one configuration to the next; worker_drain.c, going away.
 */
#ifndef PROXY_WORKER_PARTS_H
#define PROXY_WORKER_PARTS_H

#include "proxy/worker.h"

/* ---- worker.c ---- */

void worker_start_checks(struct worker *worker);
void worker_tell_listening(const struct worker *worker, const struct listener *listener);

/* ---- worker_reconfigure.c ---- */

/* The listeners of a configuration to come: kept ones at their new place, NULL for new ones. */
struct succession {
    struct generation *generation; /* held; NULL: worker_prepare failed */
    struct listener *listeners[CONFIG_LISTENERS_MAX];
    bool kept[CONFIG_LISTENERS_MAX]; /* of the worker's */
    bool opened[CONFIG_LISTENERS_MAX];
    struct inherited
        *heirs; /* of the first worker: sockets of all that some new listener may want */
};

/* ---- worker_limits.c ---- */

/* Shares the open files that the system allows among connections and pipes. */
void worker_share_files(struct worker *worker, const struct config *config);
/* Are there enough? False, with an explanation in the log: there are too few. */
bool worker_has_files(const struct worker *worker, const struct config *config);
void worker_on_retry(struct ev_loop *loop, ev_timer *timer, int events);

/* ---- worker_drain.c ---- */

void worker_start_handover_timer(struct worker *worker);
void worker_on_drain_timeout(struct ev_loop *loop, ev_timer *timer, int events);
void worker_on_handover_timeout(struct ev_loop *loop, ev_timer *timer, int events);
void worker_on_quiet(struct ev_loop *loop, ev_prepare *event, int events);

#endif
