/* Key exchange groups: what the providers have, and what of it is used. */
#include "tunnel/backends/openssl.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tunnel/failure.h"

enum {
    NAME_BYTES = 64, /* as OpenSSL's own */
    LIST_BYTES = TUNNEL_ERROR_TEXT_BYTES,
    PROVIDERS_BYTES = 128,
};

struct group {
    char name[NAME_BYTES];     /* in TLS */
    char internal[NAME_BYTES]; /* the provider's own */
    unsigned number;           /* IANA's */
    int lowest, highest;       /* versions of TLS; 0: no limit, -1: none */
};

struct groups {
    struct group *list;
    size_t count;
    unsigned least_bits; /* what the security level asks for */
    int lowest, highest; /* the context's versions */
    bool no_memory;
};

/* The names that people use where IANA's (secp256r1, x25519) are not the usual ones. */
static const struct {
    unsigned number;
    const char *name;
} usual[] = {{23, "P-256"}, {24, "P-384"}, {25, "P-521"}, {29, "X25519"}, {30, "X448"}};

static const char *usual_name(unsigned number, const char *name)
{
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
        if (usual[i].number == number)
            return usual[i].name;
    return name;
}

/* Security levels by bits (SSL_CTX_set_security_level(3)). */
static unsigned bits_of_level(int level)
{
    static const unsigned bits[] = {0, 80, 112, 128, 192, 256};
    int last = (int)(sizeof(bits) / sizeof(bits[0])) - 1;
    return bits[level < 0 ? 0 : level > last ? last : level];
}

static bool text_of(const OSSL_PARAM params[], const char *key, char text[NAME_BYTES])
{
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, key);
    return param != NULL && OSSL_PARAM_get_utf8_string(param, &text, NAME_BYTES);
}

static int number_of(const OSSL_PARAM params[], const char *key)
{
    int number = 0;
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, key);
    return param != NULL && OSSL_PARAM_get_int(param, &number) ? number : 0;
}

static bool in_version(const struct group *group, int version)
{
    return group->lowest >= 0 && group->highest >= 0 && group->lowest <= version &&
           (group->highest == 0 || version <= group->highest);
}

static bool in_any_version(const struct group *group, const struct groups *groups)
{
    for (int version = groups->lowest; version <= groups->highest; version++)
        if (in_version(group, version))
            return true;
    return false;
}

static int add(const OSSL_PARAM params[], void *argument)
{
    struct groups *groups = argument;
    struct group group = {.lowest = number_of(params, OSSL_CAPABILITY_TLS_GROUP_MIN_TLS),
                          .highest = number_of(params, OSSL_CAPABILITY_TLS_GROUP_MAX_TLS)};
    group.number = (unsigned)number_of(params, OSSL_CAPABILITY_TLS_GROUP_ID);
    unsigned bits = (unsigned)number_of(params, OSSL_CAPABILITY_TLS_GROUP_SECURITY_BITS);
    if (!text_of(params, OSSL_CAPABILITY_TLS_GROUP_NAME, group.name) ||
        !text_of(params, OSSL_CAPABILITY_TLS_GROUP_NAME_INTERNAL, group.internal))
        return 1;
    if (bits < groups->least_bits || !in_any_version(&group, groups))
        return 1;
    struct group *list = realloc(groups->list, (groups->count + 1) * sizeof(*list));
    if (list == NULL) {
        groups->no_memory = true;
        return 0;
    }
    groups->list = list;
    list[groups->count++] = group;
    return 1;
}

static const struct group *find(const struct groups *groups, const char *name)
{
    for (size_t i = 0; i < groups->count; i++) {
        const struct group *group = &groups->list[i];
        if (strcasecmp(group->name, name) == 0 || strcasecmp(group->internal, name) == 0)
            return group;
    }
    return NULL;
}

static bool is_alias(const struct groups *groups, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (groups->list[i].number == groups->list[index].number)
            return true;
    return false;
}

/* Those for the highest version first: there are many that nobody should want. */
static void list_names(const struct groups *groups, char *text, size_t capacity)
{
    text[0] = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < groups->count; i++) {
            const struct group *group = &groups->list[i];
            bool first_pass = in_version(group, groups->highest);
            if (!is_alias(groups, i) && first_pass == (pass == 0))
                openssl_list_add(text, capacity, ", ", usual_name(group->number, group->name));
        }
}

static bool unknown(const struct backend_context *context, const struct groups *groups,
                    const struct settings_name *name, struct tunnel_error *error)
{
    char list[LIST_BYTES], providers[PROVIDERS_BYTES], library[BACKEND_NAME_BYTES];
    list_names(groups, list, sizeof(list));
    openssl_providers_list(context, providers, sizeof(providers));
    openssl_implementation(library);
    failure(error, TUNNEL_CONFIGURATION,
            "%s: no key exchange group \"%s\" in %s (providers: %s) for these versions at security "
            "level %d. There are: %s",
            name->where, name->text, library, providers, SSL_CTX_get_security_level(context->ssl),
            list);
    return false;
}

static bool set(struct backend_context *context, const struct groups *groups,
                const struct settings_names *names, char *list, size_t capacity,
                struct tunnel_error *error)
{
    bool any_for_highest = false;
    list[0] = 0;
    for (size_t i = 0; i < names->count; i++) {
        const struct settings_name *name = &names->list[i];
        const struct group *group = find(groups, name->text);
        if (group == NULL)
            return unknown(context, groups, name, error);
        for (size_t j = 0; j < i; j++)
            if (find(groups, names->list[j].text)->number == group->number)
                return failure(error, TUNNEL_CONFIGURATION,
                               "%s: \"%s\" is the same group as \"%s\" before it: name it once",
                               name->where, name->text, names->list[j].text) == TUNNEL_OK;
        any_for_highest = any_for_highest || in_version(group, groups->highest);
        openssl_list_add(list, capacity, ":", group->name);
    }
    if (!any_for_highest)
        return failure(error, TUNNEL_CONFIGURATION,
                       "%s: none of the groups is for TLS 1.3: add one that is, such as X25519, or "
                       "set highest_supported_version: TLS_1_2",
                       names->list[0].where) == TUNNEL_OK;
    if (SSL_CTX_set1_groups_list(context->ssl, list) != 1)
        return openssl_refuse(error, TUNNEL_CONFIGURATION, names->list[0].where,
                              "OpenSSL does not take these groups") == TUNNEL_OK;
    return true;
}

static int ask(OSSL_PROVIDER *provider, void *groups)
{
    return OSSL_PROVIDER_get_capabilities(provider, "TLS-GROUP", add, groups) == 0 &&
                   ((struct groups *)groups)->no_memory
               ? 0
               : 1; /* one without groups is in order */
}

static int version_number(enum settings_version version)
{
    return version == SETTINGS_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

bool openssl_groups_set(struct backend_context *context, const struct settings *settings,
                        struct tunnel_error *error)
{
    if (settings->groups.count == 0)
        return true;
    struct groups groups = {
        .least_bits = bits_of_level(SSL_CTX_get_security_level(context->ssl)),
        .lowest = version_number(settings->lowest),
        .highest = version_number(settings->highest),
    };
    OSSL_PROVIDER_do_all(context->library, ask, &groups);
    size_t capacity = settings->groups.count * (NAME_BYTES + 1);
    char *list = malloc(capacity);
    bool done = list != NULL && !groups.no_memory;
    if (!done)
        failure(error, TUNNEL_MEMORY, "no memory for the key exchange groups");
    done = done && set(context, &groups, &settings->groups, list, capacity, error);
    free(list);
    free(groups.list);
    return done;
}

const char *openssl_group_name(SSL *ssl)
{
    /* What a TLS 1.2 session remembers was used when it began. */
    if (SSL_session_reused(ssl) && SSL_version(ssl) < TLS1_3_VERSION)
        return NULL;
    int id = (int)SSL_get_negotiated_group(ssl);
    const char *name = id == NID_undef ? NULL : SSL_group_to_name(ssl, id);
    for (size_t i = 0; name != NULL && i < sizeof(usual) / sizeof(usual[0]); i++) {
        static const char *const iana[] = {"secp256r1", "secp384r1", "secp521r1", "x25519", "x448"};
        if (strcasecmp(name, iana[i]) == 0 || strcasecmp(name, usual[i].name) == 0)
            return usual[i].name;
    }
    return name;
}
