/* The I/O as GnuTLS wants it, and what of its bytes tells more than GnuTLS does. */
#include <errno.h>

#include "tunnel/backends/gnutls_internal.h"

enum { HEADER_BYTES = 5, ALERT_BYTES = 2, TYPE_ALERT = 21, LEVEL_FATAL = 2 };

/* Of the record at hand its header and the first bytes behind it are kept. */
static void follow(struct record_seen *seen, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (seen->at >= HEADER_BYTES && seen->at == seen->length)
            seen->at = 0;
        if (seen->at < sizeof(seen->head))
            seen->head[seen->at] = bytes[i];
        seen->at++;
        if (seen->at == HEADER_BYTES)
            seen->length = HEADER_BYTES + (size_t)(seen->head[3] << 8 | seen->head[4]);
        if (seen->count < sizeof(seen->first))
            seen->first[seen->count++] = bytes[i];
    }
}

bool backend_gnutls_saw_tls(const struct record_seen *seen)
{
    enum { CHANGE_CIPHER_SPEC = 20, APPLICATION_DATA = 23, MAJOR = 3 };
    bool type = seen->count < 1 ||
                (seen->first[0] >= CHANGE_CIPHER_SPEC && seen->first[0] <= APPLICATION_DATA);
    return type && (seen->count < 2 || seen->first[1] == MAJOR);
}

/* Some clients say why they refuse a certificate before they have changed their keys; GnuTLS finds
 * only that it cannot be decrypted. In TLS 1.3 no protected record is of this type. */
bool backend_gnutls_saw_plain_alert(const struct record_seen *seen, uint8_t *description)
{
    *description = seen->head[HEADER_BYTES + 1];
    return seen->at == HEADER_BYTES + ALERT_BYTES && seen->length == seen->at &&
           seen->head[0] == TYPE_ALERT && seen->head[HEADER_BYTES] == LEVEL_FATAL;
}

static ssize_t refuse(struct backend_session *s, enum tunnel_result result)
{
    bool wait = result == TUNNEL_WANT_READ || result == TUNNEL_WANT_WRITE;
    *(wait ? &s->waiting : &s->broken) = result;
    gnutls_transport_set_errno(s->tls, wait ? EAGAIN : EIO);
    return -1;
}

static ssize_t pull(gnutls_transport_ptr_t owner, void *buffer, size_t capacity)
{
    struct backend_session *s = owner;
    size_t got = 0;
    enum tunnel_result result = s->transport.read(s->transport.owner, buffer, capacity, &got);
    if (result == TUNNEL_CLOSED)
        return 0;
    if (result != TUNNEL_OK)
        return refuse(s, result);
    if (!s->agreed)
        follow(&s->seen, buffer, got);
    return (ssize_t)got;
}

static ssize_t push(gnutls_transport_ptr_t owner, const void *data, size_t length)
{
    struct backend_session *s = owner;
    size_t taken = 0;
    enum tunnel_result result = s->transport.write(s->transport.owner, data, length, &taken);
    return result == TUNNEL_OK ? (ssize_t)taken : refuse(s, result);
}

/* There is nothing to wait for here: pull tells. */
static int pull_timeout(gnutls_transport_ptr_t owner, unsigned ms)
{
    (void)owner;
    (void)ms;
    return 1;
}

void backend_gnutls_transport(struct backend_session *s)
{
    gnutls_transport_set_ptr(s->tls, s);
    gnutls_transport_set_pull_function(s->tls, pull);
    gnutls_transport_set_push_function(s->tls, push);
    gnutls_transport_set_pull_timeout_function(s->tls, pull_timeout);
}
