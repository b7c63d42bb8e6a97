/* The options that say which TLS: a configuration's text, from a file or put together. */
#ifndef PROGRAMS_TLS_OPTIONS_H
#define PROGRAMS_TLS_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>

#include "tunnel/tunnel.h"

enum { TLS_LIST_MAX = 32 };

struct tls_list {
    const char *texts[TLS_LIST_MAX];
    size_t count;
};

struct tls_options {
    const char *config, *implementation, *version, *certificate, *key, *client_ca, *key_log;
    struct tls_list providers, cas, ca_directories, alpn, groups, ciphers;
    bool system, insecure, require_client;
    bool any; /* one beside `config` was given */
};

/* getopt_long's, with values from TLS_OPTION_FIRST on, which no letter has. */
enum {
    TLS_OPTION_FIRST = 0x100,
    TLS_CONFIG = TLS_OPTION_FIRST,
    TLS_IMPL,
    TLS_PROVIDER,
    TLS_VERSION,
    TLS_GROUPS,
    TLS_CIPHERS,
    TLS_ALPN,
    TLS_CERT,
    TLS_KEY,
    TLS_CA,
    TLS_CA_DIR,
    TLS_SYSTEM,
    TLS_INSECURE,
    TLS_KEYLOG,
    TLS_CLIENT_CA,
    TLS_REQUIRE_CLIENT,
    TLS_OPTION_END
};

#define TLS_OPTIONS_OF_BOTH                                                                        \
    {"config", required_argument, NULL, TLS_CONFIG}, {"impl", required_argument, NULL, TLS_IMPL},  \
        {"provider", required_argument, NULL, TLS_PROVIDER},                                       \
        {"tls", required_argument, NULL, TLS_VERSION},                                             \
        {"groups", required_argument, NULL, TLS_GROUPS},                                           \
        {"ciphers", required_argument, NULL, TLS_CIPHERS},                                         \
        {"alpn", required_argument, NULL, TLS_ALPN}, {"cert", required_argument, NULL, TLS_CERT},  \
        {"key", required_argument, NULL, TLS_KEY},                                                 \
    {                                                                                              \
        "keylog", required_argument, NULL, TLS_KEYLOG                                              \
    }
#define TLS_OPTIONS_OF_CLIENTS                                                                     \
    {"ca", required_argument, NULL, TLS_CA}, {"ca-dir", required_argument, NULL, TLS_CA_DIR},      \
        {"system", no_argument, NULL, TLS_SYSTEM},                                                 \
    {                                                                                              \
        "insecure", no_argument, NULL, TLS_INSECURE                                                \
    }
#define TLS_OPTIONS_OF_SERVERS                                                                     \
    {"client-ca", required_argument, NULL, TLS_CLIENT_CA},                                         \
    {                                                                                              \
        "require-client-certificate", no_argument, NULL, TLS_REQUIRE_CLIENT                        \
    }

extern const char tls_help_of_both[];
extern const char tls_help_of_clients[];
extern const char tls_help_of_servers[];

/* NULL, or what is wrong with it. `argument` is kept, and its commas are overwritten where it is a
 * list. */
const char *tls_option(struct tls_options *options, int option, char *argument);
/* NULL: said why, to be put behind the program's name. */
struct tunnel_context *tls_context(const struct tls_options *options, bool server,
                                   struct tunnel_error *error);

#endif
