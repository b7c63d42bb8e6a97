/* What is GnuTLS's alone: how its suites are put together, its names, its ways around a name, and
 * its environment. What both libraries must do is in test_tunnel_suite.c. */
#include "tests/unit/support/check.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/support/pki.h"
#include "tests/unit/support/tunnel_pair.h"
#include "tunnel/backends/backend.h"
#include "tunnel/backends/gnutls_names.h"
#include "tunnel/backends/gnutls_priority.h"

static struct tunnel_error error;

/* ---- settings ---- */

enum { NAMES = 8 };

static struct settings_name twelve[NAMES], thirteen[NAMES], exchanges[NAMES];

static struct settings_names names_of(struct settings_name list[NAMES], const char *const *texts,
                                      const char *where)
{
    struct settings_names names = {list, 0};
    for (; texts[names.count] != NULL; names.count++)
        list[names.count] = (struct settings_name){texts[names.count], where};
    return names;
}

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct settings both_versions(const char *const *ciphers12, const char *const *ciphers13,
                                     const char *const *groups)
{
    return (struct settings){
        .implementation = SETTINGS_GNUTLS,
        .lowest = SETTINGS_TLS_1_2,
        .highest = SETTINGS_TLS_1_3,
        .ciphers12 = names_of(twelve, ciphers12, "tls12"),
        .ciphers13 = names_of(thirteen, ciphers13, "tls13"),
        .groups = names_of(exchanges, groups, "ke"),
        .verify_depth = 20,
        .session_tickets = true,
    };
}

static const char *const nothing[] = {NULL};

/* ---- the suites that a priority allows, as one text ---- */

static const char *allowed(const struct settings *settings)
{
    static char text[8192];
    static struct suites offered;
    unsigned index;
    size_t used = 0;
    text[0] = '\0';
    gnutls_priority_t priority = priority_create(settings, &error);
    if (priority == NULL)
        return NULL;
    suites_offered(&offered);
    for (unsigned i = 0;; i++) {
        uint8_t id[2];
        int code = gnutls_priority_get_cipher_suite_index(priority, i, &index);
        if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            break;
        if (code < 0)
            continue;
        gnutls_cipher_suite_info(index, id, NULL, NULL, NULL, NULL);
        const char *name = "?";
        for (size_t n = 0; n < offered.count; n++)
            if (offered.list[n].number == (id[0] << 8 | id[1]))
                name = offered.list[n].name;
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s ", name);
    }
    gnutls_priority_deinit(priority);
    return text;
}

static void exactly_the_suites_asked_for_are_allowed(void **unused)
{
    (void)unused;
    struct settings settings =
        both_versions(LIST("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
                           "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
                      LIST("TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"), nothing);
    assert_string_equal(allowed(&settings), "TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256 "
                                            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 "
                                            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 ");
}

static void the_order_is_the_configuration_s(void **unused)
{
    (void)unused;
    struct settings settings = both_versions(
        nothing, LIST("TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"), nothing);
    settings.lowest = SETTINGS_TLS_1_3;
    assert_string_equal(allowed(&settings), "TLS_CHACHA20_POLY1305_SHA256 TLS_AES_128_GCM_SHA256 ");
}

static void a_product_that_holds_more_is_refused_with_what_to_add_or_leave_out(void **unused)
{
    (void)unused;
    struct settings settings = both_versions(
        LIST("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
        nothing, nothing);
    settings.highest = SETTINGS_TLS_1_2;
    assert_null(allowed(&settings));
    assert_int_equal(error.result, TUNNEL_CONFIGURATION);
    assert_non_null(strstr(error.text, "tls12: "));
    assert_non_null(strstr(error.text, "allowed as well: TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "
                                       "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256. Add them"));
    assert_non_null(strstr(error.text, "leave out TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 or "
                                       "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"));
    /* With what it asks for it is taken. */
    settings.ciphers12 = names_of(
        twelve,
        LIST("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
             "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
        "tls12");
    assert_non_null(allowed(&settings));
}

static void ciphers_are_shared_by_both_versions(void **unused)
{
    (void)unused;
    struct settings settings = both_versions(LIST("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
                                             LIST("TLS_AES_128_GCM_SHA256"), nothing);
    assert_null(allowed(&settings));
    assert_non_null(strstr(error.text, "TLS_AES_256_GCM_SHA384, "
                                       "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"));
    /* Where the other version's suites are the library's choice, it chooses what goes with them. */
    settings.ciphers12.count = 0;
    const char *suites = allowed(&settings);
    assert_non_null(strstr(suites, "TLS_AES_128_GCM_SHA256 "));
    assert_non_null(strstr(suites, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 "));
    assert_null(strstr(suites, "256_GCM"));
    /* A version that is not allowed is of no effect. */
    settings.highest = SETTINGS_TLS_1_2;
    assert_non_null(strstr(allowed(&settings), "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 "));
}

static void a_version_of_which_no_suite_is_left_is_refused(void **unused)
{
    (void)unused;
    struct settings settings =
        both_versions(LIST("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"), nothing, nothing);
    assert_null(allowed(&settings));
    assert_non_null(strstr(error.text, "TLS 1.3"));
    settings.highest = SETTINGS_TLS_1_2;
    assert_string_equal(allowed(&settings), "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256 ");
}

static void without_wishes_both_versions_are_there(void **unused)
{
    (void)unused;
    struct settings settings = both_versions(nothing, nothing, nothing);
    const char *suites = allowed(&settings);
    assert_non_null(strstr(suites, "TLS_AES_128_GCM_SHA256 "));
    assert_non_null(strstr(suites, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 "));
    assert_null(strstr(suites, "?")); /* a name for each */
    assert_null(strstr(suites, "NULL"));
}

static void every_name_offered_can_be_asked_for(void **unused)
{
    (void)unused;
    static struct suites offered;
    suites_offered(&offered);
    assert_true(offered.count > 40);
    for (size_t i = 0; i < offered.count; i++) {
        const char *const *one = LIST(offered.list[i].name);
        bool tls13 = offered.list[i].tls13;
        struct settings settings =
            both_versions(tls13 ? nothing : one, tls13 ? one : nothing, nothing);
        settings.lowest = settings.highest = tls13 ? SETTINGS_TLS_1_3 : SETTINGS_TLS_1_2;
        char only[SUITE_NAME_BYTES + 1];
        snprintf(only, sizeof(only), "%s ", offered.list[i].name);
        assert_string_equal(allowed(&settings), only);
    }
    const char *name;
    for (size_t i = 0; (name = group_offered(i)) != NULL; i++) {
        struct settings settings = both_versions(nothing, nothing, LIST(name));
        assert_non_null(allowed(&settings));
        assert_string_equal(group_name(group_find(name)), name);
    }
}

static void names_that_are_not_offered_are_answered_with_the_list(void **unused)
{
    (void)unused;
    struct settings settings = both_versions(nothing, nothing, LIST("X25519", "kyber512"));
    assert_null(allowed(&settings));
    assert_non_null(strstr(error.text, "ke: GnuTLS 3."));
    assert_non_null(strstr(error.text, "\"kyber512\". There are: X25519, P-256, "));

    settings = both_versions(nothing, LIST("TLS_AES_512_GCM_SHA512"), nothing);
    assert_null(allowed(&settings));
    assert_non_null(strstr(error.text, "TLS 1.3. There are: TLS_AES_128_GCM_SHA256, "));

    settings = both_versions(LIST("TLS_RSA_WITH_NULL_SHA"), nothing, nothing);
    assert_null(allowed(&settings));
    settings = both_versions(LIST("TLS_AES_128_GCM_SHA256"), nothing, nothing);
    assert_null(allowed(&settings));
    assert_non_null(strstr(error.text, "name it in tls13"));
}

static void groups_have_the_names_of_both_worlds(void **unused)
{
    (void)unused;
    assert_int_equal(group_find("P-256"), GNUTLS_GROUP_SECP256R1);
    assert_int_equal(group_find("secp256r1"), GNUTLS_GROUP_SECP256R1);
    assert_int_equal(group_find("prime256v1"), GNUTLS_GROUP_SECP256R1);
    assert_int_equal(group_find("x25519"), GNUTLS_GROUP_X25519);
    assert_int_equal(group_find("SECP384R1"), GNUTLS_GROUP_SECP384R1);
    assert_int_equal(group_find("secp192r1"), GNUTLS_GROUP_INVALID);
    assert_string_equal(group_name(GNUTLS_GROUP_SECP384R1), "P-384");
    assert_null(group_name(GNUTLS_GROUP_INVALID));
}

/* ---- two ends in memory ---- */

struct end {
    struct backend_context *context;
    struct backend_session *session;
    struct tunnel_io *io;
    enum tunnel_result result;
    struct tunnel_error error;
};

static struct end client, server;
static struct pki_certificate ca, own;

static enum tunnel_result end_read(void *owner, void *buffer, size_t capacity, size_t *got)
{
    struct end *end = owner;
    return tunnel_io_read(end->io, buffer, capacity, got);
}

static enum tunnel_result end_write(void *owner, const void *data, size_t length, size_t *taken)
{
    struct end *end = owner;
    return tunnel_io_write(end->io, data, length, taken);
}

static struct settings_object object(const char *pem, const char *where)
{
    return (struct settings_object){(uint8_t *)(uintptr_t)pem, strlen(pem), true, where};
}

/* The server shows `own`, the client trusts `ca`. */
static struct settings_object trusted, certificate;

static struct settings client_settings(void)
{
    struct settings settings = both_versions(nothing, nothing, nothing);
    trusted = object(ca.certificate, "trusted");
    settings.trusted = (struct settings_objects){&trusted, 1};
    return settings;
}

static struct settings server_settings(void)
{
    struct settings settings = both_versions(nothing, nothing, nothing);
    settings.server = true;
    certificate = object(own.certificate, "certificate");
    settings.certificates = (struct settings_objects){&certificate, 1};
    settings.key = object(own.key, "key");
    return settings;
}

static void begin(struct end *end, const struct settings *settings, const struct backend_peer *peer)
{
    struct backend_transport transport = {end_read, end_write, end};
    end->context = backend_gnutls.context_create(settings, &error);
    if (end->context == NULL)
        fail_msg("%s", error.text);
    end->session = backend_gnutls.session_create(end->context, peer, &transport, &error);
    assert_non_null(end->session);
    end->result = TUNNEL_WANT_READ;
}

static void open_pair(const struct settings *client_s, const struct settings *server_s,
                      const struct backend_peer *peer)
{
    enum { CAPACITY = 65536 };
    assert_true(tunnel_io_memory_pair(CAPACITY, &client.io, &server.io));
    begin(&client, client_s, peer);
    begin(&server, server_s, &(struct backend_peer){.verify = false});
}

static void shake_hands(void)
{
    for (int i = 0; i < 20 && (is_want(client.result) || is_want(server.result)); i++) {
        if (is_want(client.result))
            client.result = backend_gnutls.handshake(client.session, &client.error);
        if (is_want(server.result))
            server.result = backend_gnutls.handshake(server.session, &server.error);
    }
}

static void close_end(struct end *end)
{
    backend_gnutls.session_destroy(end->session);
    backend_gnutls.context_destroy(end->context);
    tunnel_io_close(end->io);
    memset(end, 0, sizeof(*end));
}

static void close_pair(void)
{
    close_end(&client);
    close_end(&server);
}

/* What a client says to a server whose certificate is `subject`'s, when it wants `name`. */
static enum tunnel_result verdict(const struct pki_subject *subject, const char *name)
{
    pki_make(&(struct pki_subject){.common_name = "Test CA", .ca = true}, NULL, &ca);
    pki_make(subject, &ca, &own);
    struct settings of_client = client_settings(), of_server = server_settings();
    open_pair(&of_client, &of_server, &(struct backend_peer){.verify = true, .names = LIST(name)});
    shake_hands();
    enum tunnel_result result = client.result;
    error = client.error;
    if (result != TUNNEL_OK) /* and the server is told */
        assert_true(server.result == TUNNEL_CERTIFICATE_REFUSED ||
                    backend_gnutls.read(server.session, &(char){0}, 1, &(size_t){0}, &error) ==
                        TUNNEL_CERTIFICATE_REFUSED);
    error = client.error;
    close_pair();
    return result;
}

static void a_name_counts_only_as_an_alternative_name(void **unused)
{
    (void)unused;
    struct pki_subject subject = {.common_name = "www.example.com"};
    assert_int_equal(verdict(&subject, "www.example.com"), TUNNEL_NAME_MISMATCH);
    assert_non_null(strstr(error.text, "no name or address at all"));

    subject.ip[0] = "192.0.2.1"; /* which leads GnuTLS to the CN as well */
    assert_int_equal(verdict(&subject, "www.example.com"), TUNNEL_NAME_MISMATCH);

    subject.dns[0] = "other.example.com";
    assert_int_equal(verdict(&subject, "www.example.com"), TUNNEL_NAME_MISMATCH);
    assert_non_null(strstr(error.text, "but for other.example.com, 192.0.2.1"));

    subject.dns[1] = "www.example.com";
    assert_int_equal(verdict(&subject, "www.example.com"), TUNNEL_OK);
}

static void a_name_that_is_too_long_for_gnutls_does_not_let_the_common_name_in(void **unused)
{
    (void)unused;
    static char long_name[300];
    memset(long_name, 'a', sizeof(long_name) - 1);
    struct pki_subject subject = {.common_name = "www.example.com",
                                  .dns = {long_name, "other.example.com"}};
    assert_int_equal(verdict(&subject, "www.example.com"), TUNNEL_NAME_MISMATCH);
    /* Nor does it keep the others out. */
    assert_int_equal(verdict(&subject, "other.example.com"), TUNNEL_OK);
}

static void an_address_is_no_name_and_a_name_no_address(void **unused)
{
    (void)unused;
    struct pki_subject subject = {.common_name = "192.0.2.1", .dns = {"192.0.2.1"}};
    assert_int_equal(verdict(&subject, "192.0.2.1"), TUNNEL_NAME_MISMATCH);
    subject.ip[0] = "192.0.2.1";
    subject.ip[1] = "2001:db8::1";
    assert_int_equal(verdict(&subject, "192.0.2.1"), TUNNEL_OK);
    assert_int_equal(verdict(&subject, "2001:db8:0::1"), TUNNEL_OK);
    assert_int_equal(verdict(&subject, "2001:db8::2"), TUNNEL_NAME_MISMATCH);
}

static void a_star_stands_for_one_label(void **unused)
{
    (void)unused;
    struct pki_subject subject = {.dns = {"*.example.com"}};
    assert_int_equal(verdict(&subject, "www.example.com"), TUNNEL_OK);
    assert_int_equal(verdict(&subject, "a.b.example.com"), TUNNEL_NAME_MISMATCH);
    assert_int_equal(verdict(&subject, "example.com"), TUNNEL_NAME_MISMATCH);
    assert_int_equal(verdict(&subject, ".example.com"), TUNNEL_NAME_MISMATCH);
    subject.dns[0] = "*.com";
    assert_int_equal(verdict(&subject, "example.com"), TUNNEL_NAME_MISMATCH);
    subject.dns[0] = "w*.example.com";
    assert_int_equal(verdict(&subject, "www.example.com"), TUNNEL_NAME_MISMATCH);
}

static void case_counts_only_in_whose_mailbox_it_is(void **unused)
{
    (void)unused;
    struct pki_subject subject = {.dns = {"WWW.example.com"}, .mailbox = "Ann@Example.com"};
    assert_int_equal(verdict(&subject, "www.EXAMPLE.com"), TUNNEL_OK);
    assert_int_equal(verdict(&subject, "Ann@example.COM"), TUNNEL_OK);
    assert_int_equal(verdict(&subject, "ann@example.com"), TUNNEL_NAME_MISMATCH);
    assert_int_equal(verdict(&subject, "Ann@www.example.com"), TUNNEL_NAME_MISMATCH);
}

static void weak_keys_and_wrong_purposes_are_bad(void **unused)
{
    (void)unused;
    struct pki_subject subject = {.dns = {"www.example.com"}, .for_clients_only = true};
    assert_int_equal(verdict(&subject, "www.example.com"), TUNNEL_BAD_CERTIFICATE);
    assert_non_null(strstr(error.text, "not for this purpose"));
    subject = (struct pki_subject){.dns = {"www.example.com"}, .key = PKI_RSA_1024};
    assert_int_equal(verdict(&subject, "www.example.com"), TUNNEL_BAD_CERTIFICATE);
    subject = (struct pki_subject){.dns = {"www.example.com"}, .sha1 = true};
    assert_int_equal(verdict(&subject, "www.example.com"), TUNNEL_BAD_CERTIFICATE);
    subject = (struct pki_subject){.dns = {"www.example.com"}, .key = PKI_RSA_2048};
    assert_int_equal(verdict(&subject, "www.example.com"), TUNNEL_OK);
}

/* ---- the key log ---- */

static const char *scratch(const char *name)
{
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/test_tunnel_gnutls.%ld.%s", (long)getpid(), name);
    unlink(path);
    return path;
}

static void one_handshake(const char *key_log_file)
{
    pki_make(&(struct pki_subject){.common_name = "Test CA", .ca = true}, NULL, &ca);
    pki_make(&(struct pki_subject){.dns = {"localhost"}}, &ca, &own);
    struct settings of_client = client_settings(), of_server = server_settings();
    of_client.key_log_file = key_log_file;
    open_pair(&of_client, &of_server, &(struct backend_peer){.verify = true});
    shake_hands();
    assert_int_equal(client.result, TUNNEL_OK);
    assert_int_equal(server.result, TUNNEL_OK);
    close_pair();
}

static void the_environment_s_key_log_is_not_looked_at(void **unused)
{
    (void)unused;
    one_handshake(NULL);
    assert_int_equal(access(getenv("SSLKEYLOGFILE"), F_OK), -1);
    assert_int_equal(errno, ENOENT);
}

static void secrets_are_written_on_request_for_their_owner_only(void **unused)
{
    (void)unused;
    const char *path = scratch("asked");
    struct stat status;
    char label[64], random[128], secret[256];
    int lines = 0;
    one_handshake(path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fscanf(file, "%63s %127s %255s", label, random, secret) == 3) {
        assert_int_equal(strlen(random), 64);
        assert_true(strlen(secret) == 64 || strlen(secret) == 96);
        lines += strcmp(label, "CLIENT_TRAFFIC_SECRET_0") == 0;
    }
    assert_true(feof(file));
    fclose(file);
    unlink(path);
    assert_int_equal(lines, 1);
}

/* ---- records ---- */

static void what_comes_behind_close_notify_stays_in_the_transport(void **unused)
{
    (void)unused;
    static const char plain[] = "plain bytes";
    char buffer[64];
    size_t moved;
    pki_make(&(struct pki_subject){.common_name = "Test CA", .ca = true}, NULL, &ca);
    pki_make(&(struct pki_subject){.dns = {"localhost"}}, &ca, &own);
    struct settings of_client = client_settings(), of_server = server_settings();
    open_pair(&of_client, &of_server, &(struct backend_peer){.verify = true});
    shake_hands();
    assert_int_equal(backend_gnutls.write(client.session, "TLS", 3, &moved, &error), TUNNEL_OK);
    assert_int_equal(backend_gnutls.close(client.session, &error), TUNNEL_OK);
    assert_int_equal(backend_gnutls.close(client.session, &error), TUNNEL_OK); /* once */
    assert_int_equal(tunnel_io_write(client.io, plain, sizeof(plain), &moved), TUNNEL_OK);

    assert_int_equal(backend_gnutls.read(server.session, buffer, 64, &moved, &error), TUNNEL_OK);
    assert_int_equal(moved, 3);
    assert_int_equal(backend_gnutls.read(server.session, buffer, 64, &moved, &error),
                     TUNNEL_CLOSED);
    assert_int_equal(tunnel_io_read(server.io, buffer, sizeof(buffer), &moved), TUNNEL_OK);
    assert_int_equal(moved, sizeof(plain));
    assert_string_equal(buffer, plain);
    close_pair();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(exactly_the_suites_asked_for_are_allowed),
        CASE(the_order_is_the_configuration_s),
        CASE(a_product_that_holds_more_is_refused_with_what_to_add_or_leave_out),
        CASE(ciphers_are_shared_by_both_versions),
        CASE(a_version_of_which_no_suite_is_left_is_refused),
        CASE(without_wishes_both_versions_are_there),
        CASE(every_name_offered_can_be_asked_for),
        CASE(names_that_are_not_offered_are_answered_with_the_list),
        CASE(groups_have_the_names_of_both_worlds),
        CASE(a_name_counts_only_as_an_alternative_name),
        CASE(a_name_that_is_too_long_for_gnutls_does_not_let_the_common_name_in),
        CASE(an_address_is_no_name_and_a_name_no_address),
        CASE(a_star_stands_for_one_label),
        CASE(case_counts_only_in_whose_mailbox_it_is),
        CASE(weak_keys_and_wrong_purposes_are_bad),
        CASE(the_environment_s_key_log_is_not_looked_at),
        CASE(secrets_are_written_on_request_for_their_owner_only),
        CASE(what_comes_behind_close_notify_stays_in_the_transport),
    };
    /* GnuTLS looks once in a process's life. */
    if (setenv("SSLKEYLOGFILE", scratch("environment"), 1) != 0)
        return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
