/*
 * A client session under test, with the app, the server end and the clock in the test's hands.
 */
#ifndef TEST_DIAL_H
#define TEST_DIAL_H

#include "tests/unit/support/check.h"
#include "tests/unit/support/hello.h"
#include "turbo/client.h"
#include "turbo/wire.h"

/* When the SYN left; nothing in the protocol depends on it. */
#define DIAL_START (7 * TURBO_SECOND)

enum { DIAL_S2C_STREAM = 77 }; /* check_byte's number for S→C bytes */

struct dial {
    void *memory;
    struct turbo_client *client;
    struct hello hello; /* what dial_hello will push */
    struct turbo_id id;
};

/* With a small ClientHello. The config may be changed before. */
void dial_start(struct dial *d, const struct turbo_client_config *config);
void dial_start_plainly(struct dial *d);
void dial_start_always(struct dial *d);
void dial_stop(struct dial *d);

/* The app sends its ClientHello. */
void dial_hello(struct dial *d, turbo_time now);
/* Requests are polled until there are no more; returns how many. */
size_t dial_poll_all(struct dial *d);
/* A full chunk of the S→C stream comes as response number `sequence`. */
bool dial_response(struct dial *d, turbo_time now, uint32_t sequence);
bool dial_datagram(struct dial *d, turbo_time now, uint8_t flags, uint32_t sequence,
                   const uint8_t *payload, size_t length);
bool dial_refused(struct dial *d, turbo_time now);
/* The app reads all there is; returns how many bytes, which were the right ones. */
size_t dial_read(struct dial *d);
/* The app sends `length` bytes more. */
size_t dial_write(struct dial *d, turbo_time now, size_t length);

/* The next datagram is an ABORT of this session, and the last. */
void dial_assert_abort(struct dial *d);
/* TCP gets a tombstone(n, REPLAY) and the stream, or the stream alone when n is negative. */
void dial_assert_opening(struct dial *d, int n);

#endif
