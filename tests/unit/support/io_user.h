/*
 * Somebody who uses an I/O: writes what it was told to, and reads all that comes, whenever it is
 * asked how far it is.
 *
 *   io_user_start(&user, tunnel_io_tcp(&dial));
 *   io_user_say(&user, "PING");
 *   UNTIL(f, io_user_heard(&user, "PONG"));
 */
#ifndef TEST_IO_USER_H
#define TEST_IO_USER_H

#include "tests/unit/support/check.h"
#include "tunnel/io.h"

enum { IO_USER_BYTES = 64 * 1024 };

struct io_user {
    struct tunnel_io *io;          /* NULL: closed */
    uint8_t to_say[IO_USER_BYTES]; /* what the I/O has not taken yet */
    size_t to_say_length;
    uint8_t received[IO_USER_BYTES];
    size_t length;
    enum tunnel_result wrote, read; /* how the last call ended */
};

void io_user_start(struct io_user *user, struct tunnel_io *io);
void io_user_say(struct io_user *user, const char *words);
void io_user_send(struct io_user *user, const void *data, size_t length);
/* Writes and reads what can be now. */
void io_user_turn(struct io_user *user);
/* After a turn: exactly this has come. */
bool io_user_heard(struct io_user *user, const char *words);
/* After a turn: reading has ended in this way. */
bool io_user_ended(struct io_user *user, enum tunnel_result result);
/* After a turn: all that was to be written has been taken. */
bool io_user_said_all(struct io_user *user);
/* What the I/O tells of itself. */
struct tunnel_io_report io_user_report(const struct io_user *user);
bool io_user_went(const struct io_user *user, const char *outcome, const char *reason);
void io_user_close(struct io_user *user, bool reset);

#endif
