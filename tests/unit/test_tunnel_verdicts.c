/* Each way in which two tunnels cannot agree has its own result, at both ends, and a text that says
 * what to do, whichever TLS libraries they are made of. */
#include "tests/unit/support/tunnel_each.h"

#include <stdio.h>

static const char *const versions[] = {ONLY_TLS12, ONLY_TLS13};

/* Both ends have failed as they should, and what the client says names `advice`. */
static void expect(struct pair *pair, enum tunnel_result client, enum tunnel_result server,
                   const char *advice)
{
    pair_handshake(pair);
    if (pair->client.result != client || pair->server.result != server)
        fail_msg("client: %s instead of %s: %s\nserver: %s instead of %s: %s",
                 tunnel_result_name(pair->client.result), tunnel_result_name(client),
                 pair->client.error.text, tunnel_result_name(pair->server.result),
                 tunnel_result_name(server), pair->server.error.text);
    bool by_server = client == TUNNEL_CERTIFICATE_REFUSED || server == TUNNEL_NO_CERTIFICATE;
    const struct pair_end *judge = by_server ? &pair->server : &pair->client;
    if (strstr(judge->error.text, advice) == NULL)
        fail_msg("\"%s\" is not in: %s", advice, judge->error.text);
    pair_close(pair);
}

/* ---- certificates ---- */

struct verdict {
    const char *identity;
    const char *name; /* asked for; NULL: server.example */
    enum tunnel_result result;
    const char *advice;
};

static const struct verdict verdicts[] = {
    {"elsewhere", NULL, TUNNEL_NAME_MISMATCH, "other.example"},
    {"subject", NULL, TUNNEL_NAME_MISMATCH, "server.example"},
    {"ecdsa", "192.0.2.3", TUNNEL_NAME_MISMATCH, "192.0.2.3"},
    {"ecdsa", "b.a.wild.example", TUNNEL_NAME_MISMATCH, "b.a.wild.example"},
    {"ecdsa", "wild.example", TUNNEL_NAME_MISMATCH, "wild.example"},
    {"expired", NULL, TUNNEL_EXPIRED, "clock"},
    {"future", NULL, TUNNEL_NOT_YET_VALID, "clock"},
    {"self", NULL, TUNNEL_SELF_SIGNED, "trusted_cas"},
    {"stranger", NULL, TUNNEL_UNKNOWN_CA, "trusted_cas"},
    {"incomplete", NULL, TUNNEL_UNKNOWN_CA, "intermediate"},
    {"stranger-whole", NULL, TUNNEL_UNTRUSTED_ROOT, "trusted_cas"},
    {"purpose", "client.example", TUNNEL_BAD_CERTIFICATE, ""},
    {"bent", NULL, TUNNEL_BAD_CERTIFICATE, ""},
};

static void each_fault_of_a_servers_certificate_has_its_own_result(void **state)
{
    /* Every other one is TLS 1.3's. */
    size_t step = each_is_slow() ? 2 : 1;
    for (size_t i = step - 1; i < COUNT(verdicts) * COUNT(versions); i += step) {
        const struct verdict *v = &verdicts[i / COUNT(versions)];
        const char *version = versions[i % COUNT(versions)];
        struct pair pair;
        struct tunnel_options options = {.server_name =
                                             v->name == NULL ? "server.example" : v->name};
        pair_open(&pair, CLIENT(*state, .trust = "root", .common = version),
                  SERVER(*state, .identity = v->identity, .common = version), &options, NULL);
        expect(&pair, v->result, TUNNEL_CERTIFICATE_REFUSED, v->advice);
    }
}

/* The root is not sent: nine are between it and the server's. */
static void a_chain_may_be_too_long(void **state)
{
    static const unsigned between = 9;
    const struct each *each = *state;
    for (unsigned depth = between - 1; depth <= between; depth++) {
        struct pair pair;
        char common[WORLD_PATH_BYTES + 256];
        snprintf(common, sizeof(common),
                 "x509_verifier { max_verify_depth: %u "
                 "trusted_cas { static { data { filename: \"%s/root.pem\" } } } }",
                 depth, each->world->directory);
        pair_open(&pair, CLIENT(each, .common = common), SERVER(each, .identity = "long"), NULL,
                  NULL);
        if (depth < between)
            expect(&pair, TUNNEL_BAD_CERTIFICATE, TUNNEL_CERTIFICATE_REFUSED, "max_verify_depth");
        else
            expect(&pair, TUNNEL_OK, TUNNEL_OK, "");
    }
}

static void each_fault_of_a_clients_certificate_has_its_own_result(void **state)
{
    static const struct verdict faults[] = {
        {"stranger-client", NULL, TUNNEL_UNKNOWN_CA, "trusted_cas"},
        {"self", NULL, TUNNEL_SELF_SIGNED, "trusted_cas"},
        {"expired", NULL, TUNNEL_EXPIRED, "clock"},
        {"client", "else.example", TUNNEL_NAME_MISMATCH, "else.example"},
        {"client", "else@client.example", TUNNEL_NAME_MISMATCH, "else@client.example"},
    };
    size_t step = each_is_slow() ? 2 : 1;
    for (size_t i = step - 1; i < COUNT(faults) * COUNT(versions); i += step) {
        const struct verdict *f = &faults[i / COUNT(versions)];
        const char *version = versions[i % COUNT(versions)];
        const char *const names[] = {f->name, NULL};
        struct pair pair;
        struct tunnel_options options = {.names = f->name == NULL ? NULL : names};
        pair_open(&pair,
                  CLIENT(*state, .identity = f->identity, .trust = "root", .common = version),
                  SERVER(*state, .identity = "ecdsa", .trust = "root", .common = version,
                         .more = "client_authentication: CLIENT_AUTHENTICATION_REQUIRED"),
                  NULL, &options);
        expect(&pair, TUNNEL_CERTIFICATE_REFUSED, f->result, f->advice);
    }
}

static void a_client_without_the_certificate_that_it_needs(void **state)
{
    /* TLS 1.2 has no alert of its own for it (RFC 5246 §7.4.6, RFC 8446 §6.2). */
    static const enum tunnel_result results[] = {TUNNEL_NO_COMMON_GROUND,
                                                 TUNNEL_CERTIFICATE_REFUSED};
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        pair_open(&pair, CLIENT(*state, .trust = "root", .common = versions[v]),
                  SERVER(*state, .identity = "ecdsa", .trust = "root", .common = versions[v],
                         .more = "client_authentication: CLIENT_AUTHENTICATION_REQUIRED"),
                  NULL, NULL);
        expect(&pair, results[v], TUNNEL_NO_CERTIFICATE, "client_authentication");
    }
}

/* ---- nothing in common ---- */

static void no_common_version(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        pair_open(&pair, CLIENT(*state, .trust = "root", .common = versions[v]),
                  SERVER(*state, .identity = "ecdsa", .common = versions[1 - v]), NULL, NULL);
        expect(&pair, TUNNEL_NO_COMMON_VERSION, TUNNEL_NO_COMMON_VERSION, "tls1");
    }
}

static void no_common_cipher(void **state)
{
    static const char *const suites[][2] = {
        {"tls12 { ciphersuite: \"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\" }",
         "tls12 { ciphersuite: \"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\" }"},
        {"tls13 { ciphersuite: \"TLS_AES_128_GCM_SHA256\" }",
         "tls13 { ciphersuite: \"TLS_AES_256_GCM_SHA384\" }"},
        /* A shared one that the server's certificate is not for. */
        {"tls12 { ciphersuite: \"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384\" }", "tls12 { }"},
    };
    for (size_t i = 0; i < COUNT(suites); i++) {
        struct pair pair;
        pair_open(&pair, CLIENT(*state, .trust = "root", .common = suites[i][0]),
                  SERVER(*state, .identity = "ecdsa", .common = suites[i][1]), NULL, NULL);
        expect(&pair, TUNNEL_NO_COMMON_GROUND, TUNNEL_NO_COMMON_CIPHER, "ciphersuite");
    }
}

static void no_common_group(void **state)
{
    static const char *const more[] = {"lowest_supported_version: TLS_1_2 "
                                       "highest_supported_version: TLS_1_2 tls12 { }",
                                       ""};
    for (size_t i = 0; i < COUNT(more); i++) {
        struct pair pair;
        char client[256], server[256];
        snprintf(client, sizeof(client), "tls13 { ke: \"X25519\" } %s", more[i]);
        snprintf(server, sizeof(server), "tls13 { ke: \"P-384\" } %s", more[i]);
        pair_open(&pair, CLIENT(*state, .trust = "root", .common = client),
                  SERVER(*state, .identity = "ecdsa", .common = server), NULL, NULL);
        expect(&pair, TUNNEL_NO_COMMON_GROUND, TUNNEL_NO_COMMON_GROUP, "ke");
    }
}

static void no_common_alpn(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        char client[128], server[128];
        snprintf(client, sizeof(client), "%s alpn_protocols: \"h2\"", versions[v]);
        snprintf(server, sizeof(server), "%s alpn_protocols: \"smtp\"", versions[v]);
        pair_open(&pair, CLIENT(*state, .trust = "root", .common = client),
                  SERVER(*state, .identity = "ecdsa", .common = server), NULL, NULL);
        expect(&pair, TUNNEL_NO_COMMON_ALPN, TUNNEL_NO_COMMON_ALPN, "alpn_protocols");
    }
}

static void another_protocol_than_was_expected(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        struct tunnel_options options = {.server_name = "server.example", .expected_alpn = "h2"};
        pair_open(&pair, CLIENT(*state, .trust = "root", .common = "alpn_protocols: \"h2\""),
                  SERVER(*state, .identity = "ecdsa", .common = versions[v]), &options, NULL);
        pair_handshake(&pair);
        assert_int_equal(pair.client.result, TUNNEL_NO_COMMON_ALPN);
        assert_non_null(strstr(pair.client.error.text, "\"h2\""));
        pair_close(&pair);
    }
}

/* ---- damage ---- */

static void a_record_that_was_changed_is_an_error_at_both_ends(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        uint8_t bytes[100] = {0};
        size_t n;
        pair_open(&pair, CLIENT(*state, .trust = "root", .common = versions[v]),
                  SERVER(*state, .identity = "ecdsa", .common = versions[v]), NULL, NULL);
        pair_agree(&pair);
        pair_settle(&pair);
        pair.server.io->spoilt = pair.server.io->passed + 50;
        assert_int_equal(tunnel_write(pair.client.tunnel, bytes, sizeof(bytes), &n), TUNNEL_OK);
        assert_int_equal(tunnel_read(pair.server.tunnel, bytes, sizeof(bytes), &n),
                         TUNNEL_PROTOCOL);
        assert_int_equal(n, 0);
        assert_int_equal(tunnel_read(pair.client.tunnel, bytes, sizeof(bytes), &n),
                         TUNNEL_PEER_ALERT);
        assert_non_null(strstr(tunnel_error(pair.client.tunnel)->text, "bad_record_mac"));
        assert_int_equal(tunnel_write(pair.server.tunnel, bytes, sizeof(bytes), &n),
                         TUNNEL_PROTOCOL);
        pair_close(&pair);
    }
}

/* Whichever byte of either flight is changed: never an agreement, and never a wait for ever. */
static void a_handshake_with_a_changed_byte_fails(void **state)
{
    enum { FIRST = 12, STEP = 53, SLOW_STEP = 997, LENGTH = 1000 };
    const struct each *each = *state;
    struct tunnel_context *client = CLIENT(each, .trust = "root");
    struct tunnel_context *server = SERVER(each, .identity = "ecdsa");
    for (size_t at = FIRST; at < LENGTH; at += each_is_slow() ? SLOW_STEP : STEP)
        for (int side = 0; side < 2; side++) {
            struct pair pair;
            pair_open(&pair, tunnel_context_hold(client), tunnel_context_hold(server), NULL, NULL);
            struct meddler *io = side == 0 ? pair.server.io : pair.client.io;
            io->spoilt = at;
            pair_handshake(&pair);
            bool fine = pair.client.result == TUNNEL_OK && pair.server.result == TUNNEL_OK;
            if (fine && io->passed >= at)
                fail_msg("byte %zu, side %d", at, side);
            pair_close(&pair);
        }
    tunnel_context_release(client);
    tunnel_context_release(server);
}

static void what_is_not_tls_is_told(void **state)
{
    static const char greeting[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    struct tunnel_context *contexts[] = {CLIENT(*state, .trust = "root"),
                                         SERVER(*state, .identity = "ecdsa")};
    for (size_t i = 0; i < COUNT(contexts); i++) {
        struct tunnel_io *own, *other;
        struct tunnel_error error;
        struct tunnel_options options = {.server_name = i == 0 ? "server.example" : NULL};
        size_t n;
        assert_true(tunnel_io_memory_pair(PAIR_CAPACITY, &own, &other));
        struct tunnel *tunnel = tunnel_open(contexts[i], own, &options, &error);
        assert_non_null(tunnel);
        tunnel_io_write(other, greeting, strlen(greeting), &n);
        assert_int_equal(tunnel_handshake(tunnel), TUNNEL_PROTOCOL);
        assert_true(strlen(tunnel_error(tunnel)->text) > 0);
        tunnel_free(tunnel);
        tunnel_io_close(other);
        tunnel_context_release(contexts[i]);
    }
}

static void a_peer_that_vanishes_in_the_handshake_is_told(void **state)
{
    for (int side = 0; side < 2; side++) {
        struct pair pair;
        pair_open(&pair, CLIENT(*state, .trust = "root"), SERVER(*state, .identity = "ecdsa"), NULL,
                  NULL);
        struct pair_end *end = side == 0 ? &pair.client : &pair.server;
        end->io->vanished = true;
        assert_int_equal(tunnel_handshake(end->tunnel), TUNNEL_RAGGED_EOF);
        assert_true(strlen(tunnel_error(end->tunnel)->text) > 0);
        pair_close(&pair);
    }
}

/* ---- options ---- */

static void options_that_are_wrong_are_refused(void **state)
{
    static const char *const none[] = {NULL};
    static const char *const names[] = {"server.example", NULL};
    static const uint8_t foreign[] = "not what a tunnel has given, and long enough to be something";
    const struct tunnel_options wrong[] = {
        {.server_name = NULL},
        {.names = none},
        {.names = names, .empty_verifier = true},
        {.server_name = "server.example",
         .resumption = foreign,
         .resumption_length = sizeof(foreign)},
    };
    struct tunnel_context *client = CLIENT(*state, .trust = "root");
    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct tunnel_io *a, *b;
        struct tunnel_error error = {.result = TUNNEL_OK};
        assert_true(tunnel_io_memory_pair(PAIR_CAPACITY, &a, &b));
        assert_null(tunnel_open(client, a, &wrong[i], &error));
        assert_string_equal(tunnel_result_name(error.result), "configuration");
        assert_true(strlen(error.text) > 0);
        tunnel_io_close(a);
        tunnel_io_close(b);
    }
    tunnel_context_release(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_fault_of_a_servers_certificate_has_its_own_result),
        CASE(a_chain_may_be_too_long),
        CASE(each_fault_of_a_clients_certificate_has_its_own_result),
        CASE(a_client_without_the_certificate_that_it_needs),
        CASE(no_common_version),
        CASE(no_common_cipher),
        CASE(no_common_group),
        CASE(no_common_alpn),
        CASE(another_protocol_than_was_expected),
        CASE(a_record_that_was_changed_is_an_error_at_both_ends),
        CASE(a_handshake_with_a_changed_byte_fails),
        CASE(what_is_not_tls_is_told),
        CASE(a_peer_that_vanishes_in_the_handshake_is_told),
        CASE(options_that_are_wrong_are_refused),
    };
    return each_run("verdicts", tests, COUNT(tests));
}
