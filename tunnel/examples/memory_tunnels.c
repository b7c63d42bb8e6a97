/* Two tunnels in one process, over memory: memory_tunnels CLIENT.txtpb SERVER.txtpb NAME */
#include <stdio.h>
#include <stdlib.h>

#include <tunnel/tunnel.h>

enum { CAPACITY = 16384 };

/* Each waits for what the other writes, so nobody may block: they take turns. */
static bool shake_hands(struct tunnel *client, struct tunnel *server)
{
    enum tunnel_result a, b;

    do {
        a = tunnel_handshake(client);
        b = tunnel_handshake(server);
    } while (!tunnel_result_is_error(a) && !tunnel_result_is_error(b) &&
             (a != TUNNEL_OK || b != TUNNEL_OK));
    if (a != TUNNEL_OK || b != TUNNEL_OK)
        (void)fprintf(stderr, "%s\n", tunnel_error(a != TUNNEL_OK ? client : server)->text);
    return a == TUNNEL_OK && b == TUNNEL_OK;
}

int main(int argc, char **argv)
{
    struct tunnel_error error = {TUNNEL_MISUSE,
                                 "usage: memory_tunnels CLIENT.txtpb SERVER.txtpb NAME"};
    struct tunnel_options of_client = {.server_name = argc == 4 ? argv[3] : NULL}, of_server = {0};
    struct tunnel_context *contexts[2] = {NULL, NULL};
    struct tunnel *client = NULL, *server = NULL;
    struct tunnel_io *ends[2];
    struct tunnel_info info;
    char got[16];
    size_t taken, length;

    for (int i = 0; argc == 4 && i < 2; i++)
        contexts[i] = tunnel_context_from_file(argv[i + 1], &error);
    bool good = contexts[0] != NULL && contexts[1] != NULL &&
                tunnel_io_memory_pair(CAPACITY, &ends[0], &ends[1]) &&
                (client = tunnel_open(contexts[0], ends[0], &of_client, &error)) != NULL &&
                (server = tunnel_open(contexts[1], ends[1], &of_server, &error)) != NULL;
    if (!good)
        (void)fprintf(stderr, "%s\n", error.text);
    good = good && shake_hands(client, server) &&
           tunnel_write(client, "hello", 5, &taken) == TUNNEL_OK &&
           tunnel_read(server, got, sizeof(got), &length) == TUNNEL_OK && length == 5;
    if (good) {
        tunnel_info(client, &info);
        (void)printf("%.5s by %s, %s\n", got, info.version, info.cipher);
    }
    tunnel_free(client);
    tunnel_free(server);
    tunnel_context_release(contexts[0]);
    tunnel_context_release(contexts[1]);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
