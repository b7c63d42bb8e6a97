/* The client's command line. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

enum {
    PAYLOAD_MAX = 64 << 20,
    COUNT_MAX = 1000000,
    PARALLEL_MAX = 256,
    TIMEOUT_MAX_S = 86400,
    TIMEOUT_S = 30,
    READ_STEP = 65536,
};

static const char help[] =
    "usage: turbotls-client [OPTIONS] HOST:PORT\n"
    "\n"
    "Connects by TLS or TurboTLS, verifies the server, sends what it is told to and prints what\n"
    "comes back.\n"
    "\n"
    "  turbotls-client --turbo example.com:443 --get /\n"
    "  turbotls-client --ca ca.pem --name example.test --line hello --expect-bytes 6 "
    "127.0.0.1:4433\n"
    "\n"
    "Connection:\n"
    "  --turbo              TurboTLS: a round trip less; plain TLS where the server has none\n"
    "  --udp-port PORT      its UDP port, if it is not the TCP port\n"
    "  --dialect sandwich   TurboTLS with a server that speaks Sandwich's dialect, and nothing "
    "else\n"
    "  --always             UDP also where TCP is up at once, as on loopback\n"
    "  --timeout SECONDS    how long nothing may happen (30)\n"
    "\n"
    "Who the server must be:\n"
    "  --name NAME          sent as SNI, and to be in its certificate (HOST)\n"
    "  --verify-name NAME   to be in its certificate instead; may be repeated\n"
    "\n"
    "What is said, as it is given, --get last (without any of these: standard input):\n"
    "  --line TEXT          a line; may be repeated\n"
    "  --file FILE          what is in it; may be repeated\n"
    "  --get PATH           an HTTP/1.1 request; reads until the server closes\n"
    "  --silent             nothing: listens only\n"
    "\n"
    "What is heard, and told:\n"
    "  --expect-bytes N     ends after N bytes (else when the server closes)\n"
    "  --output FILE        where to what comes is written (standard output; with --json nowhere)\n"
    "  --json               a line of JSON for each connection on standard output\n"
    "  --timing             what was done when, on standard error\n"
    "  --quiet              no line on standard error about what was agreed upon\n"
    "\n"
    "More than one connection:\n"
    "  --resume N           after each, N more that resume its session\n"
    "  --count N            so many (1), each with its own --resume\n"
    "  --parallel N         so many of --count at a time (1)\n"
    "\n";
static const char help_end[] = "\n"
                               "Ends with 0: all was well; 2: the command line or a configuration "
                               "is wrong; 3: nobody reached;\n"
                               "4: the server's or our certificate was refused; 5: nothing in "
                               "common; 6: an alert, not TLS, or\n"
                               "cut short; 130: interrupted; 1: anything else.\n"
                               "turbotls-client(1) has the rest.\n";

enum {
    OPTION_HELP = 1,
    OPTION_RELEASE,
    OPTION_TURBO,
    OPTION_UDP_PORT,
    OPTION_DIALECT,
    OPTION_ALWAYS,
    OPTION_TIMEOUT,
    OPTION_NAME,
    OPTION_VERIFY_NAME,
    OPTION_LINE,
    OPTION_FILE,
    OPTION_GET,
    OPTION_SILENT,
    OPTION_EXPECT,
    OPTION_OUTPUT,
    OPTION_JSON,
    OPTION_TIMING,
    OPTION_QUIET,
    OPTION_RESUME,
    OPTION_COUNT,
    OPTION_PARALLEL,
};

static const struct option known[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_RELEASE},
    {"turbo", no_argument, NULL, OPTION_TURBO},
    {"udp-port", required_argument, NULL, OPTION_UDP_PORT},
    {"dialect", required_argument, NULL, OPTION_DIALECT},
    {"always", no_argument, NULL, OPTION_ALWAYS},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"name", required_argument, NULL, OPTION_NAME},
    {"verify-name", required_argument, NULL, OPTION_VERIFY_NAME},
    {"line", required_argument, NULL, OPTION_LINE},
    {"file", required_argument, NULL, OPTION_FILE},
    {"get", required_argument, NULL, OPTION_GET},
    {"silent", no_argument, NULL, OPTION_SILENT},
    {"expect-bytes", required_argument, NULL, OPTION_EXPECT},
    {"output", required_argument, NULL, OPTION_OUTPUT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"timing", no_argument, NULL, OPTION_TIMING},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    {"resume", required_argument, NULL, OPTION_RESUME},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"parallel", required_argument, NULL, OPTION_PARALLEL},
    TLS_OPTIONS_OF_BOTH,
    TLS_OPTIONS_OF_CLIENTS,
    {NULL, 0, NULL, 0},
};

/* ---- what is said ---- */

static const char *append(struct client *c, const void *bytes, size_t length)
{
    uint8_t *larger;

    if (length > PAYLOAD_MAX - c->payload_length)
        return "is too much: 64 MiB can be said at once; pipe it to standard input instead";
    larger = realloc(c->payload, c->payload_length + length + 1);
    if (larger == NULL)
        return "does not fit into memory";
    memcpy(larger + c->payload_length, bytes, length);
    c->payload = larger;
    c->payload_length += length;
    return NULL;
}

static const char *append_file(struct client *c, const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    const char *wrong = NULL;
    char bytes[READ_STEP];
    ssize_t got;

    if (fd < 0)
        return strerror(errno);
    while (wrong == NULL && (got = read(fd, bytes, sizeof(bytes))) != 0)
        wrong = got < 0 ? strerror(errno) : append(c, bytes, (size_t)got);
    (void)close(fd);
    return wrong;
}

static const char *append_line(struct client *c, const char *text)
{
    const char *wrong = append(c, text, strlen(text));

    return wrong != NULL ? wrong : append(c, "\n", 1);
}

/* When the server's name is known. */
static const char *append_get(struct client *c, const char *path)
{
    char request[2048];
    bool brackets = strchr(c->place.host, ':') != NULL && c->server_name == c->place.host;
    int length;

    if (path == NULL)
        return NULL;
    if (path[0] != '/' || strpbrk(path, " \r\n") != NULL)
        return "is no path: write one such as /index.html";
    length = snprintf(request, sizeof(request),
                      "GET %s HTTP/1.1\r\nHost: %s%s%s\r\nUser-Agent: turbotls-client\r\n"
                      "Connection: close\r\n\r\n",
                      path, brackets ? "[" : "", c->server_name, brackets ? "]" : "");
    if (length < 0 || (size_t)length >= sizeof(request))
        return "is too long";
    return append(c, request, (size_t)length);
}

/* ---- options ---- */

/* NULL, or what is wrong, in `c->wrong`. */
static const char *number(struct client *c, const char *text, uint32_t min, uint32_t max,
                          uint32_t *out)
{
    if (read_number(text, min, max, out))
        return NULL;
    (void)snprintf(c->wrong, sizeof(c->wrong), "is no whole number from %u to %u", (unsigned)min,
                   (unsigned)max);
    return c->wrong;
}

static const char *add_name(struct client *c, const char *name)
{
    if (c->name_count == CLIENT_NAMES_MAX)
        return "is one too many: 16 are possible";
    c->names[c->name_count++] = name;
    return NULL;
}

static const char *dialect(struct client *c, const char *text)
{
    c->turbo = true;
    c->sandwich = strcmp(text, "sandwich") == 0;
    return c->sandwich || strcmp(text, "profile1") == 0 ? NULL : "is neither profile1 nor sandwich";
}

struct parsed {
    const char *get;
    bool silent, says;
};

static const char *take_flag(struct client *c, int option, struct parsed *p)
{
    switch (option) {
    case OPTION_TURBO: c->turbo = true; return NULL;
    case OPTION_ALWAYS: c->always = true; return NULL;
    case OPTION_JSON: c->json = true; return NULL;
    case OPTION_TIMING: c->timing = true; return NULL;
    case OPTION_QUIET: c->quiet = true; return NULL;
    case OPTION_SILENT: p->silent = true; return NULL;
    default: return "is not known";
    }
}

static const char *take(struct client *c, int option, char *argument, struct parsed *p)
{
    p->says = p->says || option == OPTION_LINE || option == OPTION_FILE || option == OPTION_GET;
    switch (option) {
    case OPTION_UDP_PORT: return number(c, argument, 1, UINT16_MAX, &c->udp_port);
    case OPTION_DIALECT: return dialect(c, argument);
    case OPTION_TIMEOUT: return number(c, argument, 1, TIMEOUT_MAX_S, &c->timeout_s);
    case OPTION_NAME: c->server_name = argument; return NULL;
    case OPTION_VERIFY_NAME: return add_name(c, argument);
    case OPTION_LINE: return append_line(c, argument);
    case OPTION_FILE: return append_file(c, argument);
    case OPTION_GET: p->get = argument; return NULL;
    case OPTION_EXPECT: c->expects = true; return number(c, argument, 0, UINT32_MAX, &c->expected);
    case OPTION_OUTPUT: c->output = argument; return NULL;
    case OPTION_RESUME: return number(c, argument, 1, COUNT_MAX, &c->resume);
    case OPTION_COUNT: return number(c, argument, 1, COUNT_MAX, &c->count);
    case OPTION_PARALLEL: return number(c, argument, 1, PARALLEL_MAX, &c->parallel);
    default: return take_flag(c, option, p);
    }
}

/* NULL, or what is wrong with all of it together. */
static const char *contradiction(const struct client *c, const struct parsed *p)
{
    if ((c->udp_port != 0 || c->always) && !c->turbo)
        return "--udp-port and --always are about TurboTLS: write --turbo as well";
    if (p->silent && p->says)
        return "--silent says nothing: leave it out, or --line, --file and --get";
    if ((c->count > 1 || c->parallel > 1 || c->resume > 0) && c->from_stdin)
        return "standard input can be sent once: say what to send with --line, --file or --get, or "
               "write --silent";
    return NULL;
}

static bool usage(const char *text, enum exit_code *code)
{
    say(CLIENT_NAME, "%s; see --help", text);
    *code = EXIT_USAGE;
    return false;
}

static bool settle(struct client *c, char **rest, struct parsed *p, enum exit_code *code)
{
    const char *wrong;

    if (rest[0] == NULL)
        return usage("where to? Write HOST:PORT, such as example.com:443 or [::1]:443", code);
    if (rest[1] != NULL || !read_place(rest[0], true, &c->place)) {
        say(CLIENT_NAME,
            rest[1] != NULL ? "\"%s\" is one too many: write one HOST:PORT; see --help"
                            : "\"%s\" is no HOST:PORT, such as example.com:443 or [::1]:443; see "
                              "--help",
            rest[rest[1] != NULL]);
        *code = EXIT_USAGE;
        return false;
    }
    if (c->server_name == NULL)
        c->server_name = c->place.host;
    c->get = p->get != NULL;
    c->from_stdin = !p->says && !p->silent;
    wrong = append_get(c, p->get);
    if (wrong != NULL) {
        say(CLIENT_NAME, "--get %s: %s; see --help", p->get, wrong);
        *code = EXIT_USAGE;
        return false;
    }
    wrong = contradiction(c, p);
    return wrong == NULL ? true : usage(wrong, code);
}

bool client_options(struct client *c, int argc, char **argv, enum exit_code *code)
{
    struct parsed p = {0};
    int option, index = 0;

    *c = (struct client){
        .timeout_s = TIMEOUT_S, .count = 1, .parallel = 1, .signals = -1, .out = -1};
    while ((option = getopt_long(argc, argv, "h", known, &index)) != -1) {
        const char *wrong = NULL;
        if (option == '?') { /* getopt_long has said what is wrong */
            say(CLIENT_NAME, "see --help");
            *code = EXIT_USAGE;
            return false;
        }
        if (option == 'h' || option == OPTION_HELP || option == OPTION_RELEASE) {
            if (option != OPTION_RELEASE)
                (void)printf("%s%s%s%s", help, tls_help_of_both, tls_help_of_clients, help_end);
            else
                (void)printf("%s %s\n", CLIENT_NAME, TURBOTLS_VERSION);
            *code = fflush(stdout) == 0 ? EXIT_GOOD : EXIT_OTHER;
            return false;
        }
        wrong = option >= TLS_OPTION_FIRST ? tls_option(&c->tls, option, optarg)
                                           : take(c, option, optarg, &p);
        if (wrong != NULL) {
            say(CLIENT_NAME, "--%s %s: %s; see --help", known[index].name,
                optarg == NULL ? "" : optarg, wrong);
            *code = EXIT_USAGE;
            return false;
        }
    }
    return settle(c, argv + optind, &p, code);
}
