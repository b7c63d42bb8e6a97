/* PING in plain and over TLS, then QUIT: upgradeable_client PORT CONFIGURATION NAME */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tunnel/stream.h>

static bool say(struct tunnel_stream *stream, const char *line)
{
    return tunnel_stream_write_all(stream, line, strlen(line)) == TUNNEL_OK;
}

/* PONG is what a PING is answered with. */
static bool ping(struct tunnel_stream *stream)
{
    char line[TUNNEL_LINE_MAX];

    if (!say(stream, "PING\n") || tunnel_stream_line(stream, line) != TUNNEL_OK)
        return false;
    (void)printf("%s%s\n", line, tunnel_stream_is_protected(stream) ? " over TLS" : "");
    return strcmp(line, "PONG") == 0;
}

/* The upgrade is the handshake, with certificate and name. */
static bool talk(struct tunnel_stream *stream)
{
    return ping(stream) && say(stream, "STARTTLS\n") &&
           tunnel_stream_upgrade(stream) == TUNNEL_OK && ping(stream) && say(stream, "QUIT\n") &&
           tunnel_stream_close(stream) == TUNNEL_OK;
}

int main(int argc, char **argv)
{
    struct tunnel_error error = {TUNNEL_MISUSE,
                                 "usage: upgradeable_client PORT CONFIGURATION NAME"};
    struct tunnel_io_dial dial = {.host = "127.0.0.1"};
    struct tunnel_options options = {.timeout_ms = 10000};
    struct tunnel_context *context = NULL;
    struct tunnel_stream *stream = NULL;

    if (argc == 4) {
        dial.port = (uint16_t)strtoul(argv[1], NULL, 10);
        options.server_name = argv[3];
        context = tunnel_context_from_file(argv[2], &error);
    }
    struct tunnel_io *io = context == NULL ? NULL : tunnel_io_tcp(&dial);
    if (io != NULL && (stream = tunnel_stream_open(context, io, &options, &error)) == NULL)
        tunnel_io_close(io);
    bool good = stream != NULL && talk(stream);
    if (!good)
        (void)fprintf(stderr, "%s\n", stream ? tunnel_stream_error(stream)->text : error.text);
    tunnel_stream_free(stream);
    tunnel_context_release(context);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
