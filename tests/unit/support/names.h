/*
 * A name server on the worker's loop: every name has the IPv4 addresses 127.0.0.7 and 127.0.0.1, in
 * this order, and no others.
 */
#ifndef TEST_NAMES_H
#define TEST_NAMES_H

#include "tests/unit/support/dns_server.h"
#include "tests/unit/support/worker_fixture.h"

struct names {
    struct ev_loop *loop;
    struct dns_server server;
};

#define NAMES_FIRST  "127.0.0.7"
#define NAMES_SECOND "127.0.0.1"

/* The worker asks it from now on. */
void names_start(struct names *names, struct fixture *f);
void names_stop(struct names *names);

#endif
