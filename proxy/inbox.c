#include "proxy/inbox.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* All that are there, the oldest first. */
static struct message *take_all(struct message *_Atomic *stack)
{
    struct message *oldest = NULL, *next;
    struct message *newest = atomic_exchange_explicit(stack, NULL, memory_order_acquire);
    for (struct message *m = newest; m != NULL; m = next) {
        next = m->next;
        m->next = oldest;
        oldest = m;
    }
    return oldest;
}

/* Returns how many there were. */
static unsigned deliver_all(struct message *_Atomic *stack, struct worker *to)
{
    unsigned count = 0;
    struct message *next;
    for (struct message *m = take_all(stack); m != NULL; m = next, count++) {
        next = m->next;
        m->deliver(m, to);
    }
    return count;
}

void inbox_collect(struct inbox *inbox)
{
    if (atomic_load_explicit(&inbox->left, memory_order_relaxed) == NULL)
        return;
    unsigned taken = deliver_all(&inbox->left, inbox->owner);
    atomic_fetch_add_explicit(&inbox->left_taken, taken, memory_order_relaxed);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct inbox *inbox = io->data;
    eventfd_t count;
    (void)eventfd_read(inbox->fd, &count); /* before they are taken: what comes later tells anew */
    inbox_collect(inbox);
    deliver_all(&inbox->newest, inbox->owner);
    inbox->woken(inbox->owner);
}

bool inbox_open(struct inbox *inbox, struct ev_loop *loop, struct worker *owner,
                void (*woken)(struct worker *owner))
{
    atomic_init(&inbox->newest, NULL);
    atomic_init(&inbox->left, NULL);
    atomic_init(&inbox->left_ever, 0);
    atomic_init(&inbox->left_taken, 0);
    inbox->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (inbox->fd < 0)
        return false;
    inbox->loop = loop;
    inbox->owner = owner;
    inbox->woken = woken;
    ev_io_init(&inbox->io, on_readable, inbox->fd, EV_READ);
    inbox->io.data = inbox;
    ev_io_start(loop, &inbox->io);
    return true;
}

void inbox_close(struct inbox *inbox)
{
    if (inbox->loop == NULL)
        return;
    ev_io_stop(inbox->loop, &inbox->io);
    deliver_all(&inbox->newest, NULL);
    deliver_all(&inbox->left, NULL);
    close(inbox->fd);
    inbox->loop = NULL;
}

/* Returns what was the newest before. */
static const struct message *push(struct message *_Atomic *stack, struct message *message)
{
    struct message *newest = atomic_load_explicit(stack, memory_order_relaxed);
    do
        message->next = newest;
    while (!atomic_compare_exchange_weak_explicit(stack, &newest, message, memory_order_release,
                                                  memory_order_relaxed));
    return newest;
}

void inbox_put(struct inbox *inbox, struct message *message)
{
    if (push(&inbox->newest, message) == NULL)
        inbox_wake(inbox);
}

/* Roughly: one is counted after it is put there, and may have been taken by then. */
static bool has_room(const struct inbox *inbox)
{
    unsigned ever = atomic_load_explicit(&inbox->left_ever, memory_order_relaxed);
    unsigned taken = atomic_load_explicit(&inbox->left_taken, memory_order_relaxed);
    return (int)(ever - taken) < INBOX_LEFT_MAX;
}

bool inbox_leave(struct inbox *inbox, struct message *message)
{
    if (!has_room(inbox))
        return false;
    push(&inbox->left, message);
    unsigned before = atomic_fetch_add_explicit(&inbox->left_ever, 1, memory_order_relaxed);
    if (before % INBOX_LEFT_MANY == INBOX_LEFT_MANY - 1)
        inbox_wake(inbox);
    return true;
}

void inbox_wake(const struct inbox *inbox)
{
    (void)eventfd_write(inbox->fd, 1); /* fails only when it is readable already */
}
