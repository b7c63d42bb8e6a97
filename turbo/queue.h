/*
 * An intrusive queue ordered by time of entry.
 *
 * All members of one queue wait for the same delay, so the first in is the first due: a timer for
 * any number of sessions at O(1). A queue whose delay is of no interest is a plain FIFO.
 */
#ifndef TURBO_QUEUE_H
#define TURBO_QUEUE_H

#include "turbo/turbo.h"

struct queue_node {
    struct queue_node *next, *prev; /* NULL: in no queue */
    turbo_time since;
};

struct queue {
    struct queue_node head;
};

/* The structure that `node` is the `member` of. */
#define QUEUE_OWNER(node, type, member) ((type *)((uintptr_t)(node)-offsetof(type, member)))

void queue_init(struct queue *queue);
/* Appends `node`, which is in no queue. `now` is not earlier than the last one's. */
void queue_add(struct queue *queue, struct queue_node *node, turbo_time now);
/* Takes `node` out of the queue it is in, if any. */
void queue_remove(struct queue_node *node);
bool queue_holds(const struct queue_node *node);
struct queue_node *queue_first(const struct queue *queue); /* NULL: empty */
/* The first node that has waited for `delay`, or NULL. */
struct queue_node *queue_due(const struct queue *queue, turbo_time now, turbo_time delay);
/* When the first node will be due; TURBO_NEVER when empty. */
turbo_time queue_deadline(const struct queue *queue, turbo_time delay);

#endif
