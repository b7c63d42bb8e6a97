#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tunnel/backends/gnutls_internal.h"
#include "tunnel/backends/gnutls_priority.h"
#include "tunnel/backends/key_log.h"
#include "tunnel/failure.h"

/* The leaf and the issuer's of it, without the root. */
enum { CHAIN_MAX = 64 };

struct chain {
    gnutls_x509_crt_t list[CHAIN_MAX];
    unsigned count;
};

static gnutls_datum_t datum_of(const struct settings_object *object)
{
    return (gnutls_datum_t){object->bytes, (unsigned)object->length};
}

static gnutls_x509_crt_fmt_t format_of(const struct settings_object *object)
{
    return object->pem ? GNUTLS_X509_FMT_PEM : GNUTLS_X509_FMT_DER;
}

static enum tunnel_result no_memory(struct tunnel_error *error)
{
    return failure(error, TUNNEL_MEMORY, "out of memory");
}

static enum tunnel_result wrong(int code, const char *where, const char *what,
                                struct tunnel_error *error)
{
    if (code == GNUTLS_E_MEMORY_ERROR)
        return no_memory(error);
    return failure(error, TUNNEL_CONFIGURATION, "%s: %s (GnuTLS: %s)", where, what,
                   gnutls_strerror(code));
}

/* ---- whom to trust ---- */

static enum tunnel_result trust_objects(struct backend_context *c, const struct settings *settings,
                                        struct tunnel_error *error)
{
    for (size_t i = 0; i < settings->trusted.count; i++) {
        const struct settings_object *object = &settings->trusted.list[i];
        gnutls_datum_t datum = datum_of(object);
        int count =
            gnutls_certificate_set_x509_trust_mem(c->credentials, &datum, format_of(object));
        if (count < 0)
            return wrong(
                count, object->where,
                object->pem ? "is no PEM file of certificates" : "is no certificate in DER", error);
        if (count == 0)
            return failure(error, TUNNEL_CONFIGURATION,
                           "%s: has no certificate; name a file with a \"BEGIN CERTIFICATE\"",
                           object->where);
    }
    return TUNNEL_OK;
}

static enum tunnel_result trust_directories(struct backend_context *c,
                                            const struct settings *settings,
                                            struct tunnel_error *error)
{
    for (size_t i = 0; i < settings->trusted_directories.count; i++) {
        const struct settings_name *name = &settings->trusted_directories.list[i];
        int count =
            gnutls_certificate_set_x509_trust_dir(c->credentials, name->text, GNUTLS_X509_FMT_PEM);
        if (count <= 0)
            return failure(
                error, TUNNEL_CONFIGURATION,
                "%s: no certificate can be read from the directory \"%s\": it should hold "
                "PEM files that this user may read",
                name->where, name->text);
    }
    return TUNNEL_OK;
}

static enum tunnel_result trust_system(struct backend_context *c, const struct settings *settings,
                                       struct tunnel_error *error)
{
    if (!settings->system_store)
        return TUNNEL_OK;
    if (gnutls_certificate_set_x509_system_trust(c->credentials) > 0)
        return TUNNEL_OK;
    return failure(
        error, TUNNEL_CONFIGURATION,
        "system_store: the system trusts no CA that can be read: install ca-certificates, "
        "or name trusted_cas");
}

static enum tunnel_result set_trust(struct backend_context *c, const struct settings *settings,
                                    struct tunnel_error *error)
{
    enum { LEAF_AND_ROOT = 2, KEY_BITS_MAX = 16384 };
    enum tunnel_result result = trust_objects(c, settings, error);
    if (result == TUNNEL_OK)
        result = trust_directories(c, settings, error);
    if (result == TUNNEL_OK)
        result = trust_system(c, settings, error);
    gnutls_certificate_set_verify_limits(c->credentials, KEY_BITS_MAX,
                                         settings->verify_depth + LEAF_AND_ROOT);
    return result;
}

/* ---- who we are ---- */

static void free_chain(struct chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++)
        gnutls_x509_crt_deinit(chain->list[i]);
}

static enum tunnel_result add_certificates(struct chain *chain,
                                           const struct settings_object *object,
                                           struct tunnel_error *error)
{
    gnutls_datum_t datum = datum_of(object);
    unsigned count = CHAIN_MAX - chain->count;
    int code =
        gnutls_x509_crt_list_import(chain->list + chain->count, &count, &datum, format_of(object),
                                    GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED);
    if (code == GNUTLS_E_SHORT_MEMORY_BUFFER)
        return failure(error, TUNNEL_CONFIGURATION,
                       "%s: more than %d certificates; name the peer's and its issuers' only",
                       object->where, CHAIN_MAX);
    if (code < 0)
        return wrong(code, object->where,
                     object->pem ? "is no PEM file of certificates" : "is no certificate in DER",
                     error);
    chain->count += (unsigned)code;
    return TUNNEL_OK;
}

static bool is_encrypted(const struct settings_object *key)
{
    gnutls_datum_t datum = datum_of(key);
    if (key->pem)
        return strstr((const char *)key->bytes, "ENCRYPTED") != NULL;
    return gnutls_pkcs8_info(&datum, GNUTLS_X509_FMT_DER, NULL, NULL, NULL, NULL, NULL, NULL) == 0;
}

static enum tunnel_result import_key(gnutls_x509_privkey_t key,
                                     const struct settings_object *object,
                                     struct tunnel_error *error)
{
    gnutls_datum_t datum = datum_of(object);
    if (is_encrypted(object))
        return failure(error, TUNNEL_CONFIGURATION,
                       "%s: the key is encrypted, and nobody is there to be asked: decrypt it "
                       "(openssl pkey -in … -out …) and protect the file",
                       object->where);
    int code = gnutls_x509_privkey_import(key, &datum, format_of(object));
    return code < 0 ? wrong(code, object->where, "is no private key that GnuTLS can use", error)
                    : TUNNEL_OK;
}

static enum tunnel_result use_identity(struct backend_context *c, struct chain *chain,
                                       gnutls_x509_privkey_t key, const struct settings *settings,
                                       struct tunnel_error *error)
{
    int code = gnutls_certificate_set_x509_key(c->credentials, chain->list, (int)chain->count, key);
    if (code == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return failure(
            error, TUNNEL_CONFIGURATION,
            "%s: the key does not belong to the first certificate (%s): the peer's own comes "
            "first, then its issuers'",
            settings->key.where, settings->certificates.list[0].where);
    return code < 0 ? wrong(code, settings->certificates.list[0].where,
                            "GnuTLS cannot use these certificates with this key", error)
                    : TUNNEL_OK;
}

static enum tunnel_result set_identity(struct backend_context *c, const struct settings *settings,
                                       struct tunnel_error *error)
{
    if (settings->certificates.count == 0)
        return TUNNEL_OK;
    struct chain chain = {.count = 0};
    gnutls_x509_privkey_t key;
    enum tunnel_result result = TUNNEL_OK;
    if (gnutls_x509_privkey_init(&key) < 0)
        return no_memory(error);
    for (size_t i = 0; result == TUNNEL_OK && i < settings->certificates.count; i++)
        result = add_certificates(&chain, &settings->certificates.list[i], error);
    if (result == TUNNEL_OK)
        result = import_key(key, &settings->key, error);
    if (result == TUNNEL_OK)
        result = use_identity(c, &chain, key, settings, error);
    gnutls_x509_privkey_deinit(key);
    free_chain(&chain);
    return result;
}

/* ---- the rest ---- */

static enum tunnel_result copy_alpn(struct backend_context *c, const struct settings_names *names,
                                    struct tunnel_error *error)
{
    if (names->count == 0)
        return TUNNEL_OK;
    c->alpn = calloc(names->count, sizeof(*c->alpn));
    if (c->alpn == NULL)
        return no_memory(error);
    for (size_t i = 0; i < names->count; i++) {
        c->alpn[i].data = (unsigned char *)strdup(names->list[i].text);
        if (c->alpn[i].data == NULL)
            return no_memory(error);
        c->alpn[i].size = (unsigned)strlen(names->list[i].text);
        c->alpn_count++;
    }
    return TUNNEL_OK;
}

/* TLS 1.2 clients that do not know FFDHE groups get one of RFC 7919's all the same. */
static enum tunnel_result set_server(struct backend_context *c, struct tunnel_error *error)
{
    if (!c->server)
        return TUNNEL_OK;
    int code = gnutls_certificate_set_known_dh_params(c->credentials, GNUTLS_SEC_PARAM_MEDIUM);
    if (code >= 0 && c->tickets)
        code = gnutls_session_ticket_key_generate(&c->ticket_key);
    return code < 0 ? wrong(code, "session_tickets", "no key could be made", error) : TUNNEL_OK;
}

static enum tunnel_result set_key_log(struct backend_context *c, const char *path,
                                      struct tunnel_error *error)
{
    if (path == NULL)
        return TUNNEL_OK;
    c->key_log_fd = key_log_open(path, error);
    return c->key_log_fd < 0 ? TUNNEL_CONFIGURATION : TUNNEL_OK;
}

static enum tunnel_result fill(struct backend_context *c, const struct settings *settings,
                               struct tunnel_error *error)
{
    c->priority = priority_create(settings, error);
    if (c->priority == NULL)
        return TUNNEL_CONFIGURATION;
    if (gnutls_certificate_allocate_credentials(&c->credentials) < 0)
        return no_memory(error);
    enum tunnel_result result = set_trust(c, settings, error);
    if (result == TUNNEL_OK)
        result = set_identity(c, settings, error);
    if (result == TUNNEL_OK)
        result = copy_alpn(c, &settings->alpn, error);
    if (result == TUNNEL_OK)
        result = set_server(c, error);
    return result == TUNNEL_OK ? set_key_log(c, settings->key_log_file, error) : result;
}

struct backend_context *backend_gnutls_context_create(const struct settings *settings,
                                                      struct tunnel_error *error)
{
    struct backend_context *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        no_memory(error);
        return NULL;
    }
    c->server = settings->server;
    c->tickets = settings->session_tickets;
    c->verify_depth = settings->verify_depth;
    c->groups_named = settings->groups.count > 0;
    c->clients = settings->client_authentication;
    c->key_log_fd = -1;
    if (fill(c, settings, error) == TUNNEL_OK)
        return c;
    backend_gnutls_context_destroy(c);
    return NULL;
}

void backend_gnutls_context_destroy(struct backend_context *c)
{
    if (c->credentials != NULL)
        gnutls_certificate_free_credentials(c->credentials);
    if (c->priority != NULL)
        gnutls_priority_deinit(c->priority);
    if (c->ticket_key.data != NULL)
        gnutls_memset(c->ticket_key.data, 0, c->ticket_key.size);
    gnutls_free(c->ticket_key.data);
    for (unsigned i = 0; i < c->alpn_count; i++)
        free(c->alpn[i].data);
    free(c->alpn);
    if (c->key_log_fd >= 0)
        close(c->key_log_fd);
    free(c);
}
