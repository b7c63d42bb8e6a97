#include "proxy/options.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME_TEXT_MAX = 253, /* OPTIONS_HOST_MAX on the wire, less the first length and the root */
    LABEL_MAX = 63,
    VALUE_MAX = 512,
    QUOTED_MAX = 320,
    SECONDS_MAX = 86400,
};

struct parser {
    struct options *out;
    char *message;
    const struct option_row *row; /* the option at hand */
    const char *value;            /* and what it was given; NULL: nothing (yet) */
    const char *upstream;         /* the value of --upstream, once seen */
};

/* The result OPTIONS_RUN means: so far so good. */
struct option_row {
    const char *name;
    const char *syntax; /* of the value; NULL: takes none */
    enum options_result (*take)(struct parser *parser);
    const char *help;
};

static const char *const kind_names[] = {"tcp", "turbo"};
static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const char *const format_names[] = {"text", "json"};

/* What the user wrote, safe to print within one line. */
struct quoted {
    char text[QUOTED_MAX + 8];
};

static struct quoted quote(const char *text)
{
    struct quoted out = {"'"};
    size_t length = 1;

    for (; *text != '\0' && length < QUOTED_MAX; text++) {
        if (*text >= ' ' && *text <= '~' && *text != '\\' && *text != '\'')
            out.text[length++] = *text;
        else
            length += (size_t)snprintf(out.text + length, 5, "\\x%02x", (unsigned char)*text);
    }
    memcpy(out.text + length, *text == '\0' ? "'" : "...'", *text == '\0' ? 2 : 5);
    return out;
}

/* Says what is wrong, behind the option and value that it is wrong in. */
__attribute__((format(printf, 2, 3))) static enum options_result refuse(struct parser *parser,
                                                                        const char *format, ...)
{
    va_list arguments;
    int length = 0;

    if (parser->value != NULL)
        length = snprintf(parser->message, OPTIONS_MESSAGE_BYTES, "--%s %s: ", parser->row->name,
                          quote(parser->value).text);
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

static enum options_result read_port(struct parser *parser, unsigned int port_min, const char *what,
                                     const char *text, uint16_t *port)
{
    size_t length = strlen(text);
    unsigned long number = strtoul(text, NULL, 10);

    if (length < 1 || length > 5 || strspn(text, "0123456789") != length || number > UINT16_MAX ||
        number < port_min)
        return refuse(parser, "%s %s is not a number from %u to 65535", what, quote(text).text,
                      port_min);
    *port = (uint16_t)number;
    return OPTIONS_RUN;
}

static enum options_result read_host_and_port(struct parser *parser, struct endpoint *endpoint,
                                              char *text)
{
    char *colon;

    endpoint->in_brackets = text[0] == '[';
    endpoint->host = text;
    if (endpoint->in_brackets) {
        endpoint->host = text + 1;
        colon = strchr(text, ']');
        if (colon == NULL)
            return refuse(parser, "the '[' of the IPv6 address is not closed by a ']'");
        *colon++ = '\0';
        if (*colon != ':')
            return refuse(parser, "there is no ':PORT' after the ']'");
    } else {
        colon = strrchr(text, ':');
        if (colon == NULL)
            return refuse(parser, "there is no port; use %s", parser->row->syntax);
    }
    *colon = '\0';
    if (!endpoint->in_brackets && strchr(endpoint->host, ':') != NULL)
        return refuse(parser, "an IPv6 address goes in brackets, as in [::1]:443");
    return read_port(parser, endpoint->port_min, "port", colon + 1, &endpoint->port);
}

static enum options_result read_extra(struct parser *parser, struct endpoint *endpoint,
                                      const char *word, bool always_allowed)
{
    bool is_udp = strncmp(word, "udp=", 4) == 0, is_always = strcmp(word, "always") == 0;

    if (!is_udp && !is_always)
        return refuse(parser, "%s is not known here; use %s", quote(word).text,
                      parser->row->syntax);
    if (is_always && !always_allowed)
        return refuse(parser, "'always' is for --upstream: a listener answers what it is asked");
    if (endpoint->kind == ENDPOINT_TCP)
        return refuse(parser, "%s is for turbo: only, as tcp: uses no UDP", quote(word).text);
    if (is_udp ? endpoint->has_udp_port : endpoint->always)
        return refuse(parser, "%s is there twice", is_udp ? "udp=" : "'always'");
    if (is_always) {
        endpoint->always = true;
        return OPTIONS_RUN;
    }
    endpoint->has_udp_port = true;
    return read_port(parser, endpoint->port_min, "the UDP port", word + 4, &endpoint->udp_port);
}

static enum options_result read_endpoint(struct parser *parser, struct endpoint *endpoint,
                                         bool always_allowed)
{
    char *rest = endpoint->text;
    enum options_result result;

    if (strlen(parser->value) >= sizeof(endpoint->text))
        return refuse(parser, "longer than the %d bytes an endpoint can have", VALUE_MAX - 1);
    memcpy(endpoint->text, parser->value, strlen(parser->value) + 1);
    if (strncmp(rest, "tcp:", 4) == 0)
        endpoint->kind = ENDPOINT_TCP;
    else if (strncmp(rest, "turbo:", 6) == 0)
        endpoint->kind = ENDPOINT_TURBO;
    else
        return refuse(parser, "begins with neither 'tcp:' nor 'turbo:'; use %s",
                      parser->row->syntax);
    (void)strsep(&rest, ":");
    result = read_host_and_port(parser, endpoint, strsep(&rest, ","));
    while (result == OPTIONS_RUN && rest != NULL)
        result = read_extra(parser, endpoint, strsep(&rest, ","), always_allowed);
    if (!endpoint->has_udp_port)
        endpoint->udp_port = endpoint->kind == ENDPOINT_TURBO ? endpoint->port : 0;
    return result;
}

static enum options_result read_bracketed(struct parser *parser, const struct endpoint *endpoint,
                                          struct address *address)
{
    if (strchr(endpoint->host, ':') != NULL &&
        address_from_literal(address, endpoint->host, endpoint->port))
        return OPTIONS_RUN;
    return refuse(parser, "%s is not an IPv6 address%s", quote(endpoint->host).text,
                  strchr(endpoint->host, '%') ? " with an interface of this host" : "");
}

/* Two listeners cannot have the same port of the same address, be it TCP or UDP. */
static enum options_result check_listener(struct parser *parser, const struct listen_option *new)
{
    for (size_t i = 0; i < parser->out->listener_count; i++) {
        const struct listen_option *old = &parser->out->listeners[i];
        struct address moved = old->address;
        bool both_turbo = old->kind == ENDPOINT_TURBO && new->kind == ENDPOINT_TURBO;

        if (address_port(&new->address) != 0 && address_equal(&new->address, &old->address))
            return refuse(parser, "an earlier --listen has the same address and port");
        address_set_port(&moved, address_port(&new->address));
        if (both_turbo && new->udp_port != 0 && new->udp_port == old->udp_port &&
            address_equal(&new->address, &moved))
            return refuse(parser,
                          "an earlier --listen has UDP port %d of that address; "
                          "choose another with ,udp=PORT",
                          new->udp_port);
    }
    if (parser->out->listener_count == OPTIONS_LISTENERS_MAX)
        return refuse(parser, "more than %d listeners", OPTIONS_LISTENERS_MAX);
    return OPTIONS_RUN;
}

static enum options_result take_listen(struct parser *parser)
{
    struct endpoint endpoint = {.host = "", .port_min = 0};
    struct listen_option new = {0};
    enum options_result result = read_endpoint(parser, &endpoint, false);

    if (result != OPTIONS_RUN)
        return result;
    if (endpoint.in_brackets)
        result = read_bracketed(parser, &endpoint, &new.address);
    else if (strcmp(endpoint.host, "*") == 0)
        address_wildcard(&new.address, AF_INET6, endpoint.port);
    else if (!address_from_literal(&new.address, endpoint.host, endpoint.port))
        result = refuse(parser,
                        "%s is not an IP address; use a literal such as 127.0.0.1, [::1] or "
                        "* for all",
                        quote(endpoint.host).text);
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
    struct address address;

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

static enum options_result take_upstream(struct parser *parser)
{
    struct endpoint endpoint = {.host = "", .port_min = 1};
    struct upstream_option *upstream = &parser->out->upstream;
    struct address address;
    enum options_result result = read_endpoint(parser, &endpoint, true);

    if (result == OPTIONS_RUN && parser->upstream != NULL)
        result = refuse(parser, "there can be one upstream only, and %s came before",
                        quote(parser->upstream).text);
    if (result == OPTIONS_RUN && endpoint.in_brackets)
        result = read_bracketed(parser, &endpoint, &address);
    else if (result == OPTIONS_RUN && name_fault(endpoint.host) != NULL)
        result = refuse(parser, "%s %s", quote(endpoint.host).text, name_fault(endpoint.host));
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

static int find_name(const char *const names[], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

static enum options_result take_log_level(struct parser *parser)
{
    int found = find_name(level_names, sizeof(level_names) / sizeof(level_names[0]), parser->value);

    if (found < 0)
        return refuse(parser, "not a level; use error, warning, info or debug");
    parser->out->log_level = (enum log_level)found;
    return OPTIONS_RUN;
}

static enum options_result take_log_format(struct parser *parser)
{
    int found =
        find_name(format_names, sizeof(format_names) / sizeof(format_names[0]), parser->value);

    if (found < 0)
        return refuse(parser, "not a format; use text or json");
    parser->out->log_format = (enum log_format)found;
    return OPTIONS_RUN;
}

static enum options_result read_seconds(struct parser *parser, double *seconds)
{
    char *end;
    double number = strtod(parser->value, &end);

    /* strtod alone would also take "inf", "0x1p3" and "-1". */
    if (end == parser->value || *end != '\0' || number > SECONDS_MAX ||
        parser->value[strspn(parser->value, "0123456789.")] != '\0')
        return refuse(parser, "not a number of seconds from 0 to %d, such as 30 or 0.3",
                      SECONDS_MAX);
    *seconds = number;
    return OPTIONS_RUN;
}

static enum options_result take_drain_timeout(struct parser *parser)
{
    return read_seconds(parser, &parser->out->drain_timeout_s);
}

static enum options_result take_sniff_timeout(struct parser *parser)
{
    return read_seconds(parser, &parser->out->sniff_timeout_s);
}

static enum options_result take_version(struct parser *parser)
{
    (void)snprintf(parser->message, OPTIONS_MESSAGE_BYTES, "turbotls-proxy %s\n", TURBOTLS_VERSION);
    return OPTIONS_DONE;
}

static enum options_result take_help(struct parser *parser);

static const struct option_row rows[] = {
    {"listen", "tcp:ADDR:PORT or turbo:ADDR:PORT[,udp=PORT]", take_listen,
     "      Where to accept connections; repeatable, at least one. tcp: takes classic\n"
     "      TLS (or anything else) over TCP; turbo: takes TurboTLS on TCP and UDP, and\n"
     "      classic TLS as well. ADDR is an IPv4 address, an IPv6 address in brackets\n"
     "      ([::1]), or * for both. PORT is 0 to 65535; 0 lets the kernel choose.\n"
     "      The UDP port is the TCP port unless udp= names another.\n"},
    {"upstream", "tcp:HOST:PORT or turbo:HOST:PORT[,udp=PORT][,always]", take_upstream,
     "      Where connections go; exactly one. HOST is a name or an address (IPv6 in\n"
     "      brackets), PORT 1 to 65535. tcp: speaks classic TLS to it; turbo: speaks\n"
     "      TurboTLS, and classic TLS when no answer comes over UDP. The UDP port is\n"
     "      the TCP port unless udp= names another. With 'always', UDP is used even\n"
     "      when TCP was connected first.\n"},
    {"log-level", "error, warning, info or debug", take_log_level,
     "      What to log on standard error, that and everything graver. Default: info.\n"},
    {"log-format", "text or json", take_log_format,
     "      How log lines are written. Default: text.\n"},
    {"drain-timeout", "SECONDS", take_drain_timeout,
     "      How long connections may go on after SIGTERM or SIGINT; 0: not at all.\n"
     "      Default: 30 seconds.\n"},
    {"sniff-timeout", "SECONDS", take_sniff_timeout,
     "      For ports whose server speaks first (SMTP, IMAP): when a client of turbo:\n"
     "      has sent nothing for this long, connect to the upstream to see whether it\n"
     "      does. Fractions such as 0.3 are allowed. Default: 0 seconds, which is off:\n"
     "      the upstream is connected only once the client has spoken.\n"},
    {"version", NULL, take_version, "      Print the version and exit.\n"},
    {"help", NULL, take_help, "      Print this text and exit.\n"},
};
static const size_t row_count = sizeof(rows) / sizeof(rows[0]);

static const char help_intro[] =
    "Usage: turbotls-proxy --listen ENDPOINT --upstream ENDPOINT [OPTION]...\n"
    "\n"
    "turbotls-proxy converts between classic TLS and TurboTLS, either way, and needs\n"
    "no key and no certificate for it. TurboTLS begins the TLS handshake over UDP\n"
    "while TCP is still connecting, which saves a round trip; all else is TLS over\n"
    "TCP as ever, end to end between client and server. Run one in front of a TLS\n"
    "server (the edge) and one beside its clients (the sidecar). Peers that know\n"
    "nothing of TurboTLS, and networks without UDP, get classic TLS.\n"
    "\n"
    "Edge, in front of a TLS server on port 8443 of the same host:\n"
    "  turbotls-proxy --listen 'turbo:*:443' --upstream tcp:127.0.0.1:8443\n"
    "Sidecar, for clients that connect to port 4433 of their own host:\n"
    "  turbotls-proxy --listen tcp:127.0.0.1:4433 --upstream turbo:www.example:443\n"
    "\n"
    "Options (also as --option=VALUE):\n";

static const char help_end[] =
    "\n"
    "Signals:\n"
    "  SIGTERM, SIGINT  Stop accepting; let connections finish within\n"
    "                   --drain-timeout, then end. A second one ends at once.\n"
    "\n"
    "Exit codes:\n"
    "  0  ended as asked: --help, --version, SIGTERM, SIGINT\n"
    "  1  could not start: address in use, no permission, out of memory\n"
    "  2  the arguments are wrong; nothing was started\n";

static enum options_result take_help(struct parser *parser)
{
    char *end = stpcpy(parser->message, help_intro);

    for (size_t i = 0; i < row_count; i++) {
        end = stpcpy(stpcpy(end, "  --"), rows[i].name);
        if (rows[i].syntax != NULL)
            end = stpcpy(stpcpy(end, " "), rows[i].syntax);
        end = stpcpy(stpcpy(end, "\n"), rows[i].help);
    }
    (void)stpcpy(end, help_end);
    return OPTIONS_DONE;
}

/* The row that `argument` ("--name" or "--name=value") names. */
static const struct option_row *find_row(const char *argument)
{
    size_t length = strcspn(argument, "=");

    for (size_t i = 0; i < row_count; i++)
        if (length == strlen(rows[i].name) + 2 && strncmp(argument, "--", 2) == 0 &&
            strncmp(argument + 2, rows[i].name, length - 2) == 0)
            return &rows[i];
    return NULL;
}

/* Takes the option at argv[*at]; its value may be the next argument. */
static enum options_result take_argument(struct parser *parser, char *const argv[], int *at)
{
    const char *argument = argv[*at], *equals = strchr(argument, '=');

    parser->value = NULL;
    parser->row = find_row(argument);
    if (parser->row == NULL)
        return refuse(parser, "%s is not an option of turbotls-proxy; --help lists them",
                      quote(argument).text);
    if (parser->row->syntax == NULL && equals != NULL)
        return refuse(parser, "--%s takes no value, but got %s", parser->row->name,
                      quote(equals + 1).text);
    if (parser->row->syntax != NULL) {
        parser->value = equals != NULL ? equals + 1 : argv[++*at];
        if (parser->value == NULL)
            return refuse(parser, "--%s needs a value: %s", parser->row->name, parser->row->syntax);
    }
    return parser->row->take(parser);
}

enum options_result options_parse(struct options *out, int argc, char *const argv[],
                                  char message[static OPTIONS_MESSAGE_BYTES])
{
    struct parser parser = {.out = out, .message = message};
    enum options_result result = OPTIONS_RUN;

    message[0] = '\0';
    *out = (struct options){
        .log_level = LOG_LEVEL_INFO, .log_format = LOG_FORMAT_TEXT, .drain_timeout_s = 30};
    for (int at = 1; at < argc && result == OPTIONS_RUN; at++)
        result = take_argument(&parser, argv, &at);
    if (result != OPTIONS_RUN)
        return result;
    parser.value = NULL;
    if (out->listener_count == 0)
        return refuse(&parser, "--listen is missing: say where to accept connections, such as "
                               "--listen tcp:127.0.0.1:4433 (--help tells more)");
    if (parser.upstream == NULL)
        return refuse(&parser, "--upstream is missing: say where connections go, such as "
                               "--upstream turbo:www.example:443 (--help tells more)");
    return OPTIONS_RUN;
}

const char *options_listen_text(const struct listen_option *listener,
                                char text[static OPTIONS_LISTEN_TEXT_BYTES])
{
    char address[ADDRESS_TEXT_BYTES], udp[16] = "";

    if (listener->kind == ENDPOINT_TURBO && !listener->same_udp_port)
        (void)snprintf(udp, sizeof(udp), ",udp=%u", (unsigned int)listener->udp_port);
    (void)snprintf(text, OPTIONS_LISTEN_TEXT_BYTES, "%s:%s%s", kind_names[listener->kind],
                   address_text(&listener->address, address), udp);
    return text;
}
