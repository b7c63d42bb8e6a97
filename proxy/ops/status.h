/*
 * /status: what is in force and how it does, as one JSON object for people and scripts.
 *
 *   {"version", "pid", "started", "configured", "last_reload_succeeded", "accepting", "draining",
 *    "connections": {"active", "arrivals", "max"}, "workers": [{"connections"}],
 *    "listeners": [{"name", "address", "open", "leaving", "connections", "pending",
 *      "routes": [{"name", "upstream", "active", "ended": {"turbo": 17, …}, "round_trips_saved",
 *        "saved_seconds", "bytes_to_server", "bytes_to_client"}]}],
 *    "upstreams": [{"name", "protocol", "pending",
 *      "servers": [{"address", "weight", "up", "connections", "connected", "failed", "checks",
 *        "failed_checks"}]}]}
 *
 * Of all workers together; a server is "up" when none of them leaves it out. Times are Unix time in
 * seconds. "pending" (TurboTLS only): sessions that wait for TCP. A route's upstream is null and
 * its name "" where connections are counted that ended before they had one.
 */
#ifndef PROXY_OPS_STATUS_H
#define PROXY_OPS_STATUS_H

#include <stdbool.h>
#include <stdio.h>

struct process;
struct totals;

/* False, or `out` is in error: out of memory, and not all of it was written. */
bool status_write(const struct totals *totals, const struct process *process, FILE *out);

#endif
