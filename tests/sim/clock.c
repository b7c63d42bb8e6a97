#include "tests/sim/clock.h"

#include <stdlib.h>

void clock_start(struct clock *clock, turbo_time now)
{
    clock->now = now;
    clock->happened = clock->asked = 0;
    clock->count = 0;
}

static bool before(const struct clock_event *a, const struct clock_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void sift_up(struct clock *clock, size_t i, struct clock_event event)
{
    while (i > 0 && before(&event, &clock->heap[(i - 1) / 2])) {
        clock->heap[i] = clock->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    clock->heap[i] = event;
}

static void sift_down(struct clock *clock, struct clock_event event)
{
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < clock->count && before(&clock->heap[child + 1], &clock->heap[child]))
            child++;
        if (child >= clock->count || !before(&clock->heap[child], &event))
            break;
        clock->heap[i] = clock->heap[child];
        i = child;
    }
    clock->heap[i] = event;
}

void clock_at(struct clock *clock, turbo_time at, happening *what, void *owner, uint64_t detail)
{
    if (clock->count == CLOCK_EVENTS_MAX)
        abort(); /* a run that asks for so much is broken */
    struct clock_event event = {at > clock->now ? at : clock->now, clock->asked++, what, owner,
                                detail};
    sift_up(clock, clock->count++, event);
}

void clock_after(struct clock *clock, turbo_time delay, happening *what, void *owner,
                 uint64_t detail)
{
    clock_at(clock, clock->now + delay, what, owner, detail);
}

bool clock_step(struct clock *clock)
{
    if (clock->count == 0)
        return false;
    struct clock_event event = clock->heap[0];
    struct clock_event last = clock->heap[--clock->count];
    if (clock->count > 0)
        sift_down(clock, last);
    clock->now = event.at;
    clock->happened++;
    event.what(event.owner, event.detail);
    return true;
}

static void ring(void *owner, uint64_t detail)
{
    struct alarm *alarm = owner;
    if (detail != alarm->at)
        return; /* an earlier one was asked for since, and has rung */
    alarm->at = TURBO_NEVER;
    alarm->fire(alarm->owner, 0);
}

void alarm_init(struct alarm *alarm, struct clock *clock, happening *fire, void *owner)
{
    *alarm = (struct alarm){clock, fire, owner, TURBO_NEVER};
}

void alarm_set(struct alarm *alarm, turbo_time at)
{
    if (at >= alarm->at)
        return;
    alarm->at = at > alarm->clock->now ? at : alarm->clock->now;
    clock_at(alarm->clock, alarm->at, ring, alarm, alarm->at);
}
