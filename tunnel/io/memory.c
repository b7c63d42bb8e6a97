#include <stdlib.h>
#include <string.h>

#include "tunnel/io.h"

/* Bytes on their way in one direction. */
struct pipe {
    uint8_t *bytes; /* a ring */
    size_t capacity, start, length;
    bool ended;   /* the writer has closed */
    bool nobody;  /* the reader has */
    bool aborted; /* and not in order */
};

struct memory_pair {
    struct pipe pipes[2];
    unsigned ends; /* that have not been closed */
};

struct memory_io {
    struct tunnel_io base;
    struct memory_pair *pair;
    struct pipe *in, *out;
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The next piece of the ring that lies in one place. */
static size_t take(struct pipe *p, uint8_t *buffer, size_t capacity)
{
    size_t n = smaller(smaller(p->length, capacity), p->capacity - p->start);
    memcpy(buffer, p->bytes + p->start, n);
    p->start = (p->start + n) % p->capacity;
    p->length -= n;
    return n;
}

static size_t put(struct pipe *p, const uint8_t *data, size_t length)
{
    size_t end = (p->start + p->length) % p->capacity;
    size_t n = smaller(smaller(p->capacity - p->length, length), p->capacity - end);
    memcpy(p->bytes + end, data, n);
    p->length += n;
    return n;
}

static enum tunnel_result memory_read(struct tunnel_io *io, void *buffer, size_t capacity,
                                      size_t *got)
{
    struct pipe *in = ((struct memory_io *)io)->in;
    if (in->aborted)
        return TUNNEL_IO;
    if (in->length == 0)
        return in->ended ? TUNNEL_CLOSED : TUNNEL_WANT_READ;
    size_t n = take(in, buffer, capacity);
    *got = n + take(in, (uint8_t *)buffer + n, capacity - n);
    return TUNNEL_OK;
}

static enum tunnel_result memory_write(struct tunnel_io *io, const void *data, size_t length,
                                       size_t *taken)
{
    struct pipe *out = ((struct memory_io *)io)->out;
    if (out->nobody)
        return TUNNEL_IO;
    if (out->length == out->capacity)
        return TUNNEL_WANT_WRITE;
    size_t n = put(out, data, length);
    *taken = n + put(out, (const uint8_t *)data + n, length - n);
    return TUNNEL_OK;
}

static void free_pair(struct memory_pair *pair)
{
    free(pair->pipes[0].bytes);
    free(pair->pipes[1].bytes);
    free(pair);
}

static void memory_close(struct tunnel_io *io, bool reset)
{
    struct memory_io *m = (struct memory_io *)io;
    m->out->ended = true;
    m->out->aborted = reset;
    m->in->nobody = true;
    if (--m->pair->ends == 0)
        free_pair(m->pair);
    free(m);
}

static const char *memory_error(const struct tunnel_io *io)
{
    (void)io;
    return "the other end of the memory pair has been closed";
}

static struct memory_io *new_end(struct memory_pair *pair, size_t in)
{
    static const struct tunnel_io_ops ops = {
        .read = memory_read,
        .write = memory_write,
        .close = memory_close,
        .error = memory_error,
    };
    struct memory_io *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return NULL;
    m->base.ops = &ops;
    m->pair = pair;
    m->in = &pair->pipes[in];
    m->out = &pair->pipes[1 - in];
    return m;
}

bool tunnel_io_memory_pair(size_t capacity, struct tunnel_io **a, struct tunnel_io **b)
{
    struct memory_pair *pair = calloc(1, sizeof(*pair));
    if (pair == NULL)
        return false;
    for (size_t i = 0; i < 2; i++) {
        pair->pipes[i].capacity = capacity;
        pair->pipes[i].bytes = malloc(capacity);
    }
    pair->ends = 2;
    struct memory_io *first = new_end(pair, 0), *second = new_end(pair, 1);
    if (capacity == 0 || pair->pipes[0].bytes == NULL || pair->pipes[1].bytes == NULL ||
        first == NULL || second == NULL) {
        free(first);
        free(second);
        free_pair(pair);
        return false;
    }
    *a = &first->base;
    *b = &second->base;
    return true;
}
