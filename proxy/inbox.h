/*
 * What other workers have for one worker: a queue that any thread puts messages into, without a
 * lock, and that its owner empties in its own loop, in the order in which they came.
 */
#ifndef PROXY_INBOX_H
#define PROXY_INBOX_H

#include <ev.h>
#include <stdbool.h>

struct worker;

/* The first member of what is sent. */
struct message {
    struct message *next; /* the inbox's */
    /* Takes the message, and frees it. `worker`: whose inbox it was; NULL: it is being destroyed,
     * and begins nothing more. */
    void (*deliver)(struct message *message, struct worker *worker);
};

struct inbox {
    struct message *_Atomic newest; /* a stack, which its owner turns over */
    struct message *_Atomic left;   /* another one: inbox_leave */
    _Atomic unsigned left_ever;     /* how many were, */
    _Atomic unsigned left_taken;    /* and how many of them are delivered; both may overflow */
    int fd;                         /* an eventfd, written to when the stack was empty */
    struct ev_loop *loop;
    ev_io io;
    struct worker *owner;
    void (*woken)(struct worker *owner);
};

/* Messages are delivered in `loop`, and then `woken` is called. False with errno: no descriptor. */
bool inbox_open(struct inbox *inbox, struct ev_loop *loop, struct worker *owner,
                void (*woken)(struct worker *owner));
/* Nobody may use it any more. What has not been delivered is told that it is too late. One that was
 * never opened (zeroed) is allowed. */
void inbox_close(struct inbox *inbox);

/* From any thread: `message` is the inbox's from now on. */
void inbox_put(struct inbox *inbox, struct message *message);
/*
 * The same, but the owner is not woken for it, only for every INBOX_LEFT_MANYth: it is delivered at
 * the beginning of the owner's next turn, whatever that is for. False: the owner has left
 * INBOX_LEFT_MAX lying there, since it is busy with something else for long; the message is still
 * the caller's.
 */
enum { INBOX_LEFT_MANY = 64, INBOX_LEFT_MAX = 16384 };
bool inbox_leave(struct inbox *inbox, struct message *message);
/* By the owner, before all else in a turn of its loop: delivers what was left. */
void inbox_collect(struct inbox *inbox);
/* From any thread: `woken` is called soon. */
void inbox_wake(const struct inbox *inbox);

#endif
