/* Certificates and keys: where they are from, and whether they look like what they should be. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/text/quote.h"
#include "tunnel/config/file.h"
#include "tunnel/config/parts.h"

enum { OBJECTS_MAX = 256, SEQUENCE = 0x30 /* what certificates and keys are in DER */ };

/* ---- forms ---- */

static bool holds(const void *bytes, size_t length, const char *text)
{
    return memmem(bytes, length, text, strlen(text)) != NULL;
}

static bool looks_like_pem(const struct settings_object *object)
{
    return holds(object->bytes, object->length, "-----BEGIN ");
}

bool settings_holds_key(const void *bytes, size_t length)
{
    return holds(bytes, length, "PRIVATE KEY-----");
}

/* X.690, 8.1.3: the whole length of the value that it begins with. 0: there is none. */
static size_t der_length(const struct settings_object *object)
{
    const uint8_t *bytes = object->bytes;
    size_t length = 0, octets;

    if (object->length < 2 || bytes[0] != SEQUENCE)
        return 0;
    if (bytes[1] < 0x80)
        return 2u + bytes[1];
    octets = bytes[1] & 0x7fu;
    if (octets == 0 || octets > 4 || object->length < 2 + octets)
        return 0;
    for (size_t i = 0; i < octets; i++)
        length = length << 8 | bytes[2 + i];
    return 2 + octets + length;
}

static const char *der_fault(const struct settings_object *object)
{
    size_t length = der_length(object);

    if (length == 0)
        return "is not DER; leave the format out, or give what is";
    if (length > object->length)
        return "is cut short; give all of it";
    return length < object->length ? "has bytes behind its end; give one object in DER, or PEM"
                                   : NULL;
}

static const char *pem_fault(const struct settings_object *object, enum object_kind kind)
{
    bool key = settings_holds_key(object->bytes, object->length);
    bool certificate = holds(object->bytes, object->length, "CERTIFICATE-----");

    if (!looks_like_pem(object))
        return "is not PEM: it has no \"-----BEGIN \"; leave the format out, or give what is";
    if (kind == OBJECT_CERTIFICATE && !certificate)
        return key ? "holds a private key, and no certificate; give the certificate"
                   : "holds no certificate; give one";
    if (kind == OBJECT_CERTIFICATE)
        return NULL;
    if (!key)
        return certificate ? "holds a certificate, and no private key; give the key"
                           : "holds no private key; give one";
    if (holds(object->bytes, object->length, "BEGIN ENCRYPTED PRIVATE KEY") ||
        holds(object->bytes, object->length, "Proc-Type: 4,ENCRYPTED"))
        return "holds an encrypted key; give it decrypted, as `openssl pkey -in FILE` does";
    return NULL;
}

/* Which of them it is, if that is not said. */
static const char *form_fault(struct settings_object *object, Turbotls__V1__EncodingFormat format,
                              enum object_kind kind)
{
    object->pem =
        format == TURBOTLS__V1__ENCODING_FORMAT__ENCODING_FORMAT_PEM ||
        (format != TURBOTLS__V1__ENCODING_FORMAT__ENCODING_FORMAT_DER && looks_like_pem(object));
    if (object->pem)
        return pem_fault(object, kind);
    if (format != TURBOTLS__V1__ENCODING_FORMAT__ENCODING_FORMAT_DER && der_length(object) == 0)
        return "is neither PEM (\"-----BEGIN …\") nor DER; give one of them";
    return der_fault(object);
}

/* ---- sources ---- */

static bool keep(struct settings_reader *r, const void *bytes, size_t length,
                 struct settings_object *out)
{
    out->bytes = arena_take(r->arena, length + 1, 1);
    if (out->bytes == NULL)
        return false;
    memcpy(out->bytes, bytes, length);
    out->length = length;
    return true;
}

/* A key that was given as a file's name is not quoted: whoever reads the log would have it. */
static bool is_content(const char *name)
{
    return strchr(name, '\n') != NULL || strncmp(name, "-----", 5) == 0;
}

static bool keep_file(struct settings_reader *r, const struct decode_at *at, const char *name,
                      struct settings_object *out)
{
    struct file_content content;
    char fault[FILE_FAULT_BYTES] = "is empty; name the file that is meant";

    if (is_content(name)) {
        text_mistake(&r->judge, at, "filename", 0,
                     "is no name, but what a file holds; write inline_bytes instead of filename");
        return false;
    }
    if (!file_read(name, &content)) {
        r->arena->failed = r->arena->failed || errno == ENOMEM;
        file_fault(name, errno, fault);
    } else if (content.length > 0) {
        bool good = keep(r, content.bytes, content.length, out);
        file_wipe(&content);
        return good;
    }
    text_mistake(&r->judge, at, "filename", 0, "%s %s", quote(name).text, fault);
    file_wipe(&content);
    return false;
}

static bool keep_bytes(struct settings_reader *r, const struct decode_at *at, const char *field,
                       const void *bytes, size_t length, struct settings_object *out)
{
    if (length >= 1 && length <= FILE_CONTENT_MAX)
        return keep(r, bytes, length, out);
    text_mistake(&r->judge, at, field, 0, "has %zu bytes; give 1 to %d", length, FILE_CONTENT_MAX);
    return false;
}

/* The field that is given; NULL: said why there is not exactly one. */
static const char *source_of(struct settings_reader *r, const struct decode_at *at,
                             const Turbotls__V1__DataSource *data)
{
    int given = (data->filename != NULL) + data->has_inline_bytes + (data->inline_string != NULL);

    if (given == 0 && !text_was_tried(&r->judge, at, "filename") &&
        !text_was_tried(&r->judge, at, "inline_bytes") &&
        !text_was_tried(&r->judge, at, "inline_string"))
        text_mistake(&r->judge, at, NULL, 0,
                     "is empty; write filename, inline_bytes or inline_string");
    if (given > 1)
        text_mistake(&r->judge, at, NULL, 0,
                     "has %d sources; leave all but one of filename, inline_bytes and "
                     "inline_string out",
                     given);
    if (given != 1)
        return NULL;
    if (data->filename != NULL)
        return "filename";
    return data->has_inline_bytes ? "inline_bytes" : "inline_string";
}

static bool keep_source(struct settings_reader *r, const struct decode_at *at,
                        const Turbotls__V1__DataSource *data, const char *field,
                        struct settings_object *out)
{
    if (data->filename != NULL)
        return keep_file(r, at, data->filename, out);
    if (data->has_inline_bytes)
        return keep_bytes(r, at, field, data->inline_bytes.data, data->inline_bytes.len, out);
    return keep_bytes(r, at, field, data->inline_string, strlen(data->inline_string), out);
}

static bool read_data(struct settings_reader *r, const struct decode_at *at,
                      const Turbotls__V1__Asn1Source *source, enum object_kind kind,
                      struct settings_object *out)
{
    const Turbotls__V1__DataSource *data = source->data;
    struct decode_at data_at = text_inside(at, data, "data", 0);
    const char *field, *wrong;

    text_check(&r->judge, &data_at);
    field = source_of(r, &data_at, data);
    if (field == NULL || !keep_source(r, &data_at, data, field, out))
        return false;
    out->where = settings_where(r, &data_at, field, 0);
    wrong = form_fault(out, source->format, kind);
    if (wrong == NULL)
        return out->where != NULL;
    if (data->filename != NULL)
        text_mistake(&r->judge, &data_at, field, 0, "%s %s", quote(data->filename).text, wrong);
    else
        text_mistake(&r->judge, &data_at, field, 0, "%s", wrong);
    return false;
}

bool settings_object_read(struct settings_reader *r, const struct decode_at *parent,
                          const Turbotls__V1__Asn1Source *source, enum object_kind kind,
                          struct settings_object *out)
{
    struct decode_at at = text_inside(parent, source, "static", 0);

    text_check(&r->judge, parent);
    if (source == NULL) {
        text_missing(&r->judge, parent, "static",
                     "such as static { data { filename: \"a.pem\" } }");
        return false;
    }
    text_check(&r->judge, &at);
    if (source->data != NULL)
        return read_data(r, &at, source, kind, out);
    text_missing(&r->judge, &at, "data", "such as data { filename: \"a.pem\" }");
    return false;
}

struct settings_objects settings_certificates_read(struct settings_reader *r,
                                                   const struct decode_at *at, const char *field,
                                                   Turbotls__V1__Certificate *const *list,
                                                   size_t count)
{
    struct settings_objects objects = {0};

    if (count > OBJECTS_MAX) {
        text_mistake(&r->judge, at, field, OBJECTS_MAX,
                     "%d are possible, and there are %zu; a PEM file may hold several", OBJECTS_MAX,
                     count);
        return objects;
    }
    objects.list = arena_take(r->arena, count, sizeof(*objects.list));
    for (size_t i = 0; objects.list != NULL && i < count; i++) {
        struct decode_at inner = text_inside(at, list[i], field, i);
        (void)settings_object_read(r, &inner, list[i]->static_, OBJECT_CERTIFICATE,
                                   &objects.list[i]);
    }
    objects.count = objects.list == NULL ? 0 : count;
    return objects;
}
