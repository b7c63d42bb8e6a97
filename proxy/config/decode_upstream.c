#include "proxy/config/decode_parts.h"

#include <string.h>

static void check_tcp_only(struct decoder *decoder, const struct decode_at *at,
                           const Turbotls__V1__Upstream *message)
{
    if (message->protocol == TURBOTLS__V1__PROTOCOL__TURBO &&
        message->proxy_protocol != TURBOTLS__V1__UPSTREAM__PROXY_PROTOCOL__NONE)
        decode_error(decoder, at, "proxy_protocol", 0,
                     "is for protocol TCP only: what TURBO sends must begin with the client's own "
                     "first bytes; leave it out, or use protocol: TCP");
    if (message->protocol != TURBOTLS__V1__PROTOCOL__TURBO &&
        message->turbo != TURBOTLS__V1__UPSTREAM__TURBO__AUTO)
        decode_error(decoder, at, "turbo", 0,
                     "is for protocol TURBO only, as TCP uses no UDP; leave it out, or use "
                     "protocol: TURBO");
    if (message->protocol == TURBOTLS__V1__PROTOCOL__TURBO && message->has_starttls)
        decode_error(decoder, at, "starttls", 0,
                     "is for protocol TCP only, as TURBO begins with TLS; leave it out, or use "
                     "protocol: TCP");
}

/* What a server that speaks Sandwich's dialect cannot do. */
static void check_dialect(struct decoder *decoder, const struct decode_at *at,
                          const Turbotls__V1__Upstream *message)
{
    if (message->dialect == TURBOTLS__V1__DIALECT__PROFILE1)
        return;
    if (message->protocol != TURBOTLS__V1__PROTOCOL__TURBO)
        decode_error(decoder, at, "dialect", 0,
                     "is for protocol TURBO only, as TCP uses no UDP; leave it out, or use "
                     "protocol: TURBO");
    else if (message->requested)
        decode_error(decoder, at, "dialect", 0,
                     "does not go with requested: what servers speak that clients choose is not "
                     "known, and SANDWICH has no other way; leave one of the two out");
    else if (message->turbo == TURBOTLS__V1__UPSTREAM__TURBO__NEVER)
        decode_error(decoder, at, "turbo", 0,
                     "NEVER does not go with dialect: SANDWICH, whose servers can be reached by "
                     "UDP only; leave one of the two out");
}

/* --print-config writes what is left out. */
static bool is_default_health(const Turbotls__V1__Health *health)
{
    static const Turbotls__V1__Health defaults = TURBOTLS__V1__HEALTH__INIT;

    return health == NULL || (health->max_failures == defaults.max_failures &&
                              health->back_off_seconds == defaults.back_off_seconds &&
                              health->max_back_off_seconds == defaults.max_back_off_seconds &&
                              health->check_interval_seconds == defaults.check_interval_seconds &&
                              health->check_timeout_seconds == defaults.check_timeout_seconds);
}

/* What servers need that are known beforehand. */
static void check_requested(struct decoder *decoder, const struct decode_at *at,
                            const Turbotls__V1__Upstream *message)
{
    if (!message->requested)
        return;
    if (message->n_server > 0)
        decode_error(decoder, at, "server", 0,
                     "has no effect where requested is set, as connections go where clients ask to "
                     "go; leave one of the two out");
    if (!is_default_health(message->health))
        decode_error(decoder, at, "health", 0,
                     "is of servers, and where requested is set there are none; leave it out");
    if (message->proxy_protocol != TURBOTLS__V1__UPSTREAM__PROXY_PROTOCOL__NONE)
        decode_error(decoder, at, "proxy_protocol", 0,
                     "does not go with requested: servers that clients choose expect no such "
                     "header; leave one of the two out");
}

static void decode_server(struct decoder *decoder, const struct decode_at *parent, size_t index,
                          const Turbotls__V1__Upstream *upstream, struct config_server *out)
{
    static const struct decode_range ranges[] = {
        {.field = "weight", .max = CONFIG_WEIGHT_MAX},
        {.field = "udp_port", .min = 1, .max = UINT16_MAX},
    };
    const Turbotls__V1__Server *message = upstream->server[index];
    struct decode_at at = {parent, &message->base, "server", index};
    char host[CONFIG_HOST_MAX + 1] = "", fault[ENDPOINT_FAULT_BYTES];

    decode_check(decoder, &at, ranges, message->has_udp_port ? 2 : 1);
    if (message->has_udp_port && upstream->protocol != TURBOTLS__V1__PROTOCOL__TURBO)
        decode_error(decoder, &at, "udp_port", 0,
                     "is for upstreams with protocol TURBO only, as TCP uses no UDP; leave it out");
    if (message->address == NULL)
        decode_missing(decoder, &at, "address", "such as \"www.example:443\"");
    else if (!endpoint_server(message->address, host, &out->port, fault))
        decode_error(decoder, &at, "address", 0, "%s", fault);
    out->host = decode_text(decoder, host);
    out->weight = message->weight;
    out->udp_port = message->has_udp_port ? (uint16_t)message->udp_port : out->port;
}

static void decode_servers(struct decoder *decoder, const struct decode_at *at,
                           const Turbotls__V1__Upstream *message, struct config_upstream *out)
{
    size_t count =
        decode_count(decoder, at, "server", message->n_server, (size_t)CONFIG_SERVERS_MAX);
    struct config_server *servers = decode_alloc(decoder, count, sizeof(*servers));
    bool any_weight = false;

    if (count == 0 && !message->requested && !decode_was_tried(decoder, at, "server"))
        decode_error(decoder, at, NULL, 0,
                     "has no server; say where connections go, such as server { address: "
                     "\"www.example:443\" }");
    for (size_t i = 0; servers != NULL && i < count; i++) {
        decode_server(decoder, at, i, message, &servers[i]);
        any_weight = any_weight || servers[i].weight > 0;
    }
    if (message->requested)
        return;
    if (servers != NULL && !any_weight)
        decode_error(decoder, at, NULL, 0,
                     "every server has weight 0, which is for those that stand in for others; give "
                     "one of them a weight above 0");
    out->servers = servers;
    out->server_count = servers == NULL ? 0 : count;
}

static struct config_health decode_health(struct decoder *decoder, const struct decode_at *parent,
                                          const Turbotls__V1__Health *message)
{
    static const struct decode_range ranges[] = {
        {.field = "max_failures", .min = 1, .max = 100},
        {.field = "back_off_seconds", .min = 0.1, .max = 3600},
        {.field = "max_back_off_seconds", .min = 0.1, .max = 3600},
        {.field = "check_interval_seconds", .min = 0.1, .max = 3600, .or_zero = true},
        {.field = "check_timeout_seconds", .min = 0.1, .max = 60},
    };
    static const Turbotls__V1__Health defaults = TURBOTLS__V1__HEALTH__INIT;
    const Turbotls__V1__Health *health = message == NULL ? &defaults : message;
    struct decode_at at = {parent, &health->base, "health", 0};

    decode_check(decoder, &at, ranges, sizeof(ranges) / sizeof(ranges[0]));
    if (health->max_back_off_seconds < health->back_off_seconds)
        decode_error(decoder, &at, "max_back_off_seconds", 0,
                     "%.15g is less than back_off_seconds, which is %.15g; use that, or more",
                     health->max_back_off_seconds, health->back_off_seconds);
    return (struct config_health){
        .max_failures = health->max_failures,
        .back_off_s = health->back_off_seconds,
        .max_back_off_s = health->max_back_off_seconds,
        .check_interval_s = health->check_interval_seconds,
        .check_timeout_s = health->check_timeout_seconds,
    };
}

static void check_upstream_name(struct decoder *decoder, const struct decode_at *at, size_t index)
{
    Turbotls__V1__Upstream *const *all = decoder->message->upstream;
    const char *name = all[index]->name;

    if (name == NULL) {
        decode_missing(decoder, at, "name", "for routes to refer to, such as \"web\"");
        return;
    }
    if (!decode_name(decoder, at, name))
        return;
    for (size_t i = 0; i < index; i++)
        if (all[i]->name != NULL && strcmp(all[i]->name, name) == 0) {
            decode_error(decoder, at, "name", 0, "upstream[%zu] is called %s too; use another name",
                         i, quote(name).text);
            return;
        }
}

static void decode_upstream(struct decoder *decoder, const struct decode_at *top, size_t index)
{
    static const struct decode_range ranges[] = {
        {.field = "connect_timeout_seconds", .max = CONFIG_CONNECT_MAX_S, .above = true}};
    const Turbotls__V1__Upstream *message = decoder->message->upstream[index];
    struct config_upstream *out = &decoder->upstreams[index];
    struct decode_at at = {top, &message->base, "upstream", index};

    decode_check(decoder, &at, ranges, 1);
    check_upstream_name(decoder, &at, index);
    check_tcp_only(decoder, &at, message);
    check_dialect(decoder, &at, message);
    check_requested(decoder, &at, message);
    out->name = decode_text(decoder, message->name == NULL ? "" : message->name);
    out->kind = message->protocol == TURBOTLS__V1__PROTOCOL__TURBO ? ENDPOINT_TURBO : ENDPOINT_TCP;
    out->turbo = out->kind == ENDPOINT_TCP
                     ? CONFIG_TURBO_NEVER
                     : (enum config_turbo)(message->turbo - TURBOTLS__V1__UPSTREAM__TURBO__NEVER);
    out->dialect = (enum turbo_dialect)(message->dialect - TURBOTLS__V1__DIALECT__PROFILE1);
    out->starttls =
        message->has_starttls ? (enum starttls_protocol)message->starttls : STARTTLS_NONE;
    out->requested = message->requested;
    out->proxy_header = (enum config_proxy_header)(message->proxy_protocol -
                                                   TURBOTLS__V1__UPSTREAM__PROXY_PROTOCOL__NONE);
    out->connect_timeout_s = message->connect_timeout_seconds;
    decode_servers(decoder, &at, message, out);
    out->health = decode_health(decoder, &at, message->health);
}

void decode_upstreams(struct decoder *decoder, const struct decode_at *top)
{
    struct config *config = decoder->config;
    size_t count = decode_count(decoder, top, "upstream", decoder->message->n_upstream,
                                (size_t)CONFIG_UPSTREAMS_MAX);

    if (count == 0 && !decode_was_tried(decoder, top, "upstream"))
        decode_error(decoder, top, NULL, 0,
                     "there is no upstream; say where connections go, such as upstream { name: "
                     "\"web\" server { address: \"www.example:443\" } }");
    decoder->upstreams = decode_alloc(decoder, count, sizeof(*decoder->upstreams));
    config->upstreams = decoder->upstreams;
    config->upstream_count = decoder->upstreams == NULL ? 0 : count;
    for (size_t i = 0; i < config->upstream_count; i++)
        decode_upstream(decoder, top, i);
}
