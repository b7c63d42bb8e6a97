/*
 * A TLS library behind one interface: what tells OpenSSL and GnuTLS apart ends here.
 *
 * Contexts never change once made, and threads share them. A session is one connection's; it
 * reaches the I/O through the two functions it is given, and maps whatever its library says to a
 * tunnel_result with a text that says what to do.
 */
#ifndef TUNNEL_BACKENDS_BACKEND_H
#define TUNNEL_BACKENDS_BACKEND_H

#include "tunnel/config/settings.h"
#include "tunnel/tunnel.h"

struct backend_context;
struct backend_session;

/* Whom the peer must be, checked and in order. */
struct backend_peer {
    const char *server_name;   /* for the ClientHello: a name, never an address; NULL: none */
    const char *const *names;  /* one of which must match: names and addresses; NULL: no matter */
    bool verify;               /* false: neither names nor issuers */
    const char *expected_alpn; /* NULL: no matter */
    const uint8_t *resumption;
    size_t resumption_length;
};

struct backend_transport {
    /* As the I/O's own; `owner` is theirs. */
    enum tunnel_result (*read)(void *owner, void *buffer, size_t capacity, size_t *got);
    enum tunnel_result (*write)(void *owner, const void *data, size_t length, size_t *taken);
    void *owner;
};

enum { BACKEND_NAME_BYTES = 64 };

struct backend {
    /* "OpenSSL 3.0.15": the version that is loaded. */
    void (*implementation)(char name[static BACKEND_NAME_BYTES]);

    /*
     * Everything in `settings` is valid for the library, or `error` says what is not, and for a
     * suite, group or provider what there is instead. NULL: `error`. The settings are not needed
     * afterwards.
     */
    struct backend_context *(*context_create)(const struct settings *settings,
                                              struct tunnel_error *error);
    void (*context_destroy)(struct backend_context *context); /* wipes its keys */

    /* `transport` is copied. `peer` is, too, as far as it is needed later. NULL: `error`. */
    struct backend_session *(*session_create)(struct backend_context *context,
                                              const struct backend_peer *peer,
                                              const struct backend_transport *transport,
                                              struct tunnel_error *error);
    void (*session_destroy)(struct backend_session *session);

    /*
     * As tunnel_handshake, tunnel_read and tunnel_write; `error` is filled in for what is an error.
     * When the transport fails, the result is the transport's, and `error` is left to the caller.
     * Never reads beyond the record it is reading: what comes behind close_notify stays in the
     * transport. An alert that is due when a handshake fails is sent as far as the transport takes
     * it.
     */
    enum tunnel_result (*handshake)(struct backend_session *session, struct tunnel_error *error);
    enum tunnel_result (*read)(struct backend_session *session, void *buffer, size_t capacity,
                               size_t *got, struct tunnel_error *error);
    enum tunnel_result (*write)(struct backend_session *session, const void *data, size_t length,
                                size_t *taken, struct tunnel_error *error);
    /* Sends close_notify, once: OK when all of it has been taken. */
    enum tunnel_result (*close)(struct backend_session *session, struct tunnel_error *error);
    size_t (*pending)(const struct backend_session *session);
    void (*info)(struct backend_session *session, struct tunnel_info *info);
    /* As tunnel_resumption: malloc'ed; freed by tunnel_resumption_free. */
    uint8_t *(*resumption)(struct backend_session *session, size_t *length);
};

extern const struct backend backend_openssl;
extern const struct backend backend_gnutls;

#endif
