/*
 * What a later tunnel resumes from: whose it is, whose trust it was made under, and OpenSSL's own
 * form of the session. In a resumption no certificate is shown, so what was verified then has to be
 * what would be asked for now.
 */
#include "tunnel/backends/openssl.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/failure.h"

static const uint8_t tag[] = "openssl";

enum { HEAD_BYTES = sizeof(tag) + OPENSSL_TRUST_BYTES };

bool openssl_resumption_use(struct backend_session *session, const struct backend_peer *peer,
                            struct tunnel_error *error)
{
    const struct backend_context *context = session->context;
    const uint8_t *bytes = peer->resumption;
    if (bytes == NULL)
        return true;
    if (peer->resumption_length <= HEAD_BYTES || memcmp(bytes, tag, sizeof(tag)) != 0)
        return failure(error, TUNNEL_CONFIGURATION,
                       "resumption: these bytes are not from a tunnel of OpenSSL: leave them out "
                       "for a full handshake") == TUNNEL_OK;
    if (!context->session_tickets ||
        CRYPTO_memcmp(bytes + sizeof(tag), context->trust, OPENSSL_TRUST_BYTES) != 0)
        return true;
    const unsigned char *at = bytes + HEAD_BYTES;
    SSL_SESSION *before = d2i_SSL_SESSION(NULL, &at, (long)(peer->resumption_length - HEAD_BYTES));
    bool done = before != NULL;
    if (!done)
        openssl_refuse(error, TUNNEL_CONFIGURATION, "resumption", "it is damaged");
    else if (openssl_verify_again(session, SSL_SESSION_get0_peer(before)))
        done = SSL_set_session(session->ssl, before) == 1 ||
               openssl_refuse(error, TUNNEL_INTERNAL, "resumption", "OpenSSL does not take it") ==
                   TUNNEL_OK;
    SSL_SESSION_free(before);
    return done;
}

uint8_t *openssl_resumption(struct backend_session *session, size_t *length)
{
    *length = 0;
    openssl_forget_errors();
    SSL_SESSION *own = SSL_get0_session(session->ssl);
    if (session->context->server || !session->context->session_tickets || own == NULL ||
        SSL_SESSION_is_resumable(own) != 1 || SSL_SESSION_has_ticket(own) != 1)
        return NULL;
    int bytes = i2d_SSL_SESSION(own, NULL);
    uint8_t *out = bytes > 0 ? malloc(HEAD_BYTES + (size_t)bytes) : NULL;
    if (out != NULL) {
        memcpy(out, tag, sizeof(tag));
        memcpy(out + sizeof(tag), session->context->trust, OPENSSL_TRUST_BYTES);
        unsigned char *at = out + HEAD_BYTES;
        *length = HEAD_BYTES + (size_t)i2d_SSL_SESSION(own, &at);
    }
    openssl_forget_errors();
    return out;
}
