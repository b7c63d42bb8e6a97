#include "tunnel/backends/alert.h"

#include <stddef.h>

#include "tunnel/failure.h"

struct alert {
    uint8_t description;
    enum tunnel_result result;
    const char *name;
};

static const struct alert alerts[] = {
    {0, TUNNEL_PEER_ALERT, "close_notify"},
    {10, TUNNEL_PEER_ALERT, "unexpected_message"},
    {20, TUNNEL_PEER_ALERT, "bad_record_mac"},
    {21, TUNNEL_PEER_ALERT, "decryption_failed"},
    {22, TUNNEL_PEER_ALERT, "record_overflow"},
    {30, TUNNEL_PEER_ALERT, "decompression_failure"},
    {40, TUNNEL_NO_COMMON_GROUND, "handshake_failure"},
    {41, TUNNEL_CERTIFICATE_REFUSED, "no_certificate"},
    {42, TUNNEL_CERTIFICATE_REFUSED, "bad_certificate"},
    {43, TUNNEL_CERTIFICATE_REFUSED, "unsupported_certificate"},
    {44, TUNNEL_CERTIFICATE_REFUSED, "certificate_revoked"},
    {45, TUNNEL_CERTIFICATE_REFUSED, "certificate_expired"},
    {46, TUNNEL_CERTIFICATE_REFUSED, "certificate_unknown"},
    {47, TUNNEL_PEER_ALERT, "illegal_parameter"},
    {48, TUNNEL_CERTIFICATE_REFUSED, "unknown_ca"},
    {49, TUNNEL_CERTIFICATE_REFUSED, "access_denied"},
    {50, TUNNEL_PEER_ALERT, "decode_error"},
    {51, TUNNEL_PEER_ALERT, "decrypt_error"},
    {60, TUNNEL_PEER_ALERT, "export_restriction"},
    {70, TUNNEL_NO_COMMON_VERSION, "protocol_version"},
    {71, TUNNEL_NO_COMMON_GROUND, "insufficient_security"},
    {80, TUNNEL_PEER_ALERT, "internal_error"},
    {86, TUNNEL_PEER_ALERT, "inappropriate_fallback"},
    {90, TUNNEL_PEER_ALERT, "user_canceled"},
    {100, TUNNEL_PEER_ALERT, "no_renegotiation"},
    {109, TUNNEL_PEER_ALERT, "missing_extension"},
    {110, TUNNEL_PEER_ALERT, "unsupported_extension"},
    {111, TUNNEL_PEER_ALERT, "certificate_unobtainable"},
    {112, TUNNEL_PEER_ALERT, "unrecognized_name"},
    {113, TUNNEL_CERTIFICATE_REFUSED, "bad_certificate_status_response"},
    {115, TUNNEL_PEER_ALERT, "unknown_psk_identity"},
    {116, TUNNEL_CERTIFICATE_REFUSED, "certificate_required"},
    {120, TUNNEL_NO_COMMON_ALPN, "no_application_protocol"},
};

static const struct alert *find(uint8_t description)
{
    static const struct alert unknown = {0, TUNNEL_PEER_ALERT, "unknown"};
    for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++)
        if (alerts[i].description == description)
            return &alerts[i];
    return &unknown;
}

const char *alert_name(uint8_t description)
{
    return find(description)->name;
}

static const char *advice(const struct alert *alert)
{
    enum { CERTIFICATE_REQUIRED = 116 };
    switch (alert->result) {
    case TUNNEL_CERTIFICATE_REFUSED:
        return alert->description == CERTIFICATE_REQUIRED
                   ? "it wants a certificate and none was shown: set identity"
                   : "it does not accept our certificate, or misses one: see what it trusts, and "
                     "set identity "
                     "to a chain that leads there";
    case TUNNEL_NO_COMMON_VERSION:
        return "it speaks none of the TLS versions that are allowed here: see tls12 and tls13";
    case TUNNEL_NO_COMMON_ALPN:
        return "it speaks none of the protocols offered: see alpn_protocols";
    case TUNNEL_NO_COMMON_GROUND:
        return "it found no cipher suite, group or signature in common, or misses a certificate: "
               "see "
               "ciphersuite, ke and identity at both ends";
    default: return "its log may say why";
    }
}

enum tunnel_result alert_failure(struct tunnel_error *error, uint8_t description)
{
    const struct alert *alert = find(description);
    return failure(error, alert->result, "the peer ended it with the alert %s (%u): %s",
                   alert->name, description, advice(alert));
}
