#include "proxy/options_endpoint.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_TEXT_MAX = 253, /* OPTIONS_HOST_MAX on the wire, less the first length and the root */
    LABEL_MAX = 63,
    VALUE_MAX = 512,
};

static const char *const kind_names[] = {"tcp", "turbo"};

struct options_quoted options_quote(const char *text)
{
    struct options_quoted out = {"'"};
    size_t length = 1;

    for (; *text != '\0' && length < OPTIONS_QUOTED_MAX; text++) {
        if (*text >= ' ' && *text <= '~' && *text != '\\' && *text != '\'')
            out.text[length++] = *text;
        else
            length += (size_t)snprintf(out.text + length, 5, "\\x%02x", (unsigned char)*text);
    }
    memcpy(out.text + length, *text == '\0' ? "'" : "...'", *text == '\0' ? 2 : 5);
    return out;
}

enum options_result options_refuse(struct options_parser *parser, const char *format, ...)
{
    va_list arguments;
    int length = 0;

    if (parser->value != NULL)
        length = snprintf(parser->message, OPTIONS_MESSAGE_BYTES, "--%s %s: ", parser->row->name,
                          options_quote(parser->value).text);
    va_start(arguments, format);
    (void)vsnprintf(parser->message + length, (size_t)(OPTIONS_MESSAGE_BYTES - length), format,
                    arguments);
    va_end(arguments);
    return OPTIONS_INVALID;
}

/* An endpoint taken apart: KIND:HOST:PORT[,udp=PORT][,always] */
struct endpoint {
    enum endpoint_kind kind;
    char text[VALUE_MAX]; /* what `host` points into */
    const char *host;
    bool in_brackets;
    uint16_t port;
    uint16_t udp_port;
    bool has_udp_port;
    bool always;
    unsigned int port_min;
};

static enum options_result read_port(struct options_parser *parser, unsigned int port_min,
                                     const char *what, const char *text, uint16_t *port)
{
    size_t length = strlen(text);
    unsigned long number = strtoul(text, NULL, 10);

    if (length < 1 || length > 5 || strspn(text, "0123456789") != length || number > UINT16_MAX ||
        number < port_min)
        return options_refuse(parser, "%s %s is not a number from %u to 65535", what,
                              options_quote(text).text, port_min);
    *port = (uint16_t)number;
    return OPTIONS_RUN;
}

/* "turbo:25066", "tcp:*": one of the two is missing. The example keeps what may be a port. */
static enum options_result refuse_incomplete(struct options_parser *parser,
                                             const struct endpoint *endpoint, const char *text)
{
    size_t length = strlen(text);
    bool is_port = length >= 1 && length <= 5 && strspn(text, "0123456789") == length;
    bool is_listener = endpoint->port_min == 0;

    return options_refuse(parser, "%s and a port are needed, as in %s:%s",
                          is_listener ? "an address" : "a host", is_listener ? "*" : "www.example",
                          is_port ? text : "443");
}

static enum options_result read_host_and_port(struct options_parser *parser,
                                              struct endpoint *endpoint, char *text)
{
    char *colon = strrchr(text, ':');

    if (colon != NULL && (strcmp(colon, ":always") == 0 || strncmp(colon, ":udp=", 5) == 0))
        return options_refuse(parser, "options follow a comma: %s",
                              colon[1] == 'a' ? ",always" : ",udp=PORT");
    endpoint->in_brackets = text[0] == '[';
    endpoint->host = text;
    if (endpoint->in_brackets) {
        endpoint->host = text + 1;
        colon = strchr(text, ']');
        if (colon == NULL)
            return options_refuse(parser, "the '[' of the IPv6 address is not closed by a ']'");
        *colon++ = '\0';
        if (*colon != ':')
            return options_refuse(parser, "there is no ':PORT' after the ']'");
    } else {
        if (colon == NULL)
            return refuse_incomplete(parser, endpoint, text);
    }
    *colon = '\0';
    if (!endpoint->in_brackets && strchr(endpoint->host, ':') != NULL)
        return options_refuse(parser, "an IPv6 address goes in brackets, as in [::1]:443");
    return read_port(parser, endpoint->port_min, "port", colon + 1, &endpoint->port);
}

static enum options_result refuse_extra(struct options_parser *parser, const char *word)
{
    if (strncasecmp(word, "udp", 3) == 0)
        return options_refuse(parser, "%s is not known here; write udp=PORT, in lower case",
                              options_quote(word).text);
    if (strcasecmp(word, "always") == 0)
        return options_refuse(parser, "%s is not known here; write always, in lower case",
                              options_quote(word).text);
    return options_refuse(parser, "%s is not known here; use %s", options_quote(word).text,
                          parser->row->syntax);
}

static enum options_result read_extra(struct options_parser *parser, struct endpoint *endpoint,
                                      const char *word, bool always_allowed)
{
    bool is_udp = strncmp(word, "udp=", 4) == 0, is_always = strcmp(word, "always") == 0;

    if (!is_udp && !is_always)
        return refuse_extra(parser, word);
    if (is_always && !always_allowed)
        return options_refuse(parser,
                              "'always' is for --upstream: a listener answers what it is asked");
    if (endpoint->kind == ENDPOINT_TCP)
        return options_refuse(parser, "%s is for turbo: only, as tcp: uses no UDP",
                              options_quote(word).text);
    if (is_udp ? endpoint->has_udp_port : endpoint->always)
        return options_refuse(parser, "%s is there twice", is_udp ? "udp=" : "'always'");
    if (is_always) {
        endpoint->always = true;
        return OPTIONS_RUN;
    }
    endpoint->has_udp_port = true;
    return read_port(parser, endpoint->port_min, "the UDP port", word + 4, &endpoint->udp_port);
}

/* Takes the "tcp:" or "turbo:" off `rest`. */
static enum options_result read_kind(struct options_parser *parser, struct endpoint *endpoint,
                                     char **rest)
{
    const char *kind = *rest;

    if (strncmp(kind, "tcp:", 4) == 0)
        endpoint->kind = ENDPOINT_TCP;
    else if (strncmp(kind, "turbo:", 6) == 0)
        endpoint->kind = ENDPOINT_TURBO;
    else if (strncasecmp(kind, "tcp:", 4) == 0 || strncasecmp(kind, "turbo:", 6) == 0)
        return options_refuse(parser, "write %s in lower case",
                              tolower((unsigned char)kind[1]) == 'c' ? "'tcp:'" : "'turbo:'");
    else if (strncmp(kind, "unix:", 5) == 0)
        return options_refuse(parser, "unix sockets are not supported; use %s",
                              parser->row->syntax);
    else
        return options_refuse(parser, "begins with neither 'tcp:' nor 'turbo:'; use %s",
                              parser->row->syntax);
    (void)strsep(rest, ":");
    if (strncmp(*rest, "//", 2) == 0)
        return options_refuse(parser, "no '//' goes after '%s:'; use %s",
                              kind_names[endpoint->kind], parser->row->syntax);
    if (strncmp(*rest, "unix:/", 6) == 0 || **rest == '/')
        return options_refuse(parser, "unix sockets are not supported; use %s",
                              parser->row->syntax);
    return OPTIONS_RUN;
}

static enum options_result read_endpoint(struct options_parser *parser, struct endpoint *endpoint,
                                         bool always_allowed)
{
    char *rest = endpoint->text;
    enum options_result result;

    if (strlen(parser->value) >= sizeof(endpoint->text))
        return options_refuse(parser, "longer than the %d bytes an endpoint can have",
                              VALUE_MAX - 1);
    memcpy(endpoint->text, parser->value, strlen(parser->value) + 1);
    result = read_kind(parser, endpoint, &rest);
    if (result == OPTIONS_RUN)
        result = read_host_and_port(parser, endpoint, strsep(&rest, ","));
    while (result == OPTIONS_RUN && rest != NULL)
        result = read_extra(parser, endpoint, strsep(&rest, ","), always_allowed);
    if (!endpoint->has_udp_port)
        endpoint->udp_port = endpoint->kind == ENDPOINT_TURBO ? endpoint->port : 0;
    return result;
}

static enum options_result read_bracketed(struct options_parser *parser,
                                          const struct endpoint *endpoint, struct address *address)
{
    if (strchr(endpoint->host, ':') != NULL &&
        address_from_literal(address, endpoint->host, endpoint->port))
        return OPTIONS_RUN;
    if (strchr(endpoint->host, ':') == NULL &&
        address_from_literal(address, endpoint->host, endpoint->port))
        return options_refuse(parser, "IPv4 is written without brackets: %s:%u", endpoint->host,
                              (unsigned int)endpoint->port);
    return options_refuse(parser, "%s is not an IPv6 address%s", options_quote(endpoint->host).text,
                          strchr(endpoint->host, '%') ? " with an interface of this host" : "");
}

/* What no socket can listen on: multicast and broadcast. */
static bool is_for_many(const struct address *address)
{
    uint32_t v4 = ntohl(address->v4.sin_addr.s_addr);

    if (address_family(address) == AF_INET6)
        return IN6_IS_ADDR_MULTICAST(&address->v6.sin6_addr);
    return IN_MULTICAST(v4) || v4 == INADDR_BROADCAST;
}

static bool is_wildcard(const struct address *address)
{
    struct address any;

    address_wildcard(&any, address_family(address), address_port(address));
    return address_equal(address, &any);
}

/* Some address is taken by both, whatever the ports. */
static bool addresses_overlap(const struct listen_option *a, const struct listen_option *b)
{
    struct address moved = b->address;

    address_set_port(&moved, address_port(&a->address));
    if (a->dual_stack || b->dual_stack || address_equal(&a->address, &moved))
        return true;
    return address_family(&a->address) == address_family(&moved) &&
           (is_wildcard(&a->address) || is_wildcard(&moved));
}

enum options_clash options_clash(const struct listen_option *a, const struct listen_option *b)
{
    uint16_t port = address_port(&a->address);

    if (!addresses_overlap(a, b))
        return OPTIONS_CLASH_NONE;
    if (port != 0 && port == address_port(&b->address))
        return OPTIONS_CLASH_TCP;
    return a->udp_port != 0 && a->udp_port == b->udp_port ? OPTIONS_CLASH_UDP : OPTIONS_CLASH_NONE;
}

static enum options_result check_listener(struct options_parser *parser,
                                          const struct listen_option *new)
{
    for (size_t i = 0; i < parser->out->listener_count; i++) {
        const struct listen_option *old = &parser->out->listeners[i];
        enum options_clash clash = options_clash(old, new);
        char texts[2][OPTIONS_LISTEN_TEXT_BYTES];

        if (clash == OPTIONS_CLASH_NONE)
            continue;
        parser->value = NULL; /* it is as much the other one's fault */
        options_listen_text(old, texts[0]);
        options_listen_text(new, texts[1]);
        if (clash == OPTIONS_CLASH_TCP)
            return options_refuse(parser, "'%s' and '%s' both take port %u", texts[0], texts[1],
                                  (unsigned int)address_port(&new->address));
        return options_refuse(parser,
                              "'%s' and '%s' both take UDP port %u; choose another with ,udp=PORT",
                              texts[0], texts[1], (unsigned int)new->udp_port);
    }
    if (parser->out->listener_count == OPTIONS_LISTENERS_MAX)
        return options_refuse(parser, "at most %d are possible", OPTIONS_LISTENERS_MAX);
    return OPTIONS_RUN;
}

enum options_result options_take_listen(struct options_parser *parser)
{
    struct endpoint endpoint = {.host = "", .port_min = 0};
    struct listen_option new = {0};
    enum options_result result = read_endpoint(parser, &endpoint, false);

    if (result != OPTIONS_RUN)
        return result;
    if (endpoint.in_brackets)
        result = read_bracketed(parser, &endpoint, &new.address);
    else if ((new.dual_stack = strcmp(endpoint.host, "*") == 0))
        address_wildcard(&new.address, AF_INET6, endpoint.port);
    else if (!address_from_literal(&new.address, endpoint.host, endpoint.port))
        result =
            options_refuse(parser,
                           "%s is not an IP address; use a literal such as 127.0.0.1, [::1] or "
                           "* for all",
                           options_quote(endpoint.host).text);
    if (result == OPTIONS_RUN && is_for_many(&new.address))
        result = options_refuse(parser, "nobody can connect to a multicast or broadcast address; "
                                        "use one of this host's, or * for all");
    if (result != OPTIONS_RUN)
        return result;
    new.kind = endpoint.kind;
    new.udp_port = endpoint.udp_port;
    new.same_udp_port = endpoint.kind == ENDPOINT_TURBO && !endpoint.has_udp_port;
    result = check_listener(parser, &new);
    if (result == OPTIONS_RUN)
        parser->out->listeners[parser->out->listener_count++] = new;
    return result;
}

/* A name DNS can carry. One whose last label is a number is a mistyped IPv4 address. */
static const char *name_fault(const char *host)
{
    size_t length = strlen(host), label = 0;
    const char *last_dot;
    struct address address = {.length = 0};

    if (address_from_literal(&address, host, 0))
        return NULL;
    if (length > 1 && host[length - 1] == '.')
        length--;
    if (length > NAME_TEXT_MAX)
        return "is longer than a host name can be";
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)host[i];

        label = byte == '.' ? 0 : label + 1;
        if (!isalnum(byte) && strchr("-_.", byte) == NULL)
            return "is not a host name or an address; a name has letters, digits, '-', '_' and "
                   "'.' (other alphabets as xn--)";
        if (label > LABEL_MAX || (byte == '.' && (i == 0 || host[i - 1] == '.')))
            return "is not a host name: between the dots go 1 to 63 characters";
    }
    last_dot = memrchr(host, '.', length);
    label = last_dot == NULL ? 0 : (size_t)(last_dot - host) + 1;
    if (length == 0 || strspn(host + label, "0123456789") >= length - label)
        return "is not an IPv4 address, a host name or an IPv6 address in brackets";
    return NULL;
}

static enum options_result read_upstream_v6(struct options_parser *parser,
                                            const struct endpoint *endpoint)
{
    struct address address = {.length = 0};
    enum options_result result = read_bracketed(parser, endpoint, &address);

    if (result == OPTIONS_RUN && address_family(&address) == AF_INET6 &&
        address.v6.sin6_scope_id == 0 && IN6_IS_ADDR_LINKLOCAL(&address.v6.sin6_addr))
        result =
            options_refuse(parser, "a link-local address needs its interface: [fe80::1%%eth0]");
    return result;
}

enum options_result options_take_upstream(struct options_parser *parser)
{
    struct endpoint endpoint = {.host = "", .port_min = 1};
    struct upstream_option *upstream = &parser->out->upstream;
    enum options_result result = read_endpoint(parser, &endpoint, true);

    if (result == OPTIONS_RUN && parser->upstream != NULL)
        result = options_refuse(parser, "there can be one upstream only, and %s came before",
                                options_quote(parser->upstream).text);
    if (result == OPTIONS_RUN && endpoint.in_brackets)
        result = read_upstream_v6(parser, &endpoint);
    else if (result == OPTIONS_RUN && name_fault(endpoint.host) != NULL)
        result = options_refuse(parser, "%s %s", options_quote(endpoint.host).text,
                                name_fault(endpoint.host));
    if (result != OPTIONS_RUN)
        return result;
    parser->upstream = parser->value;
    upstream->kind = endpoint.kind;
    (void)snprintf(upstream->host, sizeof(upstream->host), "%s", endpoint.host);
    upstream->port = endpoint.port;
    upstream->udp_port = endpoint.udp_port;
    upstream->always = endpoint.always;
    return OPTIONS_RUN;
}

const char *options_listen_text(const struct listen_option *listener,
                                char text[static OPTIONS_LISTEN_TEXT_BYTES])
{
    char address[ADDRESS_TEXT_BYTES], udp[16] = "";

    if (listener->kind == ENDPOINT_TURBO && !listener->same_udp_port)
        (void)snprintf(udp, sizeof(udp), ",udp=%u", (unsigned int)listener->udp_port);
    if (listener->dual_stack)
        (void)snprintf(address, sizeof(address), "*:%u",
                       (unsigned int)address_port(&listener->address));
    else
        address_text(&listener->address, address);
    (void)snprintf(text, OPTIONS_LISTEN_TEXT_BYTES, "%s:%s%s", kind_names[listener->kind], address,
                   udp);
    return text;
}
