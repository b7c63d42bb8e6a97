/* The server's command line. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

enum {
    BODY_MAX = 64 << 20,
    READ_STEP = 65536,
    TIMEOUT_MAX_S = 86400,
    TIMEOUT_S = 60,
    CONNECTIONS = 1000
};

static const char help[] =
    "usage: turbotls-server [OPTIONS] --listen [ADDRESS:]PORT --cert FILE\n"
    "\n"
    "Serves TLS, and with --turbo TurboTLS beside it on the same port. Sends back what it gets,\n"
    "or answers HTTP/1.1.\n"
    "\n"
    "  turbotls-server --turbo --listen 4433 --cert cert.pem --key key.pem --www /srv/www\n"
    "\n"
    "Connections:\n"
    "  --listen ADDRESS:PORT   where; without ADDRESS everywhere; PORT 0: any\n"
    "  --turbo                 TurboTLS as well\n"
    "  --udp-port PORT         its UDP port, if it is not the TCP port\n"
    "  --dialect sandwich      TurboTLS, and clients of Sandwich's dialect are welcome, too\n"
    "  --connections N         at most so many at a time (1000)\n"
    "  --timeout SECONDS       how long nothing may happen in one (60)\n"
    "\n"
    "What is said:\n"
    "  --greeting TEXT         first of all, a line\n"
    "  --echo                  then what the client sends (default)\n"
    "  --www DIR               or the files of DIR, to GET and HEAD\n"
    "  --body FILE             or FILE, to every GET\n"
    "\n"
    "What is told:\n"
    "  --json                  a line of JSON for each connection that has ended, on standard "
    "output\n"
    "  --quiet                 nothing on standard error but where it listens\n"
    "\n";
static const char help_end[] =
    "\n"
    "Says \"listening on ADDRESS:PORT\" on standard error once it is ready. SIGTERM and SIGINT "
    "end\n"
    "it: 0; 2: the command line or the configuration is wrong; 1: it cannot listen, or no memory.\n"
    "turbotls-server(1) has the rest.\n";

enum {
    OPTION_HELP = 1,
    OPTION_RELEASE,
    OPTION_LISTEN,
    OPTION_TURBO,
    OPTION_UDP_PORT,
    OPTION_DIALECT,
    OPTION_CONNECTIONS,
    OPTION_TIMEOUT,
    OPTION_GREETING,
    OPTION_ECHO,
    OPTION_WWW,
    OPTION_BODY,
    OPTION_JSON,
    OPTION_QUIET,
};

static const struct option known[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_RELEASE},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"turbo", no_argument, NULL, OPTION_TURBO},
    {"udp-port", required_argument, NULL, OPTION_UDP_PORT},
    {"dialect", required_argument, NULL, OPTION_DIALECT},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"greeting", required_argument, NULL, OPTION_GREETING},
    {"echo", no_argument, NULL, OPTION_ECHO},
    {"www", required_argument, NULL, OPTION_WWW},
    {"body", required_argument, NULL, OPTION_BODY},
    {"json", no_argument, NULL, OPTION_JSON},
    {"quiet", no_argument, NULL, OPTION_QUIET},
    TLS_OPTIONS_OF_BOTH,
    TLS_OPTIONS_OF_SERVERS,
    {NULL, 0, NULL, 0},
};

/* ---- what is served ---- */

static const char *read_all(struct server *s, int fd)
{
    for (;;) {
        uint8_t *larger = realloc(s->body, s->body_length + READ_STEP);
        ssize_t got;
        if (larger == NULL)
            return "does not fit into memory";
        s->body = larger;
        got = read(fd, s->body + s->body_length, READ_STEP);
        if (got <= 0)
            return got < 0 ? strerror(errno) : NULL;
        s->body_length += (size_t)got;
        if (s->body_length > BODY_MAX)
            return "is longer than 64 MiB; serve it with --www";
    }
}

static const char *open_body(struct server *s, const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    const char *wrong;

    if (fd < 0)
        return strerror(errno);
    s->body_file = name;
    s->body_length = 0;
    wrong = read_all(s, fd);
    (void)close(fd);
    return wrong;
}

static const char *open_directory(struct server *s, const char *name)
{
    if (s->directory_fd >= 0)
        return "is the second one; only one can be served";
    s->directory = name;
    s->directory_fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return s->directory_fd < 0 ? strerror(errno) : NULL;
}

/* ---- options ---- */

/* NULL, or what is wrong, in `s->wrong`. */
static const char *number(struct server *s, const char *text, uint32_t min, uint32_t max,
                          uint32_t *out)
{
    if (read_number(text, min, max, out))
        return NULL;
    (void)snprintf(s->wrong, sizeof(s->wrong), "is no whole number from %u to %u", (unsigned)min,
                   (unsigned)max);
    return s->wrong;
}

static const char *dialect(struct server *s, const char *text)
{
    s->turbo = true;
    s->sandwich = strcmp(text, "sandwich") == 0;
    return s->sandwich || strcmp(text, "profile1") == 0 ? NULL : "is neither profile1 nor sandwich";
}

static const char *listen_at(struct server *s, const char *text)
{
    if (s->listens)
        return "is the second one; start another server for it";
    s->listens = true;
    return read_place(text, false, &s->place)
               ? NULL
               : "is no [ADDRESS:]PORT, such as 4433, 192.0.2.1:443 or [::1]:443";
}

static const char *greet(struct server *s, const char *text)
{
    size_t length = strlen(text);

    free(s->greeting);
    s->greeting = malloc(length + 2);
    if (s->greeting == NULL)
        return "does not fit into memory";
    (void)snprintf(s->greeting, length + 2, "%s%s", text,
                   length > 0 && text[length - 1] == '\n' ? "" : "\n");
    return NULL;
}

static const char *take(struct server *s, int option, char *argument)
{
    switch (option) {
    case OPTION_LISTEN: return listen_at(s, argument);
    case OPTION_TURBO: s->turbo = true; return NULL;
    case OPTION_UDP_PORT: return number(s, argument, 1, UINT16_MAX, &s->udp_port);
    case OPTION_DIALECT: return dialect(s, argument);
    case OPTION_CONNECTIONS:
        return number(s, argument, 1, SERVER_CONNECTIONS_MAX, &s->connections_max);
    case OPTION_TIMEOUT: return number(s, argument, 1, TIMEOUT_MAX_S, &s->timeout_s);
    case OPTION_GREETING: return greet(s, argument);
    case OPTION_ECHO: return NULL;
    case OPTION_WWW: return open_directory(s, argument);
    case OPTION_BODY: return open_body(s, argument);
    case OPTION_JSON: s->json = true; return NULL;
    case OPTION_QUIET: s->quiet = true; return NULL;
    default: return "is not known";
    }
}

static bool usage(const char *text, enum exit_code *code)
{
    say(SERVER_NAME, "%s; see --help", text);
    *code = EXIT_USAGE;
    return false;
}

static bool settle(const struct server *s, char **rest, bool echo, enum exit_code *code)
{
    if (rest[0] != NULL) {
        say(SERVER_NAME, "\"%s\" is no option: is a -- missing? See --help", rest[0]);
        *code = EXIT_USAGE;
        return false;
    }
    if (!s->listens)
        return usage("where? Write --listen PORT or --listen ADDRESS:PORT", code);
    if (s->udp_port != 0 && !s->turbo)
        return usage("--udp-port is about TurboTLS: write --turbo as well", code);
    if (echo + (s->directory != NULL) + (s->body_file != NULL) > 1)
        return usage("--echo, --www and --body exclude one another: leave all but one out", code);
    return true;
}

bool server_options(struct server *s, int argc, char **argv, enum exit_code *code)
{
    bool echo = false;
    int option, index = 0;

    *s = (struct server){
        .timeout_s = TIMEOUT_S, .connections_max = CONNECTIONS, .directory_fd = -1, .signals = -1};
    while ((option = getopt_long(argc, argv, "h", known, &index)) != -1) {
        const char *wrong;
        if (option == '?') { /* getopt_long has said what is wrong */
            say(SERVER_NAME, "see --help");
            *code = EXIT_USAGE;
            return false;
        }
        if (option == 'h' || option == OPTION_HELP || option == OPTION_RELEASE) {
            if (option != OPTION_RELEASE)
                (void)printf("%s%s%s%s", help, tls_help_of_both, tls_help_of_servers, help_end);
            else
                (void)printf("%s %s\n", SERVER_NAME, TURBOTLS_VERSION);
            *code = fflush(stdout) == 0 ? EXIT_GOOD : EXIT_OTHER;
            return false;
        }
        echo = echo || option == OPTION_ECHO;
        wrong = option >= TLS_OPTION_FIRST ? tls_option(&s->tls, option, optarg)
                                           : take(s, option, optarg);
        if (wrong != NULL) {
            say(SERVER_NAME, "--%s %s: %s; see --help", known[index].name,
                optarg == NULL ? "" : optarg, wrong);
            *code = EXIT_USAGE;
            return false;
        }
    }
    return settle(s, argv + optind, echo, code);
}
