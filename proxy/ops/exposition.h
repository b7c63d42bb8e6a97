/*
 * Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/): families of samples.
 *
 *   exposition_family(out, "proxy_bytes_total", EXPOSITION_COUNTER, "Bytes passed on.");
 *   exposition_count(out, "proxy_bytes_total", EXPOSITION_LABELS({"route", "web"}), 17);
 *
 *   # HELP proxy_bytes_total Bytes passed on.
 *   # TYPE proxy_bytes_total counter
 *   proxy_bytes_total{route="web"} 17
 *
 * All samples of a family follow it at once. Counters are named …_total, times are in seconds.
 */
#ifndef PROXY_OPS_EXPOSITION_H
#define PROXY_OPS_EXPOSITION_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum exposition_type { EXPOSITION_COUNTER, EXPOSITION_GAUGE, EXPOSITION_HISTOGRAM };

/* A list of them ends with a name that is NULL; NULL is the empty list. Values may be any text. */
struct exposition_label {
    const char *name, *value;
};
#define EXPOSITION_LABELS(...) ((const struct exposition_label[]){__VA_ARGS__, {NULL, NULL}})

void exposition_family(FILE *out, const char *name, enum exposition_type type, const char *help);

void exposition_count(FILE *out, const char *name, const struct exposition_label *labels,
                      uint64_t value);
void exposition_seconds(FILE *out, const char *name, const struct exposition_label *labels,
                        uint64_t microseconds);

/*
 * `counts` are cumulative: of values up to each of the `bounds` bounds (microseconds), and then of
 * all.
 */
struct exposition_histogram {
    const uint32_t *bounds_us;
    size_t bounds;
    const uint64_t *counts;
    uint64_t sum_us;
};
void exposition_histogram(FILE *out, const char *name, const struct exposition_label *labels,
                          const struct exposition_histogram *histogram);

#endif
