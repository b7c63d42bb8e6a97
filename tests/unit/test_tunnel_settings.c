/* Configurations of contexts and options of tunnels: what they amount to, and what is said against
 * those that are wrong. */
#include "tests/unit/support/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tunnel/config/file.h"
#include "tunnel/config/settings.h"
#include "turbotls/v1/tunnel.pb-c.h"

#define BEGIN_CERTIFICATE "-----BEGIN CERTIFICATE-----\\nAA==\\n-----END CERTIFICATE-----\\n"
#define BEGIN_KEY         "-----BEGIN PRIVATE KEY-----\\nSECRET==\\n-----END PRIVATE KEY-----\\n"
#define CERTIFICATE       "static { data { inline_string: \"" BEGIN_CERTIFICATE "\" } }"
#define KEY               "static { data { inline_string: \"" BEGIN_KEY "\" } }"
#define TRUST             "x509_verifier { system_store: true }"
#define IDENTITY          "identity { certificate { " CERTIFICATE " } private_key { " KEY " } }"
/* What is common begins line 2. */
#define CLIENT(common) "client { tls { common_options {\n" common " } } }"
#define SERVER(common) "server { tls { common_options {\n" common " } } }"

static char directory[] = "/tmp/turbotls-settings-XXXXXX";
static char file[64];
static struct tunnel_error error;

static int make_directory(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(file, sizeof(file), "%s/f", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    (void)unlink(file);
    return rmdir(directory);
}

static void write_file(const void *bytes, size_t length)
{
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    assert_int_equal(fclose(out), 0);
}

static struct settings *read_text(const char *text)
{
    memset(&error, 0, sizeof(error));
    return settings_read("f", (const uint8_t *)text, strlen(text), SETTINGS_EITHER, &error);
}

static struct settings *accepted(const char *text)
{
    struct settings *settings = read_text(text);

    if (settings == NULL)
        fail_msg("%s\nis refused: %s", text, error.text);
    return settings;
}

static void refused(const char *text, const char *expected)
{
    struct settings *settings = read_text(text);

    if (settings != NULL)
        fail_msg("%s\nis accepted, and not: %s", text, expected);
    assert_string_equal(error.text, expected);
    assert_int_equal(error.result, TUNNEL_CONFIGURATION);
}

static void assert_names(const struct settings_names *names, const char *expected)
{
    char text[512] = "";
    size_t used = 0;

    for (size_t i = 0; i < names->count; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i == 0 ? "" : " ",
                                 names->list[i].text);
    assert_string_equal(text, expected);
}

/* ---- what is right ---- */

/* As in Sandwich's examples, with what they leave open. */
static void test_sandwich_text(void **state)
{
    (void)state;
    struct settings *s =
        accepted("impl: IMPL_OPENSSL3_OQS_PROVIDER          # also IMPL_OPENSSL3, IMPL_GNUTLS\n"
                 "client {                                  # or server { … }\n"
                 "  tls {\n"
                 "    common_options {\n"
                 "      tls12 { ciphersuite: \"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\" }\n"
                 "      tls13 { ke: \"kyber512\" ciphersuite: \"TLS_AES_128_GCM_SHA256\" }\n"
                 "      alpn_protocols: \"h2\"\n"
                 "      alpn_protocols: \"http/1.1\"\n"
                 "      empty_verifier { }\n"
                 "    }\n"
                 "  }\n"
                 "}\n");

    assert_int_equal(s->implementation, SETTINGS_OPENSSL3);
    assert_names(&s->providers, "oqsprovider");
    assert_string_equal(s->providers.list[0].where, "f:1:7: impl");
    assert_false(s->server);
    assert_int_equal(s->lowest, SETTINGS_TLS_1_2);
    assert_int_equal(s->highest, SETTINGS_TLS_1_3);
    assert_names(&s->ciphers12, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    assert_names(&s->ciphers13, "TLS_AES_128_GCM_SHA256");
    assert_names(&s->groups, "kyber512");
    assert_string_equal(s->groups.list[0].where, "f:6:19: client.tls.common_options.tls13.ke[0]");
    assert_names(&s->alpn, "h2 http/1.1");
    assert_true(s->empty_verifier);
    assert_int_equal(s->trusted.count, 0);
    assert_true(s->session_tickets);
    assert_null(s->key.bytes);
    assert_null(s->key_log_file);
    assert_int_equal(s->verify_depth, 20);
    settings_free(s);
}

/* Nobody's certificate is taken unseen because nothing was said. */
static void test_no_verifier(void **state)
{
    (void)state;
    static const char advice[] =
        "does not say whom to trust; write x509_verifier { trusted_cas { static { data { "
        "filename: \"ca.pem\" } } } }, x509_verifier { system_store: true }, or, for tests where "
        "anybody may answer, empty_verifier { }";
    char expected[512];

    (void)snprintf(expected, sizeof(expected), "f:1:31: client.tls.common_options: %s", advice);
    refused(CLIENT("tls13 { ke: 'kyber512' } alpn_protocols: 'h2'"), expected);
    refused(CLIENT("x509_verifier { }"),
            "f:2:15: client.tls.common_options.x509_verifier: trusts nobody; write trusted_cas { "
            "static { data { filename: \"ca.pem\" } } }, trusted_directory: \"/etc/ssl/certs\" or "
            "system_store: true");
    refused(CLIENT("x509_verifier { system_store: true } empty_verifier { }"),
            "f:2:53: client.tls.common_options.empty_verifier: contradicts x509_verifier; leave it "
            "out, or peers are not verified");
    refused("client { }", "f:1:8: client.tls: must be given, such as tls { common_options { "
                          "x509_verifier { ... } } }");
    refused("client { tls { } }", "f:1:14: client.tls.common_options: must be given, such as "
                                  "common_options { x509_verifier { ... } }");
}

static void test_sides(void **state)
{
    (void)state;
    refused("impl: IMPL_GNUTLS",
            "f:1:1: has neither client nor server; write client { tls { common_options { ... } } } "
            "or server { tls { common_options { ... } } }");
    refused("client { } server { }", "f:1:19: server: is there beside client; leave one of them "
                                     "out, a context is one or the other");
    refused("", "f: is empty; write client { tls { common_options { ... } } } or server { tls { "
                "common_options { ... } } }");
    refused("server { }", "f:1:8: server.tls: must be given, such as tls { common_options { "
                          "identity { ... } } }");
    refused(SERVER(""),
            "f:1:31: server.tls.common_options.identity: must be given, such as identity { "
            "certificate { static { data { filename: \"cert.pem\" } } } private_key { static { "
            "data { filename: \"key.pem\" } } } }");
    refused("client { tls { client_authentication: CLIENT_AUTHENTICATION_REQUIRED common_options { "
            "empty_verifier { } } } }",
            "f:1:39: client.tls.client_authentication: is for servers, which ask for it; leave it "
            "out");
}

static void test_server(void **state)
{
    (void)state;
    struct settings *s = accepted(
        "impl: IMPL_GNUTLS server { tls { client_authentication: CLIENT_AUTHENTICATION_REQUESTED "
        "common_options { " IDENTITY " x509_verifier { trusted_cas { " CERTIFICATE
        " } max_verify_depth: 3 } session_tickets: false key_log_file: '/tmp/keys' } } }");

    assert_int_equal(s->implementation, SETTINGS_GNUTLS);
    assert_true(s->server);
    assert_int_equal(s->client_authentication, SETTINGS_CLIENTS_MAY);
    assert_int_equal(s->certificates.count, 1);
    assert_true(s->certificates.list[0].pem);
    assert_int_equal(s->certificates.list[0].bytes[s->certificates.list[0].length], 0);
    assert_true(s->key.pem);
    assert_int_equal(s->key.length, strlen((const char *)s->key.bytes));
    assert_int_equal(s->trusted.count, 1);
    assert_int_equal(s->verify_depth, 3);
    assert_false(s->session_tickets);
    assert_string_equal(s->key_log_file, "/tmp/keys");
    settings_free(s);
    /* Those that do not ask may say that they do not verify. */
    settings_free(accepted(SERVER(IDENTITY " empty_verifier { }")));
}

static void test_client_authentication(void **state)
{
    (void)state;
    refused(SERVER("x509_verifier { system_store: true } " IDENTITY),
            "f:2:15: server.tls.common_options.x509_verifier: has nothing to verify, since clients "
            "are not asked for certificates; write client_authentication: "
            "CLIENT_AUTHENTICATION_REQUIRED in tls, or leave it out");
#define ASKING(common)                                                                             \
    "server { tls { client_authentication: CLIENT_AUTHENTICATION_REQUIRED common_options "         \
    "{\n" common " } } }"
    refused(ASKING(IDENTITY),
            "f:1:85: server.tls.common_options.x509_verifier: must be given, since clients are "
            "asked for certificates; such as x509_verifier { trusted_cas { static { data { "
            "filename: \"clients-ca.pem\" } } } }");
    refused(ASKING("empty_verifier { } " IDENTITY),
            "f:2:16: server.tls.common_options.empty_verifier: contradicts client_authentication; "
            "say in x509_verifier whose certificates clients may show, or do not ask for them");
}

/* ---- versions ---- */

static void assert_versions(const char *text, enum settings_version lowest,
                            enum settings_version highest)
{
    struct settings *s = accepted(text);

    assert_int_equal(s->lowest, lowest);
    assert_int_equal(s->highest, highest);
    settings_free(s);
}

static void test_versions(void **state)
{
    (void)state;
    assert_versions(CLIENT(TRUST), SETTINGS_TLS_1_2, SETTINGS_TLS_1_3);
    assert_versions(CLIENT(TRUST " tls12 { }"), SETTINGS_TLS_1_2, SETTINGS_TLS_1_2);
    assert_versions(CLIENT(TRUST " tls13 { }"), SETTINGS_TLS_1_3, SETTINGS_TLS_1_3);
    assert_versions(CLIENT(TRUST " tls12 { } tls13 { }"), SETTINGS_TLS_1_2, SETTINGS_TLS_1_3);
    assert_versions(CLIENT(TRUST " lowest_supported_version: TLS_1_3"), SETTINGS_TLS_1_3,
                    SETTINGS_TLS_1_3);
    assert_versions(CLIENT(TRUST " tls12 { } tls13 { } highest_supported_version: TLS_1_2"),
                    SETTINGS_TLS_1_2, SETTINGS_TLS_1_2);
    assert_versions(CLIENT(TRUST " lowest_supported_version: TLS_VERSION_UNSPECIFIED"),
                    SETTINGS_TLS_1_2, SETTINGS_TLS_1_3);
    refused(CLIENT(TRUST " lowest_supported_version: TLS_1_3 highest_supported_version: TLS_1_2"),
            "f:2:64: client.tls.common_options.lowest_supported_version: is above "
            "highest_supported_version; write a lower one, or leave one out");
    refused(CLIENT(TRUST " tls12 { } lowest_supported_version: TLS_1_3"),
            "f:2:74: client.tls.common_options.lowest_supported_version: leaves no version, since "
            "only tls12 is there; write tls13 { } as well");
    refused(CLIENT(TRUST " tls13 { } highest_supported_version: TLS_1_2"),
            "f:2:75: client.tls.common_options.highest_supported_version: leaves no version, since "
            "only tls13 is there; write tls12 { } as well");
}

/* ---- names ---- */

static void test_names(void **state)
{
    (void)state;
    static char text[1024];

    refused(CLIENT(TRUST " tls13 { ke: ['a:b', 'X25519', 'X25519'] }"),
            "f:2:51: client.tls.common_options.tls13.ke[0]: 'a:b' is no name; write one of up to "
            "64 letters, digits, '-', '_' and '.'\n"
            "f:2:68: client.tls.common_options.tls13.ke[2]: 'X25519' is there twice; leave one of "
            "them out");
    refused(CLIENT(TRUST " alpn_protocols: ['h2', '', 'h2']"),
            "f:2:61: client.tls.common_options.alpn_protocols[1]: '' is no protocol; write 1 to "
            "255 bytes\n"
            "f:2:65: client.tls.common_options.alpn_protocols[2]: 'h2' is there twice; leave one "
            "of them out");
    (void)snprintf(text, sizeof(text), CLIENT(TRUST " alpn_protocols: '%0255d'"), 7);
    settings_free(accepted(text));
    (void)snprintf(text, sizeof(text), CLIENT(TRUST " alpn_protocols: '%0256d'"), 7);
    assert_null(read_text(text));
    refused("provider: '../x' impl: IMPL_GNUTLS " CLIENT(TRUST),
            "f:1:11: provider[0]: '../x' is no provider; write its name, such as \"oqsprovider\"\n"
            "f:1:11: provider[0]: is for OpenSSL only; leave it out, or write impl: IMPL_OPENSSL3");
}

static void test_providers(void **state)
{
    (void)state;
    struct settings *s =
        accepted("impl: IMPL_OPENSSL3_OQS_PROVIDER provider: ['legacy', 'other'] " CLIENT(TRUST));

    assert_names(&s->providers, "oqsprovider legacy other");
    settings_free(s);
    s = accepted("impl: IMPL_OPENSSL3_OQS_PROVIDER provider: ['a', 'oqsprovider'] " CLIENT(TRUST));
    assert_names(&s->providers, "a oqsprovider");
    settings_free(s);
}

/* ---- files ---- */

/* A CA from `data`: what is said is `expected`, behind the place and the fields around it. */
static void refused_ca(const char *data, const char *expected)
{
    char text[512], whole[1024];

    (void)snprintf(text, sizeof(text), CLIENT("x509_verifier { trusted_cas { static { %s\n} } }"),
                   data);
    (void)snprintf(whole, sizeof(whole),
                   "client.tls.common_options.x509_verifier.trusted_cas[0].static%s", expected);
    assert_null(read_text(text));
    const char *told = strstr(error.text, "client.");
    assert_non_null(told);
    assert_string_equal(told, whole);
}

static void refused_file(const void *bytes, size_t length, const char *format, const char *expected)
{
    char data[256], whole[512];

    write_file(bytes, length);
    (void)snprintf(data, sizeof(data), "data { filename: '%s' } %s", file, format);
    (void)snprintf(whole, sizeof(whole), ".data.filename: '%s' %s", file, expected);
    refused_ca(data, whole);
}

static void test_sources(void **state)
{
    (void)state;
    refused_ca("", ".data: must be given, such as data { filename: \"a.pem\" }");
    refused_ca("data { }", ".data: is empty; write filename, inline_bytes or inline_string");
    refused_ca("data { filename: 'a' inline_bytes: 'b' }",
               ".data: has 2 sources; leave all but one of filename, inline_bytes and "
               "inline_string out");
    refused_ca("data { inline_bytes: '' }", ".data.inline_bytes: has 0 bytes; give 1 to 1048576");
    refused_ca("data { inline_string: 'x' }",
               ".data.inline_string: is neither PEM (\"-----BEGIN …\") nor DER; give one of them");
    refused_ca("data { filename: '/nowhere/a' }",
               ".data.filename: '/nowhere/a' cannot be read: No such file or directory; name a "
               "file that this user may read");
    refused_ca("data { filename: '-----BEGIN PRIVATE KEY-----\\nMIGHAgEA' }",
               ".data.filename: is no name, but what a file holds; write inline_bytes instead of "
               "filename");
    refused_ca("data { filename: '/tmp' }", ".data.filename: '/tmp' cannot be read: Is a "
                                            "directory; name a file that this user may read");
    refused(CLIENT("x509_verifier { trusted_directory: '/nowhere' }"),
            "f:2:36: client.tls.common_options.x509_verifier.trusted_directory[0]: '/nowhere' "
            "cannot be read: No such file or directory; name a directory that this user may "
            "read");
}

/* Where it was looked for is said. */
static void test_relative_file(void **state)
{
    (void)state;
    char here[256], expected[512];

    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(chdir(directory), 0);
    (void)snprintf(expected, sizeof(expected),
                   ".data.filename: 'there.pem' cannot be read, in %s: No such file or "
                   "directory; name a file that this user may read",
                   directory);
    refused_ca("data { filename: 'there.pem' }", expected);
    write_file("-----BEGIN CERTIFICATE-----", 27);
    struct settings *s =
        accepted(CLIENT("x509_verifier { trusted_cas { static { data { filename: 'f' } } } }"));
    assert_int_equal(s->trusted.list[0].length, 27);
    settings_free(s);
    assert_int_equal(chdir(here), 0);
}

static void test_file_sizes(void **state)
{
    (void)state;
    static char large[FILE_CONTENT_MAX + 1] = "-----BEGIN CERTIFICATE-----";
    char text[256];

    refused_file("", 0, "", "is empty; name the file that is meant");
    refused_file(large, sizeof(large), "",
                 "is longer than 1048576 bytes; name the file that is meant");
    write_file(large, sizeof(large) - 1);
    (void)snprintf(text, sizeof(text),
                   CLIENT("x509_verifier { trusted_cas { static { data { filename: '%s' } } } }"),
                   file);
    settings_free(accepted(text));
}

static void test_forms(void **state)
{
    (void)state;
    static const char der[] = "\x30\x82\x01\x00";
    uint8_t whole[260] = {0x30, 0x82, 1, 0};

    refused_file(der, 4, "", "is cut short; give all of it");
    refused_file("\x30\x01\x00!", 4, "",
                 "has bytes behind its end; give one object in DER, or PEM");
    refused_file("0x", 2, "format: ENCODING_FORMAT_DER", "is cut short; give all of it");
    refused_file("1x", 2, "format: ENCODING_FORMAT_DER",
                 "is not DER; leave the format out, or give what is");
    refused_file(whole, sizeof(whole), "format: ENCODING_FORMAT_PEM",
                 "is not PEM: it has no \"-----BEGIN \"; leave the format out, or give what is");
    refused_file("-----BEGIN PRIVATE KEY-----", 27, "",
                 "holds a private key, and no certificate; give the certificate");
    refused_file("-----BEGIN X509 CRL-----", 24, "", "holds no certificate; give one");
    refused_file("\x30\x85\1\1\1\1\1", 7, "",
                 "is neither PEM (\"-----BEGIN …\") nor DER; give one of them");
    write_file(whole, sizeof(whole));
    char text[256];
    (void)snprintf(text, sizeof(text),
                   CLIENT("x509_verifier { trusted_cas { static { data { filename: '%s' } } } }"),
                   file);
    struct settings *s = accepted(text);
    assert_false(s->trusted.list[0].pem);
    assert_memory_equal(s->trusted.list[0].bytes, whole, sizeof(whole));
    settings_free(s);
}

static void test_keys(void **state)
{
    (void)state;
#define WITH_KEY(pem)                                                                              \
    SERVER("identity { certificate { " CERTIFICATE                                                 \
           " } private_key {\nstatic { data { inline_string: \"" pem "\" } } } }")
#define AT_KEY "f:3:32: server.tls.common_options.identity.private_key.static.data.inline_string: "
    refused(WITH_KEY("-----BEGIN ENCRYPTED PRIVATE KEY-----"),
            AT_KEY "holds an encrypted key; give it decrypted, as `openssl pkey -in FILE` does");
    refused(WITH_KEY("-----BEGIN RSA PRIVATE KEY-----\\nProc-Type: 4,ENCRYPTED"),
            AT_KEY "holds an encrypted key; give it decrypted, as `openssl pkey -in FILE` does");
    refused(WITH_KEY(BEGIN_CERTIFICATE),
            AT_KEY "holds a certificate, and no private key; give the key");
    refused(WITH_KEY("-----BEGIN X-----"), AT_KEY "holds no private key; give one");
    refused(SERVER("identity {\n}"),
            "f:2:10: server.tls.common_options.identity.certificate[0]: must be given, such as "
            "certificate { static { data { filename: \"cert.pem\" } } }\n"
            "f:2:10: server.tls.common_options.identity.private_key: must be given, such as "
            "private_key { static { data { filename: \"key.pem\" } } }");
    refused(CLIENT("empty_verifier { } identity {\ncertificate { " CERTIFICATE " } }"),
            "f:2:29: client.tls.common_options.identity.private_key: must be given, such as "
            "private_key { static { data { filename: \"key.pem\" } } }");
}

/* ---- secrets ---- */

/* A key that was pasted with its line ends: its lines are not told as mistakes. */
static void test_pasted_key(void **state)
{
    (void)state;
    refused("server { tls { common_options { identity { private_key { static { data {\n"
            "inline_string: \"-----BEGIN PRIVATE KEY-----\n"
            "SECRETSECRET\n"
            "MORESECRETS==\n"
            "-----END PRIVATE KEY-----\n"
            "\" } } } } } } }",
            "f:2:16: server.tls.common_options.identity.private_key.static.data.inline_string: the "
            "string does not end in its line; write each line in quotes of its own with \\n at its "
            "end, or name a file");
    refused("server { tls { common_options { identity { private_key { static { data {\n"
            "inline_bytes: SECRET } } } } } } }",
            "f:1:42: server.tls.common_options.identity.certificate[0]: must be given, such as "
            "certificate { static { data { filename: \"cert.pem\" } } }\n"
            "f:2:15: server.tls.common_options.identity.private_key.static.data.inline_bytes: the "
            "value is not in quotes; write it as in \"text\"");
}

static void test_printed(void **state)
{
    (void)state;
    struct settings *s = accepted(SERVER(
        "identity { certificate { static { data { inline_string: \"" BEGIN_CERTIFICATE BEGIN_KEY
        "\" } } } certificate { " CERTIFICATE " } private_key { " KEY " } }"));

    assert_null(strstr(s->text, "SECRET"));
    assert_non_null(strstr(s->text, "inline_string: \"(left out)\""));
    assert_non_null(strstr(s->text, "BEGIN CERTIFICATE"));
    assert_non_null(strstr(s->text, "session_tickets: true"));
    assert_non_null(strstr((const char *)s->key.bytes, "SECRET"));
    settings_free(s);
    /* Without keys it can be read back. */
    s = accepted(CLIENT(TRUST " alpn_protocols: 'h2'"));
    struct settings *again = accepted(s->text);
    assert_string_equal(again->text, s->text);
    settings_free(again);
    settings_free(s);
}

/* ---- serialized ---- */

static void test_serialized(void **state)
{
    (void)state;
    Turbotls__V1__TunnelConfiguration m = TURBOTLS__V1__TUNNEL_CONFIGURATION__INIT;
    Turbotls__V1__ClientOptions client = TURBOTLS__V1__CLIENT_OPTIONS__INIT;
    Turbotls__V1__TlsOptions tls = TURBOTLS__V1__TLS_OPTIONS__INIT;
    Turbotls__V1__CommonOptions common = TURBOTLS__V1__COMMON_OPTIONS__INIT;
    Turbotls__V1__X509Verifier verifier = TURBOTLS__V1__X509_VERIFIER__INIT;
    Turbotls__V1__EmptyVerifier empty = TURBOTLS__V1__EMPTY_VERIFIER__INIT;
    uint8_t packed[64];
    char broken[] = "h\xff";
    char *alpn[] = {broken};

    m.client = &client;
    client.tls = &tls;
    tls.common_options = &common;
    common.empty_verifier = &empty;
    size_t length = turbotls__v1__tunnel_configuration__pack(&m, packed);
    struct settings *s = settings_read("f", packed, length, SETTINGS_EITHER, &error);
    assert_non_null(s);
    assert_true(s->empty_verifier);
    settings_free(s);

    assert_null(settings_read("f", packed, length - 1, SETTINGS_EITHER, &error));
    assert_string_equal(error.text, "f: is neither a text nor a whole serialized message "
                                    "turbotls.v1.TunnelConfiguration");
    assert_null(settings_read("f", packed, length, SETTINGS_TEXT, &error));

    common.x509_verifier = &verifier;
    common.alpn_protocols = alpn;
    common.n_alpn_protocols = 1;
    common.has_lowest_supported_version = true;
    common.lowest_supported_version = (Turbotls__V1__TlsVersion)7;
    verifier.has_system_store = verifier.system_store = true;
    common.empty_verifier = NULL;
    m.has_impl = true;
    length = turbotls__v1__tunnel_configuration__pack(&m, packed);
    assert_null(settings_read("f", packed, length, SETTINGS_SERIALIZED, &error));
    assert_string_equal(error.text,
                        "f: client.tls.common_options.lowest_supported_version: has no value 7; "
                        "use a name of TlsVersion\n"
                        "f: client.tls.common_options.alpn_protocols[0]: 'h\\xff' is not UTF-8");
}

/* More mistakes than there is room for: those that fit, and that there are more. */
static void test_many_mistakes(void **state)
{
    (void)state;
    char text[2048] = "";
    size_t used = 0;

    for (int i = 0; i < 50; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "nothing%d: 1\n", i);
    assert_null(read_text(text));
    size_t length = strlen(error.text);
    assert_true(length > TUNNEL_ERROR_TEXT_BYTES / 2);
    assert_string_equal(error.text + length - 13, "\n... and more");
}

static void test_too_long(void **state)
{
    (void)state;
    char *text = malloc(SETTINGS_BYTES_MAX + 1);

    assert_non_null(text);
    memset(text, ' ', SETTINGS_BYTES_MAX + 1);
    assert_null(settings_read("f", (uint8_t *)text, SETTINGS_BYTES_MAX + 1, SETTINGS_TEXT, &error));
    assert_string_equal(error.text, "f: is longer than the 4 MiB that a configuration can have; "
                                    "name files in it rather than what they hold");
    free(text);
    assert_null(settings_read("f", (const uint8_t *)"", 0, SETTINGS_EITHER, NULL));
    settings_free(NULL);
}

/* ---- options ---- */

static void options_refused(const char *text, const char *expected)
{
    assert_null(settings_options_read(text, &error));
    assert_string_equal(error.text, expected);
}

static void test_options(void **state)
{
    (void)state;
    struct tunnel_options *o = settings_options_read(
        "server_name_indication: 'www.example.com' expected_alpn: 'h2'\n"
        "verifier { san_verifier { alt_names { dns: 'example.com' } alt_names { ip_address: "
        "'2001:db8::1' } alt_names { email: 'a@example.com' } } }",
        &error);

    assert_non_null(o);
    assert_string_equal(o->server_name, "www.example.com");
    assert_string_equal(o->expected_alpn, "h2");
    assert_string_equal(o->names[0], "example.com");
    assert_string_equal(o->names[1], "2001:db8::1");
    assert_string_equal(o->names[2], "a@example.com");
    assert_null(o->names[3]);
    assert_false(o->empty_verifier);
    settings_options_free(o);

    o = settings_options_read("verifier { empty_verifier { } } # as it is in Sandwich", &error);
    assert_non_null(o);
    assert_true(o->empty_verifier);
    assert_null(o->names);
    assert_null(o->server_name);
    settings_options_free(o);

    o = settings_options_read("server_name_indication: '192.0.2.1'", &error);
    assert_non_null(o);
    assert_null(o->names);
    settings_options_free(o);
    settings_options_free(NULL);
}

static void test_options_refused(void **state)
{
    (void)state;
    options_refused("verifier { }",
                    "options:1:10: verifier: is empty; write san_verifier { alt_names { dns: "
                    "\"www.example.com\" } }, or empty_verifier { } where any name will do");
    options_refused("verifier { san_verifier { } }",
                    "options:1:25: verifier.san_verifier.alt_names[0]: must be given, such as "
                    "alt_names { dns: \"www.example.com\" }");
    options_refused("verifier { san_verifier { alt_names { dns: 'a' } } empty_verifier { } }",
                    "options:1:67: verifier.empty_verifier: contradicts san_verifier; leave it "
                    "out, or names are not verified");
    options_refused("verifier { san_verifier { alt_names { } alt_names { dns: 'a' email: 'b' } } }",
                    "options:1:37: verifier.san_verifier.alt_names[0]: has no name; write one of "
                    "dns, ip_address and email, and the others as alt_names of their own\n"
                    "options:1:51: verifier.san_verifier.alt_names[1]: has several names; write "
                    "one of dns, ip_address and email, and the others as alt_names of their own");
    options_refused("expected_alpn: ''",
                    "options:1:16: expected_alpn: '' is no protocol; write 1 to 255 bytes");
}

static void test_options_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *fault;
    } names[] = {
        {"", "has an empty label; write a name such as \"www.example.com\""},
        {"a..b", "has an empty label; write a name such as \"www.example.com\""},
        {"a.", "ends with a dot; leave it out"},
        {"a:443", "is no host's name; write one such as \"www.example.com\", without port and dot "
                  "at its end"},
        {"*.a", "is for many; write the name of the one that is meant"},
    };
    char text[256], expected[512];

    for (size_t i = 0; i < COUNT(names); i++) {
        (void)snprintf(text, sizeof(text), "server_name_indication: '%s'", names[i].name);
        (void)snprintf(expected, sizeof(expected), "options:1:25: server_name_indication: '%s' %s",
                       names[i].name, names[i].fault);
        options_refused(text, expected);
    }
    options_refused("verifier { san_verifier { alt_names {\ndns: '::1' } alt_names {\nip_address: "
                    "'[::1]' } alt_names {\nemail: 'a' } } }",
                    "options:2:6: verifier.san_verifier.alt_names[0].dns: '::1' is an address; "
                    "write ip_address\n"
                    "options:3:13: verifier.san_verifier.alt_names[1].ip_address: '[::1]' is no "
                    "address; write one such as \"192.0.2.1\" or \"2001:db8::1\", without "
                    "brackets, port and scope\n"
                    "options:4:8: verifier.san_verifier.alt_names[2].email: 'a' is no mailbox; "
                    "write one such as \"somebody@example.com\"");
    options_refused("server_name_indication: 'b\303\274cher.example'",
                    "options:1:25: server_name_indication: 'b\\xc3\\xbccher.example' has letters "
                    "beyond ASCII; write it as DNS has it, such as \"xn--bcher-kva.example\"");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(test_sandwich_text),
        CASE(test_no_verifier),
        CASE(test_sides),
        CASE(test_server),
        CASE(test_client_authentication),
        CASE(test_versions),
        CASE(test_names),
        CASE(test_providers),
        CASE(test_sources),
        CASE(test_relative_file),
        CASE(test_file_sizes),
        CASE(test_forms),
        CASE(test_keys),
        CASE(test_pasted_key),
        CASE(test_printed),
        CASE(test_serialized),
        CASE(test_many_mistakes),
        CASE(test_too_long),
        CASE(test_options),
        CASE(test_options_refused),
        CASE(test_options_names),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
