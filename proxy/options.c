#include "proxy/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/options_endpoint.h"

enum {
    DRAIN_MAX_S = 86400,
    SNIFF_MAX_S = 30,
    OPENING_MAX_S = 3600,
    SESSIONS_MAX = 65536,
    RATE_MAX = 100000,
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};
static const char *const format_names[] = {"text", "json"};

static int find_name(const char *const names[], size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

static enum options_result take_log_level(struct options_parser *parser)
{
    int found = find_name(level_names, sizeof(level_names) / sizeof(level_names[0]), parser->value);

    if (found < 0)
        return options_refuse(parser, "not a level; use error, warning, info or debug");
    parser->out->log_level = (enum log_level)found;
    return OPTIONS_RUN;
}

static enum options_result take_log_format(struct options_parser *parser)
{
    int found =
        find_name(format_names, sizeof(format_names) / sizeof(format_names[0]), parser->value);

    if (found < 0)
        return options_refuse(parser, "not a format; use text or json");
    parser->out->log_format = (enum log_format)found;
    return OPTIONS_RUN;
}

static enum options_result read_seconds(struct options_parser *parser, int max, double *seconds)
{
    char *end;
    double number = strtod(parser->value, &end);

    /* strtod alone would also take "inf", "0x1p3" and "-1". */
    if (end == parser->value || *end != '\0' || number > max ||
        parser->value[strspn(parser->value, "0123456789.")] != '\0')
        return options_refuse(parser,
                              "not a number of seconds from 0 to %d in plain digits without a "
                              "unit, such as 30 or 0.3",
                              max);
    *seconds = number;
    return OPTIONS_RUN;
}

static enum options_result take_drain_timeout(struct options_parser *parser)
{
    return read_seconds(parser, DRAIN_MAX_S, &parser->out->drain_timeout_s);
}

static enum options_result take_sniff_timeout(struct options_parser *parser)
{
    return read_seconds(parser, SNIFF_MAX_S, &parser->out->sniff_timeout_s);
}

static enum options_result take_opening_timeout(struct options_parser *parser)
{
    enum options_result result =
        read_seconds(parser, OPENING_MAX_S, &parser->out->opening_timeout_s);

    if (result == OPTIONS_RUN && parser->out->opening_timeout_s <= 0)
        return options_refuse(parser, "without a limit silent clients would stay for ever; use "
                                      "seconds above 0, such as 60");
    return result;
}

static enum options_result read_count(struct options_parser *parser, uint32_t max, uint32_t *count)
{
    char *end;
    unsigned long number = strtoul(parser->value, &end, 10);

    /* strtoul alone would also take " 7" and "-7". */
    if (!isdigit((unsigned char)parser->value[0]) || *end != '\0' || number < 1 || number > max)
        return options_refuse(parser, "not a number from 1 to %u", (unsigned int)max);
    *count = (uint32_t)number;
    return OPTIONS_RUN;
}

static enum options_result take_max_sessions(struct options_parser *parser)
{
    return read_count(parser, SESSIONS_MAX, &parser->out->sessions_max);
}

static enum options_result take_session_rate(struct options_parser *parser)
{
    return read_count(parser, RATE_MAX, &parser->out->session_rate);
}

static enum options_result take_source_rate(struct options_parser *parser)
{
    return read_count(parser, RATE_MAX, &parser->out->source_rate);
}

static enum options_result take_version(struct options_parser *parser)
{
    (void)snprintf(parser->message, OPTIONS_MESSAGE_BYTES, "turbotls-proxy %s\n", TURBOTLS_VERSION);
    return OPTIONS_DONE;
}

static enum options_result take_help(struct options_parser *parser);

static const struct option_row rows[] = {
    {"listen", "tcp:ADDR:PORT or turbo:ADDR:PORT[,udp=PORT]", options_take_listen,
     "      Where to accept connections; at least one and at most 64. tcp: takes\n"
     "      classic TLS (or anything else) over TCP; turbo: takes TurboTLS on TCP and\n"
     "      UDP, and classic TLS as well. ADDR is an IPv4 address or an IPv6 address\n"
     "      in brackets ([::1]). For all addresses: * is IPv4 and IPv6, [::] is IPv6\n"
     "      only, 0.0.0.0 is IPv4 only. PORT is 0 to 65535; 0 lets the kernel choose.\n"
     "      The UDP port is the TCP port unless udp= names another.\n"},
    {"upstream", "tcp:HOST:PORT or turbo:HOST:PORT[,udp=PORT][,always]", options_take_upstream,
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
     "      does. At most 30; fractions such as 0.3 are allowed. Default: 0 seconds,\n"
     "      which is off: the upstream is connected only once the client has spoken.\n"},
    {"opening-timeout", "SECONDS", take_opening_timeout,
     "      How long a client of turbo: may take for its first bytes, up to the whole\n"
     "      ClientHello. Default: 60 seconds.\n"},
    {"max-sessions", "NUMBER", take_max_sessions,
     "      How many sessions of one turbo listener may be under way by UDP. What is\n"
     "      beyond this, or one of the next two, goes on as classic TLS. Each takes\n"
     "      90 KiB at most. Default: 1024.\n"},
    {"session-rate", "NUMBER", take_session_rate,
     "      How many may begin by UDP in a second. Default: 1000.\n"},
    {"source-rate", "NUMBER", take_source_rate,
     "      How many of these from one IPv4 address or IPv6 /64; from an IPv6 /48\n"
     "      twice as many. Default: 250.\n"},
    {"version", NULL, take_version, "      Print the version and exit; also -V.\n"},
    {"help", NULL, take_help, "      Print this text and exit; also -h.\n"},
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
    "Limits:\n"
    "  Connecting to the upstream may take 60 seconds. There is no idle timeout. The\n"
    "  soft limit of open files is raised to the hard one, which bounds the number\n"
    "  of connections. A quarter of these may be clients of turbo: whose first bytes\n"
    "  have not come; beyond that those are reset that have been silent for the\n"
    "  longest, and for a quarter of a second at least.\n"
    "\n"
    "Signals:\n"
    "  SIGTERM, SIGINT           Stop accepting; let connections finish within\n"
    "                            --drain-timeout, then end. Again: end at once.\n"
    "  SIGHUP, SIGUSR1, SIGUSR2  Ignored, with a warning in the log.\n"
    "\n"
    "Exit codes:\n"
    "  0  ended as asked: --help, --version, SIGTERM, SIGINT; also when connections\n"
    "     were cut off at --drain-timeout\n"
    "  1  could not start: address in use, no permission, out of memory\n"
    "  2  the arguments are wrong; nothing was started\n";

static enum options_result take_help(struct options_parser *parser)
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

/* The row that `argument` ("--name", "--name=value", "-h" or "-V") names. */
static const struct option_row *find_row(const char *argument)
{
    size_t length;

    if (strcmp(argument, "-h") == 0)
        argument = "--help";
    else if (strcmp(argument, "-V") == 0)
        argument = "--version";
    length = strcspn(argument, "=");
    for (size_t i = 0; i < row_count; i++)
        if (length == strlen(rows[i].name) + 2 && strncmp(argument, "--", 2) == 0 &&
            strncmp(argument + 2, rows[i].name, length - 2) == 0)
            return &rows[i];
    return NULL;
}

/* Suggests the options that begin alike, or of which one is the beginning. */
static enum options_result refuse_unknown(struct options_parser *parser, const char *argument)
{
    const char *name = argument + strspn(argument, "-");
    size_t length = strcspn(name, "="), used = 0;
    char similar[256] = "";

    if (argument[0] != '-')
        return options_refuse(parser,
                              "%s is out of place: turbotls-proxy takes options only; --help "
                              "lists them",
                              options_quote(argument).text);
    for (size_t i = 0; i < row_count && length > 0; i++) {
        size_t shorter = strlen(rows[i].name) < length ? strlen(rows[i].name) : length;

        if (strncmp(rows[i].name, name, shorter) == 0)
            used += (size_t)snprintf(similar + used, sizeof(similar) - used, "%s--%s",
                                     used == 0 ? "" : " or ", rows[i].name);
    }
    if (used > 0)
        return options_refuse(parser, "%s is not an option of turbotls-proxy; did you mean %s?",
                              options_quote(argument).text, similar);
    return options_refuse(parser, "%s is not an option of turbotls-proxy; --help lists them",
                          options_quote(argument).text);
}

/* Takes the option at argv[*at]; its value may be the next argument. */
static enum options_result take_argument(struct options_parser *parser, char *const argv[], int *at)
{
    const char *argument = argv[*at], *equals = strchr(argument, '=');

    parser->value = NULL;
    parser->row = find_row(argument);
    if (parser->row == NULL)
        return refuse_unknown(parser, argument);
    if (parser->row->syntax == NULL && equals != NULL)
        return options_refuse(parser, "--%s takes no value, but got %s", parser->row->name,
                              options_quote(equals + 1).text);
    if (parser->row->syntax != NULL) {
        parser->value = equals != NULL ? equals + 1 : argv[++*at];
        if (parser->value == NULL || (equals == NULL && strncmp(parser->value, "--", 2) == 0)) {
            parser->value = NULL;
            return options_refuse(parser, "--%s needs a value: %s", parser->row->name,
                                  parser->row->syntax);
        }
    }
    return parser->row->take(parser);
}

static bool has_turbo_listener(const struct options *options)
{
    for (size_t i = 0; i < options->listener_count; i++)
        if (options->listeners[i].kind == ENDPOINT_TURBO)
            return true;
    return false;
}

enum options_result options_parse(struct options *out, int argc, char *const argv[],
                                  char message[static OPTIONS_MESSAGE_BYTES])
{
    struct options_parser parser = {.out = out, .message = message};
    enum options_result result = OPTIONS_RUN;

    message[0] = '\0';
    *out = (struct options){.log_level = LOG_LEVEL_INFO,
                            .log_format = LOG_FORMAT_TEXT,
                            .drain_timeout_s = 30,
                            .opening_timeout_s = (double)TURBO_OPENING_TIME / (double)TURBO_SECOND,
                            .sessions_max = TURBO_SESSIONS_DEFAULT,
                            .session_rate = TURBO_RATE_DEFAULT,
                            .source_rate = TURBO_SOURCE_RATE_DEFAULT};
    for (int at = 1; at < argc && result == OPTIONS_RUN; at++)
        result = take_argument(&parser, argv, &at);
    if (result != OPTIONS_RUN)
        return result;
    parser.value = NULL;
    if (out->listener_count == 0)
        return options_refuse(&parser,
                              "--listen is missing: say where to accept connections, such as "
                              "--listen tcp:127.0.0.1:4433 (--help tells more)");
    if (parser.upstream == NULL)
        return options_refuse(&parser, "--upstream is missing: say where connections go, such as "
                                       "--upstream turbo:www.example:443 (--help tells more)");
    if (out->sniff_timeout_s > 0 && !has_turbo_listener(out))
        return options_refuse(&parser, "--sniff-timeout has no effect without a turbo listener");
    /* The proxy must have asked the server before it gives the client up. */
    if (out->sniff_timeout_s >= out->opening_timeout_s)
        return options_refuse(&parser, "--sniff-timeout must be shorter than --opening-timeout");
    return OPTIONS_RUN;
}
