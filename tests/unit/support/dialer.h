/*
 * A client session under test, with the app, the server end and the clock in the test's hands.
 */
#ifndef TEST_DIALER_H
#define TEST_DIALER_H

#include "tests/unit/support/check.h"
#include "tests/unit/support/hello.h"
#include "turbo/client.h"
#include "turbo/wire.h"

/* When the SYN left; nothing in the protocol depends on it. */
#define DIAL_START (7 * TURBO_SECOND)

enum { DIAL_S2C_STREAM = 77 }; /* check_byte's number for S→C bytes */

struct dialer {
    void *memory;
    struct turbo_client *client;
    struct hello hello; /* what dialer_hello will push */
    struct turbo_id id;
};

/* With a small ClientHello. The config may be changed before. */
void dialer_start(struct dialer *d, const struct turbo_client_config *config);
void dialer_start_plainly(struct dialer *d);
void dialer_start_always(struct dialer *d);
void dialer_stop(struct dialer *d);

/* The app sends its ClientHello. */
void dialer_hello(struct dialer *d, turbo_time now);
/* Requests are polled until there are no more; returns how many. */
size_t dialer_poll_all(struct dialer *d);
/* A full chunk of the S→C stream comes as response number `sequence`. */
bool dialer_response(struct dialer *d, turbo_time now, uint32_t sequence);
bool dialer_datagram(struct dialer *d, turbo_time now, uint8_t flags, uint32_t sequence,
                     const uint8_t *payload, size_t length);
bool dialer_refused(struct dialer *d, turbo_time now);
/* The app reads all there is; returns how many bytes, which were the right ones. */
size_t dialer_read(struct dialer *d);
/* The app sends `length` bytes more. */
size_t dialer_write(struct dialer *d, turbo_time now, size_t length);

/* The next datagram is an ABORT of this session, and the last. */
void dialer_assert_abort(struct dialer *d);
/* TCP gets a tombstone(n, REPLAY) and the stream, or the stream alone when n is negative. */
void dialer_assert_opening(struct dialer *d, int n);

#endif
