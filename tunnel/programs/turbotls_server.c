/* turbotls-server: a TLS and TurboTLS server for tests, measurements and small sites. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

static bool start_listening(struct server *s)
{
    struct tunnel_listen listen = {
        .host = s->place.host[0] == '\0' ? NULL : s->place.host,
        .port = s->place.port,
        .udp_port = (uint16_t)s->udp_port,
        .sandwich = s->sandwich,
        .sessions_max = s->connections_max,
        .waiting_max = s->connections_max,
    };
    struct tunnel_error error;
    bool brackets = strchr(s->place.host, ':') != NULL;

    s->listener =
        s->turbo ? tunnel_listen_turbo(&listen, &error) : tunnel_listen_tcp(&listen, &error);
    if (s->listener == NULL) {
        say(SERVER_NAME, "%s", error.text);
        return false;
    }
    (void)fprintf(stderr, "listening on %s%s%s:%u (%s)\n", brackets ? "[" : "",
                  s->place.host[0] == '\0' ? "*" : s->place.host, brackets ? "]" : "",
                  (unsigned)tunnel_listener_port(s->listener), s->turbo ? "turbo" : "tcp");
    return true;
}

static enum exit_code serve(struct server *s)
{
    struct tunnel_error error;

    s->signals = signals_as_descriptor();
    if (s->signals < 0) {
        say(SERVER_NAME, "%s", strerror(errno));
        return EXIT_OTHER;
    }
    s->context = tls_context(&s->tls, true, &error);
    if (s->context == NULL) {
        say(SERVER_NAME, "%s", error.text);
        return exit_code_of(error.result);
    }
    return start_listening(s) ? server_run(s) : EXIT_OTHER;
}

int main(int argc, char **argv)
{
    struct server server;
    enum exit_code code;

    if (server_options(&server, argc, argv, &code))
        code = serve(&server);
    tunnel_listener_close(server.listener);
    tunnel_context_release(server.context);
    free(server.body);
    free(server.greeting);
    if (server.directory_fd >= 0)
        (void)close(server.directory_fd);
    if (server.signals >= 0)
        (void)close(server.signals);
    return (int)code;
}
