/*
 * How a connection went, in the words of logs and metrics.
 */
#ifndef TURBO_OUTCOME_H
#define TURBO_OUTCOME_H

enum turbo_outcome {
    TURBO_OUTCOME_NONE,    /* ended before it was decided */
    TURBO_OUTCOME_TURBO,   /* the app answered a flight that came by UDP: a round trip was saved */
    TURBO_OUTCOME_RESUMED, /* it began on UDP, and TCP was opened before the app had answered: TCP
                              brought some of the first flight, or the app took its time */
    TURBO_OUTCOME_CLASSIC, /* TLS over TCP from its first byte; the reason says why */
    TURBO_OUTCOME_FAILED,  /* it never came to be; the reason says why */
    TURBO_OUTCOME_OPAQUE,  /* not TLS, or the server spoke first: passed through */
    TURBO_OUTCOME_COUNT
};

enum turbo_reason {
    TURBO_REASON_NONE,
    TURBO_REASON_TCP_FIRST,       /* TCP was up when the ClientHello was complete */
    TURBO_REASON_NO_RESPONSE,     /* requests were sent, nothing came back in time */
    TURBO_REASON_REFUSED,         /* the server end had no room, or no TLS server */
    TURBO_REASON_UDP_PAUSED,      /* UDP failed for this upstream before: not tried for a while */
    TURBO_REASON_UNREACHABLE,     /* ICMP: UDP is closed or filtered */
    TURBO_REASON_DRAFT_SERVER,    /* answers came, but without this profile's mark */
    TURBO_REASON_HELLO_TOO_LARGE, /* the ClientHello does not fit the requests */
    TURBO_REASON_HELLO_CUT_SHORT, /* the app ended its stream within the ClientHello */
    TURBO_REASON_NOT_TLS,         /* the client's first bytes are something else */
    TURBO_REASON_SERVER_FIRST,    /* the server spoke before the client */
    TURBO_REASON_ADOPTED,        /* began on UDP, but TCP opened classically: joined all the same */
    TURBO_REASON_CLIENT_CLASSIC, /* the peer opened classically */
    TURBO_REASON_UNKNOWN_SESSION,    /* a tombstone for nothing we know */
    TURBO_REASON_PLAIN_UPSTREAM,     /* TurboTLS is spoken on neither side: nothing was looked at */
    TURBO_REASON_UPSTREAM_UNREACHED, /* its name did not resolve, or no address took the connection
                                      */
    TURBO_REASON_CLIENT_SILENT,      /* the client ended without a byte */
    TURBO_REASON_CROWDED_OUT, /* others came, and its first bytes had not come for the longest */
    TURBO_REASON_OPENING_TIMEOUT, /* the client's first bytes did not come in time */
    TURBO_REASON_DENIED,          /* the client's network may not connect */
    TURBO_REASON_NO_ROUTE,        /* no route matches */
    TURBO_REASON_PROXY_HEADER, /* a PROXY header from who may not send one, or none from who must */
    TURBO_REASON_LISTENER_FULL,     /* as many connections as its limit allows */
    TURBO_REASON_HANDSHAKE_TIMEOUT, /* no answer to the server's first flight in time */
    TURBO_REASON_IDLE,              /* nothing came from either end for too long */
    TURBO_REASON_NOT_KNOWN,   /* nothing says that the server speaks TurboTLS (protocol §10.1) */
    TURBO_REASON_BAD_REQUEST, /* for CONNECT or SOCKS5: not the protocol, or more than we do */
    TURBO_REASON_NO_LOGIN,    /* for SOCKS5: not one of the logins */
    TURBO_REASON_FORBIDDEN, /* the host or port asked for, or what it resolves to, is not allowed */
    TURBO_REASON_NAME_NOT_FOUND, /* the host asked for does not resolve */
    TURBO_REASON_NOT_REDIRECTED, /* it was not meant for another address before it came here */
    TURBO_REASON_NO_TLS,         /* the client did not ask for TLS where it begins with STARTTLS */
    TURBO_REASON_INJECTED,       /* bytes came together with the last word before TLS */
    TURBO_REASON_STARTTLS_REFUSED, /* the server does not do TLS, or said more than that it does */
    TURBO_REASON_SERVER_ENDED,     /* the server ended the connection before the client had begun */
    TURBO_REASON_EARLY_DATA,       /* the Sandwich dialect has no place for 0-RTT */
    TURBO_REASON_FLIGHT_TOO_LARGE, /* a handshake needs more datagrams than a session keeps */
    TURBO_REASON_DATAGRAM_LOST,    /* a Sandwich server's, which repeats nothing */
    TURBO_REASON_UDP_ELSEWHERE,    /* UDP and TCP seem to reach different hosts (protocol §6.9d) */
    TURBO_REASON_COUNT
};

/* "turbo", "resumed-on-tcp", "classic", "opaque", "none". */
const char *turbo_outcome_text(enum turbo_outcome outcome);
/* "tcp-first", "no-response", …; "-" for none. */
const char *turbo_reason_text(enum turbo_reason reason);

#endif
