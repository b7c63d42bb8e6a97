#include "proxy/dns_record.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/quote.h"
#include "proxy/config/endpoint.h"
#include "proxy/net/svcb.h"

enum { NAME_TEXT_MAX = 253, ALPN_TEXT_MAX = 255, PREFIX_BYTES = 24 };
enum { TTL_DEFAULT_S = 3600 };
static const char word[] = "dns-record";

struct parser {
    char *message;
    const struct row *row; /* the option at hand */
    const char *value;     /* and what it was given */
    const char *name;      /* NULL: the zone's own */
    const char *alpn;      /* NULL: none */
    uint32_t tcp_port, udp_port /* 0: not given */, priority, ttl_s;
};

/* OPTIONS_RUN: so far so good. */
struct row {
    const char *name;
    const char *syntax; /* of the value; NULL: takes none */
    enum options_result (*take)(struct parser *parser);
    const char *help;
};

__attribute__((format(printf, 2, 3))) static enum options_result refuse(struct parser *parser,
                                                                        const char *format, ...);

static enum options_result refuse(struct parser *parser, const char *format, ...)
{
    int length = snprintf(parser->message, OPTIONS_MESSAGE_BYTES, "%s: ", word);
    va_list arguments;

    if (parser->value != NULL)
        length += snprintf(parser->message + length, OPTIONS_MESSAGE_BYTES - (size_t)length,
                           "--%s %s: ", parser->row->name, quote(parser->value).text);
    va_start(arguments, format);
    (void)vsnprintf(parser->message + length, OPTIONS_MESSAGE_BYTES - (size_t)length, format,
                    arguments);
    va_end(arguments);
    return OPTIONS_INVALID;
}

/* ---- the options ---- */

static enum options_result take_number(struct parser *parser, uint32_t min, uint32_t max,
                                       const char *what, uint32_t *out)
{
    const char *value = parser->value;
    size_t length = strlen(value);
    unsigned long long number = 0;

    if (length >= 1 && strspn(value, "0123456789") == length)
        number = strtoull(value, NULL, 10);
    else
        length = 0;
    if (length == 0 || number < min || number > max)
        return refuse(parser, "not %s; use a number from %u to %u", what, min, max);
    *out = (uint32_t)number;
    return OPTIONS_RUN;
}

static enum options_result take_udp_port(struct parser *parser)
{
    return take_number(parser, 1, UINT16_MAX, "a port", &parser->udp_port);
}

static enum options_result take_port(struct parser *parser)
{
    return take_number(parser, 1, UINT16_MAX, "a port", &parser->tcp_port);
}

static enum options_result take_ttl(struct parser *parser)
{
    return take_number(parser, 0, INT32_MAX, "a time to live in seconds", &parser->ttl_s);
}

static enum options_result take_priority(struct parser *parser)
{
    return take_number(parser, 1, UINT16_MAX, "a priority", &parser->priority);
}

static enum options_result take_name(struct parser *parser)
{
    const char *fault = endpoint_name_fault(parser->value);
    struct address address;

    if (strcmp(parser->value, "@") == 0)
        return OPTIONS_RUN;
    if (address_from_literal(&address, parser->value, 0))
        return refuse(parser, "is an address; a record belongs to a name, such as www.example");
    if (fault != NULL)
        return refuse(parser, "%s", fault);
    parser->name = parser->value;
    return OPTIONS_RUN;
}

static enum options_result take_alpn(struct parser *parser)
{
    const char *value = parser->value;
    size_t length = strlen(value), in_item = 0;

    for (size_t i = 0; i <= length; i++) {
        if (value[i] != ',' && value[i] != '\0') {
            if (!isgraph((unsigned char)value[i]) || strchr("\"\\", value[i]) != NULL)
                return refuse(parser, "not a list of protocols; use names as TLS has them, such as "
                                      "h2,http/1.1");
            in_item++;
        } else if (in_item == 0) {
            return refuse(parser, "a name is missing; use a list such as h2,http/1.1");
        } else {
            in_item = 0;
        }
    }
    if (length > ALPN_TEXT_MAX)
        return refuse(parser, "longer than %d characters", ALPN_TEXT_MAX);
    parser->alpn = value;
    return OPTIONS_RUN;
}

static enum options_result take_help(struct parser *parser);

static const struct row rows[] = {
    {"udp-port", "PORT", take_udp_port,
     "      Where the edge takes TurboTLS over UDP: the TCP port, or 1024 to 65535.\n"
     "      Required.\n"},
    {"name", "NAME", take_name,
     "      The server's name as clients ask for it, such as www.example. Default: @,\n"
     "      the zone's own name.\n"},
    {"port", "PORT", take_port,
     "      The TCP port that clients connect to. Default: 443. For others the record\n"
     "      has a name of its own, _PORT._https.NAME.\n"},
    {"alpn", "PROTOCOL[,PROTOCOL]...", take_alpn,
     "      What the server speaks inside of TLS, such as h2,http/1.1, for browsers.\n"
     "      Without it the record says HTTP/1.1 only.\n"},
    {"priority", "NUMBER", take_priority,
     "      Of several records the lowest counts first, 1 to 65535. Default: 1.\n"},
    {"ttl", "SECONDS", take_ttl, "      How long resolvers may keep the record. Default: 3600.\n"},
    {"help", NULL, take_help, "      Print this text and exit; also -h.\n"},
};
static const size_t row_count = sizeof(rows) / sizeof(rows[0]);

static const char help_intro[] =
    "Usage: turbotls-proxy dns-record --udp-port PORT [OPTION]...\n"
    "\n"
    "Prints the line of a zone file, an HTTPS record (RFC 9460), by which clients know\n"
    "that a server speaks TurboTLS, and over which UDP port. Nothing is changed or\n"
    "asked. In the record key65480 has the UDP port in two bytes, or no value when it\n"
    "is the TCP port.\n"
    "\n"
    "  turbotls-proxy dns-record --name www.example --udp-port 8443 --alpn h2,http/1.1\n"
    "\n"
    "Options (also as --option=VALUE):\n";

static enum options_result take_help(struct parser *parser)
{
    char *end = stpcpy(parser->message, help_intro);

    for (size_t i = 0; i < row_count; i++) {
        end = stpcpy(stpcpy(end, "  --"), rows[i].name);
        if (rows[i].syntax != NULL)
            end = stpcpy(stpcpy(end, " "), rows[i].syntax);
        end = stpcpy(stpcpy(end, "\n"), rows[i].help);
    }
    (void)stpcpy(end, "\nExit codes: 0 printed; 2 the arguments are wrong.\n");
    return OPTIONS_DONE;
}

/* The row that "--name", "--name=value" or "-h" names. */
static const struct row *find_row(const char *argument)
{
    if (strcmp(argument, "-h") == 0)
        argument = "--help";
    for (size_t i = 0; i < row_count; i++)
        if (option_is(argument, rows[i].name))
            return &rows[i];
    return NULL;
}

/* Takes the option at argv[*at]; its value may be the next argument. */
static enum options_result take_argument(struct parser *parser, char *const argv[], int *at)
{
    const char *argument = argv[*at];

    parser->value = NULL;
    parser->row = find_row(argument);
    if (parser->row == NULL)
        return refuse(parser, "%s is not an option of it; %s --help lists them",
                      quote(argument).text, word);
    if (parser->row->syntax == NULL)
        return strchr(argument, '=') == NULL
                   ? parser->row->take(parser)
                   : refuse(parser, "--%s takes no value", parser->row->name);
    parser->value = option_value(argv, at);
    if (parser->value == NULL)
        return refuse(parser, "--%s needs a value: %s", parser->row->name, parser->row->syntax);
    return parser->row->take(parser);
}

/* ---- what goes together ---- */

static bool speaks_http3(const char *alpn)
{
    for (; alpn != NULL && *alpn != '\0'; alpn += strcspn(alpn, ",")) {
        alpn += *alpn == ',';
        if (strncmp(alpn, "h3", 2) == 0 && (alpn[2] == ',' || alpn[2] == '\0'))
            return true;
    }
    return false;
}

static enum options_result check(struct parser *parser, size_t prefix_length)
{
    size_t length = parser->name == NULL ? 0 : strlen(parser->name);

    parser->value = NULL;
    if (parser->udp_port == 0)
        return refuse(parser,
                      "--udp-port is missing: say where the edge takes TurboTLS over UDP, "
                      "such as --udp-port 443 (%s --help tells more)",
                      word);
    if (parser->udp_port != parser->tcp_port && parser->udp_port < SVCB_UDP_PORT_MIN)
        return refuse(parser,
                      "--udp-port %u: clients would not believe it; use the TCP port (%u), or "
                      "%d to 65535",
                      parser->udp_port, parser->tcp_port, SVCB_UDP_PORT_MIN);
    if (parser->udp_port == parser->tcp_port && speaks_http3(parser->alpn))
        return refuse(parser,
                      "--alpn h3: browsers would look for QUIC at UDP port %u, where TurboTLS is; "
                      "leave it out, or use another --udp-port",
                      parser->udp_port);
    if (prefix_length + length > NAME_TEXT_MAX)
        return refuse(parser,
                      "--name: with %zu characters before it, it is longer than a name can "
                      "be",
                      prefix_length);
    return OPTIONS_RUN;
}

/* ---- the record ---- */

static const char other_record[] =
    "; Where there is an HTTPS record for this name already, write its key65480 into that one.\n";
static const char upgrade[] =
    "; Browsers read it too: they open http:// links to this name as https:// from then on.\n";
static const char no_alpn[] =
    "; It says HTTP/1.1 only; if the server speaks more, say so: --alpn h2,http/1.1.\n";

static void print(const struct parser *parser, const char *prefix)
{
    const char *name = parser->name == NULL ? "@" : parser->name;
    size_t length = strlen(name);
    const char *dot = parser->name == NULL || name[length - 1] == '.' ? "" : ".";
    bool has_prefix = prefix[0] != '\0', is_origin = parser->name == NULL;
    char *at = parser->message;

    at = stpcpy(at, other_record);
    if (!has_prefix)
        at = stpcpy(at, upgrade);
    if (parser->alpn == NULL)
        at = stpcpy(at, no_alpn);
    at = stpcpy(at, prefix);
    if (has_prefix && is_origin)
        at--; /* the dot: the zone's name follows by itself */
    else
        at = stpcpy(stpcpy(at, name), dot);
    at += sprintf(at, " %u IN HTTPS %u ", parser->ttl_s, parser->priority);
    /* "." is the record's own name, at which a prefixed one has no addresses (RFC 9460 §2.5.2). */
    at = has_prefix ? stpcpy(stpcpy(at, name), dot) : stpcpy(at, ".");
    if (parser->alpn != NULL)
        at += sprintf(at, " alpn=\"%s\"", parser->alpn);
    at = stpcpy(at, " key65480");
    if (parser->udp_port != parser->tcp_port)
        at += sprintf(at, "=\"\\%03u\\%03u\"", parser->udp_port >> 8, parser->udp_port & 0xff);
    (void)stpcpy(at, "\n");
}

bool dns_record_wanted(int argc, char *const argv[])
{
    return argc > 1 && strcmp(argv[1], word) == 0;
}

enum options_result dns_record(int argc, char *const argv[],
                               char message[static OPTIONS_MESSAGE_BYTES])
{
    struct parser parser = {.message = message,
                            .tcp_port = SVCB_UNPREFIXED_PORT,
                            .priority = 1,
                            .ttl_s = TTL_DEFAULT_S};
    enum options_result result = OPTIONS_RUN;
    char prefix[PREFIX_BYTES] = "";

    message[0] = '\0';
    for (int at = 2; at < argc && result == OPTIONS_RUN; at++)
        result = take_argument(&parser, argv, &at);
    if (result != OPTIONS_RUN)
        return result;
    if (parser.tcp_port != SVCB_UNPREFIXED_PORT)
        (void)snprintf(prefix, sizeof(prefix), "_%u._https.", parser.tcp_port);
    result = check(&parser, strlen(prefix));
    if (result != OPTIONS_RUN)
        return result;
    print(&parser, prefix);
    return OPTIONS_DONE;
}
