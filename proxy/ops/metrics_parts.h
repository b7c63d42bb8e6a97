/*
 * The parts of /metrics that have a file of their own.
 */
#ifndef PROXY_OPS_METRICS_PARTS_H
#define PROXY_OPS_METRICS_PARTS_H

#include <stdio.h>

struct totals;

/* Upstreams, and the servers they have. */
void metrics_write_upstreams(const struct totals *totals, FILE *out);
/* Datagrams and sessions of each listener that takes them. */
void metrics_write_udp(const struct totals *totals, FILE *out);

#endif
