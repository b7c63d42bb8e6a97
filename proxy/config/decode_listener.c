#include "proxy/config/decode_parts.h"

#include <stdio.h>
#include <string.h>

static void check_numbers(struct decoder *decoder, const struct decode_at *at,
                          const Turbotls__V1__Listener *message)
{
    static const struct decode_range ranges[] = {
        {.field = "udp_port", .max = UINT16_MAX},
        {.field = "max_connections", .max = CONFIG_CONNECTIONS_MAX},
        {.field = "max_sessions", .min = 1, .max = CONFIG_SESSIONS_MAX},
        {.field = "session_rate", .min = 1, .max = CONFIG_RATE_MAX},
        {.field = "source_rate", .min = 1, .max = CONFIG_RATE_MAX},
        {.field = "opening_timeout_seconds", .max = CONFIG_OPENING_MAX_S, .above = true},
        {.field = "sniff_timeout_seconds", .max = CONFIG_SNIFF_MAX_S},
        {.field = "handshake_timeout_seconds", .max = CONFIG_HANDSHAKE_MAX_S},
        {.field = "idle_timeout_seconds", .max = CONFIG_IDLE_MAX_S},
        {.field = "half_closed_timeout_seconds", .max = CONFIG_IDLE_MAX_S},
    };

    decode_check(decoder, at, ranges, sizeof(ranges) / sizeof(ranges[0]));
    /* The proxy must have asked the server before it gives the client up. */
    if (message->sniff_timeout_seconds >= message->opening_timeout_seconds &&
        message->sniff_timeout_seconds > 0)
        decode_error(decoder, at, "sniff_timeout_seconds", 0,
                     "%.15g is not less than opening_timeout_seconds, which is %.15g; use less",
                     message->sniff_timeout_seconds, message->opening_timeout_seconds);
}

static void check_turbo_only(struct decoder *decoder, const struct decode_at *at,
                             const Turbotls__V1__Listener *message)
{
    static const Turbotls__V1__Listener defaults = TURBOTLS__V1__LISTENER__INIT;
    const struct { /* a default may be written out, as --print-config does */
        bool given;
        const char *field;
    } fields[] = {
        {message->has_udp_port, "udp_port"},
        {message->max_sessions != defaults.max_sessions, "max_sessions"},
        {message->session_rate != defaults.session_rate, "session_rate"},
        {message->source_rate != defaults.source_rate, "source_rate"},
        {message->n_dialect > 0, "dialect"},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].given)
            decode_error(decoder, at, fields[i].field, 0,
                         "is for protocol TURBO only, as TCP uses no UDP; leave it out, or use "
                         "protocol: TURBO");
}

static void decode_dialects(struct decoder *decoder, const struct decode_at *at,
                            const Turbotls__V1__Listener *message, struct config_listener *out)
{
    size_t count =
        decode_count(decoder, at, "dialect", message->n_dialect, (size_t)CONFIG_DIALECTS_MAX);

    for (size_t i = 0; i < count; i++)
        out->sandwich |= message->dialect[i] == TURBOTLS__V1__DIALECT__SANDWICH;
}

static void decode_address(struct decoder *decoder, const struct decode_at *at,
                           const Turbotls__V1__Listener *message, struct config_listener *out)
{
    char fault[ENDPOINT_FAULT_BYTES];

    if (message->address == NULL) {
        decode_missing(decoder, at, "address", "such as \"*:443\"");
    } else if (!endpoint_listen(message->address, &out->address, &out->dual_stack, fault)) {
        decode_error(decoder, at, "address", 0, "%s", fault);
        out->address = (struct address){.length = 0};
    }
    out->same_udp_port = out->kind == ENDPOINT_TURBO && !message->has_udp_port;
    if (out->kind == ENDPOINT_TURBO)
        out->udp_port =
            message->has_udp_port ? (uint16_t)message->udp_port : address_port(&out->address);
}

static void refuse_clash(struct decoder *decoder, const struct decode_at *at,
                         enum config_clash clash, const struct config_listener *old,
                         const struct config_listener *new)
{
    bool is_file = decoder->source->file != NULL, is_tcp = clash == CONFIG_CLASH_TCP;
    char texts[2][CONFIG_LISTEN_TEXT_BYTES], what[CONFIG_ERROR_MAX];
    unsigned port = is_tcp ? address_port(&new->address) : new->udp_port;

    (void)snprintf(what, sizeof(what), "'%s' and '%s' both take %sport %u%s",
                   config_listen_text(old, texts[0]), config_listen_text(new, texts[1]),
                   is_tcp ? "" : "UDP ", port,
                   is_tcp    ? "; give one of them another address or port"
                   : is_file ? "; choose another with udp_port"
                             : "; choose another with ,udp=PORT");
    if (is_file)
        decode_error(decoder, at, is_tcp || new->same_udp_port ? "address" : "udp_port", 0, "%s",
                     what);
    else /* one option is as wrong as the other */
        config_error(decoder->errors, "%s", what);
}

static void check_clashes(struct decoder *decoder, const struct decode_at *at, size_t index)
{
    const struct config_listener *new = &decoder->listeners[index];

    for (size_t i = 0; i < index && address_family(&new->address) != AF_UNSPEC; i++) {
        const struct config_listener *old = &decoder->listeners[i];
        enum config_clash clash =
            address_family(&old->address) == AF_UNSPEC ? CONFIG_CLASH_NONE : config_clash(old, new);

        if (clash != CONFIG_CLASH_NONE) {
            refuse_clash(decoder, at, clash, old, new);
            return;
        }
    }
}

static const char *decode_listener_name(struct decoder *decoder, const struct decode_at *at,
                                        size_t index)
{
    Turbotls__V1__Listener *const *all = decoder->message->listener;
    const char *name = all[index]->name;
    char text[CONFIG_LISTEN_TEXT_BYTES];

    if (name == NULL)
        return decode_text(decoder, config_listen_text(&decoder->listeners[index], text));
    if (!decode_name(decoder, at, name))
        return NULL;
    for (size_t i = 0; i < index; i++)
        if (all[i]->name != NULL && strcmp(all[i]->name, name) == 0) {
            decode_error(decoder, at, "name", 0, "listener[%zu] is called %s too; use another name",
                         i, quote(name).text);
            break;
        }
    return decode_text(decoder, name);
}

static void decode_rules(struct decoder *decoder, const struct decode_at *parent,
                         const Turbotls__V1__Listener *message, struct config_listener *out)
{
    size_t count = decode_count(decoder, parent, "access_rule", message->n_access_rule,
                                (size_t)CONFIG_RULES_MAX);
    struct config_rule *rules = decode_alloc(decoder, count, sizeof(*rules));

    out->rules = rules;
    out->rule_count = rules == NULL ? 0 : count;
    for (size_t i = 0; i < out->rule_count; i++) {
        const Turbotls__V1__AccessRule *rule = message->access_rule[i];
        struct decode_at at = {parent, &rule->base, "access_rule", i};

        decode_check(decoder, &at, NULL, 0);
        if (!rule->has_action)
            decode_missing(decoder, &at, "action", "ALLOW or DENY");
        rules[i].allow = rule->action == TURBOTLS__V1__ACCESS_RULE__ACTION__ALLOW;
        rules[i].networks = decode_networks(decoder, &at, "network", rule->network, rule->n_network,
                                            CONFIG_NETWORKS_MAX);
    }
}

/* Would a connection to `server` come in at the listener again? Names are not looked up. */
static bool leads_to(const struct config_server *server, const struct config_listener *listener)
{
    struct config_listener there = {.kind = ENDPOINT_TCP};
    struct address any;

    if (server->host == NULL || address_family(&listener->address) == AF_UNSPEC ||
        !address_from_literal(&there.address, server->host, server->port))
        return false;
    if (address_equal(&there.address, &listener->address) && server->port != 0)
        return true;
    address_wildcard(&any, address_family(&listener->address), address_port(&listener->address));
    return address_is_loopback(&there.address) && address_equal(&listener->address, &any) &&
           config_clash(&there, listener) == CONFIG_CLASH_TCP;
}

static bool check_loop(struct decoder *decoder, const struct decode_at *top,
                       const struct config_listener *listener, size_t index)
{
    const struct config_upstream *upstream = &decoder->upstreams[index];
    const Turbotls__V1__Upstream *message = decoder->message->upstream[index];
    struct decode_at above = {top, &message->base, "upstream", index};
    char text[CONFIG_LISTEN_TEXT_BYTES];

    for (size_t i = 0; i < upstream->server_count; i++) {
        struct decode_at at = {&above, &message->server[i]->base, "server", i};

        if (!leads_to(&upstream->servers[i], listener))
            continue;
        decode_error(decoder, &at, "address", 0,
                     "leads back to the listener '%s', whose connections go here; use the address "
                     "of the server behind it",
                     config_listen_text(listener, text));
        return true;
    }
    return false;
}

/* Only a loop of one listener is seen: through several, others may be in between. */
static void check_loops(struct decoder *decoder, const struct decode_at *top,
                        const struct config_listener *listener)
{
    for (size_t i = 0; i < listener->route_count; i++) {
        size_t index = listener->routes[i].upstream;

        if (index < decoder->config->upstream_count && check_loop(decoder, top, listener, index))
            return;
    }
}

static void decode_listener(struct decoder *decoder, const struct decode_at *top, size_t index)
{
    const Turbotls__V1__Listener *message = decoder->message->listener[index];
    struct config_listener *out = &decoder->listeners[index];
    struct decode_at at = {top, &message->base, "listener", index};

    check_numbers(decoder, &at, message);
    out->kind = message->protocol == TURBOTLS__V1__PROTOCOL__TURBO ? ENDPOINT_TURBO : ENDPOINT_TCP;
    if (out->kind == ENDPOINT_TCP)
        check_turbo_only(decoder, &at, message);
    decode_dialects(decoder, &at, message, out);
    decode_address(decoder, &at, message, out);
    check_clashes(decoder, &at, index);
    out->name = decode_listener_name(decoder, &at, index);
    decode_request(decoder, &at, message, out);
    decode_routes(decoder, &at, message, out);
    decode_rules(decoder, &at, message, out);
    decode_check_open_proxy(decoder, &at, out);
    out->proxy_from =
        decode_networks(decoder, &at, "proxy_protocol_from", message->proxy_protocol_from,
                        message->n_proxy_protocol_from, CONFIG_PROXY_NETWORKS_MAX);
    out->connections_max = message->max_connections;
    out->sessions_max = message->max_sessions;
    out->session_rate = message->session_rate;
    out->source_rate = message->source_rate;
    out->opening_timeout_s = message->opening_timeout_seconds;
    out->sniff_timeout_s = message->sniff_timeout_seconds;
    out->handshake_timeout_s = message->handshake_timeout_seconds;
    out->idle_timeout_s = message->idle_timeout_seconds;
    out->half_closed_timeout_s = message->half_closed_timeout_seconds;
    check_loops(decoder, top, out);
}

void decode_listeners(struct decoder *decoder, const struct decode_at *top)
{
    struct config *config = decoder->config;
    size_t count = decode_count(decoder, top, "listener", decoder->message->n_listener,
                                (size_t)CONFIG_LISTENERS_MAX);

    if (count == 0 && !decode_was_tried(decoder, top, "listener"))
        decode_error(decoder, top, NULL, 0,
                     "there is no listener; say where to accept connections, such as listener { "
                     "address: \"*:443\" }");
    decoder->listeners = decode_alloc(decoder, count, sizeof(*decoder->listeners));
    config->listeners = decoder->listeners;
    config->listener_count = decoder->listeners == NULL ? 0 : count;
    for (size_t i = 0; i < config->listener_count; i++)
        decode_listener(decoder, top, i);
}
