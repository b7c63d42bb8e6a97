/*
 * The parts of /metrics that have a file of their own.
 */
#ifndef PROXY_OPS_METRICS_PARTS_H
#define PROXY_OPS_METRICS_PARTS_H

#include <stdio.h>

#include "turbo/turbo.h"

struct generation;
struct worker;

/* Upstreams, and the servers they have. */
void metrics_write_upstreams(const struct generation *generation, turbo_time now, FILE *out);
/* Datagrams and sessions of each listener that takes them. */
void metrics_write_udp(const struct worker *worker, FILE *out);

#endif
