#include "tunnel/net/clock.h"

#include <time.h>

turbo_time clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (turbo_time)t.tv_sec * TURBO_SECOND + (turbo_time)t.tv_nsec / 1000;
}
