/*
 * Active checks: each server of an upstream is connected to by TCP every so often, to see whether
 * it can be, and its health is told. Nothing is sent. One that is left out is thus back as soon as
 * a check finds it, and it need not be a client that tries it first. One worker checks for all: its
 * mates are sent what it finds, and do the same to the servers they have.
 */
#ifndef PROXY_HEALTH_CHECK_H
#define PROXY_HEALTH_CHECK_H

#include <stdbool.h>

struct upstream;
struct worker;

/*
 * From now on, where the upstream's settings ask for it: the first within one interval, the others
 * with a tenth of it more or less in between, so that they do not all come at once. False: out of
 * memory, there are none.
 */
bool health_checks_start(struct upstream *upstream, struct worker *worker);
/* Before the upstream's configuration is no longer in force. May be called when there are none. */
void health_checks_stop(struct upstream *upstream);

#endif
