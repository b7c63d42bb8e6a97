/* PEP 543's wrapped buffers: this program is the network between its two tunnels.
 * wrapped_buffers CLIENT.txtpb SERVER.txtpb NAME */
#include <stdio.h>
#include <stdlib.h>

#include <tunnel/tunnel.h>

enum { CAPACITY = 65536 };

struct end {
    struct tunnel *tunnel;
    struct tunnel_io *network, *plain; /* the outer end of its buffers; the inner one, unwrapped */
};

static bool begin(struct end *end, const char *configuration, const char *name,
                  struct tunnel_error *error)
{
    const struct tunnel_options options = {.server_name = name};
    struct tunnel_context *context = tunnel_context_from_file(configuration, error);
    struct tunnel_io *inner;

    if (context != NULL && tunnel_io_memory_pair(CAPACITY, &inner, &end->network) &&
        (end->tunnel = tunnel_open(context, inner, &options, error)) == NULL)
        tunnel_io_close(inner);
    tunnel_context_release(context); /* the tunnel holds it */
    return end->tunnel != NULL;
}

/* What the one has to send, if anything, the other receives. */
static bool carry(struct end *from, struct end *to)
{
    static char bytes[CAPACITY];
    size_t got, taken;

    if (tunnel_io_read(from->network, bytes, sizeof(bytes), &got) == TUNNEL_WANT_READ)
        return true;
    return tunnel_io_write(to->network, bytes, got, &taken) == TUNNEL_OK && taken == got;
}

static bool agree(struct end *client, struct end *server)
{
    enum tunnel_result a, b;

    do {
        a = tunnel_handshake(client->tunnel);
        b = carry(client, server) ? tunnel_handshake(server->tunnel) : TUNNEL_IO;
    } while (carry(server, client) && !tunnel_result_is_error(a) && !tunnel_result_is_error(b) &&
             (a != TUNNEL_OK || b != TUNNEL_OK));
    if (tunnel_result_is_error(a) || tunnel_result_is_error(b))
        (void)fprintf(
            stderr, "%s\n",
            tunnel_error(tunnel_result_is_error(a) ? client->tunnel : server->tunnel)->text);
    return a == TUNNEL_OK && b == TUNNEL_OK;
}

static void tell(struct tunnel *tunnel)
{
    char *configuration = tunnel_context_text(tunnel_context(tunnel));
    struct tunnel_info info;

    tunnel_info(tunnel, &info);
    (void)printf("%s%s, %s, %s\n", configuration == NULL ? "" : configuration, info.version,
                 info.cipher, info.alpn == NULL ? "no ALPN" : info.alpn);
    free(configuration);
}

/* Both say close_notify; then the buffers are for plain bytes again. */
static bool unwrap(struct end *client, struct end *server)
{
    static const char words[] = "plain again";
    char heard[sizeof(words)];
    size_t got;

    return tunnel_unwrap(client->tunnel, &client->plain) == TUNNEL_WANT_READ &&
           carry(client, server) && tunnel_unwrap(server->tunnel, &server->plain) == TUNNEL_OK &&
           carry(server, client) && tunnel_unwrap(client->tunnel, &client->plain) == TUNNEL_OK &&
           tunnel_io_write(client->plain, words, sizeof(words), &got) == TUNNEL_OK &&
           carry(client, server) &&
           tunnel_io_read(server->plain, heard, sizeof(heard), &got) == TUNNEL_OK &&
           puts(heard) >= 0;
}

static void end(struct end *end)
{
    tunnel_free(end->tunnel);
    tunnel_io_close(end->plain);
    tunnel_io_close(end->network);
}

int main(int argc, char **argv)
{
    struct tunnel_error error = {TUNNEL_MISUSE,
                                 "usage: wrapped_buffers CLIENT.txtpb SERVER.txtpb NAME"};
    struct end client = {.tunnel = NULL}, server = {.tunnel = NULL};
    bool good = argc == 4 && begin(&client, argv[1], argv[3], &error) &&
                begin(&server, argv[2], NULL, &error);

    if (!good)
        (void)fprintf(stderr, "%s\n", error.text);
    good = good && agree(&client, &server);
    if (good)
        tell(client.tunnel);
    good = good && unwrap(&client, &server);
    end(&client);
    end(&server);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
