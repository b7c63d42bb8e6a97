/*
 * The arguments of tls_times and quic_times.
 */
#ifndef BENCH_PROBE_SETTINGS_H
#define BENCH_PROBE_SETTINGS_H

#include "probe.h"

/* 0, or the exit code after it has said on standard error what is wrong. */
int settings_read(struct settings *settings, int argc, char **argv);

#endif
