/*
 * A context's configuration as plain structures: checked as far as that goes without a TLS library,
 * with every file read.
 */
#ifndef TUNNEL_CONFIG_SETTINGS_H
#define TUNNEL_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/result.h"
#include "tunnel/tunnel.h"

enum settings_implementation { SETTINGS_OPENSSL3, SETTINGS_GNUTLS };
enum settings_version { SETTINGS_TLS_1_2 = 2, SETTINGS_TLS_1_3 = 3 };
enum settings_client_authentication {
    SETTINGS_CLIENTS_UNASKED,
    SETTINGS_CLIENTS_MAY,
    SETTINGS_CLIENTS_MUST
};

/* A value of the configuration, and what errors about it begin with: "edge.txtpb:4:9:
 * client.tls.…tls13.ke[0]". */
struct settings_name {
    const char *text;
    const char *where;
};

struct settings_names {
    struct settings_name *list;
    size_t count;
};

/* A certificate, or several, or a key, as it was in its file. */
struct settings_object {
    uint8_t *bytes; /* followed by a zero byte, which `length` does not count */
    size_t length;
    bool pem; /* else DER */
    const char *where;
};

struct settings_objects {
    struct settings_object *list;
    size_t count;
};

struct settings {
    enum settings_implementation implementation;
    struct settings_names providers; /* OpenSSL's, beside "default" */
    bool server;
    enum settings_version lowest, highest;
    struct settings_names ciphers12, ciphers13, groups, alpn; /* empty: the implementation's own */
    bool empty_verifier;
    struct settings_objects trusted; /* each holds one certificate or, in PEM, several */
    struct settings_names trusted_directories;
    bool system_store;
    uint32_t verify_depth;
    enum settings_client_authentication client_authentication;
    struct settings_objects certificates; /* the leaf first; empty: none */
    struct settings_object key;           /* bytes NULL: none */
    bool session_tickets;
    const char *key_log_file; /* NULL: no */
    char *text;               /* the configuration, without private keys; malloc'ed */
};

enum { SETTINGS_BYTES_MAX = 4 << 20 };

/*
 * `name` is the file's, for errors; names of files in it are relative to the current directory, not
 * to it. `bytes` are the caller's, to be wiped if there is a key in them. Text or serialized form
 * is told from the bytes unless `form` says which. NULL: `error` has every mistake.
 */
enum settings_form { SETTINGS_EITHER, SETTINGS_TEXT, SETTINGS_SERIALIZED };
struct settings *settings_read(const char *name, const uint8_t *bytes, size_t length,
                               enum settings_form form, struct tunnel_error *error);
/* Wipes the key. NULL is allowed. */
void settings_free(struct settings *settings);

/* The options of one tunnel, from a TunnelOptions text; timeout_ms is 0. Free with
 * settings_options_free. */
struct tunnel_options *settings_options_read(const char *text, struct tunnel_error *error);
void settings_options_free(struct tunnel_options *options);

#endif
