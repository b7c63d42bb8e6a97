/* Sends 16 bytes back to each client: echo_server PORT CONFIGURATION */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tunnel/tunnel.h>

static const char message[] = "Sandwich is cool";
enum { LENGTH = sizeof(message) - 1 };

static enum tunnel_result echo(struct tunnel *tunnel)
{
    char bytes[LENGTH];
    enum tunnel_result result = tunnel_handshake(tunnel);

    for (size_t have = 0, got; result == TUNNEL_OK && have < LENGTH; have += got)
        result = tunnel_read(tunnel, bytes + have, LENGTH - have, &got);
    if (result == TUNNEL_OK && memcmp(bytes, message, LENGTH) != 0)
        return TUNNEL_PROTOCOL; /* ends this connection only */
    if (result == TUNNEL_OK)
        result = tunnel_write_all(tunnel, bytes, LENGTH);
    return result == TUNNEL_OK ? tunnel_close(tunnel) : result;
}

static void serve(struct tunnel_context *context, struct tunnel_io *io)
{
    static const struct tunnel_options options = {.timeout_ms = 10000}; /* of each call */
    struct tunnel *tunnel = tunnel_open(context, io, &options, NULL);

    if (tunnel == NULL)
        tunnel_io_close(io);
    else
        (void)fprintf(stderr, "%s\n", tunnel_result_name(echo(tunnel)));
    tunnel_free(tunnel);
}

int main(int argc, char **argv)
{
    struct tunnel_listen where = {.host = "127.0.0.1"};
    struct tunnel_error error = {TUNNEL_MISUSE, "usage: echo_server PORT CONFIGURATION"};
    struct tunnel_context *context = NULL;
    struct tunnel_listener *listener = NULL;

    if (argc == 3) {
        where.port = (uint16_t)strtoul(argv[1], NULL, 10);
        context = tunnel_context_from_file(argv[2], &error);
    }
    if (context != NULL)
        listener = tunnel_listen_turbo(&where, &error); /* or tunnel_listen_tcp */
    (void)fprintf(stderr, "%s\n", listener == NULL ? error.text : "listening");
    while (listener != NULL && tunnel_listener_wait(listener, -1) == TUNNEL_OK) {
        struct tunnel_io *io = NULL;
        if (tunnel_listener_accept(listener, &io) == TUNNEL_OK)
            serve(context, io);
    }
    tunnel_listener_close(listener);
    tunnel_context_release(context);
    return EXIT_FAILURE; /* it is ended by a signal */
}
