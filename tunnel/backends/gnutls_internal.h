/* What the parts of the GnuTLS backend share. */
#ifndef TUNNEL_BACKENDS_GNUTLS_INTERNAL_H
#define TUNNEL_BACKENDS_GNUTLS_INTERNAL_H

#include <gnutls/gnutls.h>

#include "tunnel/backends/backend.h"

enum { ALPN_NAME_BYTES = 256, SERVER_NAME_BYTES = 256 };

/* Read only once it is made. */
struct backend_context {
    bool server, tickets;
    bool groups_named;
    unsigned verify_depth; /* certificates between the peer's and the root, at most */
    enum settings_client_authentication clients;
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priority;
    gnutls_datum_t ticket_key; /* servers with tickets */
    gnutls_datum_t *alpn;
    unsigned alpn_count;
    int key_log_fd; /* -1: no */
};

/* The first bytes that came, and the record that came last. */
struct record_seen {
    uint8_t first[2], head[7];
    size_t count, at, length;
};

struct backend_session {
    const struct backend_context *context; /* the tunnel's, which holds it */
    gnutls_session_t tls;
    struct backend_transport transport;
    enum tunnel_result waiting; /* WANT_READ or WANT_WRITE: what the transport said last; OK: it did
                                   not have to wait */
    enum tunnel_result broken;  /* how the transport ended; OK: it did not */
    struct record_seen seen;    /* until the handshake is over */
    bool agreed;                /* it is */
    bool shares_version, shares_group; /* servers: does the ClientHello? */

    bool verify;
    char **names; /* ends with NULL; NULL: no matter */
    char *expected_alpn;
    struct tunnel_error verdict; /* what is wrong with the peer's certificate */

    size_t unsent;     /* bytes that GnuTLS has taken from a write that is not over */
    bool owes_refusal; /* of a renegotiation, not all of which was sent */
    bool said_close;

    char alpn[ALPN_NAME_BYTES], server_name[SERVER_NAME_BYTES], cipher[64];
};

/* gnutls_context.c */
struct backend_context *backend_gnutls_context_create(const struct settings *settings,
                                                      struct tunnel_error *error);
void backend_gnutls_context_destroy(struct backend_context *context);

/* gnutls_session.c */
struct backend_session *backend_gnutls_session_create(struct backend_context *context,
                                                      const struct backend_peer *peer,
                                                      const struct backend_transport *transport,
                                                      struct tunnel_error *error);
void backend_gnutls_session_destroy(struct backend_session *session);
/* May the peer show no certificate? */
bool backend_gnutls_may_do_without(const struct backend_session *session);
void backend_gnutls_session_info(struct backend_session *session, struct tunnel_info *info);
uint8_t *backend_gnutls_session_resumption(struct backend_session *session, size_t *length);

/* gnutls_transport.c */
void backend_gnutls_transport(struct backend_session *session);
/* False: what came cannot be TLS. */
bool backend_gnutls_saw_tls(const struct record_seen *seen);
/* Was the last record a fatal alert that is not encrypted? */
bool backend_gnutls_saw_plain_alert(const struct record_seen *seen, uint8_t *description);

/* gnutls_hello.c: keeps shares_version and shares_group of a server. */
void backend_gnutls_watch_hello(struct backend_session *session);

/* gnutls_verify.c: the peer's certificate against the context's CAs and the session's names. OK, or
 * what is wrong with it, with `error`. */
enum tunnel_result backend_gnutls_verify(const struct backend_session *session,
                                         struct tunnel_error *error);

/* gnutls_failure.c: what GnuTLS's fatal `code` means; tells the peer as well. */
enum tunnel_result backend_gnutls_failure(struct backend_session *session, int code,
                                          struct tunnel_error *error);
/* Tells the peer why it is over, as far as the transport takes it. */
void backend_gnutls_tell_failure(struct backend_session *session, enum tunnel_result result);

#endif
