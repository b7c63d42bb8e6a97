/*
 * How a call of libtunnel can end. Every value says what the caller does next.
 */
#ifndef TUNNEL_RESULT_H
#define TUNNEL_RESULT_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tunnel_result {
    TUNNEL_OK,

    /* Not yet: the same call again, once the I/O can be read, or written. */
    TUNNEL_WANT_READ,
    TUNNEL_WANT_WRITE,

    /* The end of the stream. */
    TUNNEL_CLOSED,     /* in order: close_notify, or the end of a plain stream */
    TUNNEL_RAGGED_EOF, /* the peer vanished without close_notify: what came may be cut short */

    /* The peer is not whom it should be. Nothing was sent but the handshake. */
    TUNNEL_NAME_MISMATCH,   /* its certificate is for other names */
    TUNNEL_EXPIRED,         /* its certificate's time is over */
    TUNNEL_NOT_YET_VALID,   /* … has not begun */
    TUNNEL_SELF_SIGNED,     /* it vouches for itself: one certificate, issued by its own key */
    TUNNEL_UNKNOWN_CA,      /* its issuer is not among the CAs, nor was it sent along */
    TUNNEL_UNTRUSTED_ROOT,  /* its chain is whole, and its root not trusted (any more) */
    TUNNEL_REVOKED,         /* its certificate was revoked */
    TUNNEL_BAD_CERTIFICATE, /* wrong in another way: signature, purpose, constraints, weak key */
    TUNNEL_NO_CERTIFICATE,  /* none was shown where one is needed */
    TUNNEL_CERTIFICATE_REFUSED, /* the peer said so of ours */

    /* Nothing in common. */
    TUNNEL_NO_COMMON_VERSION,
    TUNNEL_NO_COMMON_CIPHER,
    TUNNEL_NO_COMMON_GROUP,
    TUNNEL_NO_COMMON_ALPN,
    TUNNEL_NO_COMMON_GROUND, /* the peer says that there is none, not of what (handshake_failure) */

    TUNNEL_PEER_ALERT,     /* another alert */
    TUNNEL_PROTOCOL,       /* what came is not TLS, or breaks its rules */
    TUNNEL_PLAINTEXT_LEFT, /* plain bytes wait behind the command that starts TLS: an injection */

    TUNNEL_IO,        /* the I/O failed; the text has the system's words */
    TUNNEL_UNREACHED, /* no connection could be made */
    TUNNEL_TIMEOUT,
    TUNNEL_MEMORY,
    TUNNEL_CONFIGURATION, /* the configuration, or the options of a tunnel, are wrong */
    TUNNEL_MISUSE,        /* not now: the call does not fit the tunnel's state */
    TUNNEL_INTERNAL,      /* the TLS library failed for a reason of its own */

    TUNNEL_RESULT_COUNT
};

/* "ok", "name-mismatch", …: for logs and tests. */
const char *tunnel_result_name(enum tunnel_result result);

/* Is it for good? Not: OK, WANT_READ, WANT_WRITE, CLOSED. */
bool tunnel_result_is_error(enum tunnel_result result);

enum { TUNNEL_ERROR_TEXT_BYTES = 4096 };

/* What went wrong, and what would be right: one line, or of a configuration several. No secret is
 * in it. */
struct tunnel_error {
    enum tunnel_result result;
    char text[TUNNEL_ERROR_TEXT_BYTES]; /* cut short with "..." if need be */
};

#ifdef __cplusplus
}
#endif

#endif
