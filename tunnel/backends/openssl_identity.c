/* Certificates and keys: reading them, and being who they say. */
#include "tunnel/backends/openssl.h"

#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "tunnel/failure.h"

static bool no_memory(struct tunnel_error *error)
{
    return failure(error, TUNNEL_MEMORY, "no memory for certificates") == TUNNEL_OK;
}

static bool read_der(struct backend_context *context, const struct settings_object *object,
                     const struct openssl_taker *taker, struct tunnel_error *error)
{
    X509 *certificate = X509_new_ex(context->library, NULL);
    if (certificate == NULL)
        return no_memory(error);
    const unsigned char *at = object->bytes;
    bool done = d2i_X509(&certificate, &at, (long)object->length) != NULL;
    if (!done) {
        X509_free(certificate);
        return openssl_refuse(error, TUNNEL_CONFIGURATION, object->where,
                              "this is no certificate in DER") == TUNNEL_OK;
    }
    if (at != object->bytes + object->length)
        done = failure(error, TUNNEL_CONFIGURATION,
                       "%s: something follows the certificate: DER holds one, PEM may hold several",
                       object->where) == TUNNEL_OK;
    if (done)
        taker->take(taker->owner, certificate);
    X509_free(certificate);
    return done;
}

/* PEM_read_bio_X509 has come to the end, and not upon something broken. */
static bool at_the_end(void)
{
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

static bool read_pem(struct backend_context *context, const struct settings_object *object,
                     const struct openssl_taker *taker, struct tunnel_error *error)
{
    BIO *bytes = BIO_new_mem_buf(object->bytes, (int)object->length);
    if (bytes == NULL)
        return no_memory(error);
    size_t count = 0;
    bool more = true;
    while (more) {
        X509 *certificate = X509_new_ex(context->library, NULL);
        more = certificate != NULL && PEM_read_bio_X509(bytes, &certificate, NULL, NULL) != NULL;
        if (more) {
            count++;
            more = taker->take(taker->owner, certificate);
        }
        X509_free(certificate);
    }
    BIO_free(bytes);
    if (ERR_peek_error() != 0 && !at_the_end())
        return openssl_refuse(error, TUNNEL_CONFIGURATION, object->where,
                              "a certificate cannot be read") == TUNNEL_OK;
    openssl_forget_errors();
    if (count == 0)
        return failure(error, TUNNEL_CONFIGURATION,
                       "%s: there is no certificate in it: \"-----BEGIN CERTIFICATE-----\" begins "
                       "one",
                       object->where) == TUNNEL_OK;
    return true;
}

bool openssl_certificates_read(struct backend_context *context,
                               const struct settings_object *object,
                               const struct openssl_taker *taker, struct tunnel_error *error)
{
    openssl_forget_errors();
    return object->pem ? read_pem(context, object, taker, error)
                       : read_der(context, object, taker, error);
}

/* ---- the key ---- */

/* Nobody is asked for a password: that one was wanted is all there is to know. */
static int password_wanted(char *buffer, int capacity, int writing, void *wanted)
{
    (void)buffer;
    (void)capacity;
    (void)writing;
    *(bool *)wanted = true;
    return -1;
}

static EVP_PKEY *read_key(struct backend_context *context, const struct settings_object *object,
                          bool *password)
{
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *decoder = OSSL_DECODER_CTX_new_for_pkey(
        &key, object->pem ? "PEM" : "DER", NULL, NULL, EVP_PKEY_KEYPAIR, context->library, NULL);
    if (decoder == NULL)
        return NULL;
    OSSL_DECODER_CTX_set_pem_password_cb(decoder, password_wanted, password);
    const unsigned char *at = object->bytes;
    size_t left = object->length, before = left + 1;
    /* Other things may be in front of it in a PEM file, each of which fails by itself. */
    while (key == NULL && !*password && left > 0 && left < before) {
        before = left;
        if (OSSL_DECODER_from_data(decoder, &at, &left) != 1 && key == NULL && !object->pem)
            break;
    }
    OSSL_DECODER_CTX_free(decoder);
    return key;
}

/* ---- both ---- */

struct chain {
    STACK_OF(X509) * certificates;
    bool no_memory;
};

static bool keep(void *owner, X509 *certificate)
{
    struct chain *chain = owner;
    chain->no_memory = X509_up_ref(certificate) != 1;
    if (!chain->no_memory && sk_X509_push(chain->certificates, certificate) == 0) {
        X509_free(certificate);
        chain->no_memory = true;
    }
    return !chain->no_memory;
}

static bool read_chain(struct backend_context *context, const struct settings_objects *objects,
                       struct chain *chain, struct tunnel_error *error)
{
    chain->certificates = sk_X509_new_null();
    chain->no_memory = chain->certificates == NULL;
    const struct openssl_taker taker = {keep, chain};
    for (size_t i = 0; i < objects->count && !chain->no_memory; i++)
        if (!openssl_certificates_read(context, &objects->list[i], &taker, error))
            return false;
    return chain->no_memory ? no_memory(error) : true;
}

static bool fits_none(const struct settings *settings, const struct chain *chain, EVP_PKEY *key,
                      struct tunnel_error *error)
{
    int other = 0;
    for (int i = 1; i < sk_X509_num(chain->certificates) && other == 0; i++)
        if (X509_check_private_key(sk_X509_value(chain->certificates, i), key) == 1)
            other = i;
    openssl_forget_errors();
    if (other > 0)
        failure(error, TUNNEL_CONFIGURATION,
                "%s: the private key belongs to certificate number %d of those given: put that one "
                "first, and those of its issuers behind it in order",
                settings->key.where, other + 1);
    else
        failure(error, TUNNEL_CONFIGURATION,
                "%s: the private key is not that of the first certificate (%s): compare what "
                "`openssl x509 -pubkey -noout` and `openssl pkey -pubout` print",
                settings->key.where, settings->certificates.list[0].where);
    return false;
}

static bool use(struct backend_context *context, const struct settings *settings,
                const struct chain *chain, EVP_PKEY *key, struct tunnel_error *error)
{
    X509 *leaf = sk_X509_value(chain->certificates, 0);
    if (X509_check_private_key(leaf, key) != 1)
        return fits_none(settings, chain, key, error);
    const char *where = settings->certificates.list[0].where;
    if (SSL_CTX_use_certificate(context->ssl, leaf) != 1)
        return openssl_refuse(error, TUNNEL_CONFIGURATION, where,
                              "OpenSSL does not take this certificate") == TUNNEL_OK;
    if (SSL_CTX_use_PrivateKey(context->ssl, key) != 1)
        return openssl_refuse(error, TUNNEL_CONFIGURATION, settings->key.where,
                              "OpenSSL does not take this private key") == TUNNEL_OK;
    for (int i = 1; i < sk_X509_num(chain->certificates); i++)
        if (SSL_CTX_add1_chain_cert(context->ssl, sk_X509_value(chain->certificates, i)) != 1)
            return openssl_refuse(error, TUNNEL_CONFIGURATION, where,
                                  "OpenSSL does not take a certificate of the chain") == TUNNEL_OK;
    return true;
}

static bool no_key(const struct settings_object *object, bool password, struct tunnel_error *error)
{
    if (!password)
        return openssl_refuse(error, TUNNEL_CONFIGURATION, object->where,
                              object->pem ? "there is no private key in it"
                                          : "this is no private key in DER") == TUNNEL_OK;
    openssl_forget_errors();
    return failure(error, TUNNEL_CONFIGURATION,
                   "%s: the private key is encrypted, and nobody is asked for its password: give "
                   "it decrypted (`openssl pkey -in FILE -out NEW`), and readable to this program "
                   "alone",
                   object->where) == TUNNEL_OK;
}

bool openssl_identity_set(struct backend_context *context, const struct settings *settings,
                          struct tunnel_error *error)
{
    if (settings->certificates.count == 0 && settings->key.bytes == NULL && !settings->server)
        return true;
    if (settings->certificates.count == 0 || settings->key.bytes == NULL)
        return failure(error, TUNNEL_CONFIGURATION,
                       "a %s needs both a certificate and its private key (identity)",
                       settings->server ? "server" : "client that has one of them") == TUNNEL_OK;
    struct chain chain = {NULL, false};
    bool password = false;
    EVP_PKEY *key = NULL;
    bool done = read_chain(context, &settings->certificates, &chain, error);
    if (done) {
        openssl_forget_errors();
        key = read_key(context, &settings->key, &password);
        done = key != NULL ? use(context, settings, &chain, key, error)
                           : no_key(&settings->key, password, error);
    }
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain.certificates, X509_free);
    return done;
}
