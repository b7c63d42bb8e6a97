/* The providers of a context: those that are configured, then OpenSSL's own. */
#include "tunnel/backends/openssl.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "tunnel/failure.h"

enum { PATH_BYTES = 512, REASON_BYTES = 512 };

/* Where OpenSSL looks for one, and how it was told to. */
static void path_tried(const char *name, char *path, size_t capacity)
{
    const char *folder = secure_getenv("OPENSSL_MODULES");
    if (folder == NULL)
        folder = OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
    if (name[0] == '/')
        snprintf(path, capacity, "%s", name);
    else
        snprintf(path, capacity, "%s/%s%s", folder == NULL ? "?" : folder, name,
                 OPENSSL_info(OPENSSL_INFO_DSO_EXTENSION));
}

static bool missing(const struct settings_name *name, struct tunnel_error *error)
{
    char path[PATH_BYTES], reason[REASON_BYTES];
    path_tried(name->text, path, sizeof(path));
    openssl_reason(reason, sizeof(reason));
    failure(error, TUNNEL_CONFIGURATION,
            "%s: OpenSSL's provider \"%s\" cannot be loaded from %s (%s). Install the package that "
            "brings %s.so for this OpenSSL there, or set the environment variable OPENSSL_MODULES "
            "to the directory it is in; `openssl list -providers -provider %s` tries the same",
            name->where, name->text, path, reason, name->text, name->text);
    return false;
}

static bool load(struct backend_context *context, const char *name)
{
    OSSL_PROVIDER *provider = OSSL_PROVIDER_load(context->library, name);
    if (provider == NULL)
        return false;
    context->providers[context->provider_count++] = provider;
    return true;
}

bool openssl_providers_load(struct backend_context *context, const struct settings_names *names,
                            struct tunnel_error *error)
{
    context->providers = calloc(names->count + 1, sizeof(OSSL_PROVIDER *));
    if (context->providers == NULL)
        return failure(error, TUNNEL_MEMORY, "no memory for the providers") == TUNNEL_OK;
    for (size_t i = 0; i < names->count; i++)
        if (!load(context, names->list[i].text))
            return missing(&names->list[i], error);
    if (!load(context, "default"))
        return openssl_refuse(error, TUNNEL_INTERNAL, "OpenSSL",
                              "its own provider cannot be loaded") == TUNNEL_OK;
    return true;
}

void openssl_providers_unload(struct backend_context *context)
{
    for (size_t i = context->provider_count; i > 0; i--)
        OSSL_PROVIDER_unload(context->providers[i - 1]);
    free(context->providers);
}

void openssl_providers_list(const struct backend_context *context, char *text, size_t capacity)
{
    text[0] = 0;
    for (size_t i = 0; i < context->provider_count; i++)
        openssl_list_add(text, capacity, ", ", OSSL_PROVIDER_get0_name(context->providers[i]));
}
