/*
 * A context's configuration or a tunnel's options from any bytes: refused with a reason, or all in
 * range; printed, it is the same configuration. The first byte chooses between text, the serialized
 * form and options. What names a file is not read: whatever it is might be.
 */
#include "tests/fuzz/support.h"

#include <stdlib.h>

#include "proto/text/text_reader.h"
#include "tunnel/config/file.h"
#include "tunnel/config/settings.h"
#include "turbotls/v1/tunnel.pb-c.h"

#define FILE_NAME "a.txtpb"

enum { LIST_MAX = 256, DEPTH_MAX = 100 };

static void check_error(const struct tunnel_error *error, const char *name)
{
    assert(error->result == TUNNEL_CONFIGURATION);
    assert(strncmp(error->text, name, strlen(name)) == 0);
    assert(strlen(error->text) < sizeof(error->text));
}

/* ---- what is in force ---- */

static void check_names(const struct settings_names *names, size_t longest)
{
    assert(names->count <= LIST_MAX);
    for (size_t i = 0; i < names->count; i++) {
        size_t length = strlen(names->list[i].text);
        assert(length >= 1 && length <= longest);
        assert(strncmp(names->list[i].where, FILE_NAME ":", strlen(FILE_NAME ":")) == 0);
        for (size_t j = 0; j < i; j++)
            assert(strcmp(names->list[i].text, names->list[j].text) != 0);
    }
}

static void check_object(const struct settings_object *object)
{
    assert(object->length >= 1 && object->length <= FILE_CONTENT_MAX);
    assert(object->bytes[object->length] == 0);
    assert(object->where != NULL);
    assert(object->pem || object->bytes[0] == 0x30);
}

static void check_objects(const struct settings_objects *objects)
{
    assert(objects->count <= LIST_MAX);
    for (size_t i = 0; i < objects->count; i++)
        check_object(&objects->list[i]);
}

static void check_trust(const struct settings *s)
{
    bool somebody = s->trusted.count + s->trusted_directories.count > 0 || s->system_store;

    assert(!s->empty_verifier || !somebody);
    if (s->server)
        assert(somebody == (s->client_authentication != SETTINGS_CLIENTS_UNASKED));
    else
        assert(somebody != s->empty_verifier &&
               s->client_authentication == SETTINGS_CLIENTS_UNASKED);
}

static void check_settings(const struct settings *s)
{
    assert(s->implementation <= SETTINGS_GNUTLS);
    assert(s->providers.count == 0 || s->implementation == SETTINGS_OPENSSL3);
    assert(s->lowest >= SETTINGS_TLS_1_2 && s->lowest <= s->highest);
    assert(s->highest <= SETTINGS_TLS_1_3 && s->verify_depth <= DEPTH_MAX);
    check_names(&s->providers, 64);
    check_names(&s->ciphers12, 64);
    check_names(&s->ciphers13, 64);
    check_names(&s->groups, 64);
    check_names(&s->alpn, 255);
    check_objects(&s->trusted);
    check_objects(&s->certificates);
    assert((s->certificates.count > 0) == (s->key.bytes != NULL));
    assert(!s->server || s->key.bytes != NULL);
    if (s->key.bytes != NULL)
        check_object(&s->key);
    check_trust(s);
    assert(strstr(s->text, "PRIVATE KEY-----") == NULL ||
           strstr((const char *)s->key.bytes, "PRIVATE KEY-----") == NULL);
}

/* Printed it is the same, but for the keys that are left out. */
static void check_printed(const struct settings *s)
{
    struct settings *again;
    struct tunnel_error error;

    if (s->key.bytes != NULL)
        return;
    again =
        settings_read(FILE_NAME, (const uint8_t *)s->text, strlen(s->text), SETTINGS_TEXT, &error);
    assert(again != NULL && strcmp(again->text, s->text) == 0);
    assert(again->server == s->server && again->lowest == s->lowest &&
           again->highest == s->highest && again->alpn.count == s->alpn.count &&
           again->trusted.count == s->trusted.count && again->groups.count == s->groups.count);
    settings_free(again);
}

/* ---- inputs ---- */

static bool names_files(const uint8_t *bytes, size_t length)
{
    static const char *const fields[] = {"filename", "trusted_directory"};

    for (size_t i = 0; i < COUNT(fields); i++)
        if (memmem(bytes, length, fields[i], strlen(fields[i])) != NULL)
            return true;
    return false;
}

static bool certificate_names_file(const Turbotls__V1__Certificate *m)
{
    return m->static_ != NULL && m->static_->data != NULL && m->static_->data->filename != NULL;
}

static bool common_names_files(const Turbotls__V1__CommonOptions *m)
{
    const Turbotls__V1__X509Verifier *verifier = m->x509_verifier;
    const Turbotls__V1__X509Identity *identity = m->identity;
    bool found = verifier != NULL && verifier->n_trusted_directory > 0;

    for (size_t i = 0; verifier != NULL && i < verifier->n_trusted_cas; i++)
        found = found || certificate_names_file(verifier->trusted_cas[i]);
    for (size_t i = 0; identity != NULL && i < identity->n_certificate; i++)
        found = found || certificate_names_file(identity->certificate[i]);
    return found || (identity != NULL && identity->private_key != NULL &&
                     identity->private_key->static_ != NULL &&
                     identity->private_key->static_->data != NULL &&
                     identity->private_key->static_->data->filename != NULL);
}

static bool serialized_names_files(const uint8_t *bytes, size_t length)
{
    Turbotls__V1__TunnelConfiguration *m =
        turbotls__v1__tunnel_configuration__unpack(NULL, length, bytes);
    const Turbotls__V1__TlsOptions *sides[2] = {NULL, NULL};
    bool found = false;

    if (m == NULL)
        return false;
    if (m->client != NULL)
        sides[0] = m->client->tls;
    if (m->server != NULL)
        sides[1] = m->server->tls;
    for (size_t i = 0; i < COUNT(sides); i++)
        found = found || (sides[i] != NULL && sides[i]->common_options != NULL &&
                          common_names_files(sides[i]->common_options));
    turbotls__v1__tunnel_configuration__free_unpacked(m, NULL);
    return found;
}

static void read_configuration(const uint8_t *bytes, size_t length, enum settings_form form)
{
    struct tunnel_error error;
    struct settings *settings;

    if (form == SETTINGS_TEXT ? names_files(bytes, length) : serialized_names_files(bytes, length))
        return;
    settings = settings_read(FILE_NAME, bytes, length, form, &error);
    if (settings == NULL) {
        check_error(&error, FILE_NAME ":");
        return;
    }
    check_settings(settings);
    check_printed(settings);
    settings_free(settings);
}

static void read_options(const uint8_t *bytes, size_t length)
{
    char *text = malloc(length + 1);
    struct tunnel_error error;
    struct tunnel_options *options;

    assert(text != NULL);
    memcpy(text, bytes, length);
    text[length] = '\0';
    options = settings_options_read(text, &error);
    if (options == NULL)
        check_error(&error, "options:");
    else
        assert(options->names == NULL || (options->names[0] != NULL && !options->empty_verifier));
    settings_options_free(options);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t kind = input_byte(&in);

    if (kind % 3 == 2)
        read_options(in.at, in.left);
    else
        read_configuration(in.at, in.left, kind % 3 == 0 ? SETTINGS_TEXT : SETTINGS_SERIALIZED);
    return 0;
}

/* ---- seeds ---- */

#define CERTIFICATE "static { data { inline_string: '-----BEGIN CERTIFICATE-----' } }"
#define KEY         "static { data { inline_bytes: '-----BEGIN PRIVATE KEY-----' } }"

static const char *const configurations[] = {
    "impl: IMPL_OPENSSL3_OQS_PROVIDER provider: 'legacy' client { tls { common_options {\n"
    "  tls12 { ciphersuite: 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384' }\n"
    "  tls13 { ke: ['kyber512', 'X25519'] ciphersuite: 'TLS_AES_128_GCM_SHA256' }\n"
    "  alpn_protocols: ['h2', 'http/1.1'] empty_verifier { } session_tickets: false } } }",
    "impl: IMPL_GNUTLS server { tls { client_authentication: CLIENT_AUTHENTICATION_REQUIRED\n"
    "  common_options { x509_verifier { trusted_cas { " CERTIFICATE " } max_verify_depth: 3 }\n"
    "  identity { certificate { " CERTIFICATE " } private_key { " KEY " } }\n"
    "  lowest_supported_version: TLS_1_2 highest_supported_version: TLS_1_3\n"
    "  key_log_file: 'k' } } }",
    "client { tls { common_options { x509_verifier { system_store: true trusted_cas { static {"
    " data {\n"
    "  inline_bytes: '0\\000' } format: ENCODING_FORMAT_DER } } } } } }",
    "client { tls { common_options { x509_verifier { } ke: 'a' tls13 { ke: ':' } } } server { }",
};

static const char *const options[] = {
    "server_name_indication: 'www.example.com' expected_alpn: 'h2' verifier { san_verifier {\n"
    "  alt_names { dns: 'a.b' } alt_names { ip_address: '::1' } alt_names { email: 'a@b' } } }",
    "verifier { empty_verifier { } }",
};

static void write_serialized(const char *text)
{
    struct config_errors errors;
    ProtobufCMessage *message;
    uint8_t packed[1024];

    config_errors_init(&errors);
    message = text_read(&turbotls__v1__tunnel_configuration__descriptor, "f", text, strlen(text),
                        NULL, &errors);
    assert(message != NULL && protobuf_c_message_get_packed_size(message) <= sizeof(packed));
    seed_write_behind("s", 1, packed, protobuf_c_message_pack(message, packed));
    protobuf_c_message_free_unpacked(message, NULL);
    config_errors_free(&errors);
}

void fuzz_seeds(void)
{
    /* "r" is a multiple of three, "s" one more, "t" two. */
    for (size_t i = 0; i < COUNT(configurations); i++) {
        seed_write_behind("r", 1, configurations[i], strlen(configurations[i]));
        write_serialized(configurations[i]);
    }
    for (size_t i = 0; i < COUNT(options); i++)
        seed_write_behind("t", 1, options[i], strlen(options[i]));
}
