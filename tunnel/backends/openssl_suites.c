/* Cipher suites by IANA's names. */
#include "tunnel/backends/openssl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/failure.h"

enum { LIST_BYTES = TUNNEL_ERROR_TEXT_BYTES, NAME_BYTES = 80 };

/* Every suite with a certificate and encryption; libssl leaves out what its security level forbids.
 */
static const char all_of_tls12[] = "ALL:!aNULL:!eNULL:!PSK:!SRP:!aDSS";

struct suites {
    STACK_OF(SSL_CIPHER) * stack; /* of libssl's own tables */
};

static bool is_tls13(const SSL_CIPHER *cipher)
{
    return SSL_CIPHER_get_kx_nid(cipher) == NID_kx_any;
}

/* OpenSSL lists no suites of TLS 1.3 but the usual ones; it knows all of them by their numbers,
 * which begin with 0x13 (RFC 8446 B.4). */
static bool enable_tls13(SSL_CTX *ssl_context)
{
    char list[LIST_BYTES] = "";
    SSL *ssl = SSL_new(ssl_context);
    if (ssl == NULL)
        return false;
    for (unsigned low = 0; low <= UINT8_MAX; low++) {
        const uint8_t number[2] = {0x13, (uint8_t)low};
        const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, number);
        if (cipher != NULL)
            openssl_list_add(list, sizeof(list), ":", SSL_CIPHER_get_name(cipher));
    }
    SSL_free(ssl);
    return SSL_CTX_set_ciphersuites(ssl_context, list) == 1;
}

/* What this OpenSSL with these providers would offer, if it were let. */
static bool offered(struct backend_context *context, struct suites *suites)
{
    SSL_CTX *all = SSL_CTX_new_ex(context->library, NULL, TLS_client_method());
    SSL *ssl = NULL;
    if (all != NULL && SSL_CTX_set_min_proto_version(all, TLS1_2_VERSION) == 1 &&
        SSL_CTX_set_cipher_list(all, all_of_tls12) == 1 && enable_tls13(all))
        ssl = SSL_new(all);
    if (ssl != NULL)
        suites->stack = SSL_get1_supported_ciphers(ssl);
    SSL_free(ssl);
    SSL_CTX_free(all);
    return suites->stack != NULL;
}

static void list_names(const struct suites *suites, bool tls13, char *text, size_t capacity)
{
    text[0] = 0;
    for (int i = 0; i < sk_SSL_CIPHER_num(suites->stack); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(suites->stack, i);
        if (is_tls13(cipher) == tls13)
            openssl_list_add(text, capacity, ", ", SSL_CIPHER_standard_name(cipher));
    }
}

static const SSL_CIPHER *find(const struct suites *suites, const char *name)
{
    for (int i = 0; i < sk_SSL_CIPHER_num(suites->stack); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(suites->stack, i);
        if (strcmp(SSL_CIPHER_standard_name(cipher), name) == 0)
            return cipher;
    }
    return NULL;
}

static const SSL_CIPHER *find_by_own_name(const struct suites *suites, const char *name)
{
    for (int i = 0; i < sk_SSL_CIPHER_num(suites->stack); i++)
        if (strcmp(SSL_CIPHER_get_name(sk_SSL_CIPHER_value(suites->stack, i)), name) == 0)
            return sk_SSL_CIPHER_value(suites->stack, i);
    return NULL;
}

static bool unknown(const struct suites *suites, const struct settings_name *name, bool tls13,
                    struct tunnel_error *error)
{
    const char *version = tls13 ? "1.3" : "1.2";
    const SSL_CIPHER *other = find(suites, name->text);
    const SSL_CIPHER *by_own_name = find_by_own_name(suites, name->text);
    char list[LIST_BYTES], library[BACKEND_NAME_BYTES];
    list_names(suites, tls13, list, sizeof(list));
    openssl_implementation(library);
    if (other != NULL)
        failure(error, TUNNEL_CONFIGURATION,
                "%s: %s is a cipher suite of TLS %s: name it in tls%s. In TLS %s there are: %s",
                name->where, name->text, tls13 ? "1.2" : "1.3", tls13 ? "12" : "13", version, list);
    else if (by_own_name != NULL)
        failure(error, TUNNEL_CONFIGURATION, "%s: write %s for \"%s\": suites have IANA's names",
                name->where, SSL_CIPHER_standard_name(by_own_name), name->text);
    else
        failure(error, TUNNEL_CONFIGURATION,
                "%s: no cipher suite \"%s\" for TLS %s in %s as it is configured here. There are: "
                "%s",
                name->where, name->text, version, library, list);
    return false;
}

/* Joins OpenSSL's own names of them. */
static bool join(const struct suites *suites, const struct settings_names *names, bool tls13,
                 char *list, size_t capacity, struct tunnel_error *error)
{
    list[0] = 0;
    for (size_t i = 0; i < names->count; i++) {
        const SSL_CIPHER *cipher = find(suites, names->list[i].text);
        if (cipher == NULL || is_tls13(cipher) != tls13)
            return unknown(suites, &names->list[i], tls13, error);
        openssl_list_add(list, capacity, ":", SSL_CIPHER_get_name(cipher));
    }
    return true;
}

static bool set(struct backend_context *context, const struct suites *suites,
                const struct settings_names *names, bool tls13, struct tunnel_error *error)
{
    if (names->count == 0)
        return true;
    size_t capacity = names->count * NAME_BYTES;
    char *list = malloc(capacity);
    if (list == NULL)
        return failure(error, TUNNEL_MEMORY, "no memory for the cipher suites") == TUNNEL_OK;
    bool done = join(suites, names, tls13, list, capacity, error);
    if (done) {
        done = (tls13 ? SSL_CTX_set_ciphersuites(context->ssl, list)
                      : SSL_CTX_set_cipher_list(context->ssl, list)) == 1;
        if (!done)
            openssl_refuse(error, TUNNEL_CONFIGURATION, names->list[0].where,
                           "OpenSSL does not take these cipher suites");
    }
    free(list);
    return done;
}

bool openssl_suites_set(struct backend_context *context, const struct settings *settings,
                        struct tunnel_error *error)
{
    if (settings->ciphers12.count + settings->ciphers13.count == 0)
        return true;
    struct suites suites = {NULL};
    if (!offered(context, &suites))
        return openssl_refuse(error, TUNNEL_INTERNAL, "OpenSSL", "cannot tell its cipher suites") ==
               TUNNEL_OK;
    bool done = set(context, &suites, &settings->ciphers12, false, error) &&
                set(context, &suites, &settings->ciphers13, true, error);
    sk_SSL_CIPHER_free(suites.stack);
    return done;
}
