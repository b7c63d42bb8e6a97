/* What libssl says, as tunnel_results with a text that says what to do. */
#include "tunnel/backends/openssl.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "tunnel/backends/alert.h"
#include "tunnel/failure.h"

enum { REASON_BYTES = 512 };

void openssl_forget_errors(void)
{
    ERR_clear_error();
}

void openssl_leave(struct backend_context *context)
{
    ERR_clear_error();
    OPENSSL_thread_stop_ex(context->library);
}

void openssl_reason(char *text, size_t capacity)
{
    const char *data = NULL;
    int flags = 0;
    unsigned long code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags);
    const char *reason = ERR_reason_error_string(code);
    bool more = (flags & ERR_TXT_STRING) != 0 && data != NULL && data[0] != 0;
    snprintf(text, capacity, "%s%s%s", reason == NULL ? "no reason given" : reason,
             more ? ": " : "", more ? data : "");
    ERR_clear_error();
}

static bool out_of_memory(void)
{
    return ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE ||
           ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
}

enum tunnel_result openssl_refuse(struct tunnel_error *error, enum tunnel_result result,
                                  const char *where, const char *what)
{
    bool no_memory = out_of_memory();
    char reason[REASON_BYTES];
    openssl_reason(reason, sizeof(reason));
    return failure(error, no_memory ? TUNNEL_MEMORY : result, "%s: %s: %s", where, what, reason);
}

void openssl_list_add(char *list, size_t capacity, const char *separator, const char *name)
{
    size_t used = strlen(list);
    snprintf(list + used, capacity - used, "%s%s", used == 0 ? "" : separator, name);
}

/* ---- of a session ---- */

static bool share_a_suite(const SSL *ssl)
{
    STACK_OF(SSL_CIPHER) *theirs = SSL_get_client_ciphers(ssl), *ours = SSL_get_ciphers(ssl);
    for (int i = 0; theirs != NULL && i < sk_SSL_CIPHER_num(theirs); i++)
        if (sk_SSL_CIPHER_find(ours, sk_SSL_CIPHER_value(theirs, i)) >= 0)
            return true;
    return false;
}

/* To TLS 1.2 suites for which there is no group, or no certificate, are not shared ones. */
static enum tunnel_result no_suite(SSL *ssl, struct tunnel_error *error)
{
    if (!share_a_suite(ssl))
        return failure(error, TUNNEL_NO_COMMON_CIPHER,
                       "the client offers no cipher suite that is allowed here: allow one of its, "
                       "or none by name for the usual ones");
    if (SSL_get_shared_group(ssl, -1) == 0)
        return failure(error, TUNNEL_NO_COMMON_GROUP,
                       "the client offers no key exchange group that is allowed here: allow one of "
                       "its (X25519 and P-256 are the usual ones)");
    return failure(error, TUNNEL_NO_COMMON_CIPHER,
                   "the cipher suites that both sides allow need another kind of certificate or "
                   "signature: allow those for this one (ECDHE_RSA or ECDHE_ECDSA)");
}

static enum tunnel_result unlike_tls(struct tunnel_error *error)
{
    return failure(error, TUNNEL_PROTOCOL,
                   "what came is not TLS: does the peer speak TLS on this port, and at once?");
}

static enum tunnel_result by_reason(struct backend_session *session, int reason,
                                    struct tunnel_error *error)
{
    switch (reason) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return openssl_doubted(session, error);
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return failure(error, TUNNEL_NO_CERTIFICATE,
                       "the client showed no certificate: give it one (identity), or ask for none "
                       "(client_authentication)");
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_UNSUPPORTED_SSL_VERSION:
    case SSL_R_UNKNOWN_SSL_VERSION:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_INAPPROPRIATE_FALLBACK:
        return failure(error, TUNNEL_NO_COMMON_VERSION,
                       "the peer speaks no version of TLS that is allowed here: let it speak TLS "
                       "1.2 or 1.3, or widen lowest_supported_version and "
                       "highest_supported_version");
    case SSL_R_NO_SHARED_CIPHER: return no_suite(session->ssl, error);
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_DH_KEY_TOO_SMALL:
        return failure(error, TUNNEL_NO_COMMON_GROUP,
                       "the peer has no key exchange group that is allowed here: allow one of its "
                       "(X25519 and P-256 are the usual ones)");
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return failure(error, TUNNEL_NO_COMMON_ALPN,
                       "the client offers none of the protocols of alpn_protocols: add one of its, "
                       "or leave them all out");
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        return failure(error, TUNNEL_NO_COMMON_GROUND,
                       "the peer knows no signature that our certificate's key can make: use a "
                       "certificate with an RSA or P-256 key");
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST: return unlike_tls(error);
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_BAD_RECORD_TYPE:
        return failure(error, TUNNEL_PROTOCOL,
                       "a record was changed on its way, or is not of this connection");
    default: return TUNNEL_OK;
    }
}

/* libssl's own words: a provider that could not decrypt has spoken before it. Empties the queue. */
static unsigned long own_words(char *text, size_t capacity)
{
    unsigned long code = ERR_peek_error();
    while (code != 0 && ERR_GET_LIB(code) != ERR_LIB_SSL) {
        ERR_get_error();
        code = ERR_peek_error();
    }
    openssl_reason(text, capacity);
    return code;
}

static enum tunnel_result by_queue(struct backend_session *session, struct tunnel_error *error)
{
    char text[REASON_BYTES];
    if (out_of_memory())
        return failure(error, TUNNEL_MEMORY, "no memory for TLS");
    unsigned long code = own_words(text, sizeof(text));
    int reason = ERR_GET_REASON(code);
    if (code == 0 || reason == ERR_R_INTERNAL_ERROR)
        return failure(error, TUNNEL_INTERNAL, "OpenSSL failed: %s", text);
    if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + UINT8_MAX)
        return alert_failure(error, (uint8_t)(reason - SSL_AD_REASON_OFFSET));
    enum tunnel_result known = by_reason(session, reason, error);
    return known != TUNNEL_OK
               ? known
               : failure(error, TUNNEL_PROTOCOL, "the peer breaks the rules of TLS: %s", text);
}

static enum tunnel_result ragged(const struct backend_session *session, struct tunnel_error *error)
{
    return failure(error, TUNNEL_RAGGED_EOF, "%s",
                   session->done
                       ? "the peer vanished without close_notify: what came may be cut short"
                       : "the peer closed the connection in the middle of the handshake: its log "
                         "may say why");
}

enum tunnel_result openssl_failed(struct backend_session *session, int returned,
                                  struct tunnel_error *error)
{
    enum tunnel_result said = session->transport_said;
    switch (SSL_get_error(session->ssl, returned)) {
    case SSL_ERROR_WANT_READ:
        return said == TUNNEL_WANT_WRITE ? TUNNEL_WANT_WRITE : TUNNEL_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return said == TUNNEL_WANT_READ ? TUNNEL_WANT_READ : TUNNEL_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN: return TUNNEL_CLOSED;
    case SSL_ERROR_SYSCALL:
        if (said == TUNNEL_CLOSED)
            return ragged(session, error);
        if (tunnel_result_is_error(said))
            return session->over = said;
        return session->over = failure(error, TUNNEL_INTERNAL, "OpenSSL failed without a reason");
    default: return session->over = by_queue(session, error);
    }
}
