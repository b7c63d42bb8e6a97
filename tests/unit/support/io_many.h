/*
 * A hundred connections at once, in one thread that waits with poll(2) for whatever their I/Os say:
 * each client says its first words, hears them again, says "answer", and hears that again.
 */
#ifndef TEST_IO_MANY_H
#define TEST_IO_MANY_H

#include "tests/unit/support/check.h"
#include "tunnel/io.h"

enum { IO_MANY = 100, IO_MANY_FIRST_MAX = 2048 };

/* Client number `i`, and what it says first. */
void io_many_client(size_t i, struct tunnel_io *io, const void *first, size_t length);
/* All of them are accepted by `listener`, and done. */
void io_many_run(struct tunnel_listener *listener);
struct tunnel_io_report io_many_report(size_t i);
/* Both ends of all. */
void io_many_close(void);

#endif
