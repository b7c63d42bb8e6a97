#include "turbo/queue.h"

#include <assert.h>

void queue_init(struct queue *queue)
{
    queue->head.next = queue->head.prev = &queue->head;
}

void queue_add(struct queue *queue, struct queue_node *node, turbo_time now)
{
    assert(!queue_holds(node));
    node->since = now;
    node->next = &queue->head;
    node->prev = queue->head.prev;
    node->prev->next = node;
    queue->head.prev = node;
}

void queue_remove(struct queue_node *node)
{
    if (!queue_holds(node))
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = NULL;
}

bool queue_holds(const struct queue_node *node)
{
    return node->next != NULL;
}

struct queue_node *queue_first(const struct queue *queue)
{
    return queue->head.next == &queue->head ? NULL : queue->head.next;
}

struct queue_node *queue_due(const struct queue *queue, turbo_time now, turbo_time delay)
{
    struct queue_node *first = queue_first(queue);
    return first != NULL && now >= first->since + delay ? first : NULL;
}

turbo_time queue_deadline(const struct queue *queue, turbo_time delay)
{
    const struct queue_node *first = queue_first(queue);
    return first == NULL ? TURBO_NEVER : first->since + delay;
}
