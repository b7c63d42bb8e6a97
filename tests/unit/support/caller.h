/*
 * Somebody who connects: what a dial tells him is noted.
 */
#ifndef TEST_CALLER_H
#define TEST_CALLER_H

#include "tests/unit/support/worker_fixture.h"

#include "proxy/net/dial.h"

enum { CALLER_STARTS_MAX = 4 };

struct caller {
    struct dial *dial;
    struct address started[CALLER_STARTS_MAX], peer;
    int starts, ups, failures, fd;
    char error[128];
    bool exhausted;
    bool cancels; /* from within `started` */
    bool dials_again;
};

/* The events of a dial whose owner is a caller. */
void caller_started(void *owner, int fd, const struct address *peer);
void caller_up(void *owner, int fd, const struct address *peer);
void caller_failed(void *owner, const char *error, int code);

enum { CALLER_SECONDS = 60 };

/* The fixture has been started. */
void caller_dial(struct fixture *f, struct caller *c, const char *host, uint16_t port);

#endif
