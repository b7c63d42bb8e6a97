/* Of a route: what clients may ask for, and whether what they send is looked at. */
#include "proxy/config/decode_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- hosts ---- */

/* "https://www.example", "www.example:443", "[2001:db8::1]" */
static bool has_more_than_host(const char *text)
{
    const char *colon = strchr(text, ':');

    return text[0] == '[' || (colon != NULL && strchr(colon + 1, ':') == NULL);
}

/* Could it only be a NETWORK? "10.0.0.300" is one as well, if a wrong one. */
static bool is_like_network(const char *text)
{
    return strpbrk(text, "/:") != NULL || (*text != '\0' && text[strspn(text, "0123456789.")] == 0);
}

static void add_name(struct decoder *decoder, const struct decode_at *at, size_t index,
                     const char *text, bool names_hosts, struct decode_names *names)
{
    if (!names_hosts)
        decode_error(decoder, at, "requested_host", index,
                     "%s is not a network, and a redirected connection asks for an address only; "
                     "use networks, or server_name",
                     quote(text).text);
    else if (decode_name_advice(text) != NULL)
        decode_error(decoder, at, "requested_host", index, "%s is not a host; %s", quote(text).text,
                     decode_name_advice(text));
    else
        decode_add_name(decoder, names, text);
}

static void add_network(struct decoder *decoder, const struct decode_at *at, size_t index,
                        const char *text, struct network *list, size_t *count)
{
    const char *fault = network_parse(text, &list[*count]);

    ++*count;
    if (fault != NULL)
        decode_error(decoder, at, "requested_host", index, "%s %s", quote(text).text, fault);
}

static void decode_hosts(struct decoder *decoder, const struct decode_at *at,
                         const Turbotls__V1__Route *message, bool names_hosts,
                         struct config_hosts *out)
{
    size_t count = decode_count(decoder, at, "requested_host", message->n_requested_host,
                                (size_t)CONFIG_REQUESTED_HOSTS_MAX);
    struct decode_names names = {.list = decode_alloc(decoder, count, sizeof(*names.list))};
    struct network *networks = decode_alloc(decoder, count, sizeof(*networks));

    for (size_t i = 0; names.list != NULL && networks != NULL && i < count; i++) {
        const char *text = message->requested_host[i];

        if (strcmp(text, "*") == 0)
            out->any = true;
        else if (has_more_than_host(text))
            decode_error(decoder, at, "requested_host", i,
                         "%s is more than a host; write it without scheme, brackets and port, "
                         "which goes into requested_port",
                         quote(text).text);
        else if (is_like_network(text))
            add_network(decoder, at, i, text, networks, &out->networks.count);
        else
            add_name(decoder, at, i, text, names_hosts, &names);
    }
    decode_sort_names(&names);
    out->names = names.list;
    out->name_count = names.count;
    out->networks.list = networks;
}

/* ---- ports ---- */

static int compare_ports(const void *a, const void *b)
{
    return *(const uint16_t *)a - *(const uint16_t *)b;
}

static void decode_ports(struct decoder *decoder, const struct decode_at *at,
                         const Turbotls__V1__Route *message, bool names_hosts,
                         struct config_route *out)
{
    size_t given = decode_count(decoder, at, "requested_port", message->n_requested_port,
                                (size_t)CONFIG_REQUESTED_PORTS_MAX);
    size_t count = given == 0 && names_hosts ? 1 : given, used = 0;
    uint16_t *ports = decode_alloc(decoder, count, sizeof(*ports));

    if (ports == NULL)
        return;
    ports[0] = CONFIG_REQUESTED_PORT_DEFAULT;
    for (size_t i = 0; i < given; i++) {
        uint32_t port = message->requested_port[i];

        if (port < 1 || port > UINT16_MAX)
            decode_error(decoder, at, "requested_port", i,
                         "%u is out of range; use a number from 1 to %d", (unsigned)port,
                         UINT16_MAX);
        ports[i] = (uint16_t)port;
    }
    qsort(ports, count, sizeof(*ports), compare_ports);
    for (size_t i = 0; i < count; i++)
        if (used == 0 || ports[used - 1] != ports[i])
            ports[used++] = ports[i];
    out->requested_ports = ports;
    out->requested_port_count = used;
}

/* ---- what goes with what ---- */

/* On listeners whose clients do not ask. */
static void refuse_requested(struct decoder *decoder, const struct decode_at *at,
                             const Turbotls__V1__Route *message)
{
    const struct {
        size_t count;
        const char *field;
    } fields[] = {{message->n_requested_host, "requested_host"},
                  {message->n_requested_port, "requested_port"}};

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].count > 0)
            decode_error(decoder, at, fields[i].field, 0,
                         "is for listeners with a request only; leave it out, or say with the "
                         "listener's request how clients ask");
}

/* HTTP_CONNECT and SOCKS5 are answered before there is a ClientHello. */
static void refuse_hello(struct decoder *decoder, const struct decode_at *at,
                         const Turbotls__V1__Route *message)
{
    const struct {
        size_t count;
        const char *field;
    } fields[] = {{message->n_server_name, "server_name"}, {message->n_alpn, "alpn"}};

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (fields[i].count > 0)
            decode_error(decoder, at, fields[i].field, 0,
                         "is not known where the listener's request is HTTP_CONNECT or SOCKS5: it "
                         "is answered before there is a ClientHello; use requested_host");
    if (message->n_requested_host == 0)
        decode_missing(decoder, at, "requested_host",
                       "as nothing is allowed by default: such as \"www.example.com\", "
                       "\"*.example.com\", or \"*\" for all");
}

void decode_requested(struct decoder *decoder, const struct decode_at *at,
                      const Turbotls__V1__Listener *listener_message,
                      const struct config_listener *listener, const Turbotls__V1__Route *message,
                      struct config_route *out)
{
    bool names_hosts = decode_names_hosts(listener);
    bool is_unread = decode_request_is_unread(decoder, at->parent, listener_message);

    if (listener->request == CONFIG_REQUEST_NONE && !is_unread)
        refuse_requested(decoder, at, message);
    if (names_hosts)
        refuse_hello(decoder, at, message);
    decode_hosts(decoder, at, message, names_hosts || listener->request == CONFIG_REQUEST_NONE,
                 &out->requested);
    decode_ports(decoder, at, message, names_hosts, out);
}

/* ---- opaque ---- */

/* The field by which `route` waits for a ClientHello; NULL: it does not. */
static const char *hello_field(const Turbotls__V1__Route *route)
{
    return route->n_server_name > 0 ? "server_name" : route->n_alpn > 0 ? "alpn" : NULL;
}

static void check_opaque_route(struct decoder *decoder, const struct decode_at *at,
                               const Turbotls__V1__Listener *listener)
{
    const char *own = hello_field(listener->route[at->index]), *other;

    if (own != NULL)
        decode_error(decoder, at, "opaque", 0,
                     "does not go with %s, which is read from a ClientHello that nobody waits for "
                     "here; leave one of the two out",
                     own);
    for (size_t i = 0; i < at->index; i++) {
        other = hello_field(listener->route[i]);
        if (other == NULL)
            continue;
        decode_error(decoder, at, "opaque", 0,
                     "comes too late: route[%zu] asks for %s, for which every client's ClientHello "
                     "is waited for; put this route before that one",
                     i, other);
        return;
    }
}

void decode_check_opaque(struct decoder *decoder, const struct decode_at *at,
                         const Turbotls__V1__Listener *message,
                         const struct config_listener *listener, const struct config_route *route)
{
    const struct config_upstream *upstream =
        route->upstream == SIZE_MAX ? NULL : &decoder->upstreams[route->upstream];

    if (!route->opaque)
        return;
    if (listener->kind == ENDPOINT_TURBO)
        decode_error(decoder, at, "opaque", 0,
                     "is for listeners with protocol TCP only, as TURBO has to see how each "
                     "connection begins; leave it out, or use protocol: TCP");
    if (listener->starttls != STARTTLS_NONE)
        decode_error(decoder, at, "opaque", 0,
                     "does not go with the listener's starttls, behind which only TLS is passed "
                     "on; leave one of the two out");
    if (upstream != NULL && upstream->starttls != STARTTLS_NONE)
        decode_error(decoder, at, "opaque", 0,
                     "does not go with starttls of upstream %s, behind which only TLS is passed "
                     "on; use another upstream, or leave opaque out",
                     quote(upstream->name).text);
    check_opaque_route(decoder, at, message);
}
