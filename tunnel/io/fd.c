#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/io/descriptor.h"

struct fd_io {
    struct tunnel_io base;
    struct descriptor in, out; /* the same, of a socket */
    int error;
};

static enum tunnel_result noted(struct fd_io *f, enum tunnel_result result)
{
    if (result == TUNNEL_IO)
        f->error = errno;
    return result;
}

static enum tunnel_result fd_read(struct tunnel_io *io, void *buffer, size_t capacity, size_t *got)
{
    struct fd_io *f = (struct fd_io *)io;
    return noted(f, descriptor_read(f->in, buffer, capacity, got));
}

static enum tunnel_result fd_write(struct tunnel_io *io, const void *data, size_t length,
                                   size_t *taken)
{
    struct fd_io *f = (struct fd_io *)io;
    return noted(f, descriptor_write(f->out, data, length, taken));
}

static void fd_close(struct tunnel_io *io, bool reset)
{
    struct fd_io *f = (struct fd_io *)io;
    if (f->out.fd != f->in.fd)
        descriptor_close(f->out, reset);
    descriptor_close(f->in, reset);
    free(f);
}

static void fd_watch(struct tunnel_io *io, enum tunnel_result want, struct tunnel_watch *watch)
{
    struct fd_io *f = (struct fd_io *)io;
    descriptor_watch(want == TUNNEL_WANT_WRITE ? f->out : f->in, want, watch);
}

static const char *fd_error(const struct tunnel_io *io)
{
    const struct fd_io *f = (const struct fd_io *)io;
    return f->error == 0 ? NULL : strerror(f->error);
}

struct tunnel_io *tunnel_io_fd(int read_fd, int write_fd)
{
    static const struct tunnel_io_ops ops = {
        .read = fd_read,
        .write = fd_write,
        .close = fd_close,
        .watch = fd_watch,
        .error = fd_error,
    };
    struct fd_io *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return NULL;
    f->base.ops = &ops;
    if (!descriptor_init(&f->in, read_fd) || !descriptor_init(&f->out, write_fd)) {
        free(f);
        return NULL;
    }
    return &f->base;
}
