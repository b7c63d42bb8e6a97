/*
 * Two sides whose behaviour is data, with a relay between them.
 */
#ifndef TEST_FAKE_SIDE_H
#define TEST_FAKE_SIDE_H

#include "tests/unit/support/worker_fixture.h"

#include "proxy/relay.h"
#include "proxy/sides/side.h"

enum { FAKE_OUTPUT_MAX = 4 << 20 };

/* A side whose behaviour is data. The relay's `destroy` only marks it. */
struct fake {
    struct side base;
    const uint8_t *input;
    size_t input_length, input_used;
    ssize_t then; /* what read says when the input is used up */
    size_t room, write_max;
    bool write_fails;
    size_t undelivered; /* bytes that its peer has not acknowledged */
    bool is_settled;
    int fd;
    const char *early;
    uint8_t *output;
    size_t length;
    int finished, resets, destroyed, reported;
    size_t finished_behind;
    int read_on, written_last;
    bool unreached, readable, writable;
};

struct pair {
    struct fixture *f;
    struct fake near, far;
};

/* A socket's, which is what a fake begins with, a session's, which settles, and those of a socket
 * that may be asked for its end. */
extern const struct side_ops fake_socket_ops, fake_session_ops, fake_stream_ops;

/* cmocka's set-up and tear-down, of a pair. */
int fakes_open(void **state);
int fakes_close(void **state);
/* Relays between the two. */
void fakes_start(struct pair *p);
/* The relay has destroyed both, and itself. */
void fakes_assert_over(const struct pair *p);

/* These are the next bytes to be read from it. */
void fake_says(struct fake *fake, const char *words);
/* All that was written to it. */
void fake_assert_heard(const struct fake *fake, const char *words);

#define FAKES_CASE(name) cmocka_unit_test_setup_teardown(name, fakes_open, fakes_close)

#endif
