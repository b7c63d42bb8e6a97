/* What a ClientHello offers: where nothing is in common GnuTLS says of TLS 1.2 only that no suite
 * is. */
#include "tunnel/backends/gnutls_internal.h"
#include "tunnel/backends/gnutls_names.h"

enum { TLS_1_2 = 0x0303, TLS_1_3 = 0x0304 };
enum { SUPPORTED_GROUPS = 10, SUPPORTED_VERSIONS = 43 }; /* RFC 8446 §4.2 */

static uint16_t u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static bool is_version_allowed(const struct backend_context *c, uint16_t version)
{
    const unsigned *list;
    int count = gnutls_priority_protocol_list(c->priority, &list);
    for (int i = 0; i < count; i++)
        if (version == (list[i] == GNUTLS_TLS1_3 ? TLS_1_3 : TLS_1_2))
            return true;
    return false;
}

static bool is_group_allowed(const struct backend_context *c, uint16_t number)
{
    const unsigned *list;
    int count = gnutls_priority_group_list(c->priority, &list);
    gnutls_group_t group = group_of_number(number);
    for (int i = 0; group != GNUTLS_GROUP_INVALID && i < count; i++)
        if (list[i] == group)
            return true;
    return false;
}

typedef bool is_allowed(const struct backend_context *c, uint16_t number);

/* Is one of the numbers in a list of the extension allowed? */
static bool any_allowed(const struct backend_context *c, is_allowed *allowed, const uint8_t *list,
                        size_t length)
{
    for (size_t i = 0; i + 2 <= length; i += 2)
        if (allowed(c, u16(list + i)))
            return true;
    return false;
}

static int look_at_extension(void *session, unsigned type, const unsigned char *data,
                             unsigned length)
{
    struct backend_session *s = session;
    if (type == SUPPORTED_VERSIONS && length > 1) /* behind the list's length of one byte */
        s->shares_version = any_allowed(s->context, is_version_allowed, data + 1, length - 1);
    if (type == SUPPORTED_GROUPS && length > 2) /* … of two */
        s->shares_group = any_allowed(s->context, is_group_allowed, data + 2, length - 2);
    return 0;
}

static int look_at_hello(gnutls_session_t tls, unsigned type, unsigned when, unsigned incoming,
                         const gnutls_datum_t *message)
{
    struct backend_session *s = gnutls_session_get_ptr(tls);
    (void)type;
    (void)when;
    if (!incoming || message->size < 2)
        return 0;
    uint16_t version = u16(message->data);
    s->shares_version = is_version_allowed(s->context, version < TLS_1_2 ? version : TLS_1_2);
    s->shares_group = true;
    /* What is malformed is the handshake's affair. */
    (void)gnutls_ext_raw_parse(s, look_at_extension, message, GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO);
    return 0;
}

void backend_gnutls_watch_hello(struct backend_session *s)
{
    s->shares_version = s->shares_group = true;
    gnutls_handshake_set_hook_function(s->tls, GNUTLS_HANDSHAKE_CLIENT_HELLO, GNUTLS_HOOK_PRE,
                                       look_at_hello);
}
