/*
 * libtunnel: TLS and TurboTLS endpoints over any I/O.
 *
 *   configuration ──▶ context ──┐
 *    (protobuf)      (immutable) ├──▶ tunnel ──▶ handshake, read, write, close
 *   options ────────────────────┤
 *   I/O ────────────────────────┘
 *
 * A *context* is what does not depend on the peer: which TLS library, versions, suites, groups,
 * whom to trust, and who we are. It never changes and threads may share it; a new certificate is a
 * new context. A *tunnel* is one connection; it belongs to one thread at a time.
 *
 *     struct tunnel_error error;
 *     struct tunnel_context *context = tunnel_context_from_file("client.txtpb", &error);
 *
 *     struct tunnel_io_dial dial = {.host = "example.com", .port = 443};
 *     struct tunnel_io *io = tunnel_io_turbo(&dial);
 *
 *     struct tunnel_options options = {.server_name = "example.com", .timeout_ms = -1};
 *     struct tunnel *tunnel = tunnel_open(context, io, &options, &error);
 *
 *     if (tunnel_handshake(tunnel) != TUNNEL_OK)
 *         puts(tunnel_error(tunnel)->text);
 *
 * (context, io and tunnel may be NULL: `error`, or errno for an I/O, says why.)
 *
 * Every function that can fail says how in its result; none prints or exits, and the environment
 * says nothing about whom to trust or where secrets go.
 */
#ifndef TUNNEL_TUNNEL_H
#define TUNNEL_TUNNEL_H

#include <stddef.h>
#include <stdint.h>

#include "tunnel/io.h"
#include "tunnel/result.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- contexts ---- */

struct tunnel_context;

/*
 * From the text of a TunnelConfiguration (proto/turbotls/v1/tunnel.proto), its serialized form, or
 * a file with either. Files that it names are read now, and never again. NULL: `error` has every
 * mistake with its line and field, what is wrong and what would be right. Free with
 * tunnel_context_release.
 */
struct tunnel_context *tunnel_context_from_text(const char *text, struct tunnel_error *error);
struct tunnel_context *tunnel_context_from_bytes(const uint8_t *bytes, size_t length,
                                                 struct tunnel_error *error);
struct tunnel_context *tunnel_context_from_file(const char *path, struct tunnel_error *error);
/* Another owner, from whatever thread. Returns the same. */
struct tunnel_context *tunnel_context_hold(struct tunnel_context *context);
/* The last owner's frees it, and wipes its keys. Tunnels are owners, too. NULL is allowed. */
void tunnel_context_release(struct tunnel_context *context);

bool tunnel_context_is_server(const struct tunnel_context *context);
/* "OpenSSL 3.0.15", "GnuTLS 3.7.9"; valid as long as the context. */
const char *tunnel_context_implementation(const struct tunnel_context *context);
/* The configuration as text, without private keys. To be freed by the caller; NULL: no memory. */
char *tunnel_context_text(const struct tunnel_context *context);

/* ---- tunnels ---- */

struct tunnel;

struct tunnel_options {
    /* Clients: sent in the ClientHello (SNI). The peer's certificate must be for it, if `names` is
     * NULL. An address is not sent, but matched all the same. */
    const char *server_name;
    /* Names and addresses ("example.com", "192.0.2.1", "2001:db8::1"), one of which the peer's
     * certificate must be for; ends with NULL. Servers: of the client's certificate, if it shows
     * one; NULL: whatever it says. */
    const char *const *names;
    /* Clients without server_name and names: nobody's certificate is asked for a name. Must be
     * said, since then whoever has any certificate that is trusted may be the peer. */
    bool empty_verifier;
    /* The handshake fails unless this was agreed upon; NULL: no matter. */
    const char *expected_alpn;
    /* What tunnel_resumption gave for the same server before; NULL: a full handshake. */
    const uint8_t *resumption;
    size_t resumption_length;
    /* How long a call waits, in all, where it would give WANT_READ or WANT_WRITE: 0 not at all, < 0
     * for ever. After TIMEOUT the same call may go on. */
    int timeout_ms;
};

/*
 * The tunnel takes the I/O over, and holds the context. Clients must have server_name, names or
 * empty_verifier. NULL: see `error`; the I/O stays the caller's.
 */
struct tunnel *tunnel_open(struct tunnel_context *context, struct tunnel_io *io,
                           const struct tunnel_options *options, struct tunnel_error *error);
/* The same, with options as the text of a TunnelOptions message. */
struct tunnel *tunnel_open_from_text(struct tunnel_context *context, struct tunnel_io *io,
                                     const char *text, struct tunnel_error *error);
/* Closes the I/O, if the tunnel still has it: with a reset unless it was closed in order, has
 * failed (its alert is still delivered), or never began. NULL is allowed. */
void tunnel_free(struct tunnel *tunnel);
void tunnel_set_timeout(struct tunnel *tunnel, int timeout_ms);

/* Certificates, names and ALPN are verified in here. OK once it is over; read and write do it first
 * if need be. */
enum tunnel_result tunnel_handshake(struct tunnel *tunnel);
/* OK: `*got` > 0. CLOSED: the peer sends no more; RAGGED_EOF: it vanished. */
enum tunnel_result tunnel_read(struct tunnel *tunnel, void *buffer, size_t capacity, size_t *got);
/* OK: `*taken` > 0 of them, which need not be all. After WANT_WRITE the same bytes must be offered
 * again. */
enum tunnel_result tunnel_write(struct tunnel *tunnel, const void *data, size_t length,
                                size_t *taken);
/* All of it. Only for tunnels that wait (timeout_ms), else MISUSE. */
enum tunnel_result tunnel_write_all(struct tunnel *tunnel, const void *data, size_t length);
/* Says close_notify: nothing more will be written. Reading goes on until the peer has said so, too.
 */
enum tunnel_result tunnel_close(struct tunnel *tunnel);
/*
 * Says close_notify, reads until the peer has (what it still says is dropped), and gives the I/O
 * back for plain bytes: the tunnel is of no more use. WANT_READ also where a peer that does not
 * stop has kept this call long enough. A byte behind the peer's close_notify is still in the I/O.
 */
enum tunnel_result tunnel_unwrap(struct tunnel *tunnel, struct tunnel_io **io);

/* What `want` depends on, for an event loop; tunnel_wait waits for it, as tunnel_io_wait. */
void tunnel_watch(struct tunnel *tunnel, enum tunnel_result want, struct tunnel_watch *watch);
enum tunnel_result tunnel_wait(struct tunnel *tunnel, enum tunnel_result want, int timeout_ms);
/* Bytes that a read would give at once, though no descriptor tells of them. */
size_t tunnel_pending(const struct tunnel *tunnel);

enum tunnel_state tunnel_state(const struct tunnel *tunnel);
/* Why the last call failed. */
const struct tunnel_error *tunnel_error(const struct tunnel *tunnel);
struct tunnel_context *tunnel_context(const struct tunnel *tunnel);
struct tunnel_io *tunnel_io(const struct tunnel *tunnel);

/* What was agreed upon. Texts are valid until the next call with the tunnel; NULL: not yet, or
 * none. */
struct tunnel_info {
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* IANA's name: "TLS_AES_128_GCM_SHA256" */
    uint16_t cipher_number;
    const char *group; /* "X25519", "P-256"; NULL, too, where a resumption did without */
    const char *alpn;
    const char *server_name; /* servers: what the client asked for */
    bool resumed;
    /* DER; NULL: none was shown, as in a resumption by some libraries. */
    const uint8_t *peer_certificate;
    size_t peer_certificate_length;
};

void tunnel_info(struct tunnel *tunnel, struct tunnel_info *info);

/*
 * What a later tunnel to the same server can resume from (TLS 1.3: once a ticket came, which is
 * after the first read). It is a secret, only good for a context of the same implementation: free
 * it with tunnel_resumption_free, which wipes it. NULL: there is none.
 */
uint8_t *tunnel_resumption(struct tunnel *tunnel, size_t *length);
void tunnel_resumption_free(uint8_t *resumption, size_t length);

#ifdef __cplusplus
}
#endif

#endif
