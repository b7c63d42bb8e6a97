#include "tunnel/backends/alert.h"
#include "tunnel/backends/gnutls_internal.h"
#include "tunnel/failure.h"

static enum tunnel_result not_tls(const struct backend_session *s, struct tunnel_error *error)
{
    return failure(
        error, TUNNEL_PROTOCOL,
        s->context->server
            ? "what came is not TLS: the client speaks another protocol, or in plain"
            : "what came is not TLS: is it the right port, or one that wants STARTTLS first?");
}

static enum tunnel_result result_of(int code)
{
    switch (code) {
    case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
    case GNUTLS_E_INAPPROPRIATE_FALLBACK: return TUNNEL_NO_COMMON_VERSION;
    case GNUTLS_E_NO_CIPHER_SUITES:
    case GNUTLS_E_UNKNOWN_CIPHER_SUITE: return TUNNEL_NO_COMMON_CIPHER;
    case GNUTLS_E_NO_COMMON_KEY_SHARE:
    case GNUTLS_E_ECC_NO_SUPPORTED_CURVES:
    case GNUTLS_E_ECC_UNSUPPORTED_CURVE: return TUNNEL_NO_COMMON_GROUP;
    case GNUTLS_E_NO_APPLICATION_PROTOCOL: return TUNNEL_NO_COMMON_ALPN;
    case GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM:
    case GNUTLS_E_INSUFFICIENT_CREDENTIALS:
    case GNUTLS_E_UNWANTED_ALGORITHM:
    case GNUTLS_E_INCOMPATIBLE_SIG_WITH_KEY: return TUNNEL_NO_COMMON_GROUND;
    case GNUTLS_E_CERTIFICATE_REQUIRED:
    case GNUTLS_E_NO_CERTIFICATE_FOUND: return TUNNEL_NO_CERTIFICATE;
    case GNUTLS_E_CERTIFICATE_ERROR:
    case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
    case GNUTLS_E_UNSUPPORTED_CERTIFICATE_TYPE:
    case GNUTLS_E_ASN1_DER_ERROR:
    case GNUTLS_E_ASN1_TAG_ERROR:
    case GNUTLS_E_KEY_USAGE_VIOLATION:
    case GNUTLS_E_PK_INVALID_PUBKEY: return TUNNEL_BAD_CERTIFICATE;
    case GNUTLS_E_PREMATURE_TERMINATION: return TUNNEL_RAGGED_EOF;
    case GNUTLS_E_MEMORY_ERROR: return TUNNEL_MEMORY;
    case GNUTLS_E_INTERNAL_ERROR:
    case GNUTLS_E_LIB_IN_ERROR_STATE:
    case GNUTLS_E_RANDOM_FAILED:
    case GNUTLS_E_RANDOM_DEVICE_ERROR:
    case GNUTLS_E_INVALID_SESSION: return TUNNEL_INTERNAL;
    default: return TUNNEL_PROTOCOL;
    }
}

static const char *advice(enum tunnel_result result)
{
    switch (result) {
    case TUNNEL_NO_COMMON_VERSION:
        return "the peer speaks no TLS version that is allowed here: see tls12 and tls13";
    case TUNNEL_NO_COMMON_CIPHER:
        return "no cipher suite in common, or none that goes with the certificate and the groups: "
               "see ciphersuite "
               "at both ends";
    case TUNNEL_NO_COMMON_GROUP: return "no key exchange group in common: see ke at both ends";
    case TUNNEL_NO_COMMON_ALPN:
        return "no application protocol in common: see alpn_protocols at both ends";
    case TUNNEL_NO_COMMON_GROUND:
        return "no signature in common that goes with a certificate: see identity at both ends";
    case TUNNEL_NO_CERTIFICATE:
        return "the peer showed no certificate, and one is needed: give it one, or see "
               "client_authentication";
    case TUNNEL_BAD_CERTIFICATE:
        return "the peer's certificate is malformed or unfit for TLS: replace it";
    case TUNNEL_RAGGED_EOF: return "the peer vanished without close_notify";
    case TUNNEL_MEMORY: return "out of memory";
    case TUNNEL_INTERNAL: return "GnuTLS failed for a reason of its own";
    default: return "what came breaks the rules of TLS";
    }
}

static void send_alert(struct backend_session *s, gnutls_alert_description_t description)
{
    (void)gnutls_alert_send(s->tls, GNUTLS_AL_FATAL, description);
}

void backend_gnutls_tell_failure(struct backend_session *s, enum tunnel_result result)
{
    switch (result) {
    case TUNNEL_SELF_SIGNED:
    case TUNNEL_UNKNOWN_CA:
    case TUNNEL_UNTRUSTED_ROOT: send_alert(s, GNUTLS_A_UNKNOWN_CA); break;
    case TUNNEL_EXPIRED: send_alert(s, GNUTLS_A_CERTIFICATE_EXPIRED); break;
    case TUNNEL_REVOKED: send_alert(s, GNUTLS_A_CERTIFICATE_REVOKED); break;
    case TUNNEL_NAME_MISMATCH:
    case TUNNEL_NOT_YET_VALID:
    case TUNNEL_BAD_CERTIFICATE: send_alert(s, GNUTLS_A_BAD_CERTIFICATE); break;
    case TUNNEL_NO_CERTIFICATE:
        send_alert(s, gnutls_protocol_get_version(s->tls) == GNUTLS_TLS1_3
                          ? GNUTLS_A_CERTIFICATE_REQUIRED
                          : GNUTLS_A_HANDSHAKE_FAILURE);
        break;
    case TUNNEL_NO_COMMON_VERSION: send_alert(s, GNUTLS_A_PROTOCOL_VERSION); break;
    case TUNNEL_NO_COMMON_CIPHER:
    case TUNNEL_NO_COMMON_GROUP:
    case TUNNEL_NO_COMMON_GROUND: send_alert(s, GNUTLS_A_HANDSHAKE_FAILURE); break;
    case TUNNEL_NO_COMMON_ALPN: send_alert(s, GNUTLS_A_NO_APPLICATION_PROTOCOL); break;
    case TUNNEL_INTERNAL:
    case TUNNEL_MEMORY: send_alert(s, GNUTLS_A_INTERNAL_ERROR); break;
    default: break;
    }
}

static enum tunnel_result refused_certificate(struct backend_session *s, struct tunnel_error *error)
{
    backend_gnutls_tell_failure(s, s->verdict.result);
    return failure(error, s->verdict.result, "%s", s->verdict.text);
}

/* No suite can be all that is missing where a version or a group is. */
static enum tunnel_result nothing_shared(const struct backend_session *s, enum tunnel_result result)
{
    if (result != TUNNEL_NO_COMMON_CIPHER || !s->context->server)
        return result;
    if (!s->shares_version)
        return TUNNEL_NO_COMMON_VERSION;
    return s->shares_group ? result : TUNNEL_NO_COMMON_GROUP;
}

enum tunnel_result backend_gnutls_failure(struct backend_session *s, int code,
                                          struct tunnel_error *error)
{
    uint8_t description;
    if (s->broken != TUNNEL_OK)
        return s->broken;
    if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
        return alert_failure(error, (uint8_t)gnutls_alert_get(s->tls));
    if (code == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR && s->verdict.result != TUNNEL_OK)
        return refused_certificate(s, error);
    if (!s->agreed && code == GNUTLS_E_DECRYPTION_FAILED &&
        backend_gnutls_saw_plain_alert(&s->seen, &description))
        return alert_failure(error, description);
    enum tunnel_result result = nothing_shared(s, result_of(code));
    if (result == TUNNEL_RAGGED_EOF)
        return failure(error, result, "%s", advice(result));
    if (result == TUNNEL_PROTOCOL)
        (void)gnutls_alert_send_appropriate(s->tls, code);
    else
        backend_gnutls_tell_failure(s, result);
    if (!backend_gnutls_saw_tls(&s->seen))
        return not_tls(s, error);
    return failure(error, result, "%s (GnuTLS: %s)", advice(result), gnutls_strerror(code));
}
