/* What two tunnels agree upon, carry, and end with, whichever TLS libraries they are made of. */
#include "tests/unit/support/tunnel_each.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const versions[] = {ONLY_TLS12, ONLY_TLS13};

/* A client and a server of one version that trust each other. */
static void open_usual(const struct each *each, struct pair *pair, const char *version)
{
    pair_open(pair, CLIENT(each, .trust = "root", .common = version),
              SERVER(each, .identity = "ecdsa", .common = version), NULL, NULL);
}

/* ---- handshakes ---- */

static void a_handshake_agrees_on_the_version_that_is_configured(void **state)
{
    static const char *const names[] = {"TLSv1.2", "TLSv1.3"};
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        struct tunnel_info client, server;
        open_usual(*state, &pair, versions[v]);
        tunnel_info(pair.client.tunnel, &client);
        assert_null(client.version);
        pair_agree(&pair);
        tunnel_info(pair.client.tunnel, &client);
        tunnel_info(pair.server.tunnel, &server);
        assert_string_equal(client.version, names[v]);
        assert_string_equal(server.version, names[v]);
        assert_string_equal(client.cipher, server.cipher);
        assert_int_equal(client.cipher_number, server.cipher_number);
        assert_string_equal(client.group, server.group);
        assert_string_equal(server.server_name, "server.example");
        assert_false(client.resumed || server.resumed);
        assert_null(client.alpn);
        assert_null(server.peer_certificate);
        assert_true(client.peer_certificate_length > 0);
        pair_close(&pair);
    }
}

static void without_a_version_it_is_the_highest(void **state)
{
    struct pair pair;
    struct tunnel_info info;
    open_usual(*state, &pair, NULL);
    pair_agree(&pair);
    tunnel_info(pair.client.tunnel, &info);
    assert_string_equal(info.version, "TLSv1.3");
    pair_close(&pair);
}

static void every_kind_of_certificate_and_chain_is_accepted(void **state)
{
    static const char *const identities[] = {"rsa", "ecdsa", "ed25519", "chained", "long"};
    for (size_t i = 0; i < COUNT(identities); i++) {
        struct pair pair;
        pair_open(&pair, CLIENT(*state, .trust = "root"), SERVER(*state, .identity = identities[i]),
                  NULL, NULL);
        pair_agree(&pair);
        pair_close(&pair);
    }
}

static void a_client_without_a_share_for_the_server_is_asked_again(void **state)
{
    struct pair pair;
    struct tunnel_info info;
    pair_open(
        &pair, CLIENT(*state, .trust = "root", .common = "tls13 { ke: \"X25519\" ke: \"P-384\" }"),
        SERVER(*state, .identity = "ecdsa", .common = "tls13 { ke: \"secp384r1\" }"), NULL, NULL);
    pair_agree(&pair);
    tunnel_info(pair.client.tunnel, &info);
    assert_string_equal(info.group, "P-384");
    tunnel_info(pair.server.tunnel, &info);
    assert_string_equal(info.group, "P-384");
    pair_carry(&pair.client, &pair.server, 1000, 1000);
    pair_close(&pair);
}

static void the_peer_may_have_any_of_several_names_and_addresses(void **state)
{
    static const char *const good[][3] = {{"server.example"},
                                          {"a.wild.example"},
                                          {"192.0.2.1"},
                                          {"2001:db8::1"},
                                          {"other.example", "server.example"},
                                          {"198.51.100.1", "192.0.2.1"},
                                          {"SERVER.example", "192.0.2.9"}};
    for (size_t i = 0; i < COUNT(good); i++) {
        struct pair pair;
        struct tunnel_options options = {.names = good[i]};
        pair_open(&pair, CLIENT(*state, .trust = "root"), SERVER(*state, .identity = "ecdsa"),
                  &options, NULL);
        pair_agree(&pair);
        pair_close(&pair);
    }
}

static void an_address_is_matched_and_not_sent(void **state)
{
    struct pair pair;
    struct tunnel_info info;
    struct tunnel_options options = {.server_name = "192.0.2.1"};
    pair_open(&pair, CLIENT(*state, .trust = "root"), SERVER(*state, .identity = "ecdsa"), &options,
              NULL);
    pair_agree(&pair);
    tunnel_info(pair.server.tunnel, &info);
    assert_null(info.server_name);
    pair_close(&pair);
}

static void an_empty_verifier_asks_for_no_name_or_for_nothing(void **state)
{
    struct pair pair;
    struct tunnel_options nameless = {.server_name = "whoever.example", .empty_verifier = true};
    pair_open(&pair, CLIENT(*state, .trust = "root"), SERVER(*state, .identity = "ecdsa"),
              &nameless, NULL);
    pair_agree(&pair);
    pair_close(&pair);
    pair_open(&pair, CLIENT(*state, .trust = NULL), SERVER(*state, .identity = "self"), NULL, NULL);
    pair_agree(&pair);
    pair_close(&pair);
}

static void an_intermediate_may_be_trusted_by_itself(void **state)
{
    struct pair pair;
    pair_open(&pair, CLIENT(*state, .trust = "ecdsa"), SERVER(*state, .identity = "ecdsa"), NULL,
              NULL);
    pair_agree(&pair);
    pair_close(&pair);
    pair_open(&pair, CLIENT(*state, .trust = "self"), SERVER(*state, .identity = "self"), NULL,
              NULL);
    pair_agree(&pair);
    pair_close(&pair);
}

/* ---- client certificates ---- */

#define MUST_SHOW "client_authentication: CLIENT_AUTHENTICATION_REQUIRED"
#define MAY_SHOW  "client_authentication: CLIENT_AUTHENTICATION_REQUESTED"

static void a_client_shows_its_certificate(void **state)
{
    static const char *const names[][2] = {{"client.example"}, {"someone@client.example"}};
    for (size_t i = 0; i < COUNT(versions) * COUNT(names); i++) {
        const char *version = versions[i % COUNT(versions)];
        struct pair pair;
        struct tunnel_info info;
        struct tunnel_options options = {.names = names[i / COUNT(versions)]};
        pair_open(&pair, CLIENT(*state, .identity = "client", .trust = "root", .common = version),
                  SERVER(*state, .identity = "ecdsa", .trust = "root", .common = version,
                         .more = MUST_SHOW),
                  NULL, &options);
        pair_agree(&pair);
        tunnel_info(pair.server.tunnel, &info);
        assert_true(info.peer_certificate != NULL && info.peer_certificate_length > 0);
        pair_carry(&pair.server, &pair.client, 1, 1);
        pair_close(&pair);
    }
}

static void a_client_need_not_show_one_that_it_may_show(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        struct tunnel_info info;
        pair_open(&pair, CLIENT(*state, .trust = "root", .common = versions[v]),
                  SERVER(*state, .identity = "ecdsa", .trust = "root", .common = versions[v],
                         .more = MAY_SHOW),
                  NULL, NULL);
        pair_agree(&pair);
        tunnel_info(pair.server.tunnel, &info);
        assert_null(info.peer_certificate);
        pair_close(&pair);
    }
}

/* ---- what there is ---- */

static void ask_offer(const struct each *each, bool server, const char *field, const char *wrong,
                      struct tunnel_error *error, const char *names[static EACH_NAMES_MAX])
{
    char common[256];
    snprintf(common, sizeof(common), "%s { %s: \"%s\" }",
             strcmp(field, "12") == 0 ? "tls12" : "tls13",
             strcmp(field, "ke") == 0 ? "ke" : "ciphersuite", wrong);
    struct world_end end = {.implementation = server ? each->server : each->client,
                            .identity = server ? "ecdsa" : NULL,
                            .common = common};
    assert_null(world_context(each->world, server, &end, error));
    each_offered(error, names);
}

static void use_suite(const struct each *each, const char *field, const char *name)
{
    char common[256];
    struct pair pair;
    struct tunnel_info info;
    snprintf(common, sizeof(common), "tls%s { ciphersuite: \"%s\" }", field, name);
    const char *identity = strstr(name, "_RSA_") != NULL ? "rsa" : "ecdsa";
    pair_open(&pair, CLIENT(each, .trust = "root", .common = common),
              SERVER(each, .identity = identity, .common = common), NULL, NULL);
    pair_handshake(&pair);
    if (pair.client.result != TUNNEL_OK || pair.server.result != TUNNEL_OK)
        fail_msg("%s: %s / %s", name, pair.client.error.text, pair.server.error.text);
    tunnel_info(pair.client.tunnel, &info);
    assert_string_equal(info.cipher, name);
    tunnel_info(pair.server.tunnel, &info);
    assert_string_equal(info.cipher, name);
    pair_carry(&pair.client, &pair.server, 20000, 20000);
    pair_close(&pair);
}

static void use_group(const struct each *each, const char *name)
{
    char common[256];
    struct pair pair;
    struct tunnel_info info;
    /* Finite fields take up to a second each. */
    bool finite_field = strncmp(name, "ffdhe", strlen("ffdhe")) == 0;
    if (finite_field &&
        (each_is_slow() || !each_is_mixed(each) || strcmp(each->client, "IMPL_GNUTLS") == 0))
        return;
    snprintf(common, sizeof(common), "tls13 { ke: \"%s\" }", name);
    pair_open(&pair, CLIENT(each, .trust = "root", .common = common),
              SERVER(each, .identity = "ecdsa", .common = common), NULL, NULL);
    pair_handshake(&pair);
    if (pair.client.result != TUNNEL_OK || pair.server.result != TUNNEL_OK)
        fail_msg("%s: %s / %s", name, pair.client.error.text, pair.server.error.text);
    tunnel_info(pair.client.tunnel, &info);
    assert_string_equal(info.group, name);
    pair_close(&pair);
}

/* What both libraries list as being there is really there, at both ends. */
static void every_suite_and_group_on_offer_works(void **state)
{
    static const char *const fields[] = {"12", "13", "ke"};
    const struct each *each = *state;
    for (size_t f = 0; f < COUNT(fields); f++) {
        struct tunnel_error client_error, server_error;
        const char *client[EACH_NAMES_MAX], *server[EACH_NAMES_MAX];
        size_t common = 0;
        ask_offer(each, false, fields[f], "nonsense", &client_error, client);
        ask_offer(each, true, fields[f], "nonsense", &server_error, server);
        for (const char **name = client; *name != NULL; name++) {
            if (!each_has(server, *name) || (each_is_slow() && common >= 2))
                continue;
            common++;
            if (strcmp(fields[f], "ke") == 0)
                use_group(each, *name);
            else
                use_suite(each, fields[f], *name);
        }
        assert_true(common >= 2);
    }
}

/* ---- ALPN ---- */

static void alpn_goes_by_the_servers_order(void **state)
{
    struct pair pair;
    struct tunnel_info info;
    struct tunnel_options expects = {.server_name = "server.example", .expected_alpn = "h2"};
    pair_open(&pair,
              CLIENT(*state, .trust = "root",
                     .common = "alpn_protocols: \"http/1.1\" alpn_protocols: \"h2\""),
              SERVER(*state, .identity = "ecdsa",
                     .common = "alpn_protocols: \"h2\" alpn_protocols: \"http/1.1\""),
              &expects, NULL);
    pair_agree(&pair);
    tunnel_info(pair.client.tunnel, &info);
    assert_string_equal(info.alpn, "h2");
    tunnel_info(pair.server.tunnel, &info);
    assert_string_equal(info.alpn, "h2");
    pair_close(&pair);
}

static void a_side_without_alpn_does_without(void **state)
{
    static const char protocols[] = "alpn_protocols: \"h2\"";
    for (int i = 0; i < 2; i++) {
        struct pair pair;
        struct tunnel_info info;
        pair_open(&pair, CLIENT(*state, .trust = "root", .common = i == 0 ? protocols : NULL),
                  SERVER(*state, .identity = "ecdsa", .common = i == 1 ? protocols : NULL), NULL,
                  NULL);
        pair_agree(&pair);
        tunnel_info(pair.client.tunnel, &info);
        assert_null(info.alpn);
        pair_close(&pair);
    }
}

/* ---- bytes ---- */

static void a_byte_and_a_megabyte_go_both_ways(void **state)
{
    static const size_t lengths[] = {1, 16384, 16385, 1000000};
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        open_usual(*state, &pair, versions[v]);
        pair_agree(&pair);
        for (size_t i = 0; i < COUNT(lengths) - (each_is_slow() ? 1 : 0); i++) {
            pair_carry(&pair.client, &pair.server, lengths[i], lengths[i]);
            pair_carry(&pair.server, &pair.client, lengths[i], 16000);
        }
        pair_close(&pair);
    }
}

/* Neither a handshake message nor a record fits: everything is taken and given in parts. */
static void an_io_that_takes_little_carries_everything(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        pair_open_through(&pair, 101, CLIENT(*state, .trust = "root", .common = versions[v]),
                          SERVER(*state, .identity = "rsa", .common = versions[v]), NULL, NULL);
        pair_agree(&pair);
        pair_carry(&pair.client, &pair.server, 40000, 40000);
        pair_carry(&pair.server, &pair.client, 40000, 7);
        pair_close(&pair);
    }
}

/* What the reader leaves of a record is told, since no descriptor does. */
static void what_is_pending_is_known(void **state)
{
    struct pair pair;
    uint8_t bytes[100] = {0};
    size_t n;
    open_usual(*state, &pair, NULL);
    pair_agree(&pair);
    assert_int_equal(tunnel_pending(pair.server.tunnel), 0);
    assert_int_equal(tunnel_write(pair.client.tunnel, bytes, sizeof(bytes), &n), TUNNEL_OK);
    assert_int_equal(n, sizeof(bytes));
    assert_int_equal(tunnel_read(pair.server.tunnel, bytes, 40, &n), TUNNEL_OK);
    assert_int_equal(n, 40);
    assert_int_equal(tunnel_pending(pair.server.tunnel), 60);
    pair_close(&pair);
}

/* ---- ends ---- */

static void close_notify_ends_one_direction(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        uint8_t byte;
        size_t n;
        open_usual(*state, &pair, versions[v]);
        pair_agree(&pair);
        assert_int_equal(tunnel_close(pair.client.tunnel), TUNNEL_OK);
        assert_int_equal(tunnel_close(pair.client.tunnel), TUNNEL_OK);
        assert_int_equal(tunnel_read(pair.server.tunnel, &byte, 1, &n), TUNNEL_CLOSED);
        pair_carry(&pair.server, &pair.client, 1000, 1000);
        assert_int_equal(tunnel_close(pair.server.tunnel), TUNNEL_OK);
        assert_int_equal(tunnel_read(pair.client.tunnel, &byte, 1, &n), TUNNEL_CLOSED);
        assert_int_equal(tunnel_write(pair.client.tunnel, &byte, 1, &n), TUNNEL_MISUSE);
        pair_close(&pair);
    }
}

/* The record that the I/O took in part is completed, or the peer could not read what follows. */
static void close_behind_a_write_that_did_not_fit(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        uint8_t bytes[5000] = {0};
        size_t n, got = 0;
        pair_open_through(&pair, 999, CLIENT(*state, .trust = "root", .common = versions[v]),
                          SERVER(*state, .identity = "ecdsa", .common = versions[v]), NULL, NULL);
        pair_agree(&pair);
        pair_settle(&pair);
        assert_int_equal(tunnel_write(pair.client.tunnel, bytes, sizeof(bytes), &n),
                         TUNNEL_WANT_WRITE);
        enum tunnel_result closed, read;
        do {
            closed = tunnel_close(pair.client.tunnel);
            read = tunnel_read(pair.server.tunnel, bytes, sizeof(bytes), &n);
            got += read == TUNNEL_OK ? n : 0;
        } while (closed == TUNNEL_WANT_WRITE);
        assert_int_equal(closed, TUNNEL_OK);
        while (read == TUNNEL_OK || read == TUNNEL_WANT_READ) {
            read = tunnel_read(pair.server.tunnel, bytes, sizeof(bytes), &n);
            got += read == TUNNEL_OK ? n : 0;
        }
        assert_int_equal(read, TUNNEL_CLOSED);
        assert_true(got > 0);
        pair_close(&pair);
    }
}

static void a_peer_that_vanishes_is_told_from_one_that_closes(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        uint8_t byte;
        size_t n;
        open_usual(*state, &pair, versions[v]);
        pair_agree(&pair);
        pair.server.io->vanished = true;
        assert_int_equal(tunnel_read(pair.server.tunnel, &byte, 1, &n), TUNNEL_RAGGED_EOF);
        assert_int_equal(tunnel_read(pair.server.tunnel, &byte, 1, &n), TUNNEL_RAGGED_EOF);
        assert_true(strlen(tunnel_error(pair.server.tunnel)->text) > 0);
        pair_close(&pair);
    }
}

static void say(struct tunnel_io *io, const char *text)
{
    size_t n;
    assert_int_equal(tunnel_io_write(io, text, strlen(text), &n), TUNNEL_OK);
    assert_int_equal(n, strlen(text));
}

static void hears(struct tunnel_io *io, const char *text)
{
    char bytes[64] = "";
    size_t n;
    assert_int_equal(tunnel_io_read(io, bytes, sizeof(bytes) - 1, &n), TUNNEL_OK);
    assert_string_equal(bytes, text);
}

/* Both ends, with plain bytes in front of TLS and behind it. */
static void tls_may_begin_late_and_end_early(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct pair pair;
        struct tunnel_io *client, *server;
        open_usual(*state, &pair, versions[v]);
        say(&pair.client.io->io, "STARTTLS\n");
        hears(&pair.server.io->io, "STARTTLS\n");
        pair_agree(&pair);
        pair_carry(&pair.client, &pair.server, 100, 100);
        assert_int_equal(tunnel_unwrap(pair.client.tunnel, &client), TUNNEL_WANT_READ);
        assert_int_equal(tunnel_unwrap(pair.server.tunnel, &server), TUNNEL_OK);
        say(server, "plain again\n");
        assert_int_equal(tunnel_unwrap(pair.client.tunnel, &client), TUNNEL_OK);
        hears(client, "plain again\n");
        say(client, "so am I\n");
        hears(server, "so am I\n");
        pair_close(&pair);
        tunnel_io_close(client);
        tunnel_io_close(server);
    }
}

/* ---- many ---- */

static void a_thousand_tunnels_live_in_one_thread(void **state)
{
    enum { PAIRS = 500, SLOW_PAIRS = 10 };
    size_t count = each_is_slow() || each_is_mixed(*state) ? SLOW_PAIRS : PAIRS;
    struct tunnel_context *client = CLIENT(*state, .trust = "root");
    struct tunnel_context *server = SERVER(*state, .identity = "ecdsa");
    struct pair *pairs = calloc(count, sizeof(*pairs));
    assert_non_null(pairs);
    for (size_t i = 0; i < count; i++)
        pair_open_through(&pairs[i], 4096, tunnel_context_hold(client), tunnel_context_hold(server),
                          NULL, NULL);
    tunnel_context_release(client);
    tunnel_context_release(server);
    bool under_way = true;
    while (under_way) {
        under_way = false;
        for (size_t i = 0; i < count; i++) {
            enum tunnel_result c = tunnel_handshake(pairs[i].client.tunnel);
            enum tunnel_result s = tunnel_handshake(pairs[i].server.tunnel);
            assert_false(tunnel_result_is_error(c) || tunnel_result_is_error(s));
            under_way = under_way || c != TUNNEL_OK || s != TUNNEL_OK;
        }
    }
    for (size_t i = 0; i < count; i++) {
        pair_carry(&pairs[i].client, &pairs[i].server, 1000 + i, 1000);
        pair_carry(&pairs[i].server, &pairs[i].client, 1000 + i, 1000);
    }
    for (size_t i = 0; i < count; i++)
        pair_close(&pairs[i]);
    free(pairs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_handshake_agrees_on_the_version_that_is_configured),
        CASE(without_a_version_it_is_the_highest),
        CASE(every_kind_of_certificate_and_chain_is_accepted),
        CASE(a_client_without_a_share_for_the_server_is_asked_again),
        CASE(the_peer_may_have_any_of_several_names_and_addresses),
        CASE(an_address_is_matched_and_not_sent),
        CASE(an_empty_verifier_asks_for_no_name_or_for_nothing),
        CASE(an_intermediate_may_be_trusted_by_itself),
        CASE(a_client_shows_its_certificate),
        CASE(a_client_need_not_show_one_that_it_may_show),
        CASE(every_suite_and_group_on_offer_works),
        CASE(alpn_goes_by_the_servers_order),
        CASE(a_side_without_alpn_does_without),
        CASE(a_byte_and_a_megabyte_go_both_ways),
        CASE(an_io_that_takes_little_carries_everything),
        CASE(what_is_pending_is_known),
        CASE(close_notify_ends_one_direction),
        CASE(close_behind_a_write_that_did_not_fit),
        CASE(a_peer_that_vanishes_is_told_from_one_that_closes),
        CASE(tls_may_begin_late_and_end_early),
        CASE(a_thousand_tunnels_live_in_one_thread),
    };
    return each_run("tunnels", tests, COUNT(tests));
}
