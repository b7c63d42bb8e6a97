#include "tunnel/stream.h"

#include <stdlib.h>
#include <string.h>

#include "tunnel/early.h"
#include "tunnel/failure.h"

/*
 * The tunnel is made at the beginning, and says nothing before the upgrade; until then its I/O is
 * used beside it.
 */
struct tunnel_stream {
    struct tunnel *tunnel; /* NULL: it cannot be upgraded */
    struct tunnel_io *io;
    bool upgrading;          /* TLS has begun: no plain byte any more */
    enum tunnel_result over; /* nothing but this comes any more; OK: it is not over */
    int timeout_ms;
    struct tunnel_error error;
    char kept[TUNNEL_LINE_MAX]; /* read, and not taken */
    size_t kept_length;
    char early[TUNNEL_LINE_MAX]; /* the ClientHello's first bytes */
};

struct tunnel_stream *tunnel_stream_open(struct tunnel_context *context, struct tunnel_io *io,
                                         const struct tunnel_options *options,
                                         struct tunnel_error *error)
{
    struct tunnel_stream *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        failure(error, TUNNEL_MEMORY, "out of memory");
        return NULL;
    }
    if (context != NULL && (s->tunnel = tunnel_open(context, io, options, error)) == NULL) {
        free(s);
        return NULL;
    }
    s->io = io;
    s->timeout_ms = options->timeout_ms;
    return s;
}

void tunnel_stream_free(struct tunnel_stream *s)
{
    if (s == NULL)
        return;
    if (s->tunnel != NULL)
        tunnel_free(s->tunnel);
    else
        tunnel_io_close(s->io);
    free(s);
}

static enum tunnel_result noted(struct tunnel_stream *s, enum tunnel_result result)
{
    if (!tunnel_result_is_error(result))
        return result;
    if (result == TUNNEL_MISUSE && !s->upgrading)
        return failure(&s->error, result, "a buffer of no bytes cannot be read into");
    if (s->upgrading)
        s->error = *tunnel_error(s->tunnel);
    else
        failure(&s->error, result, "%s", tunnel_io_error(s->io));
    return result;
}

/* Is it worth trying once more? Else `*result` is what the call ends with. */
static bool again(struct tunnel_stream *s, enum tunnel_result *result)
{
    if ((*result != TUNNEL_WANT_READ && *result != TUNNEL_WANT_WRITE) || s->timeout_ms == 0)
        return false;
    enum tunnel_result waited = tunnel_io_wait(s->io, *result, s->timeout_ms);
    if (waited == TUNNEL_OK)
        return true;
    *result = failure(&s->error, waited, "%s",
                      waited == TUNNEL_TIMEOUT  ? "the peer was silent for too long"
                      : waited == TUNNEL_MISUSE ? "this I/O has nothing to wait for"
                                                : "waiting failed");
    return false;
}

static enum tunnel_result read_plain(struct tunnel_stream *s, void *buffer, size_t capacity,
                                     size_t *got)
{
    enum tunnel_result result;
    do
        result = noted(s, tunnel_io_read(s->io, buffer, capacity, got));
    while (again(s, &result));
    return result;
}

/* Plain or protected: the next bytes. */
static enum tunnel_result read_on(struct tunnel_stream *s, void *buffer, size_t capacity,
                                  size_t *got)
{
    *got = 0;
    if (s->over != TUNNEL_OK)
        return s->over;
    if (!s->upgrading)
        return read_plain(s, buffer, capacity, got);
    return noted(s, tunnel_read(s->tunnel, buffer, capacity, got));
}

static void drop_kept(struct tunnel_stream *s, size_t length)
{
    s->kept_length -= length;
    memmove(s->kept, s->kept + length, s->kept_length);
}

enum tunnel_result tunnel_stream_read(struct tunnel_stream *s, void *buffer, size_t capacity,
                                      size_t *got)
{
    if (s->kept_length == 0 || s->over != TUNNEL_OK)
        return read_on(s, buffer, capacity, got);
    *got = s->kept_length < capacity ? s->kept_length : capacity;
    memcpy(buffer, s->kept, *got);
    drop_kept(s, *got);
    return TUNNEL_OK;
}

enum tunnel_result tunnel_stream_write(struct tunnel_stream *s, const void *data, size_t length,
                                       size_t *taken)
{
    enum tunnel_result result;
    *taken = 0;
    if (s->over != TUNNEL_OK)
        return s->over;
    if (s->upgrading)
        return noted(s, tunnel_write(s->tunnel, data, length, taken));
    do
        result = noted(s, tunnel_io_write(s->io, data, length, taken));
    while (again(s, &result));
    return result;
}

enum tunnel_result tunnel_stream_write_all(struct tunnel_stream *s, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    if (s->timeout_ms == 0)
        return failure(&s->error, TUNNEL_MISUSE, "this may have to wait: set timeout_ms");
    while (length > 0) {
        size_t taken;
        enum tunnel_result result = tunnel_stream_write(s, bytes, length, &taken);
        if (result != TUNNEL_OK)
            return result;
        bytes += taken;
        length -= taken;
    }
    return TUNNEL_OK;
}

/* The line that `kept` begins with, of `length` bytes and its newline. */
static enum tunnel_result take_line(struct tunnel_stream *s, size_t length, char *line)
{
    size_t text = length > 0 && s->kept[length - 1] == '\r' ? length - 1 : length;
    if (memchr(s->kept, 0, text) != NULL)
        return failure(&s->error, TUNNEL_PROTOCOL, "a line has a zero byte in it");
    memcpy(line, s->kept, text);
    line[text] = '\0';
    drop_kept(s, length + 1);
    return TUNNEL_OK;
}

enum tunnel_result tunnel_stream_line(struct tunnel_stream *s, char line[TUNNEL_LINE_MAX])
{
    while (s->over == TUNNEL_OK) {
        const char *newline = memchr(s->kept, '\n', s->kept_length);
        if (newline != NULL)
            return take_line(s, (size_t)(newline - s->kept), line);
        if (s->kept_length == sizeof(s->kept))
            return failure(&s->error, TUNNEL_PROTOCOL, "a line is longer than %d bytes",
                           TUNNEL_LINE_MAX - 1);
        size_t got;
        enum tunnel_result result =
            read_on(s, s->kept + s->kept_length, sizeof(s->kept) - s->kept_length, &got);
        if (result != TUNNEL_OK)
            return result;
        s->kept_length += got;
    }
    return s->over;
}

/* A client that waits for no reply to STARTTLS may have sent its ClientHello along with it. TLS
 * judges it, as it does what is still in the kernel. */
static bool begins_tls(const struct tunnel_stream *s)
{
    enum { HANDSHAKE = 22, MAJOR_VERSION = 3 };
    return tunnel_context_is_server(tunnel_context(s->tunnel)) && s->kept[0] == HANDSHAKE &&
           (s->kept_length == 1 || s->kept[1] == MAJOR_VERSION);
}

static void hand_over(struct tunnel_stream *s)
{
    memcpy(s->early, s->kept, s->kept_length);
    early_give(s->tunnel, s->early, s->kept_length);
    s->kept_length = 0;
}

enum tunnel_result tunnel_stream_upgrade(struct tunnel_stream *s)
{
    if (s->tunnel == NULL)
        return failure(&s->error, TUNNEL_MISUSE,
                       "this stream cannot be upgraded: open it with a context");
    if (tunnel_stream_is_protected(s))
        return failure(&s->error, TUNNEL_MISUSE, "this stream has been upgraded already");
    if (s->over != TUNNEL_OK)
        return s->over;
    if (!s->upgrading && s->kept_length > 0 && begins_tls(s))
        hand_over(s);
    if (!s->upgrading && s->kept_length > 0)
        return s->over =
                   failure(&s->error, TUNNEL_PLAINTEXT_LEFT,
                           "%zu plain bytes came behind the line that starts TLS: whoever sent "
                           "them wants them to be taken for protected ones; close the stream",
                           s->kept_length);
    s->upgrading = true;
    return noted(s, tunnel_handshake(s->tunnel));
}

enum tunnel_result tunnel_stream_close(struct tunnel_stream *s)
{
    if (!s->upgrading)
        return failure(&s->error, TUNNEL_MISUSE, "a plain stream has no close_notify; free it");
    return noted(s, tunnel_close(s->tunnel));
}

bool tunnel_stream_is_protected(const struct tunnel_stream *s)
{
    return s->upgrading && tunnel_state(s->tunnel) >= TUNNEL_HANDSHAKE_DONE &&
           tunnel_state(s->tunnel) != TUNNEL_ERROR;
}

struct tunnel *tunnel_stream_tunnel(const struct tunnel_stream *s)
{
    return s->upgrading ? s->tunnel : NULL;
}

const struct tunnel_error *tunnel_stream_error(const struct tunnel_stream *s)
{
    return &s->error;
}
