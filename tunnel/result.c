#include "tunnel/result.h"

const char *tunnel_result_name(enum tunnel_result result)
{
    static const char *const names[TUNNEL_RESULT_COUNT] = {
        [TUNNEL_OK] = "ok",
        [TUNNEL_WANT_READ] = "want-read",
        [TUNNEL_WANT_WRITE] = "want-write",
        [TUNNEL_CLOSED] = "closed",
        [TUNNEL_RAGGED_EOF] = "ragged-eof",
        [TUNNEL_NAME_MISMATCH] = "name-mismatch",
        [TUNNEL_EXPIRED] = "expired",
        [TUNNEL_NOT_YET_VALID] = "not-yet-valid",
        [TUNNEL_SELF_SIGNED] = "self-signed",
        [TUNNEL_UNKNOWN_CA] = "unknown-ca",
        [TUNNEL_UNTRUSTED_ROOT] = "untrusted-root",
        [TUNNEL_REVOKED] = "revoked",
        [TUNNEL_BAD_CERTIFICATE] = "bad-certificate",
        [TUNNEL_NO_CERTIFICATE] = "no-certificate",
        [TUNNEL_CERTIFICATE_REFUSED] = "certificate-refused",
        [TUNNEL_NO_COMMON_VERSION] = "no-common-version",
        [TUNNEL_NO_COMMON_CIPHER] = "no-common-cipher",
        [TUNNEL_NO_COMMON_GROUP] = "no-common-group",
        [TUNNEL_NO_COMMON_ALPN] = "no-common-alpn",
        [TUNNEL_NO_COMMON_GROUND] = "no-common-ground",
        [TUNNEL_PEER_ALERT] = "peer-alert",
        [TUNNEL_PROTOCOL] = "protocol",
        [TUNNEL_PLAINTEXT_LEFT] = "plaintext-left",
        [TUNNEL_IO] = "io",
        [TUNNEL_UNREACHED] = "unreached",
        [TUNNEL_TIMEOUT] = "timeout",
        [TUNNEL_MEMORY] = "memory",
        [TUNNEL_CONFIGURATION] = "configuration",
        [TUNNEL_MISUSE] = "misuse",
        [TUNNEL_INTERNAL] = "internal",
    };
    return (unsigned)result < TUNNEL_RESULT_COUNT ? names[result] : "unknown";
}

bool tunnel_result_is_error(enum tunnel_result result)
{
    return result > TUNNEL_CLOSED;
}
