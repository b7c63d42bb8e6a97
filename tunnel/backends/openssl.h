/*
 * What the files of the OpenSSL backend share. Nothing here is global: each context has an
 * OSSL_LIB_CTX, with providers, random numbers and fetched algorithms of its own.
 *
 * Each takes two of the 1,024 thread-specific keys of a process (pthread_key_create(3)): it can
 * have about 500 contexts at a time.
 */
#ifndef TUNNEL_BACKENDS_OPENSSL_H
#define TUNNEL_BACKENDS_OPENSSL_H

#include <openssl/bio.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>

#include "tunnel/backends/backend.h"

enum {
    OPENSSL_TRUST_BYTES = 32, /* a SHA-256 */
    OPENSSL_NAME_BYTES = 256,
    OPENSSL_NAMES_BYTES = 512,
    OPENSSL_PROTOCOL_BYTES = 256, /* an ALPN name and its zero */
};

struct backend_context {
    OSSL_LIB_CTX *library;
    OSSL_PROVIDER **providers; /* as they were loaded; the last one is "default" */
    size_t provider_count;
    BIO_METHOD *transport;
    SSL_CTX *ssl;
    bool server;
    bool session_tickets;
    uint8_t *alpn; /* as in the extension: each with its length in front */
    unsigned alpn_length;
    int key_log; /* a descriptor; -1: none */
    /* Of whom is believed and who we are: a session is only resumed where both are the same. */
    uint8_t trust[OPENSSL_TRUST_BYTES];
};

/* What was wrong with the peer's certificate. */
struct openssl_doubt {
    int code;                         /* X509_V_…; X509_V_OK: nothing */
    char subject[OPENSSL_NAME_BYTES]; /* of the certificate that it is about */
    char issuer[OPENSSL_NAME_BYTES];
    char time[OPENSSL_NAME_BYTES];   /* when it expired, or begins */
    char names[OPENSSL_NAMES_BYTES]; /* what the peer's certificate is for */
};

struct backend_session {
    struct backend_context *context;
    SSL *ssl;
    struct backend_transport transport;
    enum tunnel_result transport_said; /* last */
    bool verify;
    char **names; /* ends with NULL; or NULL */
    char *expected_alpn;
    bool done; /* the handshake */
    bool close_sent;
    size_t unsent;           /* length of a write whose record has been taken in part */
    enum tunnel_result over; /* why nothing goes any more; OK: it does */
    struct openssl_doubt doubt;
    /* For struct tunnel_info. */
    char alpn[OPENSSL_PROTOCOL_BYTES];
    uint8_t *certificate;
    size_t certificate_length;
};

/* ---- openssl_errors.c ---- */

/* Before and after whatever may leave errors in this thread's queue. */
void openssl_forget_errors(void);
/*
 * After a call that used random numbers: gives back what the library keeps for this thread, which
 * would otherwise be looked for when the thread ends, though the context may be gone by then
 * (OPENSSL_thread_stop_ex(3)).
 */
void openssl_leave(struct backend_context *context);
/* What the queue says first, in one line; "no reason given" if nothing. Empties it. */
void openssl_reason(char *text, size_t capacity);
/* MEMORY if that is what the queue says, else `result`: with "<where>: <what>: <reason>". */
enum tunnel_result openssl_refuse(struct tunnel_error *error, enum tunnel_result result,
                                  const char *where, const char *what);
/* Whatever SSL_… returned `returned` (<= 0) for. */
enum tunnel_result openssl_failed(struct backend_session *session, int returned,
                                  struct tunnel_error *error);

/* Adds "<separator><name>" to a list, or "<name>" if it is empty; what does not fit is cut. */
void openssl_list_add(char *list, size_t capacity, const char *separator, const char *name);

/* ---- openssl_providers.c ---- */

bool openssl_providers_load(struct backend_context *context, const struct settings_names *names,
                            struct tunnel_error *error);
void openssl_providers_unload(struct backend_context *context);
/* "oqsprovider, default" */
void openssl_providers_list(const struct backend_context *context, char *text, size_t capacity);

/* ---- openssl_groups.c, openssl_suites.c: both set what is configured, and know what there is ----
 */

bool openssl_groups_set(struct backend_context *context, const struct settings *settings,
                        struct tunnel_error *error);
/* The usual name of what was agreed upon, or NULL. */
const char *openssl_group_name(SSL *ssl);
bool openssl_suites_set(struct backend_context *context, const struct settings *settings,
                        struct tunnel_error *error);

/* ---- openssl_identity.c, openssl_trust.c ---- */

/* Each certificate of `object` is given to `take`, which may keep it by X509_up_ref, until it
 * returns false. */
struct openssl_taker {
    bool (*take)(void *owner, X509 *certificate);
    void *owner;
};
bool openssl_certificates_read(struct backend_context *context,
                               const struct settings_object *object,
                               const struct openssl_taker *taker, struct tunnel_error *error);
bool openssl_identity_set(struct backend_context *context, const struct settings *settings,
                          struct tunnel_error *error);
bool openssl_trust_set(struct backend_context *context, const struct settings *settings,
                       struct tunnel_error *error);

/* ---- openssl_verify.c ---- */

/* An app_verify_callback of SSL_CTX_set_cert_verify_callback. */
int openssl_verify(X509_STORE_CTX *store, void *unused);
/* What a resumption leaves out: is the certificate, shown when the session began, one that is still
 * valid and for one of the names, as far as that is asked for? */
bool openssl_verify_again(const struct backend_session *session, X509 *certificate);
/* What `session->doubt` is about. */
enum tunnel_result openssl_doubted(const struct backend_session *session,
                                   struct tunnel_error *error);

/* ---- openssl_transport.c ---- */

/* NULL: no memory. */
BIO_METHOD *openssl_transport_method(void);
/* Lets the session's SSL speak over its transport. False: no memory. */
bool openssl_transport_attach(struct backend_session *session);

/* ---- openssl_context.c ---- */

void openssl_implementation(char name[static BACKEND_NAME_BYTES]);
struct backend_context *openssl_context_create(const struct settings *settings,
                                               struct tunnel_error *error);
void openssl_context_destroy(struct backend_context *context);

/* ---- openssl_resumption.c ---- */

/* Offers it, if it is for the same trust and for a peer that may be this one; else there is a full
 * handshake. False, with `error`: it is none of OpenSSL's, or no memory. */
bool openssl_resumption_use(struct backend_session *session, const struct backend_peer *peer,
                            struct tunnel_error *error);
uint8_t *openssl_resumption(struct backend_session *session, size_t *length);

#endif
