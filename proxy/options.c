#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/text/quote.h"
#include "proxy/options_parts.h"

enum { HELP_COLUMNS = 80 };

enum options_result options_refuse(struct options_parser *parser, const char *format, ...)
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

static enum options_result take_version(struct options_parser *parser)
{
    (void)snprintf(parser->message, OPTIONS_MESSAGE_BYTES, "turbotls-proxy %s\n", TURBOTLS_VERSION);
    return OPTIONS_DONE;
}

static enum options_result take_help(struct options_parser *parser);

static const struct option_row rows[] = {
    {"listen", "tcp:ADDR:PORT[,starttls=PROTOCOL] or turbo:ADDR:PORT[,udp=PORT][,dialect=sandwich]",
     options_take_listen, true,
     "      Where to accept connections; at least one and at most 64. tcp: takes\n"
     "      classic TLS (or anything else) over TCP; turbo: takes TurboTLS on TCP and\n"
     "      UDP, and classic TLS as well. ADDR is an IPv4 address or an IPv6 address\n"
     "      in brackets ([::1]). For all addresses: * is IPv4 and IPv6, [::] is IPv6\n"
     "      only, 0.0.0.0 is IPv4 only. PORT is 0 to 65535; 0 lets the kernel choose.\n"
     "      The UDP port is the TCP port unless udp= names another. With\n"
     "      dialect=sandwich clients of Sandwich 0.3 are served as well. starttls= is\n"
     "      for ports on which TLS begins with a command; smtp, imap, pop3, ldap or\n"
     "      postgresql: the proxy plays the server until then, and only the TLS goes\n"
     "      on: to a second proxy whose upstream has starttls=, or, of ldap and\n"
     "      postgresql only, to any server with TLS from the start.\n"},
    {"upstream",
     "tcp:HOST:PORT[,starttls=PROTOCOL] or "
     "turbo:HOST:PORT[,udp=PORT][,turbo=WHEN][,dialect=sandwich]",
     options_take_upstream, true,
     "      Where connections go; exactly one. HOST is a name or an address (IPv6 in\n"
     "      brackets), PORT 1 to 65535. tcp: speaks classic TLS to it; turbo: speaks\n"
     "      TurboTLS, and classic TLS when no answer comes over UDP. The UDP port is\n"
     "      the TCP port unless udp= names another. turbo= says when TurboTLS is\n"
     "      spoken: auto (the default) and try, unless TCP is connected first; always,\n"
     "      also then; never. dialect=sandwich is for servers that are Sandwich 0.3's,\n"
     "      or speak as these do: nothing but TurboTLS, and without UDP the client is\n"
     "      reset. With starttls= the proxy plays the client until TLS begins; where\n"
     "      a server refuses it, the client is reset.\n"},
    {"sniff-timeout", "SECONDS", options_take_sniff_timeout, true,
     "      For ports whose server speaks first (SMTP, IMAP): when a client of turbo:\n"
     "      has sent nothing for this long, connect to the upstream to see whether it\n"
     "      does. At most 30; fractions such as 0.3 are allowed. Default: 0 seconds,\n"
     "      which is off: the upstream is connected only once the client has spoken.\n"},
    {"opening-timeout", "SECONDS", options_take_opening_timeout, true,
     "      How long a client of turbo: may take for its first bytes, up to the whole\n"
     "      ClientHello. Default: 60 seconds.\n"},
    {"max-sessions", "NUMBER", options_take_max_sessions, true,
     "      How many sessions of one turbo listener may be under way by UDP. What is\n"
     "      beyond this, or one of the next two, goes on as classic TLS. Each takes\n"
     "      90 KiB at most. Default: 1024.\n"},
    {"session-rate", "NUMBER", options_take_session_rate, true,
     "      How many may begin by UDP in a second. Default: 1000.\n"},
    {"source-rate", "NUMBER", options_take_source_rate, true,
     "      How many of these from one IPv4 address or IPv6 /64; from an IPv6 /48\n"
     "      twice as many. Default: 250.\n"},
    {"config", "FILE", options_take_config, false,
     "      Read all this, and more, from a file instead: several upstreams, routes\n"
     "      by server name, protocol and network, clients that say where they want to\n"
     "      go (HTTP CONNECT, SOCKS5, redirected by nftables), PROXY headers, and each\n"
     "      timeout. None of the options above can be given then; those below can, and\n"
     "      win over what the file says.\n"},
    {"check", NULL, options_take_check, false,
     "      Say whether the configuration is valid, or else all that is wrong with it\n"
     "      and where, and exit.\n"},
    {"print-config", NULL, options_take_print_config, false,
     "      Print the configuration as a file with every default filled in, and exit;\n"
     "      also what the other options here would be as a file.\n"},
    {"log-level", "error, warning, info or debug", options_take_log_level, false,
     "      What to log, that and everything graver. Default: info.\n"},
    {"log-format", "text or json", options_take_log_format, false,
     "      How log lines are written. Default: text.\n"},
    {"log-target", "stderr, syslog or journal", options_take_log_target, false,
     "      Where they go: standard error, the system's log daemon, or systemd's\n"
     "      journal with a field for each value. Default: stderr.\n"},
    {"drain-timeout", "SECONDS", options_take_drain_timeout, false,
     "      How long connections may go on after SIGTERM or SIGINT, or after SIGUSR2\n"
     "      in the old process; 0: not at all. Default: 30 seconds.\n"},
    {"admin", "ADDR:PORT", options_take_admin, false,
     "      Serve metrics, health and status by HTTP there, to this host only unless\n"
     "      a file names others (allow_from). Default: nowhere.\n"},
    {"workers", "NUMBER", options_take_workers, false,
     "      How many threads share the connections, 64 at most; each has tables and\n"
     "      sockets of its own. Default: one for each processor it may use.\n"},
    {"user", "NAME", options_take_user, false,
     "      The user to become once the ports are bound. Default: stay.\n"},
    {"no-sandbox", NULL, options_take_no_sandbox, false,
     "      Keep every system call allowed; by default those that the program does\n"
     "      not need are forbidden, where the kernel can do that.\n"},
    {"version", NULL, take_version, false, "      Print the version and exit; also -V.\n"},
    {"help", NULL, take_help, false, "      Print this text and exit; also -h.\n"},
};
static const size_t row_count = sizeof(rows) / sizeof(rows[0]);

static const char help_intro[] =
    "Usage: turbotls-proxy --listen ENDPOINT --upstream ENDPOINT [OPTION]...\n"
    "       turbotls-proxy --config FILE [OPTION]...\n"
    "       turbotls-proxy dns-record --udp-port PORT [OPTION]...   (see its --help)\n"
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
    "The same with a file, which can say more; begin with what the options amount to:\n"
    "  turbotls-proxy --listen 'turbo:*:443' --upstream tcp:127.0.0.1:8443 \\\n"
    "      --print-config >edge.txtpb\n"
    "  turbotls-proxy --config edge.txtpb --check\n"
    "\n"
    "Options (also as --option=VALUE):\n";

static const char help_end[] =
    "\n"
    "Limits:\n"
    "  Connecting to the upstream may take 60 seconds, a TLS handshake another 60. A\n"
    "  connection is reset after 3600 seconds without a byte in either direction,\n"
    "  and after 600 once one of its ends has nothing more to send; a file can say\n"
    "  otherwise. The soft limit of open files is raised to the hard one, which\n"
    "  bounds the number of connections. A quarter of these may be clients of turbo:\n"
    "  whose first bytes have not come; beyond that those are reset that have been\n"
    "  silent for the longest, and for a quarter of a second at least.\n"
    "\n"
    "Signals:\n"
    "  SIGTERM, SIGINT  Stop accepting; let connections finish within\n"
    "                   --drain-timeout, then end. Again: end at once.\n"
    "  SIGHUP           Read the file again. Connections go on as they began; a file\n"
    "                   with mistakes changes nothing, and the log tells them.\n"
    "  SIGUSR2          Replace the binary: start the program anew, hand it the\n"
    "                   listening sockets, and end when the connections have.\n"
    "  SIGUSR1          Ignored, with a warning in the log.\n"
    "\n"
    "Exit codes:\n"
    "  0  ended as asked: --help, --version, --print-config, SIGTERM, SIGINT; also\n"
    "     when connections were cut off at --drain-timeout; --check found no mistake\n"
    "  1  could not start: address in use, no permission, out of memory\n"
    "  2  the arguments or the configuration are wrong; nothing was started\n";

/* "  --name SYNTAX", on two lines where one is too short. */
static char *put_usage(char *end, const struct option_row *row)
{
    const char *rest;

    end = stpcpy(stpcpy(end, "  --"), row->name);
    if (row->syntax == NULL)
        return end;
    end = stpcpy(end, " ");
    rest = strstr(row->syntax, " or ");
    if (rest == NULL || strlen("  -- ") + strlen(row->name) + strlen(row->syntax) <= HELP_COLUMNS)
        return stpcpy(end, row->syntax);
    end = mempcpy(end, row->syntax, (size_t)(rest - row->syntax));
    return stpcpy(stpcpy(end, "\n      "), rest + 1);
}

static enum options_result take_help(struct options_parser *parser)
{
    char *end = stpcpy(parser->message, help_intro);

    for (size_t i = 0; i < row_count; i++) {
        end = put_usage(end, &rows[i]);
        end = stpcpy(stpcpy(end, "\n"), rows[i].help);
    }
    (void)stpcpy(end, help_end);
    return OPTIONS_DONE;
}

bool option_is(const char *argument, const char *name)
{
    size_t length = strcspn(argument, "=");

    return length == strlen(name) + 2 && strncmp(argument, "--", 2) == 0 &&
           strncmp(argument + 2, name, length - 2) == 0;
}

const char *option_value(char *const argv[], int *at)
{
    const char *equals = strchr(argv[*at], '=');

    if (equals != NULL)
        return equals + 1;
    ++*at;
    return argv[*at] == NULL || strncmp(argv[*at], "--", 2) == 0 ? NULL : argv[*at];
}

/* The row that `argument` ("--name", "--name=value", "-h" or "-V") names. */
static const struct option_row *find_row(const char *argument)
{
    if (strcmp(argument, "-h") == 0)
        argument = "--help";
    else if (strcmp(argument, "-V") == 0)
        argument = "--version";
    for (size_t i = 0; i < row_count; i++)
        if (option_is(argument, rows[i].name))
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
                              quote(argument).text);
    for (size_t i = 0; i < row_count && length > 0; i++) {
        size_t shorter = strlen(rows[i].name) < length ? strlen(rows[i].name) : length;

        if (strncmp(rows[i].name, name, shorter) == 0)
            used += (size_t)snprintf(similar + used, sizeof(similar) - used, "%s--%s",
                                     used == 0 ? "" : " or ", rows[i].name);
    }
    if (used > 0)
        return options_refuse(parser, "%s is not an option of turbotls-proxy; did you mean %s?",
                              quote(argument).text, similar);
    return options_refuse(parser, "%s is not an option of turbotls-proxy; --help lists them",
                          quote(argument).text);
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
                              quote(equals + 1).text);
    if (parser->row->syntax != NULL) {
        parser->value = option_value(argv, at);
        if (parser->value == NULL)
            return options_refuse(parser, "--%s needs a value: %s", parser->row->name,
                                  parser->row->syntax);
    }
    if (parser->row->fileless)
        parser->fileless = parser->row;
    return parser->row->take(parser);
}

static bool has_turbo_listener(const struct options *options)
{
    for (size_t i = 0; i < options->listener_count; i++)
        if (options->listeners[i].kind == ENDPOINT_TURBO)
            return true;
    return false;
}

static enum options_result check_without_file(struct options_parser *parser)
{
    const struct options *out = parser->out;
    double opening_s = out->opening_timeout.given ? out->opening_timeout.value
                                                  : (double)TURBO_OPENING_TIME / TURBO_SECOND;

    if (out->listener_count == 0)
        return options_refuse(parser, "--listen is missing: say where to accept connections, such "
                                      "as --listen tcp:127.0.0.1:4433, or name a file with "
                                      "--config (--help tells more)");
    if (out->upstream.value == NULL)
        return options_refuse(parser, "--upstream is missing: say where connections go, such as "
                                      "--upstream turbo:www.example:443 (--help tells more)");
    if (out->sniff_timeout.value > 0 && !has_turbo_listener(out))
        return options_refuse(parser, "--sniff-timeout has no effect without a turbo listener");
    /* The proxy must have asked the server before it gives the client up. */
    if (out->sniff_timeout.value >= opening_s)
        return options_refuse(parser, "--sniff-timeout must be shorter than --opening-timeout");
    return OPTIONS_RUN;
}

enum options_result options_parse(struct options *out, int argc, char *const argv[],
                                  char message[static OPTIONS_MESSAGE_BYTES])
{
    struct options_parser parser = {.out = out, .message = message};
    enum options_result result = OPTIONS_RUN;

    message[0] = '\0';
    memset(out, 0, sizeof(*out));
    for (int at = 1; at < argc && result == OPTIONS_RUN; at++)
        result = take_argument(&parser, argv, &at);
    if (result != OPTIONS_RUN)
        return result;
    parser.value = NULL;
    if (out->config == NULL)
        return check_without_file(&parser);
    if (parser.fileless != NULL)
        return options_refuse(&parser,
                              "--%s does not go with --config: write it into the file; "
                              "--print-config without --config shows how",
                              parser.fileless->name);
    return OPTIONS_RUN;
}
