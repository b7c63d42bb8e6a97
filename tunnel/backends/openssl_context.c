/* A context: one SSL_CTX in a library context of its own. */
#include "tunnel/backends/openssl.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tunnel/backends/key_log.h"
#include "tunnel/failure.h"

/* Keys and hashes of 112 bits at least (SSL_CTX_set_security_level(3)), as GnuTLS asks for. */
enum { LEAST_SECURITY_LEVEL = 2 };

enum { KEY_LOG_LINE_BYTES = 1024 };

static const unsigned char session_id_context[] = "libtunnel";

void openssl_implementation(char name[static BACKEND_NAME_BYTES])
{
    snprintf(name, BACKEND_NAME_BYTES, "OpenSSL %s", OpenSSL_version(OPENSSL_VERSION_STRING));
}

/* ---- the key log ---- */

static void log_key(const SSL *ssl, const char *line)
{
    const struct backend_context *context = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    char text[KEY_LOG_LINE_BYTES];
    int length = snprintf(text, sizeof(text), "%s\n", line);
    if (length > 0 && length < (int)sizeof(text))
        key_log_write(context->key_log, text, (size_t)length);
    OPENSSL_cleanse(text, sizeof(text));
}

static bool open_key_log(struct backend_context *context, const char *path,
                         struct tunnel_error *error)
{
    if (path == NULL)
        return true;
    context->key_log = key_log_open(path, error);
    SSL_CTX_set_keylog_callback(context->ssl, log_key);
    return context->key_log >= 0;
}

/* ---- ALPN ---- */

/* In the order of alpn_protocols. Not what the tunnel expects, or no overlap:
 * no_application_protocol (RFC 7301 §3.2). */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_length,
                           const unsigned char *offered, unsigned offered_length, void *owner)
{
    const struct backend_context *context = owner;
    const struct backend_session *session = SSL_get_app_data(ssl);
    const char *expected = session->expected_alpn;
    unsigned char *at = NULL;
    int found = SSL_select_next_proto(&at, chosen_length, context->alpn, context->alpn_length,
                                      offered, offered_length);
    if (found != OPENSSL_NPN_NEGOTIATED ||
        (expected != NULL &&
         (strlen(expected) != *chosen_length || memcmp(expected, at, *chosen_length) != 0)))
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = at;
    return SSL_TLSEXT_ERR_OK;
}

/* The configuration's reader has seen to it that each has 1 to 255 bytes. */
static bool pack_protocols(struct backend_context *context, const struct settings_names *names,
                           struct tunnel_error *error)
{
    size_t bytes = 0;
    for (size_t i = 0; i < names->count; i++)
        bytes += 1 + strlen(names->list[i].text);
    context->alpn = malloc(bytes);
    if (context->alpn == NULL)
        return failure(error, TUNNEL_MEMORY, "no memory for alpn_protocols") == TUNNEL_OK;
    for (size_t i = 0; i < names->count; i++) {
        size_t length = strlen(names->list[i].text);
        context->alpn[context->alpn_length++] = (uint8_t)length;
        memcpy(context->alpn + context->alpn_length, names->list[i].text, length);
        context->alpn_length += (unsigned)length;
    }
    return true;
}

static bool set_alpn(struct backend_context *context, const struct settings_names *names,
                     struct tunnel_error *error)
{
    if (names->count == 0)
        return true;
    if (!pack_protocols(context, names, error))
        return false;
    if (context->server)
        SSL_CTX_set_alpn_select_cb(context->ssl, choose_protocol, context);
    else if (SSL_CTX_set_alpn_protos(context->ssl, context->alpn, context->alpn_length) != 0)
        return openssl_refuse(error, TUNNEL_INTERNAL, "alpn_protocols",
                              "OpenSSL does not take them") == TUNNEL_OK;
    return true;
}

/* ---- everything else ---- */

/* Said yes to, so that it is known in resumptions, too. */
static int take_server_name(SSL *ssl, int *alert, void *unused)
{
    (void)ssl;
    (void)alert;
    (void)unused;
    return SSL_TLSEXT_ERR_OK;
}

static int version_number(enum settings_version version)
{
    return version == SETTINGS_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

static int verify_mode(const struct settings *settings)
{
    if (!settings->server)
        return SSL_VERIFY_PEER;
    switch (settings->client_authentication) {
    case SETTINGS_CLIENTS_MAY: return SSL_VERIFY_PEER;
    case SETTINGS_CLIENTS_MUST: return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    case SETTINGS_CLIENTS_UNASKED: break;
    }
    return SSL_VERIFY_NONE;
}

/* Sessions are kept by clients alone: in tickets, or as what tunnel_resumption gave them. */
static bool set_resumption(const struct backend_context *context)
{
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
    if (!context->session_tickets) {
        SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET);
        if (context->server && SSL_CTX_set_num_tickets(context->ssl, 0) != 1)
            return false;
    }
    return SSL_CTX_set_session_id_context(context->ssl, session_id_context,
                                          sizeof(session_id_context) - 1) == 1;
}

static bool set_rules(struct backend_context *context, const struct settings *settings)
{
    SSL_CTX *ssl = context->ssl;
    SSL_CTX_set_app_data(ssl, context);
    if (SSL_CTX_get_security_level(ssl) < LEAST_SECURITY_LEVEL)
        SSL_CTX_set_security_level(ssl, LEAST_SECURITY_LEVEL);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_clear_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(ssl, 0);
    SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN |
                              SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_verify(ssl, verify_mode(settings), NULL);
    SSL_CTX_set_cert_verify_callback(ssl, openssl_verify, NULL);
    if (settings->server) {
        SSL_CTX_set_dh_auto(ssl, 1);
        SSL_CTX_set_tlsext_servername_callback(ssl, take_server_name);
    }
    return SSL_CTX_set_min_proto_version(ssl, version_number(settings->lowest)) == 1 &&
           SSL_CTX_set_max_proto_version(ssl, version_number(settings->highest)) == 1 &&
           set_resumption(context);
}

static bool set_up(struct backend_context *context, const struct settings *settings,
                   struct tunnel_error *error)
{
    context->library = OSSL_LIB_CTX_new();
    context->transport = openssl_transport_method();
    if (context->library == NULL || context->transport == NULL)
        return openssl_refuse(error, TUNNEL_MEMORY, "OpenSSL", "a context cannot be made") ==
               TUNNEL_OK;
    if (!openssl_providers_load(context, &settings->providers, error))
        return false;
    context->ssl = SSL_CTX_new_ex(context->library, NULL,
                                  settings->server ? TLS_server_method() : TLS_client_method());
    if (context->ssl == NULL || !set_rules(context, settings))
        return openssl_refuse(error, TUNNEL_INTERNAL, "OpenSSL", "a context cannot be made") ==
               TUNNEL_OK;
    return openssl_suites_set(context, settings, error) &&
           openssl_groups_set(context, settings, error) &&
           set_alpn(context, &settings->alpn, error) &&
           openssl_trust_set(context, settings, error) &&
           openssl_identity_set(context, settings, error) &&
           open_key_log(context, settings->key_log_file, error);
}

struct backend_context *openssl_context_create(const struct settings *settings,
                                               struct tunnel_error *error)
{
    struct backend_context *context = calloc(1, sizeof(*context));
    if (context == NULL) {
        failure(error, TUNNEL_MEMORY, "no memory for a context");
        return NULL;
    }
    context->server = settings->server;
    context->session_tickets = settings->session_tickets;
    context->key_log = -1;
    openssl_forget_errors();
    if (!set_up(context, settings, error)) {
        openssl_context_destroy(context);
        return NULL;
    }
    openssl_leave(context);
    return context;
}

void openssl_context_destroy(struct backend_context *context)
{
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->transport);
    openssl_providers_unload(context);
    if (context->library != NULL)
        openssl_leave(context);
    OSSL_LIB_CTX_free(context->library);
    if (context->key_log >= 0)
        close(context->key_log);
    free(context->alpn);
    free(context);
    openssl_forget_errors();
}
