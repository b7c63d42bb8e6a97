/* The proxy's only clock: microseconds, monotonic, as libturbo wants them. */
#ifndef TUNNEL_NET_CLOCK_H
#define TUNNEL_NET_CLOCK_H

#include "turbo/turbo.h"

turbo_time clock_now(void);

#endif
