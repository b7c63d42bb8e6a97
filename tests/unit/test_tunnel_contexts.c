/* What a context is made of: every form of certificate, key and trust, and what is wrong with it
 * told when it is made, whichever the TLS library. */
#include "tests/unit/support/tunnel_each.h"

#include <stdio.h>

enum { TEXT_BYTES = 2048 };

/* `format` has the directory's path as often as it likes. */
static const char *in_world(const struct each *each, const char *format, char text[TEXT_BYTES])
{
    size_t used = 0;
    for (const char *at = format; *at != 0; at++) {
        if (*at == '@')
            used += (size_t)snprintf(text + used, TEXT_BYTES - used, "%s", each->world->directory);
        else
            text[used++] = *at;
        assert_true(used < TEXT_BYTES - 1);
    }
    text[used] = 0;
    return text;
}

#define CERTIFICATE(file) "certificate { static { data { filename: \"@/" file "\" } } } "
#define KEY(file)         "private_key { static { data { filename: \"@/" file "\" } } } "
#define TRUSTED(file)     "trusted_cas { static { data { filename: \"@/" file "\" } } } "

/* A server with this identity and a client with this trust agree. */
static void agree(const struct each *each, const char *identity, const char *trust)
{
    struct pair pair;
    char server[TEXT_BYTES], client[TEXT_BYTES];
    pair_open(&pair, CLIENT(each, .common = in_world(each, trust, client)),
              SERVER(each, .common = in_world(each, identity, server)), NULL, NULL);
    pair_agree(&pair);
    pair_close(&pair);
}

static void certificates_and_keys_may_be_pem_or_der(void **state)
{
    static const char *const identities[] = {
        "identity { " CERTIFICATE("ecdsa.pem") KEY("ecdsa.key") "}",
        "identity { " CERTIFICATE("ecdsa.der") KEY("ecdsa.key.der") "}",
        "identity { " CERTIFICATE("ecdsa.der") CERTIFICATE("root.pem") KEY("ecdsa.key") "}",
    };
    for (size_t i = 0; i < COUNT(identities); i++)
        agree(*state, identities[i], "x509_verifier { " TRUSTED("root.pem") "}");
}

static void trust_may_be_files_and_directories(void **state)
{
    static const char *const trusts[] = {
        "x509_verifier { " TRUSTED("stranger.pem") TRUSTED("root.pem") "}",
        "x509_verifier { trusted_directory: \"@/hashed\" }",
        "x509_verifier { trusted_directory: \"@/hashed\" system_store: true }",
    };
    for (size_t i = 0; i < COUNT(trusts); i++)
        agree(*state, "identity { " CERTIFICATE("ecdsa.pem") KEY("ecdsa.key") "}", trusts[i]);
}

static void the_systems_store_trusts_others(void **state)
{
    struct pair pair;
    pair_open(&pair, CLIENT(*state, .common = "x509_verifier { system_store: true }"),
              SERVER(*state, .identity = "ecdsa"), NULL, NULL);
    pair_handshake(&pair);
    assert_string_equal(tunnel_result_name(pair.client.result), "unknown-ca");
    pair_close(&pair);
}

/* ---- mistakes ---- */

struct mistake {
    const char *common;
    const char *why; /* is in the text */
};

static void refuse_all(const struct each *each, bool server, const struct mistake *mistakes,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[TEXT_BYTES];
        each_refuses(each, server,
                     &(struct world_end){.common = in_world(each, mistakes[i].common, text)},
                     mistakes[i].why);
    }
}

static void an_identity_that_is_wrong_is_refused(void **state)
{
    static const struct mistake mistakes[] = {
        {"identity { " CERTIFICATE("ecdsa.pem") KEY("rsa.key") "}", "private_key"},
        {"identity { " CERTIFICATE("ecdsa.pem") KEY("ecdsa.key.encrypted") "}", "encrypted"},
        {"identity { " CERTIFICATE("root.pem") CERTIFICATE("ecdsa.pem") KEY("ecdsa.key") "}",
         "first"},
        {"identity { " CERTIFICATE("ecdsa.key") KEY("ecdsa.key") "}", "certificate"},
        {"identity { " CERTIFICATE("ecdsa.pem") KEY("ecdsa.pem") "}", "private_key"},
        {"identity { " CERTIFICATE("ecdsa.pem") KEY("nothing.key") "}", "nothing.key"},
        {"identity { " CERTIFICATE("ecdsa.pem") "}", "key"},
        {"", "identity"},
    };
    refuse_all(*state, true, mistakes, COUNT(mistakes));
}

static void trust_that_is_wrong_is_refused(void **state)
{
    static const struct mistake mistakes[] = {
        {"x509_verifier { " TRUSTED("nothing.pem") "}", "nothing.pem"},
        {"x509_verifier { " TRUSTED("ecdsa.key") "}", "certificate"},
        {"x509_verifier { trusted_directory: \"@/nowhere\" }", "nowhere"},
        {"x509_verifier { trusted_directory: \"@/empty\" }", "empty"},
    };
    refuse_all(*state, false, mistakes, COUNT(mistakes));
}

/* With what there is instead. */
static void names_that_the_library_does_not_know_are_refused_with_a_list(void **state)
{
    static const struct mistake mistakes[] = {
        {"empty_verifier { } tls13 { ke: \"kyber512\" }", "X25519, "},
        {"empty_verifier { } tls13 { ke: \"P-256\" ke: \"nonsense\" }", "ke[1]"},
        {"empty_verifier { } tls13 { ciphersuite: \"TLS_NONSENSE\" }", "TLS_AES_128_GCM_SHA256"},
        {"empty_verifier { } tls12 { ciphersuite: \"TLS_NONSENSE\" }",
         "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
        {"empty_verifier { } tls12 { ciphersuite: \"TLS_AES_128_GCM_SHA256\" }", "tls13"},
        {"empty_verifier { } tls12 { ciphersuite: \"ECDHE-RSA-AES128-GCM-SHA256\" }",
         "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
        {"empty_verifier { } key_log_file: \"@/nowhere/keys\"", "nowhere/keys"},
    };
    refuse_all(*state, false, mistakes, COUNT(mistakes));
}

static void names_are_those_that_people_use(void **state)
{
    static const char *const names[] = {"P-256", "secp256r1", "SECP256R1", "X25519", "x25519"};
    for (size_t i = 0; i < COUNT(names); i++) {
        char common[TEXT_BYTES];
        snprintf(common, sizeof(common), "tls13 { ke: \"%s\" }", names[i]);
        tunnel_context_release(CLIENT(*state, .common = common));
    }
}

static void a_provider_that_is_missing_is_told_with_its_path(void **state)
{
    static const char *const whys[] = {"nosuchprovider", "nosuchprovider.so", "OPENSSL_MODULES",
                                       "provider[0]"};
    struct each openssl = *(const struct each *)*state;
    openssl.client = "IMPL_OPENSSL3";
    for (size_t i = 0; i < COUNT(whys); i++)
        each_refuses(&openssl, false, &(struct world_end){.before = "provider: \"nosuchprovider\""},
                     whys[i]);
}

/* "legacy" comes with OpenSSL. */
static void a_provider_that_is_there_is_loaded(void **state)
{
    struct pair pair;
    pair_open(&pair,
              CLIENT(*state, .implementation = "IMPL_OPENSSL3", .before = "provider: \"legacy\"",
                     .trust = "root"),
              SERVER(*state, .identity = "ecdsa"), NULL, NULL);
    pair_agree(&pair);
    pair_close(&pair);
}

static void a_context_says_what_it_is(void **state)
{
    const struct each *each = *state;
    struct tunnel_context *context = CLIENT(each, .trust = "root");
    const char *name = strcmp(each->client, "IMPL_GNUTLS") == 0 ? "GnuTLS 3." : "OpenSSL 3.";
    assert_int_equal(strncmp(tunnel_context_implementation(context), name, strlen(name)), 0);
    assert_false(tunnel_context_is_server(context));
    tunnel_context_release(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(certificates_and_keys_may_be_pem_or_der),
        CASE(trust_may_be_files_and_directories),
        CASE(the_systems_store_trusts_others),
        CASE(an_identity_that_is_wrong_is_refused),
        CASE(trust_that_is_wrong_is_refused),
        CASE(names_that_the_library_does_not_know_are_refused_with_a_list),
        CASE(names_are_those_that_people_use),
        CASE(a_provider_that_is_missing_is_told_with_its_path),
        CASE(a_provider_that_is_there_is_loaded),
        CASE(a_context_says_what_it_is),
    };
    return each_run("contexts", tests, COUNT(tests));
}
