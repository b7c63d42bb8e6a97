/*
 * The command line: text in, checked plain structs out. Nothing is opened or resolved here.
 */
#ifndef PROXY_OPTIONS_H
#define PROXY_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/config/config.h"
#include "proxy/net/address.h"
#include "proxy/ops/log.h"

enum {
    OPTIONS_LISTENERS_MAX = 64,
    OPTIONS_HOST_MAX = 255, /* bytes of a host name, RFC 1035 §2.3.4 */
};

/* --listen KIND:ADDR:PORT[,udp=PORT] */
struct listen_option {
    enum endpoint_kind kind;
    struct address address; /* [::] when dual_stack */
    bool dual_stack;        /* "*": IPv4 and IPv6; [::] alone is IPv6 only */
    uint16_t udp_port;      /* ENDPOINT_TURBO; same_udp_port: that of the bound TCP port */
    bool same_udp_port;     /* no udp= was given */
};

/* --upstream KIND:HOST:PORT[,udp=PORT][,always] */
struct upstream_option {
    enum endpoint_kind kind;
    char host[OPTIONS_HOST_MAX + 1]; /* a name or a literal, without brackets */
    uint16_t port;
    uint16_t udp_port; /* ENDPOINT_TURBO; equals `port` unless given */
    bool always;       /* ENDPOINT_TURBO; requests even when TCP is up first (protocol §6.2) */
};

struct options {
    struct listen_option listeners[OPTIONS_LISTENERS_MAX];
    size_t listener_count;
    struct upstream_option upstream;
    enum log_level log_level;
    enum log_format log_format;
    double drain_timeout_s; /* 0: do not wait */
    double sniff_timeout_s; /* 0: never connect before the client has spoken */
    double opening_timeout_s;
    uint32_t sessions_max; /* by UDP, for each turbo listener; the next three as well */
    uint32_t session_rate; /* new ones a second */
    uint32_t
        source_rate; /* from one IPv4 address or IPv6 /64; an IPv6 /48 may have twice as many */
};

enum options_result {
    OPTIONS_RUN,     /* `out` is filled in */
    OPTIONS_DONE,    /* --help or --version; `message` is the text for standard output, exit 0 */
    OPTIONS_INVALID, /* `message` is one line: what is wrong and what would be right; exit 2 */
};

enum { OPTIONS_MESSAGE_BYTES = 8192 };

/* Exit codes of the program (also listed by --help). */
enum {
    EXIT_OK = 0,      /* ended as asked: --help, --version, SIGTERM, SIGINT */
    EXIT_STARTUP = 1, /* could not start: address in use, no permission, out of memory */
    EXIT_USAGE = 2,   /* the arguments are wrong; nothing was started */
};

/*
 * Parses argv. `message` has room for OPTIONS_MESSAGE_BYTES and always ends with a zero byte;
 * it ends with a newline when OPTIONS_DONE, has none when OPTIONS_INVALID, is empty when
 * OPTIONS_RUN.
 */
enum options_result options_parse(struct options *out, int argc, char *const argv[],
                                  char message[static OPTIONS_MESSAGE_BYTES]);

/* Which port two listeners would both take; 0 where the kernel chooses never is. */
enum options_clash { OPTIONS_CLASH_NONE, OPTIONS_CLASH_TCP, OPTIONS_CLASH_UDP };
enum options_clash options_clash(const struct listen_option *a, const struct listen_option *b);

/* The listener as --listen would take it: "turbo:127.0.0.1:443,udp=8443". Returns `text`. */
enum { OPTIONS_LISTEN_TEXT_BYTES = ADDRESS_TEXT_BYTES + 32 };
const char *options_listen_text(const struct listen_option *listener,
                                char text[static OPTIONS_LISTEN_TEXT_BYTES]);

#endif
