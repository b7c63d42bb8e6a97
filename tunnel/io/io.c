#include "tunnel/io.h"

#include <errno.h>
#include <time.h>

#include "tunnel/io/wait.h"
#include "tunnel/net/clock.h"
#include "turbo/turbo.h"

const char *tunnel_state_name(enum tunnel_state state)
{
    switch (state) {
    case TUNNEL_NOT_CONNECTED: return "not connected";
    case TUNNEL_CONNECTION_IN_PROGRESS: return "connection in progress";
    case TUNNEL_HANDSHAKE_IN_PROGRESS: return "handshake in progress";
    case TUNNEL_HANDSHAKE_DONE: return "handshake done";
    case TUNNEL_BEING_SHUT_DOWN: return "being shut down";
    case TUNNEL_DISCONNECTED: return "disconnected";
    case TUNNEL_ERROR: return "error";
    }
    return "unknown";
}

enum tunnel_result tunnel_io_read(struct tunnel_io *io, void *buffer, size_t capacity, size_t *got)
{
    *got = 0;
    if (capacity == 0)
        return TUNNEL_MISUSE;
    enum tunnel_result result = io->ops->read(io, buffer, capacity, got);
    return result == TUNNEL_OK && *got == 0 ? TUNNEL_IO : result;
}

enum tunnel_result tunnel_io_write(struct tunnel_io *io, const void *data, size_t length,
                                   size_t *taken)
{
    *taken = 0;
    if (length == 0)
        return TUNNEL_OK;
    enum tunnel_result result = io->ops->write(io, data, length, taken);
    return result == TUNNEL_OK && *taken == 0 ? TUNNEL_IO : result;
}

void tunnel_io_close(struct tunnel_io *io)
{
    if (io != NULL)
        io->ops->close(io, false);
}

const char *tunnel_io_error(const struct tunnel_io *io)
{
    const char *text = io->ops->error == NULL ? NULL : io->ops->error(io);
    return text == NULL ? "the I/O failed" : text;
}

void tunnel_io_watch(struct tunnel_io *io, enum tunnel_result want, struct tunnel_watch *watch)
{
    watch->count = 0;
    watch->deadline_us = TUNNEL_FOR_EVER;
    if (io->ops->watch != NULL)
        io->ops->watch(io, want, watch);
}

static struct timespec timespec_of(uint64_t us)
{
    return (struct timespec){.tv_sec = (time_t)(us / TURBO_SECOND),
                             .tv_nsec = (long)(us % TURBO_SECOND) * 1000};
}

enum tunnel_result watch_wait(struct tunnel_watch *watch, int timeout_ms)
{
    if (watch->count == 0 && watch->deadline_us == TUNNEL_FOR_EVER)
        return TUNNEL_MISUSE;
    turbo_time now = clock_now();
    turbo_time give_up = timeout_ms < 0
                             ? TUNNEL_FOR_EVER
                             : now + (turbo_time)timeout_ms * (turbo_time)TURBO_MILLISECOND;
    turbo_time until = give_up < watch->deadline_us ? give_up : watch->deadline_us;
    struct timespec left = timespec_of(until > now ? until - now : 0);
    int ready = ppoll(watch->fds, watch->count, until == TUNNEL_FOR_EVER ? NULL : &left, NULL);
    if (ready < 0 && errno != EINTR)
        return TUNNEL_IO;
    return ready == 0 && give_up <= watch->deadline_us ? TUNNEL_TIMEOUT : TUNNEL_OK;
}

enum tunnel_result tunnel_io_wait(struct tunnel_io *io, enum tunnel_result want, int timeout_ms)
{
    struct tunnel_watch watch;
    tunnel_io_watch(io, want, &watch);
    return watch_wait(&watch, timeout_ms);
}

enum tunnel_result tunnel_io_write_all(struct tunnel_io *io, const void *data, size_t length,
                                       int timeout_ms)
{
    const uint8_t *bytes = data;
    size_t taken;
    while (length > 0) {
        enum tunnel_result result = tunnel_io_write(io, bytes, length, &taken);
        if (result == TUNNEL_WANT_READ || result == TUNNEL_WANT_WRITE)
            result = tunnel_io_wait(io, result, timeout_ms);
        if (result != TUNNEL_OK)
            return result;
        bytes += taken;
        length -= taken;
    }
    return TUNNEL_OK;
}
