/* An I/O of one's own, below a tunnel: it passes everything on to TCP, counts the bytes, and tells
 * what it is told. own_io PORT CONFIGURATION NAME; echo_server is at PORT */
#include <stdio.h>
#include <stdlib.h>

#include <tunnel/tunnel.h>

struct own {
    struct tunnel_io base; /* in front: the tunnel knows no more of it */
    struct tunnel_io *tcp;
    enum tunnel_state state;
    size_t in, out;
};

static enum tunnel_result own_read(struct tunnel_io *io, void *buffer, size_t capacity, size_t *got)
{
    struct own *own = (struct own *)io;
    enum tunnel_result result = tunnel_io_read(own->tcp, buffer, capacity, got);

    own->in += *got;
    return result;
}

static enum tunnel_result own_write(struct tunnel_io *io, const void *data, size_t length,
                                    size_t *taken)
{
    struct own *own = (struct own *)io;
    enum tunnel_result result = tunnel_io_write(own->tcp, data, length, taken);

    own->out += *taken;
    return result;
}

static void own_set_state(struct tunnel_io *io, enum tunnel_state state)
{
    struct own *own = (struct own *)io;

    if (state != own->state)
        (void)puts(tunnel_state_name(state));
    own->state = state;
}

static void own_watch(struct tunnel_io *io, enum tunnel_result want, struct tunnel_watch *watch)
{
    tunnel_io_watch(((struct own *)io)->tcp, want, watch);
}

static const char *own_error(const struct tunnel_io *io)
{
    return tunnel_io_error(((const struct own *)io)->tcp);
}

static void own_close(struct tunnel_io *io, bool reset)
{
    struct own *own = (struct own *)io;

    (void)printf("%s%zu bytes written, %zu read\n", reset ? "reset: " : "", own->out, own->in);
    own->tcp->ops->close(own->tcp, reset);
    free(own);
}

static struct tunnel_io *own_io(uint16_t port)
{
    static const struct tunnel_io_ops ops = {own_read,      own_write, own_close,
                                             own_set_state, own_watch, own_error};
    const struct tunnel_io_dial dial = {.host = "127.0.0.1", .port = port};
    struct own *own = calloc(1, sizeof(*own));

    if (own == NULL || (own->tcp = tunnel_io_tcp(&dial)) == NULL) {
        free(own);
        return NULL;
    }
    own->base.ops = &ops;
    return &own->base;
}

int main(int argc, char **argv)
{
    struct tunnel_error error = {TUNNEL_MISUSE, "usage: own_io PORT CONFIGURATION NAME"};
    struct tunnel_options options = {.timeout_ms = 10000};
    struct tunnel_context *context = NULL;
    struct tunnel_io *io = NULL;
    struct tunnel *tunnel = NULL;
    char echo[16];
    size_t got = 0;

    if (argc == 4 && (context = tunnel_context_from_file(argv[2], &error)) != NULL) {
        options.server_name = argv[3];
        io = own_io((uint16_t)strtoul(argv[1], NULL, 10));
    }
    if (io != NULL && (tunnel = tunnel_open(context, io, &options, &error)) == NULL)
        tunnel_io_close(io);
    bool good = tunnel != NULL &&
                tunnel_write_all(tunnel, "Sandwich is cool", sizeof(echo)) == TUNNEL_OK &&
                tunnel_read(tunnel, echo, sizeof(echo), &got) == TUNNEL_OK &&
                tunnel_close(tunnel) == TUNNEL_OK;
    if (!good)
        (void)fprintf(stderr, "%s\n", tunnel == NULL ? error.text : tunnel_error(tunnel)->text);
    tunnel_free(tunnel);
    tunnel_context_release(context);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
