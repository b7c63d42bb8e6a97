/*
 * A configuration from any bytes: it is refused with a reason, or what is in force is all in range
 * and refers to what there is; printed, it is the same configuration. The first byte chooses
 * between text and the serialized form.
 */
#include "tests/fuzz/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/text/text_reader.h"
#include "proto/text/text_writer.h"
#include "proxy/config/decode.h"

#define FILE_NAME "a.txtpb"

static void check_errors(const struct config_errors *errors, const struct config *config)
{
    assert((errors->total == 0) == (config != NULL));
    assert(!errors->failed);
    assert(errors->count == errors->total || errors->count == CONFIG_ERRORS_MAX);
    for (size_t i = 0; i < errors->count; i++)
        assert(strncmp(errors->texts[i], FILE_NAME ":", strlen(FILE_NAME ":")) == 0);
}

static Turbotls__V1__Proxy *read_text(const char *text, size_t length, struct places *places,
                                      struct config_errors *errors)
{
    ProtobufCMessage *message =
        text_read(&turbotls__v1__proxy__descriptor, FILE_NAME, text, length, places, errors);

    assert(message != NULL);
    return (Turbotls__V1__Proxy *)message;
}

/* ---- what is in force, as text ---- */

static void put_networks(FILE *out, const struct networks *networks, size_t max)
{
    char text[NETWORK_TEXT_BYTES];

    assert(networks->count <= max);
    for (size_t i = 0; i < networks->count; i++)
        (void)fprintf(out, " %s", network_text(&networks->list[i], text));
    (void)fprintf(out, ";");
}

static void put_seconds(FILE *out, double seconds, double min, double max)
{
    assert(seconds >= min && seconds <= max);
    (void)fprintf(out, " %.17g", seconds);
}

static void put_name(FILE *out, const char *name)
{
    assert(name != NULL && name[0] != '\0');
    (void)fprintf(out, "\n%s", name);
}

static void put_upstream(FILE *out, const struct config_upstream *u)
{
    put_name(out, u->name);
    assert((u->server_count == 0) == u->requested && u->server_count <= CONFIG_SERVERS_MAX);
    assert(u->kind == ENDPOINT_TURBO
               ? u->proxy_header == CONFIG_PROXY_NONE && u->starttls == STARTTLS_NONE &&
                     u->turbo <= CONFIG_TURBO_ALWAYS
               : u->turbo == CONFIG_TURBO_NEVER);
    assert(u->starttls < STARTTLS_COUNT);
    assert(!u->requested || u->proxy_header == CONFIG_PROXY_NONE);
    (void)fprintf(out, " %d %d %d %d %d", (int)u->kind, (int)u->turbo, (int)u->proxy_header,
                  (int)u->starttls, u->requested);
    put_seconds(out, u->connect_timeout_s, 0, CONFIG_CONNECT_MAX_S);
    put_seconds(out, u->health.back_off_s, 0.1, u->health.max_back_off_s);
    put_seconds(out, u->health.max_back_off_s, 0.1, 3600);
    put_seconds(out, u->health.check_interval_s, 0, 3600);
    put_seconds(out, u->health.check_timeout_s, 0.1, 60);
    (void)fprintf(out, " %u", (unsigned)u->health.max_failures);
    for (size_t i = 0; i < u->server_count; i++) {
        const struct config_server *s = &u->servers[i];
        assert(s->host[0] != '\0' && s->port > 0 && s->udp_port > 0);
        assert(s->weight <= CONFIG_WEIGHT_MAX);
        (void)fprintf(out, " %s:%u,%u*%u", s->host, s->port, s->udp_port, (unsigned)s->weight);
    }
}

static void put_names(FILE *out, const char *const *names, size_t count, size_t max)
{
    assert(count <= max);
    for (size_t i = 0; i < count; i++) {
        assert(i == 0 || strcmp(names[i - 1], names[i]) < 0);
        (void)fprintf(out, " %s", names[i]);
    }
    (void)fprintf(out, ";");
}

static bool names_hosts(const struct config_listener *l)
{
    return l->request == CONFIG_REQUEST_HTTP_CONNECT || l->request == CONFIG_REQUEST_SOCKS5;
}

static void put_requested(FILE *out, const struct config_listener *l, const struct config_route *r)
{
    const struct config_hosts *hosts = &r->requested;

    if (names_hosts(l)) {
        assert(hosts->any || hosts->name_count + hosts->networks.count > 0);
        assert(r->requested_port_count > 0 && r->server_name_count == 0 && r->alpn_count == 0);
    } else {
        assert(hosts->name_count == 0);
    }
    assert(l->request != CONFIG_REQUEST_NONE ||
           (!hosts->any && hosts->networks.count == 0 && r->requested_port_count == 0));
    assert(r->requested_port_count <= CONFIG_REQUESTED_PORTS_MAX);
    (void)fprintf(out, " %d", hosts->any);
    put_names(out, hosts->names, hosts->name_count, CONFIG_REQUESTED_HOSTS_MAX);
    put_networks(out, &hosts->networks, CONFIG_REQUESTED_HOSTS_MAX);
    for (size_t i = 0; i < r->requested_port_count; i++) {
        assert(r->requested_ports[i] > (i == 0 ? 0 : r->requested_ports[i - 1]));
        (void)fprintf(out, " %u", r->requested_ports[i]);
    }
}

static void check_opaque(const struct config *config, const struct config_listener *l,
                         const struct config_route *r)
{
    assert(l->kind == ENDPOINT_TCP && l->starttls == STARTTLS_NONE);
    assert(config->upstreams[r->upstream].starttls == STARTTLS_NONE);
    for (size_t i = 0; &l->routes[i] <= r; i++)
        assert(l->routes[i].server_name_count == 0 && l->routes[i].alpn_count == 0);
}

static void put_route(FILE *out, const struct config *config, const struct config_listener *l,
                      const struct config_route *r)
{
    put_name(out, r->name);
    assert(r->upstream < config->upstream_count);
    assert(l->request != CONFIG_REQUEST_NONE || !config->upstreams[r->upstream].requested);
    assert(r->alpn_count <= CONFIG_ALPN_MAX);
    (void)fprintf(out, " %zu %d", r->upstream, r->opaque);
    if (r->opaque)
        check_opaque(config, l, r);
    put_requested(out, l, r);
    put_names(out, r->server_names, r->server_name_count, CONFIG_SERVER_NAMES_MAX);
    for (size_t i = 0; i < r->alpn_count; i++) {
        assert(r->alpn[i].length >= 1 && r->alpn[i].length <= CONFIG_ALPN_BYTES_MAX);
        (void)fprintf(out, " '%.*s'", (int)r->alpn[i].length, (const char *)r->alpn[i].data);
    }
    put_networks(out, &r->sources, CONFIG_NETWORKS_MAX);
}

static void put_request(FILE *out, const struct config_listener *l)
{
    assert(l->kind == ENDPOINT_TCP ||
           (l->request == CONFIG_REQUEST_NONE && l->starttls == STARTTLS_NONE));
    assert(l->request <= CONFIG_REQUEST_TPROXY && l->starttls < STARTTLS_COUNT);
    assert(l->starttls == STARTTLS_NONE || l->sniff_timeout_s == 0);
    assert(l->login_count == 0 || l->request == CONFIG_REQUEST_SOCKS5);
    assert(l->login_count <= CONFIG_LOGINS_MAX);
    (void)fprintf(out, " %d %d", (int)l->request, (int)l->starttls);
    for (size_t i = 0; i < l->login_count; i++)
        (void)fprintf(out, " %s/%s", l->logins[i].user, l->logins[i].password);
}

static void put_listener(FILE *out, const struct config *config, const struct config_listener *l)
{
    char text[CONFIG_LISTEN_TEXT_BYTES];

    put_name(out, l->name);
    (void)fprintf(out, " %s", config_listen_text(l, text));
    assert(l->route_count >= 1 && l->route_count <= CONFIG_ROUTES_MAX);
    assert(l->rule_count <= CONFIG_RULES_MAX && l->opening_timeout_s > 0);
    assert(l->sniff_timeout_s < l->opening_timeout_s);
    assert(l->sessions_max >= 1 && l->sessions_max <= CONFIG_SESSIONS_MAX);
    assert(l->session_rate >= 1 && l->session_rate <= CONFIG_RATE_MAX);
    assert(l->source_rate >= 1 && l->source_rate <= CONFIG_RATE_MAX);
    assert(l->connections_max <= CONFIG_CONNECTIONS_MAX);
    put_request(out, l);
    for (size_t i = 0; i < l->route_count; i++)
        put_route(out, config, l, &l->routes[i]);
    for (size_t i = 0; i < l->rule_count; i++) {
        (void)fprintf(out, " %d", l->rules[i].allow);
        put_networks(out, &l->rules[i].networks, CONFIG_NETWORKS_MAX);
    }
    put_networks(out, &l->proxy_from, CONFIG_PROXY_NETWORKS_MAX);
    (void)fprintf(out, " %u %u %u %u", (unsigned)l->connections_max, (unsigned)l->sessions_max,
                  (unsigned)l->session_rate, (unsigned)l->source_rate);
    put_seconds(out, l->opening_timeout_s, 0, CONFIG_OPENING_MAX_S);
    put_seconds(out, l->sniff_timeout_s, 0, CONFIG_SNIFF_MAX_S);
    put_seconds(out, l->handshake_timeout_s, 0, CONFIG_HANDSHAKE_MAX_S);
    put_seconds(out, l->idle_timeout_s, 0, CONFIG_IDLE_MAX_S);
    put_seconds(out, l->half_closed_timeout_s, 0, CONFIG_IDLE_MAX_S);
}

static char *in_force(const struct config *config)
{
    char *text = NULL, admin[ADDRESS_TEXT_BYTES];
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert(out != NULL);
    assert(config->listener_count >= 1 && config->listener_count <= CONFIG_LISTENERS_MAX);
    assert(config->upstream_count >= 1 && config->upstream_count <= CONFIG_UPSTREAMS_MAX);
    assert(config->log_level <= LOG_LEVEL_DEBUG && config->log_target <= LOG_TARGET_JOURNAL);
    for (size_t i = 0; i < config->listener_count; i++)
        put_listener(out, config, &config->listeners[i]);
    for (size_t i = 0; i < config->upstream_count; i++)
        put_upstream(out, &config->upstreams[i]);
    put_seconds(out, config->drain_timeout_s, 0, CONFIG_DRAIN_MAX_S);
    (void)fprintf(
        out, " %d %d %d %s %d %s %s %d %u", (int)config->log_level, (int)config->log_format,
        (int)config->log_target, address_text(&config->admin, admin), config->admin_dual_stack,
        config->user == NULL ? "-" : config->user, config->group == NULL ? "-" : config->group,
        config->sandbox, (unsigned)config->mark);
    put_networks(out, &config->admin_from, CONFIG_ADMIN_NETWORKS_MAX);
    assert(fclose(out) == 0);
    return text;
}

/* Printed and read again it is the same, and prints the same. */
static char *printed(const Turbotls__V1__Proxy *message, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);

    assert(out != NULL);
    text_write(&message->base, out);
    assert(fclose(out) == 0);
    return text;
}

static void check_printed(const Turbotls__V1__Proxy *message, const struct config *config)
{
    struct config_errors errors;
    struct places places;
    struct config_source source = {.file = FILE_NAME, .places = &places};
    size_t lengths[2];
    char *texts[2] = {printed(message, &lengths[0]), NULL}, *forces[2] = {in_force(config), NULL};

    config_errors_init(&errors);
    places_init(&places);
    Turbotls__V1__Proxy *again = read_text(texts[0], lengths[0], &places, &errors);
    struct config *same = config_decode(again, &source, &errors);
    assert(same != NULL);
    forces[1] = in_force(same);
    assert(strcmp(forces[0], forces[1]) == 0);
    texts[1] = printed(again, &lengths[1]);
    assert(lengths[0] == lengths[1] && memcmp(texts[0], texts[1], lengths[0]) == 0);
    turbotls__v1__proxy__free_unpacked(again, NULL);
    config_release(same);
    places_free(&places);
    config_errors_free(&errors);
    for (size_t i = 0; i < 2; i++) {
        free(texts[i]);
        free(forces[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    bool is_text = input_byte(&in) % 2 == 0;
    struct config_errors errors;
    struct places places;
    struct config_source source = {.file = FILE_NAME, .places = is_text ? &places : NULL};

    config_errors_init(&errors);
    places_init(&places);
    Turbotls__V1__Proxy *message = is_text
                                       ? read_text((const char *)in.at, in.left, &places, &errors)
                                       : turbotls__v1__proxy__unpack(NULL, in.left, in.at);
    if (message != NULL) {
        struct config *config = config_decode(message, &source, &errors);
        check_errors(&errors, config);
        if (config != NULL)
            check_printed(message, config);
        config_release(config);
        turbotls__v1__proxy__free_unpacked(message, NULL);
    }
    places_free(&places);
    config_errors_free(&errors);
    return 0;
}

/* ---- seeds ---- */

static const char *const seeds[] = {
    "listener { address: '*:443' } upstream { name: 'web' server { address: 'h:1' } }",
    "listener { name: 'edge' address: '[::1]:0' udp_port: 8443\n"
    "  route { name: 'h2' server_name: ['b.example', '*.a.example'] alpn: 'h2'\n"
    "          source: '10.0.0.0/8' upstream: 'two' }\n"
    "  route { upstream: 'web' server_name: 'c.example' } route { upstream: 'web' }\n"
    "  access_rule { action: DENY network: '192.0.2.0/24' } access_rule { action: ALLOW }\n"
    "  proxy_protocol_from: '::/0' max_sessions: 8 sniff_timeout_seconds: 0.5 }\n"
    "upstream { name: 'two' protocol: TURBO turbo: ALWAYS connect_timeout_seconds: 15\n"
    "  server { address: 'one:1' udp_port: 2 weight: 0 } server { address: '[::1]:3' }\n"
    "  health { max_failures: 5 check_interval_seconds: 8 check_timeout_seconds: 9 } }\n"
    "upstream { name: 'web' server { address: '192.0.2.1:1' } proxy_protocol: V2 }\n"
    "log { level: DEBUG format: JSON target: JOURNAL } admin { address: '*:9' }\n"
    "process { user: 'proxy' group: 'tls' sandbox: false } drain_timeout_seconds: 0",
    "listener { address: '127.0.0.1:80' protocol: TCP request: HTTP_CONNECT\n"
    "  route { requested_host: ['a.example', '*.b', '10.0.0.0/8'] requested_port: [80, 443]\n"
    "          upstream: 'there' } route { requested_host: '*' opaque: true upstream: 'mail' } }\n"
    "listener { address: '*:81' protocol: TCP request: SOCKS5 login { user: 'a' password: 'b' }\n"
    "  route { requested_host: '*' upstream: 'there' } }\n"
    "listener { address: '*:82' protocol: TCP request: REDIRECT route { requested_port: 25\n"
    "  opaque: true upstream: 'mail' } route { server_name: 'a.b' upstream: 'there' } }\n"
    "listener { address: '*:83' protocol: TCP request: TPROXY starttls: POP3\n"
    "  route { requested_host: ['::/0', '*'] upstream: 'mail' } }\n"
    "listener { address: '*:84' protocol: TCP starttls: LDAP route { upstream: 'plain' } }\n"
    "upstream { name: 'there' protocol: TURBO turbo: TRY requested: true }\n"
    "upstream { name: 'mail' requested: true } process { mark: 7 }\n"
    "upstream { name: 'plain' starttls: SMTP server { address: 'h:1' } }",
    "listener { address: '127.0.0.1:99' route { server_name: '*' upstream: 'wbe' }\n"
    "  access_rule { network: '10.0.0.0/33' action: DENIED } acess_rule { } }\n"
    "listener { address: '*:99' } upstream { name: 'web' server { adress: 'a:1' } }",
};

void fuzz_seeds(void)
{
    for (size_t i = 0; i < COUNT(seeds); i++) {
        struct config_errors errors;
        struct places places;

        config_errors_init(&errors);
        places_init(&places);
        Turbotls__V1__Proxy *message = read_text(seeds[i], strlen(seeds[i]), &places, &errors);
        size_t length = turbotls__v1__proxy__get_packed_size(message);
        uint8_t *packed = malloc(length + 1);
        assert(packed != NULL);
        /* "t" is even: a text. */
        seed_write_behind("t", 1, seeds[i], strlen(seeds[i]));
        seed_write_behind("s", 1, packed, turbotls__v1__proxy__pack(message, packed));
        free(packed);
        turbotls__v1__proxy__free_unpacked(message, NULL);
        places_free(&places);
        config_errors_free(&errors);
    }
}
