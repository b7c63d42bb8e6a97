/* Whom a context believes: certificates given, directories, and the system's store, all read when
 * the context is made. */
#include "tunnel/backends/openssl.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "tunnel/failure.h"

enum { PATH_BYTES = 4096, HASH_DIGITS = 8, REASON_BYTES = 256 };

struct believers {
    X509_STORE *store;
    size_t count;
    bool failed;
};

static bool believe(void *owner, X509 *certificate)
{
    struct believers *believers = owner;
    believers->failed = X509_STORE_add_cert(believers->store, certificate) != 1;
    believers->count++;
    return !believers->failed;
}

static bool not_taken(const char *where, struct tunnel_error *error)
{
    return openssl_refuse(error, TUNNEL_CONFIGURATION, where,
                          "OpenSSL does not take this certificate") == TUNNEL_OK;
}

static bool add_objects(struct backend_context *context, const struct settings_objects *objects,
                        struct believers *believers, struct tunnel_error *error)
{
    const struct openssl_taker taker = {believe, believers};
    for (size_t i = 0; i < objects->count; i++) {
        if (!openssl_certificates_read(context, &objects->list[i], &taker, error))
            return false;
        if (believers->failed)
            return not_taken(objects->list[i].where, error);
    }
    return true;
}

/* "8d86cdd1.0": what `openssl rehash` calls a certificate. */
static bool is_hashed(const char *name)
{
    for (int i = 0; i < HASH_DIGITS; i++)
        if (!isxdigit((unsigned char)name[i]))
            return false;
    const char *digits = name + HASH_DIGITS + 1;
    return name[HASH_DIGITS] == '.' && *digits != 0 && digits[strspn(digits, "0123456789")] == 0;
}

/* The first certificate in it, as OpenSSL itself would look for. One that cannot be read is not
 * believed, which does no harm. */
static bool add_file(struct backend_context *context, const char *path, struct believers *believers)
{
    BIO *file = BIO_new_file(path, "r");
    X509 *certificate = X509_new_ex(context->library, NULL);
    if (file != NULL && certificate != NULL &&
        PEM_read_bio_X509_AUX(file, &certificate, NULL, NULL) != NULL)
        believe(believers, certificate);
    X509_free(certificate);
    BIO_free(file);
    openssl_forget_errors();
    return !believers->failed;
}

/* False: `errno` says why it cannot be read, or 0: no memory. */
static bool add_directory(struct backend_context *context, const char *path,
                          struct believers *believers)
{
    DIR *directory = opendir(path);
    if (directory == NULL)
        return false;
    errno = 0;
    for (const struct dirent *entry = readdir(directory); entry != NULL && !believers->failed;
         entry = readdir(directory)) {
        char file[PATH_BYTES];
        int length = snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        if (is_hashed(entry->d_name) && length < (int)sizeof(file))
            add_file(context, file, believers);
    }
    closedir(directory);
    errno = 0;
    return !believers->failed;
}

static bool add_directories(struct backend_context *context, const struct settings_names *names,
                            struct believers *believers, struct tunnel_error *error)
{
    for (size_t i = 0; i < names->count; i++) {
        const struct settings_name *name = &names->list[i];
        size_t before = believers->count;
        if (!add_directory(context, name->text, believers)) {
            if (errno == 0)
                return not_taken(name->where, error);
            return failure(error, TUNNEL_CONFIGURATION, "%s: the directory %s cannot be read: %s",
                           name->where, name->text, strerror(errno)) == TUNNEL_OK;
        }
        if (believers->count == before)
            return failure(error, TUNNEL_CONFIGURATION,
                           "%s: no certificate in %s has a hashed name such as 8d86cdd1.0: run "
                           "`openssl rehash %s`",
                           name->where, name->text, name->text) == TUNNEL_OK;
    }
    return true;
}

/* Not SSL_CTX_set_default_verify_paths, which asks the environment. */
static bool add_system(struct backend_context *context, struct believers *believers,
                       struct tunnel_error *error)
{
    const char *file = X509_get_default_cert_file(), *directory = X509_get_default_cert_dir();
    size_t before = believers->count;
    if (X509_STORE_load_file_ex(believers->store, file, context->library, NULL) == 1)
        believers->count++;
    openssl_forget_errors();
    if (!add_directory(context, directory, believers) && errno == 0)
        return not_taken(directory, error);
    if (believers->count == before)
        return failure(error, TUNNEL_CONFIGURATION,
                       "system_store: there is no CA in %s or %s: install the package "
                       "ca-certificates, or name the CAs in trusted_cas",
                       file, directory) == TUNNEL_OK;
    return true;
}

/* ---- what tells one trust from another ---- */

static bool digest_bytes(EVP_MD_CTX *digest, const void *bytes, size_t length)
{
    return EVP_DigestUpdate(digest, &length, sizeof(length)) == 1 &&
           EVP_DigestUpdate(digest, bytes, length) == 1;
}

static bool digest_objects(EVP_MD_CTX *digest, const struct settings_objects *objects)
{
    bool done = digest_bytes(digest, &objects->count, sizeof(objects->count));
    for (size_t i = 0; done && i < objects->count; i++)
        done = digest_bytes(digest, objects->list[i].bytes, objects->list[i].length);
    return done;
}

static bool digest_settings(EVP_MD_CTX *digest, const struct settings *settings)
{
    const uint8_t flags[] = {settings->empty_verifier, settings->system_store};
    bool done = digest_objects(digest, &settings->trusted) &&
                digest_objects(digest, &settings->certificates) &&
                digest_bytes(digest, flags, sizeof(flags)) &&
                digest_bytes(digest, &settings->verify_depth, sizeof(settings->verify_depth));
    const struct settings_names *directories = &settings->trusted_directories;
    for (size_t i = 0; done && i < directories->count; i++)
        done = digest_bytes(digest, directories->list[i].text, strlen(directories->list[i].text));
    return done;
}

static bool digest(struct backend_context *context, const struct settings *settings)
{
    EVP_MD *sha256 = EVP_MD_fetch(context->library, "SHA2-256", NULL);
    EVP_MD_CTX *state = EVP_MD_CTX_new();
    bool done = sha256 != NULL && state != NULL && EVP_DigestInit_ex(state, sha256, NULL) == 1 &&
                digest_settings(state, settings) &&
                EVP_DigestFinal_ex(state, context->trust, NULL) == 1;
    EVP_MD_CTX_free(state);
    EVP_MD_free(sha256);
    return done;
}

bool openssl_trust_set(struct backend_context *context, const struct settings *settings,
                       struct tunnel_error *error)
{
    struct believers believers = {.store = SSL_CTX_get_cert_store(context->ssl)};
    if (!digest(context, settings))
        return openssl_refuse(error, TUNNEL_INTERNAL, "OpenSSL", "SHA-256 fails") == TUNNEL_OK;
    if (!add_objects(context, &settings->trusted, &believers, error) ||
        !add_directories(context, &settings->trusted_directories, &believers, error) ||
        (settings->system_store && !add_system(context, &believers, error)))
        return false;
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(context->ssl);
    X509_VERIFY_PARAM_set_depth(param, (int)settings->verify_depth);
    /* What is trusted is so by itself, be it a root or not. */
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
    return true;
}
