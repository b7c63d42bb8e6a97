/*
 * A context's configuration and a tunnel's options are read while memory runs out: at every n, they
 * are read all the same or refused with a reason, and nothing of them is left behind.
 */
#include "tests/alloc/faults.h"
#include "tests/unit/support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tunnel/config/settings.h"
#include "turbotls/v1/tunnel.pb-c.h"

#define CERTIFICATE "static { data { inline_string: '-----BEGIN CERTIFICATE-----' } }"

static const char text[] =
    "impl: IMPL_OPENSSL3_OQS_PROVIDER provider: 'legacy'\n"
    "server { tls { client_authentication: CLIENT_AUTHENTICATION_REQUIRED common_options {\n"
    "  tls12 { ciphersuite: 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384' }\n"
    "  tls13 { ke: ['X25519', 'P-256'] ciphersuite: 'TLS_AES_128_GCM_SHA256' }\n"
    "  alpn_protocols: ['h2', 'http/1.1'] key_log_file: '/dev/null'\n"
    "  x509_verifier { trusted_cas { " CERTIFICATE " } trusted_directory: '.' }\n"
    "  identity { certificate { " CERTIFICATE " }\n"
    "    certificate { static { data { filename: 'certificate' } } }\n"
    "    private_key { static { data { inline_string: '-----BEGIN PRIVATE KEY-----' } } } } } } }";

static const char mistakes[] =
    "impl: IMPL_GNUTLS provider: 'legacy' server { } client { tls { common_options {\n"
    "  tls13 { ke: ['X25519', 'X25519', ':'] } x509_verifier { trusted_directory: '/nowhere' }\n"
    "  identity { certificate { static { data { filename: '/nowhere/a' } } } }\n"
    "  alpn_protocols: '' lowest: TLS_1_3 } } }";

static const char options[] =
    "server_name_indication: 'www.example.com' expected_alpn: 'h2'\n"
    "verifier { san_verifier { alt_names { dns: 'a' } alt_names { ip_address: '::1' } } }";

enum kind { TEXT, MISTAKES, SERIALIZED, OPTIONS };

static uint8_t packed[64];
static size_t packed_length;

static bool read_settings(const char *what, size_t length, enum settings_form form,
                          struct tunnel_error *error)
{
    struct settings *settings = settings_read("f", (const uint8_t *)what, length, form, error);
    bool good = settings != NULL;

    settings_free(settings);
    return good;
}

static bool read_options(struct tunnel_error *error)
{
    struct tunnel_options *read = settings_options_read(options, error);
    bool good = read != NULL;

    settings_options_free(read);
    return good;
}

/* False: it was refused, with a reason. */
static bool load(enum kind kind)
{
    struct tunnel_error error = {.result = TUNNEL_OK};
    bool good;

    faults_on();
    if (kind == OPTIONS)
        good = read_options(&error);
    else if (kind == SERIALIZED)
        good = read_settings((const char *)packed, packed_length, SETTINGS_SERIALIZED, &error);
    else if (kind == MISTAKES)
        good = read_settings(mistakes, strlen(mistakes), SETTINGS_TEXT, &error);
    else
        good = read_settings(text, strlen(text), SETTINGS_EITHER, &error);
    faults_off();
    assert_true(good || (error.result != TUNNEL_OK && error.text[0] != '\0'));
    return good;
}

static bool survives(enum kind kind, const struct fault *fault, unsigned n)
{
    size_t before = faults_blocks();
    faults_plan(fault, n);
    bool good = load(kind);
    bool struck = faults_cancel();
    assert_true(kind == MISTAKES ? !good : good || struck);
    assert_int_equal(faults_blocks(), before);
    return struck;
}

static void at_every_n(void **state)
{
    enum kind kind = *(const enum kind *)*state;

    faults_plan(NULL, 0);
    faults_cancel();
    assert_int_equal(load(kind), kind != MISTAKES);
    for (size_t i = 0; i < FAULTS; i++) {
        unsigned n = 1;
        while (!faults[i].descriptor && survives(kind, &faults[i], n))
            n++;
        assert_true(faults[i].descriptor || n > 4);
        print_message("%u times a failed %s\n", n - 1, faults[i].name);
    }
    faults_plan(NULL, 0);
}

static int explain(void **state)
{
    (void)state;
    faults_off();
    faults_print();
    return 0;
}

/* A client that verifies nobody. */
static void pack(void)
{
    Turbotls__V1__TunnelConfiguration m = TURBOTLS__V1__TUNNEL_CONFIGURATION__INIT;
    Turbotls__V1__ClientOptions client = TURBOTLS__V1__CLIENT_OPTIONS__INIT;
    Turbotls__V1__TlsOptions tls = TURBOTLS__V1__TLS_OPTIONS__INIT;
    Turbotls__V1__CommonOptions common = TURBOTLS__V1__COMMON_OPTIONS__INIT;
    Turbotls__V1__EmptyVerifier empty = TURBOTLS__V1__EMPTY_VERIFIER__INIT;
    char h2[] = "h2", *alpn[] = {h2};

    m.client = &client;
    client.tls = &tls;
    tls.common_options = &common;
    common.empty_verifier = &empty;
    common.alpn_protocols = alpn;
    common.n_alpn_protocols = 1;
    packed_length = turbotls__v1__tunnel_configuration__pack(&m, packed);
}

/* In a directory of its own, which is the current one meanwhile. */
static char directory[] = "/tmp/turbotls-settings-XXXXXX";

static int write_certificate(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL || chdir(directory) != 0)
        return -1;
    FILE *out = fopen("certificate", "w");
    if (out == NULL || fputs("-----BEGIN CERTIFICATE-----", out) == EOF)
        return -1;
    return fclose(out);
}

static int remove_certificate(void **state)
{
    (void)state;
    return unlink("certificate") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

int main(void)
{
    static const enum kind kinds[] = {TEXT, MISTAKES, SERIALIZED, OPTIONS};
    static const char *const names[] = {"a text", "a text with mistakes", "the serialized form",
                                        "options"};
    struct CMUnitTest tests[COUNT(kinds)];

    faults_install();
    pack();
    for (size_t i = 0; i < COUNT(kinds); i++)
        tests[i] = (struct CMUnitTest){.name = names[i],
                                       .test_func = at_every_n,
                                       .teardown_func = explain,
                                       .initial_state = (void *)(uintptr_t)&kinds[i]};
    return cmocka_run_group_tests(tests, write_certificate, remove_certificate);
}
