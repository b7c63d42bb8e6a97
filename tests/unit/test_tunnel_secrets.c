/* What outlives a tunnel: sessions to resume from, and keys written down on request alone. */
#include "tests/unit/support/tunnel_each.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static const char *const versions[] = {ONLY_TLS12, ONLY_TLS13};

struct ticket {
    uint8_t *bytes;
    size_t length;
};

static void meet(struct pair *pair, struct tunnel_context *client, struct tunnel_context *server,
                 const struct ticket *ticket, const char *const *names)
{
    struct tunnel_options options = {.server_name = "server.example",
                                     .names = names,
                                     .resumption = ticket->bytes,
                                     .resumption_length = ticket->length};
    pair_open(pair, tunnel_context_hold(client), tunnel_context_hold(server), &options, NULL);
    pair_handshake(pair);
}

/* Both say the same. */
static bool is_resumed(struct pair *pair)
{
    struct tunnel_info client, server;
    if (pair->client.result != TUNNEL_OK || pair->server.result != TUNNEL_OK)
        fail_msg("%s\n%s", pair->client.error.text, pair->server.error.text);
    tunnel_info(pair->client.tunnel, &client);
    tunnel_info(pair->server.tunnel, &server);
    assert_int_equal(client.resumed, server.resumed);
    return client.resumed;
}

/* The first tunnel, and what it leaves. */
static struct ticket first(struct tunnel_context *client, struct tunnel_context *server)
{
    static const struct ticket none;
    struct ticket ticket;
    struct pair pair;
    meet(&pair, client, server, &none, NULL);
    assert_false(is_resumed(&pair));
    pair_carry(&pair.server, &pair.client, 100, 100);
    ticket.bytes = tunnel_resumption(pair.client.tunnel, &ticket.length);
    pair_close(&pair);
    return ticket;
}

static void forget(struct ticket *ticket)
{
    tunnel_resumption_free(ticket->bytes, ticket->length);
    *ticket = (struct ticket){NULL, 0};
}

static void a_session_is_resumed(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct tunnel_context *client = CLIENT(*state, .trust = "root", .common = versions[v]);
        struct tunnel_context *server = SERVER(*state, .identity = "ecdsa", .common = versions[v]);
        struct ticket ticket = first(client, server);
        struct pair pair;
        assert_non_null(ticket.bytes);
        for (int again = 0; again < 2; again++) {
            struct tunnel_info info;
            meet(&pair, client, server, &ticket, NULL);
            assert_true(is_resumed(&pair));
            tunnel_info(pair.server.tunnel, &info);
            assert_string_equal(info.server_name, "server.example");
            pair_carry(&pair.server, &pair.client, 1000, 1000);
            pair_carry(&pair.client, &pair.server, 1000, 1000);
            forget(&ticket);
            ticket.bytes = tunnel_resumption(pair.client.tunnel, &ticket.length);
            assert_non_null(ticket.bytes);
            pair_close(&pair);
        }
        forget(&ticket);
        tunnel_context_release(client);
        tunnel_context_release(server);
    }
}

static void a_server_that_knows_nothing_of_it_begins_anew(void **state)
{
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct tunnel_context *client = CLIENT(*state, .trust = "root", .common = versions[v]);
        struct tunnel_context *server = SERVER(*state, .identity = "ecdsa", .common = versions[v]);
        struct tunnel_context *other = SERVER(*state, .identity = "ecdsa", .common = versions[v]);
        struct ticket ticket = first(client, server);
        struct pair pair;
        meet(&pair, client, other, &ticket, NULL);
        assert_false(is_resumed(&pair));
        pair_close(&pair);
        forget(&ticket);
        tunnel_context_release(client);
        tunnel_context_release(server);
        tunnel_context_release(other);
    }
}

/* A session of a tunnel that asked for less does not get one that asks for more past its checks. */
static void a_resumption_verifies_what_a_handshake_would(void **state)
{
    static const char *const other_names[] = {"other.example", NULL};
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct tunnel_context *trusting = CLIENT(*state, .common = versions[v]);
        struct tunnel_context *careful = CLIENT(*state, .trust = "root", .common = versions[v]);
        struct tunnel_context *good = SERVER(*state, .identity = "ecdsa", .common = versions[v]);
        struct tunnel_context *bad = SERVER(*state, .identity = "stranger", .common = versions[v]);
        struct pair pair;
        struct ticket ticket = first(trusting, bad);
        meet(&pair, careful, bad, &ticket, NULL);
        assert_string_equal(tunnel_result_name(pair.client.result), "unknown-ca");
        pair_close(&pair);
        forget(&ticket);
        ticket = first(careful, good);
        meet(&pair, careful, good, &ticket, other_names);
        assert_string_equal(tunnel_result_name(pair.client.result), "name-mismatch");
        pair_close(&pair);
        forget(&ticket);
        tunnel_context_release(trusting);
        tunnel_context_release(careful);
        tunnel_context_release(good);
        tunnel_context_release(bad);
    }
}

/* The same for servers: another tunnel of theirs may want another client. */
static void a_resumed_client_is_still_asked_its_name(void **state)
{
    static const char *const other_names[] = {"other.example", NULL};
    for (size_t v = 0; v < COUNT(versions); v++) {
        struct tunnel_context *client =
            CLIENT(*state, .identity = "client", .trust = "root", .common = versions[v]);
        struct tunnel_context *server =
            SERVER(*state, .identity = "ecdsa", .trust = "root", .common = versions[v],
                   .more = "client_authentication: CLIENT_AUTHENTICATION_REQUIRED");
        struct ticket ticket = first(client, server);
        struct tunnel_options resumes = {.server_name = "server.example",
                                         .resumption = ticket.bytes,
                                         .resumption_length = ticket.length};
        struct tunnel_options asks = {.names = other_names};
        struct pair pair;
        pair_open(&pair, client, server, &resumes, &asks);
        pair_handshake(&pair);
        assert_string_equal(tunnel_result_name(pair.server.result), "name-mismatch");
        pair_close(&pair);
        forget(&ticket);
    }
}

static void without_tickets_there_is_nothing_to_resume_from(void **state)
{
    for (size_t i = 0; i < COUNT(versions) * 2; i++) {
        char common[64];
        const char *version = versions[i / 2];
        bool server_without = i % 2 == 1;
        snprintf(common, sizeof(common), "%s session_tickets: false", version);
        struct tunnel_context *client =
            CLIENT(*state, .trust = "root", .common = server_without ? version : common);
        struct tunnel_context *server =
            SERVER(*state, .identity = "ecdsa", .common = server_without ? common : version);
        struct ticket ticket = first(client, server);
        assert_null(ticket.bytes);
        tunnel_context_release(client);
        tunnel_context_release(server);
    }
}

static void a_resumption_that_was_damaged_does_no_harm(void **state)
{
    enum { STEP = 41, SLOW_STEP = 400 };
    struct tunnel_context *client = CLIENT(*state, .trust = "root");
    struct tunnel_context *server = SERVER(*state, .identity = "ecdsa");
    struct ticket ticket = first(client, server);
    assert_non_null(ticket.bytes);
    for (size_t at = 0; at < ticket.length; at += each_is_slow() ? SLOW_STEP : STEP) {
        struct tunnel_io *a, *b;
        struct tunnel_error error = {.result = TUNNEL_OK};
        struct tunnel_options options = {.server_name = "server.example",
                                         .resumption = ticket.bytes,
                                         .resumption_length = ticket.length};
        ticket.bytes[at] ^= 0x55;
        assert_true(tunnel_io_memory_pair(PAIR_CAPACITY, &a, &b));
        struct tunnel *tunnel = tunnel_open(client, a, &options, &error);
        if (tunnel == NULL) {
            assert_string_equal(tunnel_result_name(error.result), "configuration");
            tunnel_io_close(a);
        }
        tunnel_free(tunnel);
        tunnel_io_close(b);
        ticket.bytes[at] ^= 0x55;
    }
    forget(&ticket);
    tunnel_context_release(client);
    tunnel_context_release(server);
}

/* ---- keys that are written down ---- */

static void talk_once(const struct each *each, const char *client, const char *server)
{
    struct pair pair;
    pair_open(&pair, CLIENT(each, .trust = "root", .common = client),
              SERVER(each, .identity = "ecdsa", .common = server), NULL, NULL);
    pair_agree(&pair);
    pair_carry(&pair.client, &pair.server, 100, 100);
    pair_close(&pair);
}

static void keys_are_logged_on_request(void **state)
{
    static const char *const labels[] = {"CLIENT_RANDOM ", "CLIENT_HANDSHAKE_TRAFFIC_SECRET "};
    const struct each *each = *state;
    for (size_t i = 0; i < COUNT(versions) * 2; i++) {
        const char *version = versions[i / 2];
        bool at_server = i % 2 == 1;
        char path[WORLD_PATH_BYTES], common[2 * WORLD_PATH_BYTES];
        struct stat status;
        world_path(each->world, "keys", path);
        snprintf(common, sizeof(common), "%s key_log_file: \"%s\"", version, path);
        talk_once(each, at_server ? version : common, at_server ? common : version);
        char *keys = world_read(each->world, "keys");
        assert_non_null(keys);
        assert_non_null(strstr(keys, labels[i / 2]));
        size_t length = strlen(keys);
        assert_int_equal(keys[length - 1], '\n');
        free(keys);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & (S_IRWXU | S_IRWXG | S_IRWXO), S_IRUSR | S_IWUSR);
        /* Another tunnel's are appended. */
        talk_once(each, common, version);
        keys = world_read(each->world, "keys");
        assert_true(strlen(keys) > length);
        free(keys);
        assert_int_equal(remove(path), 0);
    }
}

static void keys_are_not_logged_because_the_environment_says_so(void **state)
{
    const struct each *each = *state;
    char path[WORLD_PATH_BYTES];
    assert_int_equal(setenv("SSLKEYLOGFILE", world_path(each->world, "unasked", path), 1), 0);
    for (size_t v = 0; v < COUNT(versions); v++) {
        talk_once(each, versions[v], versions[v]);
        assert_null(world_read(each->world, "unasked"));
    }
    unsetenv("SSLKEYLOGFILE");
}

/* "MIG…" between the lines of a key in PEM is in no text, nor are its bytes. */
static void a_contexts_text_has_no_key(void **state)
{
    const struct each *each = *state;
    char *key = world_read(each->world, "ecdsa.key");
    char *line = strchr(key, '\n') + 1;
    *strchr(line, '\n') = 0;
    assert_true(strlen(line) > 32);
    char common[4096];
    char *whole = world_read(each->world, "ecdsa.key");
    size_t used = (size_t)snprintf(common, sizeof(common),
                                   "identity { certificate { static { data { filename: "
                                   "\"%s/ecdsa.pem\" } } } private_key { static { data { "
                                   "inline_string: \"",
                                   each->world->directory);
    for (const char *at = whole; *at != 0; at++) {
        if (*at == '\n')
            common[used++] = '\\';
        common[used++] = *at == '\n' ? 'n' : *at;
    }
    snprintf(common + used, sizeof(common) - used, "\" } format: ENCODING_FORMAT_PEM } } }");
    struct tunnel_context *context = SERVER(each, .common = common);
    char *text = tunnel_context_text(context);
    assert_non_null(strstr(text, "ecdsa.pem"));
    assert_null(strstr(text, line));
    assert_null(strstr(text, "PRIVATE"));
    free(text);
    free(whole);
    free(key);
    tunnel_context_release(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: a library may look at the environment once. */
        CASE(keys_are_not_logged_because_the_environment_says_so),
        CASE(a_session_is_resumed),
        CASE(a_server_that_knows_nothing_of_it_begins_anew),
        CASE(a_resumption_verifies_what_a_handshake_would),
        CASE(a_resumed_client_is_still_asked_its_name),
        CASE(without_tickets_there_is_nothing_to_resume_from),
        CASE(a_resumption_that_was_damaged_does_no_harm),
        CASE(keys_are_logged_on_request),
        CASE(a_contexts_text_has_no_key),
    };
    return each_run("secrets", tests, COUNT(tests));
}
