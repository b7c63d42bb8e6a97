#include "tunnel/backends/gnutls_names.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- suites ---- */

static bool is_sound(const struct suite *suite)
{
    switch (suite->cipher) {
    case GNUTLS_CIPHER_NULL:
    case GNUTLS_CIPHER_ARCFOUR_128:
    case GNUTLS_CIPHER_3DES_CBC: return false;
    default: break;
    }
    switch (suite->exchange) {
    case GNUTLS_KX_RSA:
    case GNUTLS_KX_DHE_RSA:
    case GNUTLS_KX_ECDHE_RSA:
    case GNUTLS_KX_ECDHE_ECDSA: return true;
    default: return suite->tls13;
    }
}

/* TLS_ECDHE_RSA_AES_128_CBC_SHA1 is IANA's TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA; with ChaCha20,
 * the hash is left out as well. */
static void name_as_iana(struct suite *suite, const char *theirs)
{
    if (suite->tls13) {
        snprintf(suite->name, sizeof(suite->name), "%s", theirs);
        return;
    }
    size_t head = strlen("TLS_") + strlen(gnutls_kx_get_name(suite->exchange));
    size_t length = strlen(theirs);
    const char *tail = "";
    if (suite->mac == GNUTLS_MAC_SHA1)
        length -= strlen("1");
    if (suite->cipher == GNUTLS_CIPHER_CHACHA20_POLY1305)
        tail = "_SHA256";
    snprintf(suite->name, sizeof(suite->name), "%.*s_WITH%.*s%s", (int)head, theirs,
             (int)(length - head), theirs + head, tail);
}

/* The suite at `index` of GnuTLS's table; NULL: no more. */
static const char *suite_at(size_t index, struct suite *suite)
{
    uint8_t id[2];
    gnutls_protocol_t version;
    memset(suite, 0, sizeof(*suite));
    const char *name = gnutls_cipher_suite_info(index, id, &suite->exchange, &suite->cipher,
                                                &suite->mac, &version);
    if (name == NULL)
        return NULL;
    suite->number = (uint16_t)(id[0] << 8 | id[1]);
    suite->tls13 = version == GNUTLS_TLS1_3;
    return name;
}

/* The lower the sooner it is listed. */
static int rank(const struct suite *suite)
{
    bool forward = suite->tls13 || suite->exchange == GNUTLS_KX_ECDHE_RSA ||
                   suite->exchange == GNUTLS_KX_ECDHE_ECDSA;
    return (forward ? 0 : 1) + (suite->mac == GNUTLS_MAC_AEAD ? 0 : 2);
}

void suites_offered(struct suites *suites)
{
    enum { RANKS = 4 };
    struct suite suite;
    const char *name;
    suites->count = 0;
    for (int r = 0; r < RANKS; r++)
        for (size_t i = 0; (name = suite_at(i, &suite)) != NULL; i++) {
            if (!is_sound(&suite) || rank(&suite) != r || suites->count == SUITES_MAX)
                continue;
            name_as_iana(&suite, name);
            suites->list[suites->count++] = suite;
        }
}

const struct suite *suite_find(const struct suites *suites, bool tls13, const char *name)
{
    for (size_t i = 0; i < suites->count; i++)
        if (suites->list[i].tls13 == tls13 && strcmp(suites->list[i].name, name) == 0)
            return &suites->list[i];
    return NULL;
}

/* Its own name of the suite is IANA's, other than in the table. */
bool suite_of_session(gnutls_session_t session, struct suite *suite)
{
    const char *agreed = gnutls_ciphersuite_get(session);
    const char *name;
    for (size_t i = 0; agreed != NULL && (name = suite_at(i, suite)) != NULL; i++) {
        if (!is_sound(suite))
            continue;
        name_as_iana(suite, name);
        if (strcmp(suite->name, agreed) == 0)
            return true;
    }
    return false;
}

/* ---- groups ---- */

struct group {
    const char *name; /* as the other library says it */
    const char *theirs, *alias;
    uint16_t number; /* RFC 8446 §4.2.7 */
};

static const struct group groups[] = {
    {"X25519", "X25519", NULL, 29},
    {"P-256", "SECP256R1", "prime256v1", 23},
    {"X448", "X448", NULL, 30},
    {"P-384", "SECP384R1", NULL, 24},
    {"P-521", "SECP521R1", NULL, 25},
    {"ffdhe2048", "FFDHE2048", NULL, 256},
    {"ffdhe3072", "FFDHE3072", NULL, 257},
    {"ffdhe4096", "FFDHE4096", NULL, 258},
    {"ffdhe6144", "FFDHE6144", NULL, 259},
    {"ffdhe8192", "FFDHE8192", NULL, 260},
};
enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

static bool is_called(const struct group *group, const char *name)
{
    return strcasecmp(group->name, name) == 0 || strcasecmp(group->theirs, name) == 0 ||
           (group->alias != NULL && strcasecmp(group->alias, name) == 0);
}

static gnutls_group_t of_library(const struct group *group)
{
    const gnutls_group_t *list = gnutls_group_list();
    for (size_t i = 0; list != NULL && list[i] != GNUTLS_GROUP_INVALID; i++)
        if (strcasecmp(gnutls_group_get_name(list[i]), group->theirs) == 0)
            return list[i];
    return GNUTLS_GROUP_INVALID;
}

gnutls_group_t group_find(const char *name)
{
    for (size_t i = 0; i < GROUPS; i++)
        if (is_called(&groups[i], name))
            return of_library(&groups[i]);
    return GNUTLS_GROUP_INVALID;
}

gnutls_group_t group_of_number(uint16_t number)
{
    for (size_t i = 0; i < GROUPS; i++)
        if (groups[i].number == number)
            return of_library(&groups[i]);
    return GNUTLS_GROUP_INVALID;
}

const char *group_name(gnutls_group_t group)
{
    const char *theirs = gnutls_group_get_name(group);
    for (size_t i = 0; theirs != NULL && i < GROUPS; i++)
        if (strcasecmp(groups[i].theirs, theirs) == 0)
            return groups[i].name;
    return NULL;
}

const char *group_offered(size_t index)
{
    for (size_t i = 0; i < GROUPS; i++)
        if (of_library(&groups[i]) != GNUTLS_GROUP_INVALID && index-- == 0)
            return groups[i].name;
    return NULL;
}
