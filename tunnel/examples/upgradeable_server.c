/* Answers PING, upgrades at STARTTLS, ends at QUIT: upgradeable_server PORT CONFIGURATION */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tunnel/stream.h>

/* One line of the client's, and what it asks for. QUIT is CLOSED. */
static enum tunnel_result obey(struct tunnel_stream *stream)
{
    char line[TUNNEL_LINE_MAX];
    enum tunnel_result result = tunnel_stream_line(stream, line);

    if (result != TUNNEL_OK)
        return result;
    if (strcmp(line, "PING") == 0)
        return tunnel_stream_write_all(stream, "PONG\n", 5);
    if (strcmp(line, "STARTTLS") == 0)
        return tunnel_stream_upgrade(stream);
    if (strcmp(line, "QUIT") == 0)
        (void)tunnel_stream_close(stream);
    return strcmp(line, "QUIT") == 0 ? TUNNEL_CLOSED : TUNNEL_PROTOCOL;
}

static void serve(struct tunnel_context *context, struct tunnel_io *io)
{
    const struct tunnel_options options = {.timeout_ms = 10000}; /* of each call */
    struct tunnel_stream *stream = tunnel_stream_open(context, io, &options, NULL);

    if (stream == NULL)
        tunnel_io_close(io);
    while (stream != NULL && obey(stream) == TUNNEL_OK)
        ;
    tunnel_stream_free(stream);
}

int main(int argc, char **argv)
{
    struct tunnel_listen where = {.host = "127.0.0.1"};
    struct tunnel_error error = {TUNNEL_MISUSE, "usage: upgradeable_server PORT CONFIGURATION"};
    struct tunnel_context *context = NULL;
    struct tunnel_listener *listener = NULL;

    if (argc == 3) {
        where.port = (uint16_t)strtoul(argv[1], NULL, 10);
        context = tunnel_context_from_file(argv[2], &error);
    }
    if (context != NULL)
        listener = tunnel_listen_tcp(&where, &error);
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
