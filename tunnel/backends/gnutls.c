/* The calls of a session with GnuTLS; its parts are in gnutls_*.c. */
#include <stdio.h>
#include <string.h>

#include "tunnel/backends/alert.h"
#include "tunnel/backends/gnutls_internal.h"
#include "tunnel/failure.h"

static void implementation(char name[static BACKEND_NAME_BYTES])
{
    snprintf(name, BACKEND_NAME_BYTES, "GnuTLS %s", gnutls_check_version(NULL));
}

/*
 * Is the same call due once more, now? GnuTLS says "again" also where it has dealt with something
 * of its own, a ticket for instance, and for alerts that are mere warnings.
 */
static bool goes_on(struct backend_session *s, int code)
{
    bool again = code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED;
    if (again && s->waiting != TUNNEL_OK)
        return false;
    s->waiting = TUNNEL_OK;
    return again || code == GNUTLS_E_WARNING_ALERT_RECEIVED;
}

static enum tunnel_result ended(struct backend_session *s, int code, struct tunnel_error *error)
{
    if (code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED)
        return s->waiting;
    return backend_gnutls_failure(s, code, error);
}

/* ---- handshake ---- */

/* What is resumed was verified for another tunnel, which may have asked for other names. */
static enum tunnel_result verify_resumed(struct backend_session *s, struct tunnel_error *error)
{
    unsigned count = 0;
    if (!s->verify || !gnutls_session_is_resumed(s->tls))
        return TUNNEL_OK;
    bool shown = gnutls_certificate_get_peers(s->tls, &count) != NULL && count > 0;
    if (!shown && backend_gnutls_may_do_without(s))
        return TUNNEL_OK;
    return backend_gnutls_verify(s, error);
}

static enum tunnel_result check_alpn(struct backend_session *s, struct tunnel_error *error)
{
    gnutls_datum_t agreed = {NULL, 0};
    if (s->expected_alpn == NULL)
        return TUNNEL_OK;
    (void)gnutls_alpn_get_selected_protocol(s->tls, &agreed);
    if (agreed.size == strlen(s->expected_alpn) &&
        memcmp(agreed.data, s->expected_alpn, agreed.size) == 0)
        return TUNNEL_OK;
    return failure(error, TUNNEL_NO_COMMON_ALPN,
                   "the peer agreed to %s%.*s%s, not to \"%s\": see alpn_protocols at both ends",
                   agreed.size > 0 ? "\"" : "no protocol", (int)agreed.size,
                   agreed.size > 0 ? (const char *)agreed.data : "", agreed.size > 0 ? "\"" : "",
                   s->expected_alpn);
}

static enum tunnel_result check_agreed(struct backend_session *s, struct tunnel_error *error)
{
    enum tunnel_result result = verify_resumed(s, error);
    if (result == TUNNEL_OK)
        result = check_alpn(s, error);
    if (result != TUNNEL_OK)
        backend_gnutls_tell_failure(s, result);
    return result;
}

static enum tunnel_result handshake(struct backend_session *s, struct tunnel_error *error)
{
    int code;
    s->waiting = TUNNEL_OK;
    do
        code = gnutls_handshake(s->tls);
    while (goes_on(s, code));
    if (code != GNUTLS_E_SUCCESS)
        return ended(s, code, error);
    s->agreed = true;
    return check_agreed(s, error);
}

/* ---- bytes ---- */

/* The rest of an alert must have gone before anything else is sent. */
static int settle_refusal(struct backend_session *s)
{
    if (!s->owes_refusal)
        return GNUTLS_E_SUCCESS;
    int code = gnutls_alert_send(s->tls, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
    s->owes_refusal = code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED;
    return s->owes_refusal ? GNUTLS_E_AGAIN : code;
}

/* Not in the middle of a write: GnuTLS would take the one for the other. The peer learns nothing
 * then. */
static void refuse_renegotiation(struct backend_session *s)
{
    s->owes_refusal |= s->unsent == 0;
    (void)settle_refusal(s);
    s->waiting = TUNNEL_OK;
}

static enum tunnel_result read_bytes(struct backend_session *s, void *buffer, size_t capacity,
                                     size_t *got, struct tunnel_error *error)
{
    ssize_t count;
    s->waiting = TUNNEL_OK;
    do {
        count = gnutls_record_recv(s->tls, buffer, capacity);
        if (count == GNUTLS_E_REHANDSHAKE)
            refuse_renegotiation(s);
    } while (count == GNUTLS_E_REHANDSHAKE || goes_on(s, (int)count));
    if (count == 0)
        return TUNNEL_CLOSED;
    if (count < 0)
        return ended(s, (int)count, error);
    *got = (size_t)count;
    return TUNNEL_OK;
}

static enum tunnel_result write_bytes(struct backend_session *s, const void *data, size_t length,
                                      size_t *taken, struct tunnel_error *error)
{
    if (length < s->unsent)
        return failure(error, TUNNEL_MISUSE,
                       "after WANT_WRITE the same bytes must be offered again, not fewer");
    s->waiting = TUNNEL_OK;
    ssize_t count = settle_refusal(s);
    if (count >= 0) {
        size_t most = s->unsent > 0 ? s->unsent : gnutls_record_get_max_size(s->tls);
        size_t now = length < most ? length : most;
        do
            count = gnutls_record_send(s->tls, data, now);
        while (goes_on(s, (int)count));
        s->unsent = count < 0 ? now : 0;
    }
    if (count < 0)
        return ended(s, (int)count, error);
    *taken = (size_t)count;
    return TUNNEL_OK;
}

static enum tunnel_result say_close(struct backend_session *s, struct tunnel_error *error)
{
    int code;
    if (s->said_close)
        return TUNNEL_OK;
    s->waiting = TUNNEL_OK;
    do
        code = gnutls_bye(s->tls, GNUTLS_SHUT_WR);
    while (goes_on(s, code));
    if (code < 0)
        return ended(s, code, error);
    s->said_close = true;
    return TUNNEL_OK;
}

static size_t pending(const struct backend_session *s)
{
    return gnutls_record_check_pending(s->tls);
}

const struct backend backend_gnutls = {
    .implementation = implementation,
    .context_create = backend_gnutls_context_create,
    .context_destroy = backend_gnutls_context_destroy,
    .session_create = backend_gnutls_session_create,
    .session_destroy = backend_gnutls_session_destroy,
    .handshake = handshake,
    .read = read_bytes,
    .write = write_bytes,
    .close = say_close,
    .pending = pending,
    .info = backend_gnutls_session_info,
    .resumption = backend_gnutls_session_resumption,
};
