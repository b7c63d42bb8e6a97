/*
 * A stream that begins plain and may be upgraded to TLS in place (STARTTLS and its like).
 *
 *     stream = tunnel_stream_open(context, io, &options, &error);
 *     tunnel_stream_write(stream, "STARTTLS\n", …);
 *     tunnel_stream_upgrade(stream);      handshake, certificates and all
 *     tunnel_stream_write(stream, …);     protected from here on
 *
 * The options of the tunnel are given, and checked, when the stream is opened, and used when it is
 * upgraded. Waits as they say (timeout_ms).
 */
#ifndef TUNNEL_STREAM_H
#define TUNNEL_STREAM_H

#include "tunnel/tunnel.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tunnel_stream;

enum { TUNNEL_LINE_MAX = 1024 };

/* `context` NULL: a stream that cannot be upgraded. Takes the I/O over. NULL: see `error`. */
struct tunnel_stream *tunnel_stream_open(struct tunnel_context *context, struct tunnel_io *io,
                                         const struct tunnel_options *options,
                                         struct tunnel_error *error);
void tunnel_stream_free(struct tunnel_stream *stream); /* NULL is allowed */

/* As tunnel_read and tunnel_write, plain or protected. */
enum tunnel_result tunnel_stream_read(struct tunnel_stream *stream, void *buffer, size_t capacity,
                                      size_t *got);
enum tunnel_result tunnel_stream_write(struct tunnel_stream *stream, const void *data,
                                       size_t length, size_t *taken);
enum tunnel_result tunnel_stream_write_all(struct tunnel_stream *stream, const void *data,
                                           size_t length);
/* One line without its "\n" or "\r\n", zero-terminated. PROTOCOL: it is longer, or has a zero byte.
 */
enum tunnel_result tunnel_stream_line(struct tunnel_stream *stream, char line[TUNNEL_LINE_MAX]);

/*
 * From plain to TLS. PLAINTEXT_LEFT: bytes have been read that came behind the last line taken;
 * they were sent before TLS began, by whomever, and must not be taken for protected ones
 * (CVE-2011-0411): the stream is over. Servers: a client need not wait for a reply, so what begins
 * a TLS handshake there is given to TLS, and to nobody else. MISUSE: it cannot be upgraded, or is
 * already. WANT_READ, WANT_WRITE: the same call again.
 */
enum tunnel_result tunnel_stream_upgrade(struct tunnel_stream *stream);
/* Upgraded: says close_notify. Plain: MISUSE. */
enum tunnel_result tunnel_stream_close(struct tunnel_stream *stream);

bool tunnel_stream_is_protected(const struct tunnel_stream *stream);
/* NULL: it is plain (yet). */
struct tunnel *tunnel_stream_tunnel(const struct tunnel_stream *stream);
const struct tunnel_error *tunnel_stream_error(const struct tunnel_stream *stream);

#ifdef __cplusplus
}
#endif

#endif
