/*
 * /metrics: everything that is counted, in Prometheus' text format. docs/metrics.md tells what each
 * of them means.
 */
#ifndef PROXY_OPS_METRICS_H
#define PROXY_OPS_METRICS_H

#include <stdio.h>

struct process;
struct totals;

void metrics_write(const struct totals *totals, const struct process *process, FILE *out);

#endif
