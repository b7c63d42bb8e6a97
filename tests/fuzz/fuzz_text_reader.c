/*
 * The configuration's format: any bytes are read, or all that is wrong with them is told in words
 * that begin with a place; each value has a place; what is written of what was read reads back the
 * same. The first byte chooses the schema.
 */
#include "tests/fuzz/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "every.pb-c.h"
#include "implicit.pb-c.h"
#include "proto/text/text_field.h"
#include "proto/text/text_reader.h"
#include "proto/text/text_writer.h"
#include "turbotls/v1/proxy.pb-c.h"

#define FILE_NAME "a.txtpb"

static const struct {
    const ProtobufCMessageDescriptor *descriptor;
    bool has_defaults; /* which are written, so that what is read again has more fields */
} schemas[] = {
    {&turbotls__v1__proxy__descriptor, true}, {&test__every__descriptor, false},
    {&test__implicit__descriptor, false},     {&test__holder__descriptor, true},
    {&test__strict__descriptor, false},
};

struct reading {
    struct places places;
    struct config_errors errors;
    ProtobufCMessage *message;
};

static void read_text(struct reading *r, const ProtobufCMessageDescriptor *descriptor,
                      const char *text, size_t length)
{
    places_init(&r->places);
    config_errors_init(&r->errors);
    r->message = text_read(descriptor, FILE_NAME, text, length, &r->places, &r->errors);
    assert(r->message != NULL);
}

static void free_reading(struct reading *r)
{
    protobuf_c_message_free_unpacked(r->message, NULL);
    places_free(&r->places);
    config_errors_free(&r->errors);
}

/* How long a line is; 0 behind the last. */
static size_t line_length(const char *text, size_t length, unsigned line)
{
    const char *at = text, *end = text + length, *newline;

    for (; at != NULL && line > 1; line--) {
        newline = memchr(at, '\n', (size_t)(end - at));
        at = newline == NULL ? NULL : newline + 1;
    }
    if (at == NULL)
        return 0;
    newline = memchr(at, '\n', (size_t)(end - at));
    return (size_t)((newline == NULL ? end : newline) - at) + 1;
}

static void check_errors(const struct config_errors *errors, const char *text, size_t length)
{
    assert(errors->count == errors->total || errors->count == CONFIG_ERRORS_MAX);
    for (size_t i = 0; i < errors->count; i++) {
        unsigned line = 0, column = 0;
        int used = 0;
        assert(strlen(errors->texts[i]) < CONFIG_ERROR_MAX);
        assert(sscanf(errors->texts[i], FILE_NAME ":%u:%u: %n", &line, &column, &used) == 2);
        assert(used > 0 && errors->texts[i][used] != '\0');
        assert(line > 0 && column > 0 && column <= line_length(text, length, line));
    }
}

/* A place for each value, in the order in which values follow each other. */
static void check_places(const struct places *places, const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const struct place *last = places_find(places, message, 0, 0);
        size_t count = text_field_count(message, field);
        assert(last != NULL);
        if (field->label == PROTOBUF_C_LABEL_NONE || field->label == PROTOBUF_C_LABEL_REQUIRED)
            continue; /* whether it was given cannot be seen */
        for (size_t j = 0; j < count; j++) {
            const struct place *place = places_find(places, message, field->id, j);
            assert(place != NULL && place->line >= last->line);
            assert(place->line > last->line || place->column >= last->column);
            last = place;
            if (field->type == PROTOBUF_C_TYPE_MESSAGE)
                check_places(places, text_field_value(message, field, j).message);
        }
    }
}

static char *written(const ProtobufCMessage *message, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);

    assert(out != NULL);
    text_write(message, out);
    assert(fclose(out) == 0);
    return text;
}

static void check_same(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    size_t length = protobuf_c_message_get_packed_size(a);
    uint8_t *packed[2] = {malloc(length + 1), malloc(length + 1)};

    assert(packed[0] != NULL && packed[1] != NULL);
    assert(protobuf_c_message_get_packed_size(b) == length);
    assert(protobuf_c_message_pack(a, packed[0]) == length);
    assert(protobuf_c_message_pack(b, packed[1]) == length);
    assert(memcmp(packed[0], packed[1], length) == 0);
    free(packed[0]);
    free(packed[1]);
}

static void check_round_trip(const ProtobufCMessage *message, bool has_defaults)
{
    size_t length, length_again;
    char *text = written(message, &length), *again;
    struct reading second;

    read_text(&second, message->descriptor, text, length);
    assert(second.errors.total == 0);
    if (!has_defaults)
        check_same(message, second.message);
    again = written(second.message, &length_again);
    assert(length == length_again && memcmp(text, again, length) == 0);
    free_reading(&second);
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reading first;
    unsigned schema;
    char *text;

    if (size == 0)
        return 0;
    schema = data[0] % COUNT(schemas);
    size--;
    /* A block of exactly this size, so that a byte read behind it is seen. */
    text = malloc(size + (size == 0));
    assert(text != NULL);
    memcpy(text, data + 1, size);
    read_text(&first, schemas[schema].descriptor, text, size);
    check_errors(&first.errors, text, size);
    check_places(&first.places, first.message);
    if (first.errors.total == 0)
        check_round_trip(first.message, schemas[schema].has_defaults);
    free_reading(&first);
    free(text);
    return 0;
}

static const char *const seeds[] = {
    "0# an edge\nlistener {\n  name: \"edge\" protocol: TURBO address: \"*:443\" udp_port: 8443\n"
    "  route { server_name: [\"a.example\", '*.b.example'] alpn: \"h2\" upstream: \"u\" }\n"
    "  access_rule { action: DENY network: [\"192.0.2.0/24\"] };\n"
    "  proxy_protocol_from: [] sniff_timeout_seconds: 0.3\n}\n"
    "upstream <name: \"u\", server: [{address: \"a:443\" weight: 0x10}, <address: \"b:1\">],\n"
    "  proxy_protocol: 3 always: false health: {check_interval_seconds: 1e1} >\n"
    "log { level: DEBUG format: JSON } drain_timeout_seconds: 0\nprocess { sandbox: f }",
    "1int32: -2147483648 sint32: 017 sfixed32: -0x7f int64: -9223372036854775808 sint64: - 1\n"
    "uint64: 18446744073709551615 fixed64: 0 float: -inf double: nan bool: True colour: CRIMSON\n"
    "string: \"\\u00e4\\U0001F600\\ud83d\\ude00\\n\\x41\\101\" 'b' bytes: '\\000\\xff\\377'\n"
    "every { every < every: { } > } nothing {} ratio: 1.5e-7f strict { name: \"\" number: 1 }",
    "1int32s: [1, 2] int32s: 3 uint64s: [0] floats: [1.5f, .5, 1., infinity] doubles: -1e300\n"
    "bools: [t, f, 1, 0, true] colours: [RED, GREEN, -1] strings: ['', \"\\?\\'\\\"\\a\"]\n"
    "byteses: \"\\1\" everies: [{}, {everies {}}] octets: '' # end",
    "2number: 5, text: 'x'; octets: \"\\0\" inner { inner { number: 0 } } numbers: [0, -0.0]",
    "3defaults { int64: 4 string: '' } every { text: '\xc3\xa9' }",
    "4name: 'n' number: 1",
    "0listener { adress: www.example.com:443 udp_port: 70000 protocol: UDP name = 'x\n"
    "max_sessions: 1 max_sessions: 2 }} upstream { \xff [ 1 log { level: { ) ; , : <>",
    "1text: 'a' none {} int32: 1.5 bool: 2 colour: 7 string: '\\q\\ud800\\400\\xg' \"\\0\" int32s: "
    "[1 2;,",
    "4number: -1",
    "1every{every{every{every{every{every{every{every{every{every{every{every{every{every{every{"
    "every{every{every{every{every{every{every{every{every{every{every{every{every{every{every{"
    "every{every{every{every{",
};

void fuzz_seeds(void)
{
    for (size_t i = 0; i < COUNT(seeds); i++)
        seed_write(seeds[i], strlen(seeds[i]));
}
