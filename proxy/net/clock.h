/* The proxy's only clock: microseconds, monotonic, as libturbo wants them. */
#ifndef PROXY_NET_CLOCK_H
#define PROXY_NET_CLOCK_H

#include "turbo/turbo.h"

turbo_time clock_now(void);

#endif
