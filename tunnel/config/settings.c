#include "tunnel/config/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/text_reader.h"
#include "proto/text/text_writer.h"
#include "tunnel/config/parts.h"
#include "tunnel/failure.h"

#define TLS_EXAMPLE "such as tls { common_options { "

enum { DEPTH_DEFAULT = 20 };

/* What settings_free frees; the settings come first. */
struct owned {
    struct settings settings;
    struct arena arena;
};

/* ---- the implementation ---- */

static const char *provider_fault(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_";
    size_t length = strlen(text);

    return length >= 1 && length <= 64 && strspn(text, allowed) == length
               ? NULL
               : "is no provider; write its name, such as \"oqsprovider\"";
}

/* IMPL_OPENSSL3_OQS_PROVIDER says that it is loaded, unless it is named as well. */
static void add_oqs_provider(struct settings_reader *r, const struct decode_at *at,
                             struct settings *out)
{
    static const char name[] = "oqsprovider";
    struct settings_names *names = &out->providers;
    struct settings_name *list;

    for (size_t i = 0; i < names->count; i++)
        if (names->list[i].text != NULL && strcmp(names->list[i].text, name) == 0)
            return;
    list = arena_take(r->arena, names->count + 1, sizeof(*list));
    if (list == NULL)
        return;
    if (names->count > 0)
        memcpy(list + 1, names->list, names->count * sizeof(*list));
    list[0] = (struct settings_name){arena_text(r->arena, name), settings_where(r, at, "impl", 0)};
    *names = (struct settings_names){list, names->count + 1};
}

static void read_implementation(struct settings_reader *r, const struct decode_at *at,
                                const Turbotls__V1__TunnelConfiguration *m, struct settings *out)
{
    bool gnutls = m->impl == TURBOTLS__V1__IMPLEMENTATION__IMPL_GNUTLS;

    out->implementation = gnutls ? SETTINGS_GNUTLS : SETTINGS_OPENSSL3;
    out->providers =
        settings_names_read(r, at, "provider", m->provider, m->n_provider, provider_fault);
    if (gnutls && m->n_provider > 0)
        text_mistake(&r->judge, at, "provider", 0,
                     "is for OpenSSL only; leave it out, or write impl: IMPL_OPENSSL3");
    if (m->impl == TURBOTLS__V1__IMPLEMENTATION__IMPL_OPENSSL3_OQS_PROVIDER)
        add_oqs_provider(r, at, out);
}

/* ---- client and server ---- */

static void read_authentication(struct settings_reader *r, const struct decode_at *at,
                                const Turbotls__V1__TlsOptions *m, struct settings *out)
{
    switch (m->client_authentication) {
    case TURBOTLS__V1__CLIENT_AUTHENTICATION__CLIENT_AUTHENTICATION_REQUESTED:
        out->client_authentication = SETTINGS_CLIENTS_MAY;
        break;
    case TURBOTLS__V1__CLIENT_AUTHENTICATION__CLIENT_AUTHENTICATION_REQUIRED:
        out->client_authentication = SETTINGS_CLIENTS_MUST;
        break;
    default: out->client_authentication = SETTINGS_CLIENTS_UNASKED;
    }
    if (!out->server && out->client_authentication != SETTINGS_CLIENTS_UNASKED)
        text_mistake(&r->judge, at, "client_authentication", 0,
                     "is for servers, which ask for it; leave it out");
}

static void read_tls(struct settings_reader *r, const struct decode_at *at,
                     const Turbotls__V1__TlsOptions *m, struct settings *out)
{
    struct decode_at common = text_inside(at, m->common_options, "common_options", 0);

    text_check(&r->judge, at);
    read_authentication(r, at, m, out);
    if (m->common_options != NULL)
        settings_common_read(r, &common, m->common_options, out);
    else
        text_missing(&r->judge, at, "common_options",
                     out->server ? "such as common_options { identity { ... } }"
                                 : "such as common_options { x509_verifier { ... } }");
}

/* ClientOptions and ServerOptions are alike. */
static void read_side(struct settings_reader *r, const struct decode_at *at,
                      const Turbotls__V1__TlsOptions *tls, struct settings *out)
{
    struct decode_at inner = text_inside(at, tls, "tls", 0);

    text_check(&r->judge, at);
    if (tls != NULL)
        read_tls(r, &inner, tls, out);
    else
        text_missing(&r->judge, at, "tls",
                     out->server ? TLS_EXAMPLE "identity { ... } } }"
                                 : TLS_EXAMPLE "x509_verifier { ... } } }");
}

static void read_sides(struct settings_reader *r, const struct decode_at *at,
                       const Turbotls__V1__TunnelConfiguration *m, struct settings *out)
{
    struct decode_at client = text_inside(at, m->client, "client", 0);
    struct decode_at server = text_inside(at, m->server, "server", 0);

    if (m->client != NULL && m->server != NULL)
        text_mistake(&r->judge, at, "server", 0,
                     "is there beside client; leave one of them out, a context is one or the "
                     "other");
    else if (m->client != NULL)
        read_side(r, &client, m->client->tls, out);
    else if (m->server != NULL)
        read_side(r, &server, m->server->tls, out);
    else if (!text_was_tried(&r->judge, at, "client") && !text_was_tried(&r->judge, at, "server"))
        text_mistake(&r->judge, at, NULL, 0,
                     "has neither client nor server; write client { tls { common_options { ... } } "
                     "} or server { tls { common_options { ... } } }");
}

static void read_configuration(struct settings_reader *r,
                               const Turbotls__V1__TunnelConfiguration *m, struct settings *out)
{
    struct decode_at top = {.message = &m->base};

    *out = (struct settings){.server = m->server != NULL,
                             .lowest = SETTINGS_TLS_1_2,
                             .highest = SETTINGS_TLS_1_3,
                             .verify_depth = DEPTH_DEFAULT,
                             .session_tickets = true};
    text_check(&r->judge, &top);
    read_implementation(r, &top, m, out);
    read_sides(r, &top, m, out);
}

/* ---- as text, without keys ---- */

/* False: no memory. */
static bool leave_out(Turbotls__V1__DataSource *data)
{
    ProtobufCAllocator wiping = arena_wiping();

    if (data == NULL || (!data->has_inline_bytes && data->inline_string == NULL))
        return true;
    if (data->has_inline_bytes)
        wiping.free(NULL, data->inline_bytes.data);
    data->has_inline_bytes = false;
    data->inline_bytes = (ProtobufCBinaryData){0};
    wiping.free(NULL, data->inline_string);
    data->inline_string = strdup("(left out)");
    return data->inline_string != NULL;
}

static Turbotls__V1__DataSource *data_of(const Turbotls__V1__Asn1Source *source)
{
    return source == NULL ? NULL : source->data;
}

/* A PEM text that holds a certificate and its key is one of a key's. */
static bool leave_out_keys(Turbotls__V1__Certificate *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Turbotls__V1__DataSource *data = data_of(list[i]->static_);
        bool secret = data != NULL &&
                      ((data->has_inline_bytes &&
                        settings_holds_key(data->inline_bytes.data, data->inline_bytes.len)) ||
                       (data->inline_string != NULL &&
                        settings_holds_key(data->inline_string, strlen(data->inline_string))));
        if (secret && !leave_out(data))
            return false;
    }
    return true;
}

static bool make_public(Turbotls__V1__TunnelConfiguration *m)
{
    Turbotls__V1__TlsOptions *tls = m->client != NULL ? m->client->tls : m->server->tls;
    Turbotls__V1__CommonOptions *common = tls->common_options;
    Turbotls__V1__X509Identity *identity = common->identity;
    Turbotls__V1__X509Verifier *verifier = common->x509_verifier;

    if (verifier != NULL && !leave_out_keys(verifier->trusted_cas, verifier->n_trusted_cas))
        return false;
    return identity == NULL || (leave_out(data_of(identity->private_key->static_)) &&
                                leave_out_keys(identity->certificate, identity->n_certificate));
}

/* To be freed. NULL: no memory. */
static char *printed(const ProtobufCMessage *message)
{
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    if (out == NULL)
        return NULL;
    text_write(message, out);
    bool good = ferror(out) == 0;
    if (fclose(out) == 0 && good)
        return text;
    free(text);
    return NULL;
}

/* ---- all of it ---- */

/* A text begins with none of the tags that the four fields have: '"' would not be a name. */
static bool is_serialized(const uint8_t *bytes)
{
    return bytes[0] == 0x08 || bytes[0] == 0x12 || bytes[0] == 0x1a || bytes[0] == 0x22;
}

static ProtobufCMessage *read_message(struct settings_reader *r, struct places *places,
                                      const uint8_t *bytes, size_t length, enum settings_form form)
{
    const ProtobufCMessageDescriptor *descriptor = &turbotls__v1__tunnel_configuration__descriptor;
    ProtobufCAllocator wiping = arena_wiping();
    ProtobufCMessage *message;

    if (form == SETTINGS_TEXT || (form == SETTINGS_EITHER && !is_serialized(bytes))) {
        r->judge.places = places;
        message = text_read(descriptor, r->judge.file, (const char *)bytes, length, places,
                            r->judge.errors);
        r->arena->failed = message == NULL;
        return message;
    }
    message = protobuf_c_message_unpack(descriptor, &wiping, length, bytes);
    if (message == NULL)
        config_error(r->judge.errors,
                     "%s: is neither a text nor a whole serialized message "
                     "turbotls.v1.TunnelConfiguration",
                     r->judge.file);
    return message;
}

/* False: it is not even looked at, and said why. */
static bool has_right_size(struct settings_reader *r, size_t length)
{
    if (length == 0)
        config_error(r->judge.errors,
                     "%s: is empty; write client { tls { common_options { ... } } } or server { "
                     "tls { common_options { ... } } }",
                     r->judge.file);
    if (length > SETTINGS_BYTES_MAX)
        config_error(r->judge.errors,
                     "%s: is longer than the %d MiB that a configuration can have; name files in "
                     "it rather than what they hold",
                     r->judge.file, SETTINGS_BYTES_MAX >> 20);
    return length > 0 && length <= SETTINGS_BYTES_MAX;
}

static void read_all(struct settings_reader *r, const uint8_t *bytes, size_t length,
                     enum settings_form form, struct settings *out)
{
    ProtobufCAllocator wiping = arena_wiping();
    ProtobufCMessage *message = NULL;
    struct places places;

    places_init(&places);
    if (has_right_size(r, length))
        message = read_message(r, &places, bytes, length, form);
    if (message != NULL && !r->judge.errors->cut) {
        Turbotls__V1__TunnelConfiguration *m = (Turbotls__V1__TunnelConfiguration *)message;
        read_configuration(r, m, out);
        if (r->judge.errors->total == 0 && !r->arena->failed)
            out->text = make_public(m) ? printed(message) : NULL;
        r->arena->failed = r->arena->failed || (r->judge.errors->total == 0 && out->text == NULL);
    }
    if (message != NULL)
        protobuf_c_message_free_unpacked(message, &wiping);
    places_free(&places);
    r->judge.places = NULL;
}

struct settings *settings_read(const char *name, const uint8_t *bytes, size_t length,
                               enum settings_form form, struct tunnel_error *error)
{
    struct owned *owned = calloc(1, sizeof(*owned));
    struct settings_reader r;

    if (owned == NULL) {
        (void)failure(error, TUNNEL_MEMORY, "out of memory");
        return NULL;
    }
    settings_begin(&r, name, &owned->arena);
    read_all(&r, bytes, length, form, &owned->settings);
    if (settings_end(&r, error))
        return &owned->settings;
    settings_free(&owned->settings);
    return NULL;
}

void settings_free(struct settings *settings)
{
    struct owned *owned = (struct owned *)settings;

    if (owned == NULL)
        return;
    arena_release(&owned->arena);
    free(settings->text);
    free(owned);
}
