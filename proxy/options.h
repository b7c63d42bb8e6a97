/*
 * The command line, taken apart. What it amounts to, with or without a file, config/load.h tells:
 * addresses, hosts and what goes together are checked there, as those of a file are. Nothing is
 * opened or resolved here.
 */
#ifndef PROXY_OPTIONS_H
#define PROXY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/config/config.h"

enum { OPTIONS_ENDPOINT_MAX = 512 /* bytes of a --listen or --upstream */ };

/* --listen KIND:ADDR:PORT[,EXTRA]..., --upstream KIND:HOST:PORT[,EXTRA]... */
struct endpoint_option {
    const char *value; /* as it was typed, in argv; NULL: it was not */
    enum endpoint_kind kind;
    char address[OPTIONS_ENDPOINT_MAX]; /* "ADDR:PORT" or "HOST:PORT", unchecked */
    bool has_udp_port;
    uint16_t udp_port;
    bool has_turbo;
    enum config_turbo turbo;         /* of a --upstream turbo: */
    enum turbo_dialect dialect;      /* of turbo:; PROFILE1: not given */
    enum starttls_protocol starttls; /* of tcp:; STARTTLS_NONE: not given */
};

struct number_option {
    bool given;
    uint32_t value;
};

struct seconds_option {
    bool given;
    double value;
};

enum options_mode {
    OPTIONS_SERVE,
    OPTIONS_CHECK, /* --check: say what is wrong with the configuration, or that nothing is */
    OPTIONS_PRINT, /* --print-config */
};

/* Texts are argv's; NULL: not given. */
struct options {
    enum options_mode mode;
    const char *config; /* the file; without one the configuration is what follows */
    struct endpoint_option listeners[CONFIG_LISTENERS_MAX];
    size_t listener_count;
    struct endpoint_option upstream;
    struct seconds_option sniff_timeout, opening_timeout;
    struct number_option max_sessions, session_rate, source_rate;
    /* What may be given besides a file, and wins over it. */
    struct number_option log_level, log_format, log_target; /* enums of ops/log.h */
    struct seconds_option drain_timeout;
    struct number_option workers;
    const char *admin, *user;
    bool no_sandbox;
};

enum options_result {
    OPTIONS_RUN,     /* `out` is filled in */
    OPTIONS_DONE,    /* --help or --version; `message` is the text for standard output, exit 0 */
    OPTIONS_INVALID, /* `message` is one line: what is wrong and what would be right; exit 2 */
};

enum { OPTIONS_MESSAGE_BYTES = 12288 };

/* Exit codes of the program (also listed by --help). */
enum {
    EXIT_OK = 0,      /* ended as asked: --help, --version, SIGTERM, SIGINT */
    EXIT_STARTUP = 1, /* could not start: address in use, no permission, out of memory */
    EXIT_USAGE = 2,   /* the arguments or the configuration are wrong; nothing was started */
};

/*
 * Parses argv, which must outlive `out`. `message` has room for OPTIONS_MESSAGE_BYTES and always
 * ends with a zero byte; it ends with a newline when OPTIONS_DONE, has none when OPTIONS_INVALID,
 * is empty when OPTIONS_RUN.
 */
enum options_result options_parse(struct options *out, int argc, char *const argv[],
                                  char message[static OPTIONS_MESSAGE_BYTES]);

/* For this and other command lines. Is `argument` "--name" or "--name=VALUE"? */
bool option_is(const char *argument, const char *name);
/*
 * The value of the option at argv[*at]: what is behind its "=", or else the next argument, to which
 * *at moves. NULL: there is none; what begins with "--" is the next option.
 */
const char *option_value(char *const argv[], int *at);

#endif
