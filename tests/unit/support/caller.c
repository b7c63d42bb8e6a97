#include "tests/unit/support/caller.h"
#include "tunnel/net/socket.h"

#include <stdio.h>

void caller_started(void *owner, int fd, const struct address *peer)
{
    struct caller *c = owner;
    assert_true(fd >= 0);
    assert_true(c->starts < CALLER_STARTS_MAX);
    c->started[c->starts++] = *peer;
    if (c->dials_again)
        dial_again(c->dial);
    if (c->cancels)
        dial_cancel(c->dial);
}

void caller_up(void *owner, int fd, const struct address *peer)
{
    struct caller *c = owner;
    c->ups++;
    c->fd = fd;
    c->peer = *peer;
}

void caller_failed(void *owner, const char *error, int code)
{
    struct caller *c = owner;
    c->failures++;
    c->exhausted = socket_exhausted(code);
    (void)snprintf(c->error, sizeof(c->error), "%s", error);
}

void caller_dial(struct fixture *f, struct caller *c, const char *host, uint16_t port)
{
    static const struct dial_events events = {
        .started = caller_started, .up = caller_up, .failed = caller_failed};
    *c = (struct caller){.fd = -1};
    struct dial_target target = {.host = host, .port = port};
    c->dial = dial_start(f->loop, f->worker->resolver, &target, CALLER_SECONDS, &events, c);
    assert_non_null(c->dial);
    assert_int_equal(c->starts + c->ups + c->failures, 0); /* never from within */
}
