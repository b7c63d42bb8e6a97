#include "tests/unit/support/io_user.h"

void io_user_start(struct io_user *u, struct tunnel_io *io)
{
    assert_non_null(io);
    u->io = io;
    u->to_say_length = u->length = 0;
    u->wrote = u->read = TUNNEL_OK;
}

void io_user_send(struct io_user *u, const void *data, size_t length)
{
    assert_true(length <= sizeof(u->to_say) - u->to_say_length);
    memcpy(u->to_say + u->to_say_length, data, length);
    u->to_say_length += length;
}

void io_user_say(struct io_user *u, const char *words)
{
    io_user_send(u, words, strlen(words));
}

static void write_all(struct io_user *u)
{
    size_t taken;
    u->wrote = TUNNEL_OK;
    while (u->to_say_length > 0 && u->wrote == TUNNEL_OK) {
        u->wrote = tunnel_io_write(u->io, u->to_say, u->to_say_length, &taken);
        assert_true((u->wrote == TUNNEL_OK) == (taken > 0) && taken <= u->to_say_length);
        u->to_say_length -= taken;
        memmove(u->to_say, u->to_say + taken, u->to_say_length);
    }
}

void io_user_turn(struct io_user *u)
{
    size_t got;
    write_all(u);
    do {
        assert_true(u->length < sizeof(u->received));
        u->read =
            tunnel_io_read(u->io, u->received + u->length, sizeof(u->received) - u->length, &got);
        assert_true((u->read == TUNNEL_OK) == (got > 0));
        u->length += got;
    } while (u->read == TUNNEL_OK);
}

bool io_user_heard(struct io_user *u, const char *words)
{
    io_user_turn(u);
    return u->length == strlen(words) && memcmp(u->received, words, u->length) == 0;
}

bool io_user_ended(struct io_user *u, enum tunnel_result result)
{
    io_user_turn(u);
    return u->read == result;
}

bool io_user_said_all(struct io_user *u)
{
    io_user_turn(u);
    return u->to_say_length == 0;
}

struct tunnel_io_report io_user_report(const struct io_user *u)
{
    struct tunnel_io_report report;
    assert_true(tunnel_io_report(u->io, &report));
    return report;
}

bool io_user_went(const struct io_user *u, const char *outcome, const char *reason)
{
    struct tunnel_io_report report = io_user_report(u);
    if (strcmp(report.outcome, outcome) != 0)
        return false;
    return reason == NULL || report.reason == NULL ? report.reason == reason
                                                   : strcmp(report.reason, reason) == 0;
}

void io_user_close(struct io_user *u, bool reset)
{
    u->io->ops->close(u->io, reset);
    u->io = NULL;
}
