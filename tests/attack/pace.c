#include "pace.h"

#include <time.h>

enum { NS_A_SECOND = 1000000000, TURN_NS = 1000000, CATCH_UP_NS = 20 * TURN_NS };

uint64_t pace_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_A_SECOND + (uint64_t)now.tv_nsec;
}

void pace_start(struct pace *p, const struct order *order)
{
    *p = (struct pace){.rate = order->rate, .count = order->count, .started = pace_clock()};
    p->last = p->started;
}

uint32_t pace_wait(struct pace *p)
{
    nanosleep(&(struct timespec){.tv_nsec = TURN_NS}, NULL);
    uint64_t now = pace_clock(), passed = now - p->last;
    p->last = now;
    p->due += p->rate * (double)(passed < CATCH_UP_NS ? passed : CATCH_UP_NS) / NS_A_SECOND;
    double most = p->rate * CATCH_UP_NS / NS_A_SECOND + 1;
    p->due = p->due < most ? p->due : most;
    if (p->due < 1)
        return 0; /* or less than none: somebody did more than was due */
    uint64_t left = p->count == 0 ? UINT32_MAX : p->count - p->done;
    return (uint64_t)p->due < left ? (uint32_t)p->due : (uint32_t)left;
}

void pace_did(struct pace *p, uint32_t number)
{
    p->due -= number;
    p->done += number;
}

bool pace_over(const struct pace *p)
{
    return attack_stopped() || (p->count > 0 && p->done >= p->count);
}

double pace_seconds(const struct pace *p)
{
    return (double)(pace_clock() - p->started) / NS_A_SECOND;
}
