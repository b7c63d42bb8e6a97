/* The options of one tunnel, from a TunnelOptions text. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/quote.h"
#include "proto/text/text_reader.h"
#include "tunnel/config/parts.h"
#include "tunnel/failure.h"

enum { HOST_BYTES_MAX = 253, LABEL_BYTES_MAX = 63, ALT_NAMES_MAX = 64 };

/* What settings_options_free frees; the options come first. */
struct owned {
    struct tunnel_options options;
    struct arena arena;
};

/* ---- names ---- */

static bool is_address(const char *text)
{
    uint8_t bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static const char *label_fault(const char *label, size_t length)
{
    if (length == 0)
        return "has an empty label; write a name such as \"www.example.com\"";
    if (length > LABEL_BYTES_MAX)
        return "has a label of more than 63 letters; write a name such as \"www.example.com\"";
    for (size_t i = 0; i < length; i++) {
        char c = label[i];
        if ((unsigned char)c > 0x7e)
            return "has letters beyond ASCII; write it as DNS has it, such as "
                   "\"xn--bcher-kva.example\"";
        if (c == '*')
            return "is for many; write the name of the one that is meant";
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_'))
            return "is no host's name; write one such as \"www.example.com\", without port and "
                   "dot at its end";
    }
    return NULL;
}

static const char *host_fault(const char *text)
{
    const char *wrong = NULL;

    if (strlen(text) > HOST_BYTES_MAX)
        return "has more than 253 letters; write a name such as \"www.example.com\"";
    for (const char *label = text; wrong == NULL; label += strcspn(label, ".") + 1) {
        size_t length = strcspn(label, ".");
        wrong = label != text && label[0] == '\0' ? "ends with a dot; leave it out"
                                                  : label_fault(label, length);
        if (label[length] == '\0')
            break;
    }
    return wrong;
}

static const char *dns_fault(const char *text)
{
    return is_address(text) ? "is an address; write ip_address" : host_fault(text);
}

static const char *server_name_fault(const char *text)
{
    return is_address(text) ? NULL : host_fault(text);
}

static const char *address_fault(const char *text)
{
    return is_address(text) ? NULL
                            : "is no address; write one such as \"192.0.2.1\" or \"2001:db8::1\", "
                              "without brackets, port and scope";
}

/* What tells a mailbox from the names of hosts is its sign. */
static const char *email_fault(const char *text)
{
    const char *sign = strchr(text, '@');

    return sign != NULL && sign != text && host_fault(sign + 1) == NULL
               ? NULL
               : "is no mailbox; write one such as \"somebody@example.com\"";
}

/* A text that may be given once. NULL: it is not, or it is wrong, which was said. */
static const char *read_text(struct settings_reader *r, const struct decode_at *at,
                             const char *field, const char *text,
                             const char *(*fault)(const char *text))
{
    const char *wrong = text == NULL ? NULL : fault(text);

    if (wrong != NULL)
        text_mistake(&r->judge, at, field, 0, "%s %s", quote(text).text, wrong);
    return text == NULL || wrong != NULL ? NULL : arena_text(r->arena, text);
}

/* ---- verifiers ---- */

static const char *read_matcher(struct settings_reader *r, const struct decode_at *at,
                                const Turbotls__V1__SanMatcher *m)
{
    int given = (m->dns != NULL) + (m->ip_address != NULL) + (m->email != NULL);

    text_check(&r->judge, at);
    if (given != 1) {
        if (given > 1 ||
            (!text_was_tried(&r->judge, at, "dns") && !text_was_tried(&r->judge, at, "email") &&
             !text_was_tried(&r->judge, at, "ip_address")))
            text_mistake(&r->judge, at, NULL, 0,
                         "has %s; write one of dns, ip_address and email, and the others as "
                         "alt_names of their own",
                         given == 0 ? "no name" : "several names");
        return NULL;
    }
    if (m->dns != NULL)
        return read_text(r, at, "dns", m->dns, dns_fault);
    if (m->ip_address != NULL)
        return read_text(r, at, "ip_address", m->ip_address, address_fault);
    return read_text(r, at, "email", m->email, email_fault);
}

static void read_san(struct settings_reader *r, const struct decode_at *at,
                     const Turbotls__V1__SanVerifier *m, struct tunnel_options *out)
{
    const char **names;

    text_check(&r->judge, at);
    if (m->n_alt_names == 0)
        text_missing(&r->judge, at, "alt_names", "such as alt_names { dns: \"www.example.com\" }");
    if (m->n_alt_names > ALT_NAMES_MAX) {
        text_mistake(&r->judge, at, "alt_names", ALT_NAMES_MAX,
                     "%d are possible, and there are %zu", ALT_NAMES_MAX, m->n_alt_names);
        return;
    }
    names = arena_take(r->arena, m->n_alt_names + 1, sizeof(*names));
    for (size_t i = 0; names != NULL && i < m->n_alt_names; i++) {
        struct decode_at inner = text_inside(at, m->alt_names[i], "alt_names", i);
        names[i] = read_matcher(r, &inner, m->alt_names[i]);
    }
    out->names = names;
}

static void read_verifier(struct settings_reader *r, const struct decode_at *at,
                          const Turbotls__V1__TunnelVerifier *m, struct tunnel_options *out)
{
    struct decode_at san = text_inside(at, m->san_verifier, "san_verifier", 0);
    static const char advice[] = "write san_verifier { alt_names { dns: \"www.example.com\" } }, "
                                 "or empty_verifier { } where any name will do";

    text_check(&r->judge, at);
    out->empty_verifier = m->empty_verifier != NULL;
    if (m->san_verifier != NULL && m->empty_verifier != NULL)
        text_mistake(&r->judge, at, "empty_verifier", 0,
                     "contradicts san_verifier; leave it out, or names are not verified");
    else if (m->san_verifier != NULL)
        read_san(r, &san, m->san_verifier, out);
    else if (m->empty_verifier == NULL && !text_was_tried(&r->judge, at, "san_verifier") &&
             !text_was_tried(&r->judge, at, "empty_verifier"))
        text_mistake(&r->judge, at, NULL, 0, "is empty; %s", advice);
}

/* ---- all of it ---- */

static void read_options(struct settings_reader *r, const Turbotls__V1__TunnelOptions *m,
                         struct tunnel_options *out)
{
    struct decode_at top = {.message = &m->base};
    struct decode_at verifier = text_inside(&top, m->verifier, "verifier", 0);

    text_check(&r->judge, &top);
    out->server_name =
        read_text(r, &top, "server_name_indication", m->server_name_indication, server_name_fault);
    out->expected_alpn = read_text(r, &top, "expected_alpn", m->expected_alpn, settings_alpn_fault);
    if (m->verifier != NULL)
        read_verifier(r, &verifier, m->verifier, out);
}

static void read_all(struct settings_reader *r, const char *text, struct tunnel_options *out)
{
    struct places places;
    ProtobufCMessage *message;

    places_init(&places);
    r->judge.places = &places;
    message = text_read(&turbotls__v1__tunnel_options__descriptor, r->judge.file, text,
                        strlen(text), &places, r->judge.errors);
    r->arena->failed = message == NULL;
    if (message != NULL) {
        read_options(r, (const Turbotls__V1__TunnelOptions *)message, out);
        protobuf_c_message_free_unpacked(message, NULL);
    }
    places_free(&places);
    r->judge.places = NULL;
}

struct tunnel_options *settings_options_read(const char *text, struct tunnel_error *error)
{
    struct owned *owned = calloc(1, sizeof(*owned));
    struct settings_reader r;

    if (owned == NULL) {
        (void)failure(error, TUNNEL_MEMORY, "out of memory");
        return NULL;
    }
    settings_begin(&r, "options", &owned->arena);
    read_all(&r, text, &owned->options);
    if (settings_end(&r, error))
        return &owned->options;
    settings_options_free(&owned->options);
    return NULL;
}

void settings_options_free(struct tunnel_options *options)
{
    struct owned *owned = (struct owned *)options;

    if (owned == NULL)
        return;
    arena_release(&owned->arena);
    free(owned);
}
