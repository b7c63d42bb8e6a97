/*
 * What is spoken before TLS, sans-IO: the proxy plays the server towards a client (a request for
 * CONNECT or SOCKS5, or what leads to STARTTLS), or the client towards a server (STARTTLS).
 *
 *   peer's bytes ──push──▶ ┌─────────┐ ──▶ state; host and port that were asked for
 *                          │ prelude │
 *       to peer ◀──peek/── └─────────┘ ◀── answer, to what was asked for
 *                consume
 *
 * One command is dealt with at a time, and no other before all output has been consumed, so that
 * memory is bounded whatever the peer sends. Each protocol is a `struct prelude_part`, in a file of
 * its own; what they have in common is in prelude_parts.h.
 */
#ifndef PROXY_PRELUDE_PRELUDE_H
#define PROXY_PRELUDE_PRELUDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/net/address.h"

enum {
    PRELUDE_HOST_MAX = 255, /* bytes of a host name */
    PRELUDE_SAID_MAX = 127, /* of what a server said, for the log */
};

enum starttls_protocol {
    STARTTLS_NONE,
    STARTTLS_SMTP,
    STARTTLS_IMAP,
    STARTTLS_POP3,
    STARTTLS_LDAP,
    STARTTLS_POSTGRESQL,
    STARTTLS_COUNT
};

enum prelude_state {
    PRELUDE_MORE,  /* waits for the peer's next bytes */
    PRELUDE_ASKED, /* the client has asked for a host and a port: see prelude_answer */
    PRELUDE_DONE,  /* what comes next is not the prelude's: see prelude_rest. Output is sent first.
                    */
    PRELUDE_OVER,  /* it leads nowhere: `fault` says why. Output is sent first. */
};

/* Why a prelude is over. */
enum prelude_fault {
    PRELUDE_NO_FAULT,
    PRELUDE_LEFT,      /* the client has taken its leave, or wants no TLS */
    PRELUDE_MALFORMED, /* what it says is not the protocol, or too long, or too much of it */
    PRELUDE_REFUSED,   /* the client's request was, here; or the server does not do TLS */
    PRELUDE_NO_LOGIN,  /* the client has not said one of the logins */
    PRELUDE_INJECTED,  /* bytes came together with the last word before TLS (CVE-2011-0411) */
    PRELUDE_CUT_SHORT, /* the peer's stream has ended */
};

/* What became of a client's request; in the words of HTTP and SOCKS5. */
enum prelude_answer {
    PRELUDE_CONNECTED,
    PRELUDE_FORBIDDEN,     /* 403; 2 */
    PRELUDE_NOT_FOUND,     /* the name does not resolve: 502; 4 */
    PRELUDE_REFUSED_THERE, /* the server does not take the connection: 502; 5 */
    PRELUDE_NO_WAY,        /* the network or the host cannot be reached: 502; 3 */
    PRELUDE_TIMED_OUT,     /* 504; 4 (RFC 1928 has none of its own) */
    PRELUDE_UNAVAILABLE,   /* for want of something here: 503; 1 */
};

struct prelude_part;

/* A user who may use SOCKS5. */
struct prelude_login {
    const char *user, *password;
};

struct prelude_setting {
    /* The address the peer sees us at, as "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3):
     * what we call ourselves. Outlives the prelude. */
    const char *name;
    const struct prelude_login *logins; /* SOCKS5; outlive the prelude */
    size_t login_count;
};

struct prelude;

/* The parts: client-facing, that play the server ... */
extern const struct prelude_part prelude_http_connect, prelude_socks5;
/* ... by enum starttls_protocol; NULL for STARTTLS_NONE. The second play the client. */
const struct prelude_part *prelude_starttls_server(enum starttls_protocol protocol);
const struct prelude_part *prelude_starttls_client(enum starttls_protocol protocol);
/* "smtp", ... */
const char *prelude_starttls_text(enum starttls_protocol protocol);

/* Bytes of memory one needs (at most 16 KiB); alignment as from malloc. */
size_t prelude_bytes(const struct prelude_part *part);
/* There may be output from the start: a server's greeting. `setting` is copied, not what it points
 * to. */
struct prelude *prelude_init(void *memory, const struct prelude_part *part,
                             const struct prelude_setting *setting);

enum prelude_state prelude_state(const struct prelude *prelude);
enum prelude_fault prelude_fault(const struct prelude *prelude);
/* "injected", ...; "-" for none. */
const char *prelude_fault_text(enum prelude_fault fault);

/*
 * The peer's bytes. Returns how many were taken; fewer than `length` when its input buffer is full
 * until the output has been consumed, and 0 in a state other than MORE: what was not taken must be
 * pushed again.
 *
 * DONE, where the peer must wait for the go-ahead: bytes make it OVER, INJECTED, and what was still
 * to be sent is gone. So what the socket has when the go-ahead is about to be sent, or when the
 * server's has been read, is pushed as ever; and nothing of what comes after the go-ahead was sent.
 */
size_t prelude_push(struct prelude *prelude, const uint8_t *data, size_t length);
/* MORE: how many bytes push would take now. 0 only while there is output. */
size_t prelude_room(const struct prelude *prelude);
/* The peer's stream has ended. */
void prelude_push_end(struct prelude *prelude);

/* Output: returns how many bytes; `*data` points to them. */
size_t prelude_peek(const struct prelude *prelude, const uint8_t **data);
void prelude_consume(struct prelude *prelude, size_t length);

/* ASKED: a host name as the client wrote it (any case, perhaps a dot at the end), or an address in
 * the one form that inet_ntop gives it, mapped IPv4 as IPv4; and the port, which is not 0. */
const char *prelude_host(const struct prelude *prelude);
uint16_t prelude_port(const struct prelude *prelude);
/* ASKED: it becomes DONE, or OVER with output that says why. */
void prelude_answer(struct prelude *prelude, enum prelude_answer answer);

/*
 * DONE: bytes that came behind the prelude's and belong to what follows; only where the client may
 * go on at once (HTTP_CONNECT, SOCKS5; PostgreSQL's direct TLS). What was not taken follows them.
 * Elsewhere there are none: see prelude_push.
 */
size_t prelude_rest(const struct prelude *prelude, const uint8_t **data);
/* DONE, with nothing said, since TLS began at once: the ALPN protocol that its ClientHello must
 * offer. NULL: it did not. */
const char *prelude_direct_alpn(const struct prelude *prelude);

/* OVER, the server's last words, printable, or what is missing in them, in parentheses; "": none.
 * For the log. */
const char *prelude_said(const struct prelude *prelude);

#endif
