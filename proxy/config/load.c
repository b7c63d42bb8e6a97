#include "proxy/config/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/text/text_reader.h"
#include "proto/text/text_writer.h"
#include "proxy/config/arguments.h"
#include "proxy/config/decode.h"

enum { READ_FIRST = 65536 };

/* ---- the file ---- */

struct content {
    uint8_t *bytes;
    size_t length, capacity;
};

static void out_of_memory(const char *file, struct config_errors *errors)
{
    errors->failed = true;
    config_error(errors, "%s%sout of memory", file == NULL ? "" : file, file == NULL ? "" : ": ");
}

/* 1: there may be more; 0: that was all; -1: `errors` says why not. */
static int read_some(int fd, const char *file, struct content *content,
                     struct config_errors *errors)
{
    ssize_t got;

    if (content->length == content->capacity) {
        size_t capacity = content->capacity == 0 ? READ_FIRST : content->capacity * 2;
        uint8_t *moved = realloc(content->bytes, capacity);

        if (moved == NULL) {
            out_of_memory(file, errors);
            return -1;
        }
        content->bytes = moved;
        content->capacity = capacity;
    }
    got = read(fd, content->bytes + content->length, content->capacity - content->length);
    if (got < 0 && errno == EINTR)
        return 1;
    if (got < 0) {
        config_error(errors, "%s: cannot be read: %s; name a file that this user may read", file,
                     strerror(errno));
        return -1;
    }
    content->length += (size_t)got;
    if (content->length > CONFIG_FILE_MAX) {
        config_error(errors, "%s: is longer than the %d MiB that a configuration can have", file,
                     CONFIG_FILE_MAX >> 20);
        return -1;
    }
    return got > 0;
}

static bool read_all(int fd, const char *file, struct content *content,
                     struct config_errors *errors)
{
    struct stat status;
    int more;

    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        config_error(errors, "%s: is a directory; name the file with the configuration", file);
        return false;
    }
    do
        more = read_some(fd, file, content, errors);
    while (more > 0);
    if (more == 0 && content->length == 0)
        config_error(errors,
                     "%s: is empty; it needs a listener and an upstream at least, as "
                     "--print-config shows",
                     file);
    return more == 0 && content->length > 0;
}

static bool read_file(const char *file, struct content *content, struct config_errors *errors)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    bool done;

    if (fd < 0) {
        config_error(errors, "%s: cannot be opened: %s; name a file that this user may read", file,
                     strerror(errno));
        return false;
    }
    done = read_all(fd, file, content, errors);
    close(fd);
    return done;
}

/* Wire types: 1 is 64 bits, 2 has a length. */
static unsigned tag_of(const ProtobufCFieldDescriptor *field)
{
    return field->id << 3 | (field->type == PROTOBUF_C_TYPE_DOUBLE ? 1 : 2);
}

/*
 * A text begins with a letter, white space or "#", and has no control characters but white space; a
 * message begins with the tag of one of its fields, and has at least the tag of a listener's
 * address.
 */
static bool is_serialized(const struct content *content)
{
    const ProtobufCMessageDescriptor *descriptor = &turbotls__v1__proxy__descriptor;
    bool is_tag = false;

    for (unsigned i = 0; i < descriptor->n_fields; i++)
        is_tag = is_tag || content->bytes[0] == tag_of(&descriptor->fields[i]);
    for (size_t i = 0; is_tag && i < content->length; i++)
        if (content->bytes[i] < ' ' && (content->bytes[i] < '\t' || content->bytes[i] > '\r'))
            return true;
    return false;
}

/* ---- the message ---- */

static Turbotls__V1__Proxy *read_serialized(const char *file, const struct content *content,
                                            struct config_errors *errors)
{
    Turbotls__V1__Proxy *message =
        turbotls__v1__proxy__unpack(NULL, content->length, content->bytes);

    if (message == NULL)
        config_error(
            errors, "%s: is neither a text nor a whole serialized message turbotls.v1.Proxy", file);
    return message;
}

static Turbotls__V1__Proxy *read_message(const char *file, struct places *places, bool *has_places,
                                         struct config_errors *errors)
{
    struct content content = {0};
    ProtobufCMessage *message = NULL;

    *has_places = false;
    if (!read_file(file, &content, errors)) {
        free(content.bytes);
        return NULL;
    }
    if (is_serialized(&content)) {
        Turbotls__V1__Proxy *serialized = read_serialized(file, &content, errors);

        message = serialized == NULL ? NULL : &serialized->base;
    } else {
        *has_places = true;
        message = text_read(&turbotls__v1__proxy__descriptor, file, (const char *)content.bytes,
                            content.length, places, errors);
        errors->failed = errors->failed || message == NULL;
    }
    free(content.bytes);
    return (Turbotls__V1__Proxy *)message;
}

/* What `options` ask for, checked: the configuration, and the message it is from. */
struct loaded {
    Turbotls__V1__Proxy *message;
    struct config *config;
};

static void loaded_free(struct loaded *loaded)
{
    if (loaded->message != NULL)
        turbotls__v1__proxy__free_unpacked(loaded->message, NULL);
    config_release(loaded->config);
}

/* False: `errors` says why. */
static bool load(const struct options *options, struct loaded *out, struct config_errors *errors)
{
    struct places places;
    struct config_source source = {
        .file = options->config, .typed = arguments_typed, .context = options};
    bool has_places = false, is_file = options->config != NULL;

    *out = (struct loaded){0};
    places_init(&places);
    out->message = is_file ? read_message(options->config, &places, &has_places, errors)
                           : arguments_message(options);
    if (has_places)
        source.places = &places;
    if (out->message != NULL && arguments_override(options, out->message))
        out->config = config_decode(out->message, &source, errors);
    else if (out->message != NULL || !is_file)
        out_of_memory(options->config, errors);
    if (has_places)
        config_errors_sort(errors);
    places_free(&places);
    return out->config != NULL;
}

struct config *config_load(const struct options *options, struct config_errors *errors)
{
    struct loaded loaded;
    struct config *config = load(options, &loaded, errors) ? config_hold(loaded.config) : NULL;

    loaded_free(&loaded);
    return config;
}

struct config *config_load_again(const struct options *options, struct config_errors *errors)
{
    const char *file = options->config;
    struct stat status;

    if (file != NULL && stat(file, &status) == 0 && !S_ISREG(status.st_mode) &&
        !S_ISDIR(status.st_mode)) {
        config_error(errors, "%s: is a pipe or a device, which is read once; a reload needs a file",
                     file);
        return NULL;
    }
    return config_load(options, errors);
}

/* Standard output that is full, or nobody reads. */
static bool flushed(FILE *out, struct config_errors *errors)
{
    if (fflush(out) == 0 && ferror(out) == 0)
        return true;
    errors->failed = true;
    config_error(errors, "cannot be written: %s", strerror(errno));
    return false;
}

bool config_print(const struct options *options, FILE *out, struct config_errors *errors)
{
    struct loaded loaded;
    bool good = load(options, &loaded, errors);

    if (good) {
        text_write(&loaded.message->base, out);
        good = flushed(out, errors);
    }
    loaded_free(&loaded);
    return good;
}

bool config_check(const struct options *options, FILE *out, struct config_errors *errors)
{
    struct loaded loaded;
    bool good = load(options, &loaded, errors);

    if (good) {
        size_t listeners = loaded.config->listener_count, upstreams = loaded.config->upstream_count;

        (void)fprintf(out, "%s: ok: %zu listener%s, %zu upstream%s\n",
                      options->config == NULL ? "command line" : options->config, listeners,
                      listeners == 1 ? "" : "s", upstreams, upstreams == 1 ? "" : "s");
        good = flushed(out, errors);
    }
    loaded_free(&loaded);
    return good;
}
