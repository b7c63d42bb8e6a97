/* A BIO over a backend_transport. libssl asks for a record's header, then for just its body, so
 * nothing behind a record is ever taken (SSL_CTX_set_read_ahead is off). */
#include "tunnel/backends/openssl.h"

static void want(BIO *bio, enum tunnel_result result, int retry)
{
    BIO_clear_retry_flags(bio);
    if (result == TUNNEL_WANT_READ || result == TUNNEL_WANT_WRITE)
        BIO_set_flags(bio, retry | BIO_FLAGS_SHOULD_RETRY);
}

static int transport_read(BIO *bio, char *buffer, size_t capacity, size_t *got)
{
    struct backend_session *session = BIO_get_data(bio);
    const struct backend_transport *transport = &session->transport;
    session->transport_said = transport->read(transport->owner, buffer, capacity, got);
    want(bio, session->transport_said, BIO_FLAGS_READ);
    return session->transport_said == TUNNEL_OK;
}

static int transport_write(BIO *bio, const char *data, size_t length, size_t *taken)
{
    struct backend_session *session = BIO_get_data(bio);
    const struct backend_transport *transport = &session->transport;
    session->transport_said = transport->write(transport->owner, data, length, taken);
    want(bio, session->transport_said, BIO_FLAGS_WRITE);
    return session->transport_said == TUNNEL_OK;
}

/* Not at an end even where the transport is: libssl would say so by an alert that nobody reads, and
 * what was lost is known from the transport. */
static long transport_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *openssl_transport_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "tunnel");
    if (method == NULL || BIO_meth_set_read_ex(method, transport_read) != 1 ||
        BIO_meth_set_write_ex(method, transport_write) != 1 ||
        BIO_meth_set_ctrl(method, transport_control) != 1) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

bool openssl_transport_attach(struct backend_session *session)
{
    BIO *bio = BIO_new_ex(session->context->library, session->context->transport);
    if (bio == NULL)
        return false;
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    return true;
}
