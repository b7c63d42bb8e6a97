#include "turbo/outcome.h"

const char *turbo_outcome_text(enum turbo_outcome outcome)
{
    switch (outcome) {
    case TURBO_OUTCOME_NONE: break;
    case TURBO_OUTCOME_TURBO: return "turbo";
    case TURBO_OUTCOME_RESUMED: return "resumed-on-tcp";
    case TURBO_OUTCOME_CLASSIC: return "classic";
    case TURBO_OUTCOME_FAILED: return "failed";
    case TURBO_OUTCOME_OPAQUE: return "opaque";
    case TURBO_OUTCOME_COUNT: break;
    }
    return "none";
}

const char *turbo_reason_text(enum turbo_reason reason)
{
    switch (reason) {
    case TURBO_REASON_NONE: break;
    case TURBO_REASON_TCP_FIRST: return "tcp-first";
    case TURBO_REASON_NO_RESPONSE: return "no-response";
    case TURBO_REASON_REFUSED: return "refused";
    case TURBO_REASON_UDP_PAUSED: return "udp-paused";
    case TURBO_REASON_UNREACHABLE: return "udp-unreachable";
    case TURBO_REASON_DRAFT_SERVER: return "draft-server";
    case TURBO_REASON_HELLO_TOO_LARGE: return "hello-too-large";
    case TURBO_REASON_HELLO_CUT_SHORT: return "hello-cut-short";
    case TURBO_REASON_NOT_TLS: return "not-tls";
    case TURBO_REASON_SERVER_FIRST: return "server-first";
    case TURBO_REASON_ADOPTED: return "adopted";
    case TURBO_REASON_CLIENT_CLASSIC: return "client-classic";
    case TURBO_REASON_UNKNOWN_SESSION: return "unknown-session";
    case TURBO_REASON_PLAIN_UPSTREAM: return "plain-upstream";
    case TURBO_REASON_UPSTREAM_UNREACHED: return "upstream-unreached";
    case TURBO_REASON_CLIENT_SILENT: return "client-silent";
    case TURBO_REASON_CROWDED_OUT: return "crowded-out";
    case TURBO_REASON_OPENING_TIMEOUT: return "opening-timeout";
    case TURBO_REASON_DENIED: return "denied";
    case TURBO_REASON_NO_ROUTE: return "no-route";
    case TURBO_REASON_PROXY_HEADER: return "proxy-header";
    case TURBO_REASON_LISTENER_FULL: return "listener-full";
    case TURBO_REASON_HANDSHAKE_TIMEOUT: return "handshake-timeout";
    case TURBO_REASON_IDLE: return "idle";
    case TURBO_REASON_NOT_KNOWN: return "not-known";
    case TURBO_REASON_BAD_REQUEST: return "bad-request";
    case TURBO_REASON_NO_LOGIN: return "no-login";
    case TURBO_REASON_FORBIDDEN: return "forbidden";
    case TURBO_REASON_NAME_NOT_FOUND: return "name-not-found";
    case TURBO_REASON_NOT_REDIRECTED: return "not-redirected";
    case TURBO_REASON_NO_TLS: return "no-tls";
    case TURBO_REASON_INJECTED: return "injected";
    case TURBO_REASON_STARTTLS_REFUSED: return "starttls-refused";
    case TURBO_REASON_SERVER_ENDED: return "server-ended";
    case TURBO_REASON_EARLY_DATA: return "early-data";
    case TURBO_REASON_FLIGHT_TOO_LARGE: return "flight-too-large";
    case TURBO_REASON_DATAGRAM_LOST: return "datagram-lost";
    case TURBO_REASON_UDP_ELSEWHERE: return "udp-elsewhere";
    case TURBO_REASON_COUNT: break;
    }
    return "-";
}
