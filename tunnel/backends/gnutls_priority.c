#include "tunnel/backends/gnutls_priority.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/backends/gnutls_names.h"
#include "tunnel/failure.h"

/* What is asked for, against what there is. */
struct wish {
    const struct settings *settings;
    struct suites offered;
    bool asked[SUITES_MAX]; /* by name, of a version that is allowed */
    bool tls12, tls13;      /* allowed */
    bool own12, own13;      /* no suite was named: the library's choice */
};

/* ---- text of limited size ---- */

enum { PRIORITY_TEXT_BYTES = 2048 };

struct text {
    char *bytes;
    size_t capacity, length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length =
        vsnprintf(text->bytes + text->length, text->capacity - text->length, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
    if (text->length >= text->capacity)
        text->length = text->capacity - 1;
}

static void add_name(struct text *list, const char *name)
{
    add(list, "%s%s", list->length > 0 ? ", " : "", name);
}

/* ---- names ---- */

static enum tunnel_result no_such_suite(const struct suites *offered, bool tls13,
                                        const struct settings_name *name,
                                        struct tunnel_error *error)
{
    char bytes[TUNNEL_ERROR_TEXT_BYTES] = "";
    struct text list = {bytes, sizeof(bytes), 0};
    if (suite_find(offered, !tls13, name->text) != NULL)
        return failure(error, TUNNEL_CONFIGURATION,
                       "%s: %s is a suite of TLS %s: name it in tls%s, or leave it out",
                       name->where, name->text, tls13 ? "1.2" : "1.3", tls13 ? "12" : "13");
    for (size_t i = 0; i < offered->count; i++)
        if (offered->list[i].tls13 == tls13)
            add_name(&list, offered->list[i].name);
    return failure(error, TUNNEL_CONFIGURATION,
                   "%s: GnuTLS %s has no suite \"%s\" for TLS %s. There are: %s", name->where,
                   gnutls_check_version(NULL), name->text, tls13 ? "1.3" : "1.2", bytes);
}

static enum tunnel_result ask(struct wish *wish, const struct settings_names *names, bool tls13,
                              struct tunnel_error *error)
{
    bool allowed = tls13 ? wish->tls13 : wish->tls12;
    for (size_t i = 0; i < names->count; i++) {
        const struct suite *suite = suite_find(&wish->offered, tls13, names->list[i].text);
        if (suite == NULL)
            return no_such_suite(&wish->offered, tls13, &names->list[i], error);
        if (allowed)
            wish->asked[suite - wish->offered.list] = true;
    }
    return TUNNEL_OK;
}

static enum tunnel_result check_groups(const struct settings_names *names,
                                       struct tunnel_error *error)
{
    for (size_t i = 0; i < names->count; i++) {
        if (group_find(names->list[i].text) != GNUTLS_GROUP_INVALID)
            continue;
        char bytes[TUNNEL_ERROR_TEXT_BYTES] = "";
        struct text list = {bytes, sizeof(bytes), 0};
        const char *offered;
        for (size_t n = 0; (offered = group_offered(n)) != NULL; n++)
            add_name(&list, offered);
        return failure(
            error, TUNNEL_CONFIGURATION, "%s: GnuTLS %s has no key exchange \"%s\". There are: %s",
            names->list[i].where, gnutls_check_version(NULL), names->list[i].text, bytes);
    }
    return TUNNEL_OK;
}

/* ---- what the parts allow ---- */

/* Can `suite` be put together from parts of those asked for, leaving `without` aside? */
static bool is_allowed(const struct wish *wish, const struct suite *suite, size_t without)
{
    bool exchange = suite->tls13, cipher = false, mac = false, named12 = false;
    for (size_t i = 0; i < wish->offered.count; i++) {
        const struct suite *part = &wish->offered.list[i];
        if (!wish->asked[i] || i == without)
            continue;
        cipher |= part->cipher == suite->cipher;
        mac |= part->mac == suite->mac;
        exchange |= !part->tls13 && part->exchange == suite->exchange;
        named12 |= !part->tls13;
    }
    bool version = suite->tls13 ? wish->tls13 : wish->tls12;
    return version && cipher && mac && (exchange || (wish->own12 && !named12));
}

/* Is it more than was asked for? */
static bool is_extra(const struct wish *wish, size_t index, size_t without)
{
    const struct suite *suite = &wish->offered.list[index];
    bool own = suite->tls13 ? wish->own13 : wish->own12;
    bool asked = wish->asked[index] && index != without;
    return !own && !asked && is_allowed(wish, suite, without);
}

enum { NONE_LEFT_OUT = SUITES_MAX };

static size_t count_extra(const struct wish *wish, size_t without)
{
    size_t count = 0;
    for (size_t i = 0; i < wish->offered.count; i++)
        count += is_extra(wish, i, without);
    return count;
}

/* Those which, left out alone, make the rest fit. */
static void list_droppable(const struct wish *wish, struct text *list)
{
    for (size_t i = 0; i < wish->offered.count; i++)
        if (wish->asked[i] && count_extra(wish, i) == 0)
            add(list, "%s%s", list->length > 0 ? " or " : "", wish->offered.list[i].name);
}

static enum tunnel_result check_parts(const struct wish *wish, struct tunnel_error *error)
{
    if (count_extra(wish, NONE_LEFT_OUT) == 0)
        return TUNNEL_OK;
    char extra_bytes[TUNNEL_ERROR_TEXT_BYTES] = "", drop_bytes[TUNNEL_ERROR_TEXT_BYTES] = "";
    struct text extra = {extra_bytes, sizeof(extra_bytes), 0};
    struct text drop = {drop_bytes, sizeof(drop_bytes), 0};
    for (size_t i = 0; i < wish->offered.count; i++)
        if (is_extra(wish, i, NONE_LEFT_OUT))
            add_name(&extra, wish->offered.list[i].name);
    list_droppable(wish, &drop);
    const struct settings *s = wish->settings;
    const char *where = s->ciphers12.count > 0 && !wish->own12 ? s->ciphers12.list[0].where
                                                               : s->ciphers13.list[0].where;
    return failure(
        error, TUNNEL_CONFIGURATION,
        "%s: GnuTLS allows key exchanges, ciphers and MACs one by one, for TLS 1.2 and 1.3 "
        "together, so these suites would be allowed as well: %s. Add them to ciphersuite"
        "%s%s, or set impl: IMPL_OPENSSL3",
        where, extra_bytes, drop.length > 0 ? ", or leave out " : "", drop_bytes);
}

/* A version of which nothing is left must not be offered. */
static enum tunnel_result check_versions(const struct wish *wish, struct tunnel_error *error)
{
    bool any12 = wish->own12 && wish->own13, any13 = any12;
    for (size_t i = 0; i < wish->offered.count; i++) {
        const struct suite *suite = &wish->offered.list[i];
        if (is_allowed(wish, suite, NONE_LEFT_OUT))
            *(suite->tls13 ? &any13 : &any12) = true;
    }
    if (wish->tls12 && !any12)
        return failure(
            error, TUNNEL_CONFIGURATION,
            "%s: none of GnuTLS's TLS 1.2 suites goes with the ciphers of these; name one "
            "in tls12, or set lowest_supported_version: TLS_1_3",
            wish->settings->ciphers13.list[0].where);
    if (wish->tls13 && !any13)
        return failure(
            error, TUNNEL_CONFIGURATION,
            "%s: none of GnuTLS's TLS 1.3 suites goes with the ciphers of these; name one "
            "with AES-GCM or ChaCha20 as well, or set highest_supported_version: TLS_1_2",
            wish->settings->ciphers12.list[0].where);
    return TUNNEL_OK;
}

/* ---- the string ---- */

/* GnuTLS's name of one part of a suite; NULL: it has none. */
typedef const char *part_of(const struct suite *suite);

static const char *cipher_of(const struct suite *suite)
{
    return gnutls_cipher_get_name(suite->cipher);
}

static const char *mac_of(const struct suite *suite)
{
    return gnutls_mac_get_name(suite->mac);
}

static const char *exchange_of(const struct suite *suite)
{
    return suite->tls13 ? NULL : gnutls_kx_get_name(suite->exchange);
}

static void add_parts(struct text *text, const struct wish *wish,
                      const struct settings_names *names, bool tls13, part_of *part)
{
    if (!(tls13 ? wish->tls13 : wish->tls12))
        return;
    for (size_t i = 0; i < names->count; i++) {
        const struct suite *suite = suite_find(&wish->offered, tls13, names->list[i].text);
        if (suite != NULL && part(suite) != NULL)
            add(text, ":+%s", part(suite)); /* a second time is of no effect */
    }
}

static void add_suites(struct text *text, const struct wish *wish)
{
    static part_of *const parts[] = {cipher_of, mac_of, exchange_of};
    const struct settings *s = wish->settings;
    if (wish->own12 && wish->own13) {
        add(text, ":+CIPHER-ALL:+MAC-ALL:+KX-ALL");
        return;
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        add_parts(text, wish, &s->ciphers13, true, parts[i]);
        add_parts(text, wish, &s->ciphers12, false, parts[i]);
    }
    if (wish->own12 && wish->tls12)
        add(text, ":+KX-ALL");
}

static void add_groups(struct text *text, const struct settings_names *names)
{
    if (names->count == 0)
        add(text, ":+GROUP-ALL");
    for (size_t i = 0; i < names->count; i++)
        add(text, ":+GROUP-%s", gnutls_group_get_name(group_find(names->list[i].text)));
}

static enum tunnel_result write_text(const struct wish *wish, struct text *text,
                                     struct tunnel_error *error)
{
    const struct settings *s = wish->settings;
    add(text, "NONE:+CTYPE-X509:+COMP-NULL%s%s", wish->tls13 ? ":+VERS-TLS1.3" : "",
        wish->tls12 ? ":+VERS-TLS1.2" : "");
    add_suites(text, wish);
    add_groups(text, &s->groups);
    /* As strong as the other library's level 2: 112 bits, no SHA-1. */
    add(text, ":+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:%%PROFILE_MEDIUM");
    if (s->server && s->ciphers12.count + s->ciphers13.count + s->groups.count > 0)
        add(text, ":%%SERVER_PRECEDENCE");
    if (text->length + 1 == text->capacity)
        return failure(error, TUNNEL_CONFIGURATION,
                       "the suites and groups are too many for GnuTLS: name each of them once");
    return TUNNEL_OK;
}

static enum tunnel_result make_wish(struct wish *wish, struct tunnel_error *error)
{
    const struct settings *s = wish->settings;
    wish->tls12 = s->lowest <= SETTINGS_TLS_1_2;
    wish->tls13 = s->highest >= SETTINGS_TLS_1_3;
    wish->own12 = !wish->tls12 || s->ciphers12.count == 0;
    wish->own13 = !wish->tls13 || s->ciphers13.count == 0;
    suites_offered(&wish->offered);
    enum tunnel_result result = ask(wish, &s->ciphers12, false, error);
    if (result == TUNNEL_OK)
        result = ask(wish, &s->ciphers13, true, error);
    if (result == TUNNEL_OK)
        result = check_groups(&s->groups, error);
    if (result == TUNNEL_OK)
        result = check_parts(wish, error);
    return result == TUNNEL_OK ? check_versions(wish, error) : result;
}

/* ---- the library's last word ---- */

static bool has_suite(gnutls_priority_t priority, const struct suite *suite)
{
    unsigned index;
    gnutls_protocol_t version;
    uint8_t id[2];
    for (unsigned i = 0;; i++) {
        int code = gnutls_priority_get_cipher_suite_index(priority, i, &index);
        if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return false;
        if (code < 0)
            continue;
        if (gnutls_cipher_suite_info(index, id, NULL, NULL, NULL, &version) != NULL &&
            (id[0] << 8 | id[1]) == suite->number)
            return true;
    }
}

/* The system's policy may have taken something away. */
static enum tunnel_result check_left(gnutls_priority_t priority, const struct wish *wish,
                                     struct tunnel_error *error)
{
    for (size_t i = 0; i < wish->offered.count; i++)
        if (wish->asked[i] && !has_suite(priority, &wish->offered.list[i]))
            return failure(
                error, TUNNEL_CONFIGURATION,
                "ciphersuite: the system's policy forbids GnuTLS to use %s: leave it out, "
                "or have it allowed (/etc/gnutls/config)",
                wish->offered.list[i].name);
    const unsigned *versions;
    int count = gnutls_priority_protocol_list(priority, &versions);
    if (count < (int)wish->tls12 + (int)wish->tls13)
        return failure(
            error, TUNNEL_CONFIGURATION,
            "the system's policy forbids GnuTLS a TLS version that is allowed here: leave it out "
            "(lowest_supported_version, highest_supported_version), or have it allowed "
            "(/etc/gnutls/config)");
    return TUNNEL_OK;
}

static gnutls_priority_t create(const struct wish *wish, const char *text,
                                struct tunnel_error *error)
{
    gnutls_priority_t priority;
    const char *at;
    int code = gnutls_priority_init(&priority, text, &at);
    if (code < 0) {
        failure(error, code == GNUTLS_E_MEMORY_ERROR ? TUNNEL_MEMORY : TUNNEL_CONFIGURATION,
                "GnuTLS cannot use these versions, suites and groups together, maybe by the "
                "system's policy (/etc/gnutls/config): %s at \"%s\"",
                gnutls_strerror(code), code == GNUTLS_E_INVALID_REQUEST ? at : text);
        return NULL;
    }
    if (check_left(priority, wish, error) == TUNNEL_OK)
        return priority;
    gnutls_priority_deinit(priority);
    return NULL;
}

gnutls_priority_t priority_create(const struct settings *settings, struct tunnel_error *error)
{
    char bytes[PRIORITY_TEXT_BYTES];
    struct text text = {bytes, sizeof(bytes), 0};
    gnutls_priority_t priority = NULL;
    struct wish *wish = calloc(1, sizeof(*wish)); /* too large for the stack of a small thread */
    if (wish == NULL) {
        failure(error, TUNNEL_MEMORY, "out of memory");
        return NULL;
    }
    wish->settings = settings;
    if (make_wish(wish, error) == TUNNEL_OK && write_text(wish, &text, error) == TUNNEL_OK)
        priority = create(wish, bytes, error);
    free(wish);
    return priority;
}
