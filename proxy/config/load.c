#include "proxy/config/load.h"

#include <stdio.h>
#include <string.h>

static void take_listener(struct config_listener *l, const struct options *o,
                          const struct listen_option *option, const char *name)
{
    *l = (struct config_listener){.name = name,
                                  .kind = option->kind,
                                  .address = option->address,
                                  .dual_stack = option->dual_stack,
                                  .udp_port = option->udp_port,
                                  .same_udp_port = option->same_udp_port,
                                  .sessions_max = o->sessions_max,
                                  .session_rate = o->session_rate,
                                  .source_rate = o->source_rate,
                                  .opening_timeout_s = o->opening_timeout_s,
                                  .sniff_timeout_s = o->sniff_timeout_s,
                                  .handshake_timeout_s = 60,
                                  .idle_timeout_s = 3600,
                                  .half_closed_timeout_s = 600};
}

struct config *config_load(const struct options *o, struct config_errors *errors)
{
    (void)errors;
    struct config *c = config_create();
    if (c == NULL)
        return NULL;
    struct config_listener *listeners = config_alloc(c, o->listener_count * sizeof(*listeners));
    struct config_upstream *upstream = config_alloc(c, sizeof(*upstream));
    struct config_server *server = config_alloc(c, sizeof(*server));
    struct config_route *route = config_alloc(c, sizeof(*route));
    if (listeners == NULL || upstream == NULL || server == NULL || route == NULL) {
        config_release(c);
        return NULL;
    }
    bool v6 = strchr(o->upstream.host, ':') != NULL;
    char text[OPTIONS_HOST_MAX + 32];
    (void)snprintf(text, sizeof(text), "%s:%s%s%s:%u",
                   o->upstream.kind == ENDPOINT_TURBO ? "turbo" : "tcp", v6 ? "[" : "",
                   o->upstream.host, v6 ? "]" : "", o->upstream.port);
    *server = (struct config_server){.host = config_text(c, o->upstream.host),
                                     .port = o->upstream.port,
                                     .udp_port = o->upstream.udp_port,
                                     .weight = 1};
    *upstream = (struct config_upstream){
        .name = config_text(c, text),
        .kind = o->upstream.kind,
        .always = o->upstream.always,
        .connect_timeout_s = 60,
        .health = {.max_failures = 1, .back_off_s = 1, .max_back_off_s = 60, .check_timeout_s = 2},
        .servers = server,
        .server_count = 1};
    *route = (struct config_route){.name = upstream->name};
    for (size_t i = 0; i < o->listener_count; i++) {
        char name[CONFIG_LISTEN_TEXT_BYTES];
        take_listener(&listeners[i], o, &o->listeners[i], NULL);
        listeners[i].name = config_text(c, config_listen_text(&listeners[i], name));
        listeners[i].routes = route;
        listeners[i].route_count = 1;
    }
    c->listeners = listeners;
    c->listener_count = o->listener_count;
    c->upstreams = upstream;
    c->upstream_count = 1;
    c->drain_timeout_s = o->drain_timeout_s;
    c->log_level = o->log_level;
    c->log_format = o->log_format;
    return c;
}
