/* A session: one connection's SSL. */
#include "tunnel/backends/openssl.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/backends/alert.h"
#include "tunnel/backends/names.h"
#include "tunnel/failure.h"

/* ---- making and ending ---- */

static bool copy_peer(struct backend_session *session, const struct backend_peer *peer)
{
    session->verify = peer->verify;
    if (peer->expected_alpn != NULL &&
        (session->expected_alpn = strdup(peer->expected_alpn)) == NULL)
        return false;
    return names_copy(&session->names, peer->names);
}

static bool set_up(struct backend_session *session, const struct backend_peer *peer)
{
    session->ssl = SSL_new(session->context->ssl);
    if (session->ssl == NULL || !openssl_transport_attach(session) ||
        SSL_set_app_data(session->ssl, session) != 1)
        return false;
    if (session->context->server)
        SSL_set_accept_state(session->ssl);
    else
        SSL_set_connect_state(session->ssl);
    if (peer->server_name == NULL)
        return true;
    /* SSL_set_tlsext_host_name, whose cast clang does not like; the name is copied. */
    void *name = (void *)(uintptr_t)peer->server_name;
    return SSL_ctrl(session->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) ==
           1;
}

static bool begin(struct backend_session *session, const struct backend_peer *peer,
                  struct tunnel_error *error)
{
    if (!copy_peer(session, peer))
        return failure(error, TUNNEL_MEMORY, "no memory for a tunnel") == TUNNEL_OK;
    if (!set_up(session, peer))
        return openssl_refuse(error, TUNNEL_INTERNAL, "OpenSSL", "a tunnel cannot be made") ==
               TUNNEL_OK;
    return openssl_resumption_use(session, peer, error);
}

static void destroy(struct backend_session *session)
{
    if (session == NULL)
        return;
    openssl_forget_errors();
    SSL_free(session->ssl);
    openssl_leave(session->context);
    names_free(session->names);
    free(session->expected_alpn);
    OPENSSL_free(session->certificate);
    free(session);
}

static struct backend_session *create(struct backend_context *context,
                                      const struct backend_peer *peer,
                                      const struct backend_transport *transport,
                                      struct tunnel_error *error)
{
    openssl_forget_errors();
    struct backend_session *session = calloc(1, sizeof(*session));
    if (session == NULL) {
        failure(error, TUNNEL_MEMORY, "no memory for a tunnel");
        return NULL;
    }
    session->context = context;
    session->transport = *transport;
    if (begin(session, peer, error)) {
        openssl_leave(context);
        return session;
    }
    destroy(session);
    return NULL;
}

/* ---- calls ---- */

/* After a fatal failure libssl must not be called again (SSL_get_error(3)). */
static bool is_over(const struct backend_session *session, struct tunnel_error *error)
{
    if (session->over == TUNNEL_OK)
        return false;
    failure(error, session->over, "the connection has failed before");
    return true;
}

static bool is_tls12(const struct backend_session *session)
{
    return SSL_version(session->ssl) < TLS1_3_VERSION;
}

/* In front of each call. */
static void enter(struct backend_session *session)
{
    openssl_forget_errors();
    session->transport_said = TUNNEL_OK;
}

/* Behind each read and write: they draw random numbers for TLS 1.2's CBC suites alone. */
static enum tunnel_result leave(struct backend_session *session, enum tunnel_result result)
{
    if (is_tls12(session))
        openssl_leave(session->context);
    else
        openssl_forget_errors();
    return result;
}

static enum tunnel_result check_alpn(struct backend_session *session, struct tunnel_error *error)
{
    const unsigned char *name = NULL;
    unsigned length = 0;
    SSL_get0_alpn_selected(session->ssl, &name, &length);
    if (length > 0 && length < sizeof(session->alpn))
        memcpy(session->alpn, name, length);
    session->alpn[length] = 0;
    const char *expected = session->expected_alpn;
    if (expected == NULL || strcmp(expected, session->alpn) == 0)
        return TUNNEL_OK;
    return failure(error, TUNNEL_NO_COMMON_ALPN,
                   "the protocol \"%s\" is expected, and %s%s%s was agreed upon: both sides "
                   "must have it in alpn_protocols",
                   expected, length > 0 ? "\"" : "", length > 0 ? session->alpn : "none",
                   length > 0 ? "\"" : "");
}

/* A server's ticket may come from a tunnel that had other names. */
static enum tunnel_result check_resumed(struct backend_session *session, struct tunnel_error *error)
{
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    if (SSL_session_reused(session->ssl) != 1 || certificate == NULL ||
        openssl_verify_again(session, certificate))
        return TUNNEL_OK;
    return failure(error, TUNNEL_NAME_MISMATCH,
                   "the session that the peer resumes began with a certificate that is not for the "
                   "names asked for, or has expired: it must begin anew");
}

static enum tunnel_result agreed(struct backend_session *session, struct tunnel_error *error)
{
    enum tunnel_result result = check_resumed(session, error);
    if (result == TUNNEL_OK)
        result = check_alpn(session, error);
    session->done = result == TUNNEL_OK;
    return session->over = result;
}

static enum tunnel_result not_agreed(struct backend_session *session, int returned,
                                     struct tunnel_error *error)
{
    enum tunnel_result result = openssl_failed(session, returned, error);
    if (result != TUNNEL_CLOSED)
        return result;
    return session->over = alert_failure(error, SSL_AD_CLOSE_NOTIFY);
}

static enum tunnel_result handshake(struct backend_session *session, struct tunnel_error *error)
{
    if (session->done || is_over(session, error))
        return session->over;
    enter(session);
    int returned = SSL_do_handshake(session->ssl);
    enum tunnel_result result =
        returned == 1 ? agreed(session, error) : not_agreed(session, returned, error);
    openssl_leave(session->context);
    return result;
}

/* Read and write do it first if need be: what it verifies is not left out by any order of calls. */
static enum tunnel_result ready(struct backend_session *session, struct tunnel_error *error)
{
    return session->done && session->over == TUNNEL_OK ? TUNNEL_OK : handshake(session, error);
}

static enum tunnel_result read_bytes(struct backend_session *session, void *buffer, size_t capacity,
                                     size_t *got, struct tunnel_error *error)
{
    enum tunnel_result result = ready(session, error);
    if (result != TUNNEL_OK)
        return result;
    enter(session);
    int returned = SSL_read_ex(session->ssl, buffer, capacity, got);
    return leave(session, returned == 1 ? TUNNEL_OK : openssl_failed(session, returned, error));
}

/* One record at a time, so that what is left of one is known by the length it had. */
static enum tunnel_result write_record(struct backend_session *session, const void *data,
                                       size_t length, size_t *taken, struct tunnel_error *error)
{
    enter(session);
    if (length > SSL3_RT_MAX_PLAIN_LENGTH)
        length = SSL3_RT_MAX_PLAIN_LENGTH;
    if (session->unsent > length)
        return failure(error, TUNNEL_MISUSE,
                       "after WANT_WRITE the same bytes must be offered again, not fewer");
    if (session->unsent > 0)
        length = session->unsent;
    int returned = SSL_write_ex(session->ssl, data, length, taken);
    enum tunnel_result result =
        returned == 1 ? TUNNEL_OK : openssl_failed(session, returned, error);
    bool want = result == TUNNEL_WANT_READ || result == TUNNEL_WANT_WRITE;
    session->unsent = want ? length : 0;
    return leave(session, result);
}

static enum tunnel_result write_bytes(struct backend_session *session, const void *data,
                                      size_t length, size_t *taken, struct tunnel_error *error)
{
    enum tunnel_result result = ready(session, error);
    return result != TUNNEL_OK ? result : write_record(session, data, length, taken, error);
}

/* The rest of a record that the transport took in part: without it the peer could read nothing that
 * follows. It is encrypted already; only the length counts. */
static enum tunnel_result finish_record(struct backend_session *session, struct tunnel_error *error)
{
    static const uint8_t unread[SSL3_RT_MAX_PLAIN_LENGTH];
    size_t taken = 0;
    if (session->unsent == 0)
        return TUNNEL_OK;
    return write_record(session, unread, session->unsent, &taken, error);
}

static enum tunnel_result close_session(struct backend_session *session, struct tunnel_error *error)
{
    if (session->close_sent || is_over(session, error))
        return session->over;
    if (!session->done)
        return failure(error, TUNNEL_MISUSE, "the handshake is not over yet");
    enum tunnel_result result = finish_record(session, error);
    if (result != TUNNEL_OK)
        return result;
    enter(session);
    int returned = SSL_shutdown(session->ssl);
    result = returned >= 0 ? TUNNEL_OK : openssl_failed(session, returned, error);
    session->close_sent = result == TUNNEL_OK;
    return leave(session, result);
}

static size_t pending(const struct backend_session *session)
{
    return (size_t)SSL_pending(session->ssl);
}

/* ---- what is known ---- */

static void keep_certificate(struct backend_session *session)
{
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    if (certificate == NULL || session->certificate != NULL)
        return;
    int length = i2d_X509(certificate, &session->certificate);
    session->certificate_length = length > 0 ? (size_t)length : 0;
}

static void info(struct backend_session *session, struct tunnel_info *about)
{
    *about = (struct tunnel_info){0};
    if (!session->done)
        return;
    openssl_forget_errors();
    keep_certificate(session);
    const SSL_CIPHER *cipher = SSL_get_current_cipher(session->ssl);
    *about = (struct tunnel_info){
        .version = SSL_get_version(session->ssl),
        .cipher = SSL_CIPHER_standard_name(cipher),
        .cipher_number = SSL_CIPHER_get_protocol_id(cipher),
        .group = openssl_group_name(session->ssl),
        .alpn = session->alpn[0] == 0 ? NULL : session->alpn,
        .server_name = session->context->server
                           ? SSL_get_servername(session->ssl, TLSEXT_NAMETYPE_host_name)
                           : NULL,
        .resumed = SSL_session_reused(session->ssl) == 1,
        .peer_certificate = session->certificate,
        .peer_certificate_length = session->certificate_length,
    };
    openssl_forget_errors();
}

const struct backend backend_openssl = {
    .implementation = openssl_implementation,
    .context_create = openssl_context_create,
    .context_destroy = openssl_context_destroy,
    .session_create = create,
    .session_destroy = destroy,
    .handshake = handshake,
    .read = read_bytes,
    .write = write_bytes,
    .close = close_session,
    .pending = pending,
    .info = info,
    .resumption = openssl_resumption,
};
