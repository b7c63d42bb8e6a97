#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/backends/gnutls_internal.h"
#include "tunnel/backends/gnutls_names.h"
#include "tunnel/backends/key_log.h"
#include "tunnel/backends/names.h"
#include "tunnel/failure.h"

/* What resumption bytes begin with: GnuTLS's parser is given nothing that is foreign or damaged. */
struct resumption_head {
    char tag[8];
    uint8_t digest[32]; /* SHA-256 of the rest */
};
static const char resumption_tag[8] = "gnutls1";

/* ---- secrets on request ---- */

static size_t add_hex(char *text, size_t capacity, const gnutls_datum_t *bytes)
{
    size_t length = capacity;
    return gnutls_hex_encode(bytes, text, &length) < 0 ? 0 : strlen(text);
}

static int log_secret(gnutls_session_t tls, const char *label, const gnutls_datum_t *secret)
{
    const struct backend_session *s = gnutls_session_get_ptr(tls);
    char line[512];
    gnutls_datum_t client_random, server_random;
    gnutls_session_get_random(tls, &client_random, &server_random);
    size_t used = (size_t)snprintf(line, sizeof(line), "%s ", label);
    used += add_hex(line + used, sizeof(line) - used, &client_random);
    line[used++] = ' ';
    used += add_hex(line + used, sizeof(line) - used, secret);
    line[used++] = '\n';
    key_log_write(s->context->key_log_fd, line, used);
    gnutls_memset(line, 0, sizeof(line));
    return 0;
}

/* ---- creation ---- */

static unsigned flags_of(const struct backend_context *c)
{
    unsigned flags = GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL;
    flags |= c->server ? GNUTLS_SERVER : GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT;
    if (c->groups_named)
        flags |= GNUTLS_KEY_SHARE_TOP; /* the first is the one that is wanted */
    if (!c->tickets)
        flags |= GNUTLS_NO_TICKETS;
    return flags;
}

static bool copy_peer(struct backend_session *s, const struct backend_peer *peer)
{
    s->verify = peer->verify;
    if (peer->expected_alpn != NULL && (s->expected_alpn = strdup(peer->expected_alpn)) == NULL)
        return false;
    return names_copy(&s->names, peer->names);
}

bool backend_gnutls_may_do_without(const struct backend_session *s)
{
    return s->context->server && s->context->clients != SETTINGS_CLIENTS_MUST;
}

static int verify_in_handshake(gnutls_session_t tls)
{
    struct backend_session *s = gnutls_session_get_ptr(tls);
    unsigned count = 0;
    bool none = gnutls_certificate_get_peers(tls, &count) == NULL || count == 0;
    if (!s->verify || (none && backend_gnutls_may_do_without(s)))
        return 0;
    enum tunnel_result result = backend_gnutls_verify(s, &s->verdict);
    return result == TUNNEL_OK ? 0 : GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

static gnutls_certificate_request_t request_of(const struct backend_context *c)
{
    switch (c->clients) {
    case SETTINGS_CLIENTS_MAY: return GNUTLS_CERT_REQUEST;
    case SETTINGS_CLIENTS_MUST: return GNUTLS_CERT_REQUIRE;
    default: return GNUTLS_CERT_IGNORE;
    }
}

static int set_up_server(struct backend_session *s)
{
    const struct backend_context *c = s->context;
    gnutls_certificate_server_set_request(s->tls, request_of(c));
    backend_gnutls_watch_hello(s);
    return c->tickets ? gnutls_session_ticket_enable_server(s->tls, &c->ticket_key) : 0;
}

static int set_up_client(struct backend_session *s, const struct backend_peer *peer)
{
    if (peer->server_name == NULL)
        return 0;
    return gnutls_server_name_set(s->tls, GNUTLS_NAME_DNS, peer->server_name,
                                  strlen(peer->server_name));
}

static int set_up(struct backend_session *s, const struct backend_peer *peer)
{
    const struct backend_context *c = s->context;
    int code = gnutls_priority_set(s->tls, c->priority);
    if (code >= 0)
        code = gnutls_credentials_set(s->tls, GNUTLS_CRD_CERTIFICATE, c->credentials);
    if (code >= 0 && c->alpn_count > 0)
        code = gnutls_alpn_set_protocols(s->tls, c->alpn, c->alpn_count,
                                         GNUTLS_ALPN_MANDATORY | GNUTLS_ALPN_SERVER_PRECEDENCE);
    if (code >= 0)
        code = c->server ? set_up_server(s) : set_up_client(s, peer);
    gnutls_session_set_ptr(s->tls, s);
    gnutls_session_set_verify_function(s->tls, verify_in_handshake);
    /* NULL as well: else the environment's SSLKEYLOGFILE has its way. */
    gnutls_session_set_keylog_function(s->tls, c->key_log_fd >= 0 ? log_secret : NULL);
    backend_gnutls_transport(s);
    return code;
}

static int make_head(struct resumption_head *head, const uint8_t *rest, size_t length)
{
    memcpy(head->tag, resumption_tag, sizeof(head->tag));
    return gnutls_hash_fast(GNUTLS_DIG_SHA256, rest, length, head->digest);
}

static bool is_ours(const uint8_t *bytes, size_t length)
{
    struct resumption_head head;
    return length > sizeof(head) &&
           make_head(&head, bytes + sizeof(head), length - sizeof(head)) >= 0 &&
           memcmp(bytes, &head, sizeof(head)) == 0;
}

static enum tunnel_result resume(struct backend_session *s, const struct backend_peer *peer,
                                 struct tunnel_error *error)
{
    const size_t head = sizeof(struct resumption_head);
    if (peer->resumption == NULL || s->context->server || !s->context->tickets)
        return TUNNEL_OK;
    if (!is_ours(peer->resumption, peer->resumption_length))
        return failure(
            error, TUNNEL_CONFIGURATION,
            "resumption: these bytes are not as a tunnel of GnuTLS has given them: leave "
            "them out for a full handshake");
    /* What is too old leads to a full handshake. */
    (void)gnutls_session_set_data(s->tls, peer->resumption + head, peer->resumption_length - head);
    return TUNNEL_OK;
}

static enum tunnel_result begin(struct backend_session *s, const struct backend_peer *peer,
                                struct tunnel_error *error)
{
    if (!copy_peer(s, peer) || gnutls_init(&s->tls, flags_of(s->context)) < 0)
        return failure(error, TUNNEL_MEMORY, "out of memory");
    int code = set_up(s, peer);
    if (code == GNUTLS_E_MEMORY_ERROR)
        return failure(error, TUNNEL_MEMORY, "out of memory");
    if (code < 0)
        return failure(
            error, TUNNEL_CONFIGURATION,
            "GnuTLS does not take what this tunnel is to be made with, the server name above "
            "all: %s",
            gnutls_strerror(code));
    return resume(s, peer, error);
}

struct backend_session *backend_gnutls_session_create(struct backend_context *context,
                                                      const struct backend_peer *peer,
                                                      const struct backend_transport *transport,
                                                      struct tunnel_error *error)
{
    struct backend_session *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        failure(error, TUNNEL_MEMORY, "out of memory");
        return NULL;
    }
    s->context = context;
    s->transport = *transport;
    if (begin(s, peer, error) == TUNNEL_OK)
        return s;
    backend_gnutls_session_destroy(s);
    return NULL;
}

void backend_gnutls_session_destroy(struct backend_session *s)
{
    if (s->tls != NULL)
        gnutls_deinit(s->tls);
    names_free(s->names);
    free(s->expected_alpn);
    free(s);
}

/* ---- what is known ---- */

static const char *version_name(gnutls_protocol_t version)
{
    switch (version) {
    case GNUTLS_TLS1_2: return "TLSv1.2";
    case GNUTLS_TLS1_3: return "TLSv1.3";
    default: return NULL;
    }
}

static const char *copy_alpn(struct backend_session *s)
{
    gnutls_datum_t name;
    if (gnutls_alpn_get_selected_protocol(s->tls, &name) < 0 || name.size >= sizeof(s->alpn))
        return NULL;
    memcpy(s->alpn, name.data, name.size);
    s->alpn[name.size] = '\0';
    return s->alpn;
}

static const char *copy_server_name(struct backend_session *s)
{
    size_t length = sizeof(s->server_name);
    unsigned type;
    int code = gnutls_server_name_get(s->tls, s->server_name, &length, &type, 0);
    return code < 0 || length == 0 ? NULL : s->server_name;
}

void backend_gnutls_session_info(struct backend_session *s, struct tunnel_info *info)
{
    struct suite suite;
    unsigned count = 0;
    gnutls_protocol_t version = gnutls_protocol_get_version(s->tls);
    info->version = version_name(version);
    if (suite_of_session(s->tls, &suite)) {
        memcpy(s->cipher, suite.name, sizeof(s->cipher));
        info->cipher = s->cipher;
        info->cipher_number = suite.number;
    }
    info->resumed = gnutls_session_is_resumed(s->tls) != 0;
    /* TLS 1.2 resumes without a key exchange; what is remembered is the first connection's. */
    if (version == GNUTLS_TLS1_3 || !info->resumed)
        info->group = group_name(gnutls_group_get(s->tls));
    info->alpn = copy_alpn(s);
    if (s->context->server)
        info->server_name = copy_server_name(s);
    const gnutls_datum_t *peer = gnutls_certificate_get_peers(s->tls, &count);
    if (peer != NULL && count > 0) {
        info->peer_certificate = peer->data;
        info->peer_certificate_length = peer->size;
    }
}

/* TLS 1.3: asked before a ticket came, GnuTLS would wait for one. TLS 1.2: what was resumed can be
 * resumed again. */
static bool has_ticket(const struct backend_session *s)
{
    bool again =
        gnutls_protocol_get_version(s->tls) == GNUTLS_TLS1_2 && gnutls_session_is_resumed(s->tls);
    return !s->context->server && s->context->tickets &&
           (again || (gnutls_session_get_flags(s->tls) & GNUTLS_SFLAGS_SESSION_TICKET) != 0);
}

static uint8_t *with_head(const gnutls_datum_t *data, size_t *length)
{
    struct resumption_head head;
    uint8_t *bytes = malloc(sizeof(head) + data->size);
    if (bytes == NULL || make_head(&head, data->data, data->size) < 0) {
        free(bytes);
        return NULL;
    }
    memcpy(bytes, &head, sizeof(head));
    memcpy(bytes + sizeof(head), data->data, data->size);
    *length = sizeof(head) + data->size;
    return bytes;
}

uint8_t *backend_gnutls_session_resumption(struct backend_session *s, size_t *length)
{
    gnutls_datum_t data = {NULL, 0};
    *length = 0;
    if (!has_ticket(s) || gnutls_session_get_data2(s->tls, &data) < 0)
        return NULL;
    uint8_t *bytes = with_head(&data, length);
    gnutls_memset(data.data, 0, data.size);
    gnutls_free(data.data);
    return bytes;
}
