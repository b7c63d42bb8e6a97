#include "tunnel/context.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/config/file.h"
#include "tunnel/failure.h"

struct tunnel_context {
    atomic_uint owners;
    const struct backend *backend;
    struct backend_context *implementation;
    char name[BACKEND_NAME_BYTES]; /* the implementation's */
    bool server, verifies;
    char *text;
};

static const struct backend *backend_for(enum settings_implementation implementation)
{
    switch (implementation) {
    case SETTINGS_OPENSSL3: return &backend_openssl;
    case SETTINGS_GNUTLS: return &backend_gnutls;
    }
    return NULL;
}

static struct tunnel_context *from_settings(struct settings *settings, struct tunnel_error *error)
{
    struct tunnel_context *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        failure(error, TUNNEL_MEMORY, "out of memory");
        return NULL;
    }
    atomic_init(&c->owners, 1);
    c->backend = backend_for(settings->implementation);
    c->backend->implementation(c->name);
    c->server = settings->server;
    c->verifies = settings->server ? settings->client_authentication != SETTINGS_CLIENTS_UNASKED
                                   : !settings->empty_verifier;
    c->text = strdup(settings->text);
    if (c->text == NULL)
        failure(error, TUNNEL_MEMORY, "out of memory");
    else
        c->implementation = c->backend->context_create(settings, error);
    if (c->implementation == NULL) {
        free(c->text);
        free(c);
        return NULL;
    }
    return c;
}

static struct tunnel_context *create(const char *name, const uint8_t *bytes, size_t length,
                                     enum settings_form form, struct tunnel_error *error)
{
    struct settings *settings = settings_read(name, bytes, length, form, error);
    if (settings == NULL)
        return NULL;
    struct tunnel_context *context = from_settings(settings, error);
    settings_free(settings);
    return context;
}

struct tunnel_context *tunnel_context_from_text(const char *text, struct tunnel_error *error)
{
    return create("configuration", (const uint8_t *)text, strlen(text), SETTINGS_TEXT, error);
}

struct tunnel_context *tunnel_context_from_bytes(const uint8_t *bytes, size_t length,
                                                 struct tunnel_error *error)
{
    return create("configuration", bytes, length, SETTINGS_SERIALIZED, error);
}

struct tunnel_context *tunnel_context_from_file(const char *path, struct tunnel_error *error)
{
    struct file_content content;
    if (!file_read(path, &content)) {
        failure(error, errno == ENOMEM ? TUNNEL_MEMORY : TUNNEL_CONFIGURATION,
                "%s: cannot be read: %s; name a file that this user may read", path,
                strerror(errno));
        return NULL;
    }
    struct tunnel_context *context =
        create(path, content.bytes, content.length, SETTINGS_EITHER, error);
    file_wipe(&content);
    return context;
}

struct tunnel_context *tunnel_context_hold(struct tunnel_context *c)
{
    atomic_fetch_add_explicit(&c->owners, 1, memory_order_relaxed);
    return c;
}

void tunnel_context_release(struct tunnel_context *c)
{
    if (c == NULL || atomic_fetch_sub_explicit(&c->owners, 1, memory_order_acq_rel) > 1)
        return;
    c->backend->context_destroy(c->implementation);
    free(c->text);
    free(c);
}

bool tunnel_context_is_server(const struct tunnel_context *c)
{
    return c->server;
}

const char *tunnel_context_implementation(const struct tunnel_context *c)
{
    return c->name;
}

char *tunnel_context_text(const struct tunnel_context *c)
{
    return strdup(c->text);
}

const struct backend *context_backend(const struct tunnel_context *c)
{
    return c->backend;
}

struct backend_context *context_of_backend(const struct tunnel_context *c)
{
    return c->implementation;
}

bool context_verifies(const struct tunnel_context *c)
{
    return c->verifies;
}
