/* Connects to the echo server of echo_server.c, and compares what comes back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tunnel/tunnel.h>

static const char configuration[] =
    "impl: IMPL_OPENSSL3\n"
    "client { tls { common_options {\n"
    "  tls13 { ke: 'X25519' ciphersuite: 'TLS_AES_128_GCM_SHA256' }\n"
    "  empty_verifier { } # for tests: anybody may answer\n"
    "} } }\n";
static const char options[] = "verifier { empty_verifier { } }";
static const char message[] = "Sandwich is cool";
enum { LENGTH = sizeof(message) - 1 };

/* Writes the message, and reads as much back. */
static enum tunnel_result talk(struct tunnel *tunnel, char reply[LENGTH])
{
    enum tunnel_result result = tunnel_write_all(tunnel, message, LENGTH);

    for (size_t have = 0, got; result == TUNNEL_OK && have < LENGTH; have += got)
        result = tunnel_read(tunnel, reply + have, LENGTH - have, &got);
    return result;
}

int main(int argc, char **argv)
{
    struct tunnel_io_dial dial = {.host = "127.0.0.1", .port = 12345};
    struct tunnel_error error;
    char reply[LENGTH];
    int code = EXIT_FAILURE;

    if (argc > 1)
        dial.port = (uint16_t)strtoul(argv[1], NULL, 10);
    struct tunnel_context *context = tunnel_context_from_text(configuration, &error);
    struct tunnel_io *io = tunnel_io_turbo(&dial); /* or tunnel_io_tcp */
    struct tunnel *tunnel = NULL;
    if (context != NULL && io != NULL)
        tunnel = tunnel_open_from_text(context, io, options, &error);
    if (tunnel == NULL) {
        (void)fprintf(stderr, "%s\n", context == NULL || io != NULL ? error.text : "no memory");
        tunnel_io_close(io);
    } else {
        tunnel_set_timeout(tunnel, 10000); /* calls wait, so long each */
        if (talk(tunnel, reply) != TUNNEL_OK)
            (void)fprintf(stderr, "%s\n", tunnel_error(tunnel)->text);
        else if (memcmp(reply, message, LENGTH) == 0)
            code = puts("the server sent it back") >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        (void)tunnel_close(tunnel);
    }
    tunnel_free(tunnel);
    tunnel_context_release(context);
    return code;
}
