/* What clients and servers have in common: versions, names, and whom to trust. */
#include <string.h>

#include "proto/text/quote.h"
#include "tunnel/config/file.h"
#include "tunnel/config/parts.h"

enum { NAME_BYTES_MAX = 64, DEPTH_MAX = 100 };

/* ---- versions ---- */

static bool has_bound(protobuf_c_boolean given, Turbotls__V1__TlsVersion version)
{
    return given && (version == TURBOTLS__V1__TLS_VERSION__TLS_1_2 ||
                     version == TURBOTLS__V1__TLS_VERSION__TLS_1_3);
}

/* The messages that are there offer a version each; none of them: both. */
static void read_versions(struct settings_reader *r, const struct decode_at *at,
                          const Turbotls__V1__CommonOptions *m, struct settings *out)
{
    bool both = (m->tls12 == NULL) == (m->tls13 == NULL);
    unsigned lowest = both || m->tls12 != NULL ? SETTINGS_TLS_1_2 : SETTINGS_TLS_1_3;
    unsigned highest = both || m->tls13 != NULL ? SETTINGS_TLS_1_3 : SETTINGS_TLS_1_2;
    bool from = has_bound(m->has_lowest_supported_version, m->lowest_supported_version);
    bool to = has_bound(m->has_highest_supported_version, m->highest_supported_version);

    if (from && to && m->lowest_supported_version > m->highest_supported_version) {
        text_mistake(&r->judge, at, "lowest_supported_version", 0,
                     "is above highest_supported_version; write a lower one, or leave one out");
        return;
    }
    if (from && (unsigned)m->lowest_supported_version > lowest)
        lowest = (unsigned)m->lowest_supported_version;
    if (to && (unsigned)m->highest_supported_version < highest)
        highest = (unsigned)m->highest_supported_version;
    if (lowest > highest)
        text_mistake(&r->judge, at,
                     lowest == SETTINGS_TLS_1_3 && m->tls12 == NULL ? "highest_supported_version"
                                                                    : "lowest_supported_version",
                     0, "leaves no version, since only %s is there; write %s { } as well",
                     m->tls12 != NULL ? "tls12" : "tls13", m->tls12 != NULL ? "tls13" : "tls12");
    out->lowest = (enum settings_version)lowest;
    out->highest = (enum settings_version)highest;
}

/* ---- names ---- */

/* Which ones there are only the implementation knows. No sign that its own lists have. */
static const char *name_fault(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_.";
    size_t length = strlen(text);

    if (length >= 1 && length <= NAME_BYTES_MAX && strspn(text, allowed) == length)
        return NULL;
    return "is no name; write one of up to 64 letters, digits, '-', '_' and '.'";
}

static void read_suites(struct settings_reader *r, const struct decode_at *at,
                        const Turbotls__V1__CommonOptions *m, struct settings *out)
{
    struct decode_at at12 = text_inside(at, m->tls12, "tls12", 0);
    struct decode_at at13 = text_inside(at, m->tls13, "tls13", 0);

    if (m->tls12 != NULL) {
        text_check(&r->judge, &at12);
        out->ciphers12 = settings_names_read(r, &at12, "ciphersuite", m->tls12->ciphersuite,
                                             m->tls12->n_ciphersuite, name_fault);
    }
    if (m->tls13 != NULL) {
        text_check(&r->judge, &at13);
        out->groups = settings_names_read(r, &at13, "ke", m->tls13->ke, m->tls13->n_ke, name_fault);
        out->ciphers13 = settings_names_read(r, &at13, "ciphersuite", m->tls13->ciphersuite,
                                             m->tls13->n_ciphersuite, name_fault);
    }
}

/* ---- whom to trust ---- */

static const char *directory_fault(const char *text)
{
    return text[0] != '\0' ? NULL : "is no directory; name one";
}

static void read_directories(struct settings_reader *r, const struct decode_at *at,
                             const Turbotls__V1__X509Verifier *m, struct settings *out)
{
    char fault[FILE_FAULT_BYTES];

    out->trusted_directories = settings_names_read(r, at, "trusted_directory", m->trusted_directory,
                                                   m->n_trusted_directory, directory_fault);
    for (size_t i = 0; i < out->trusted_directories.count; i++) {
        const char *name = out->trusted_directories.list[i].text;
        if (name != NULL && name[0] != '\0' && !file_is_directory(name, fault))
            text_mistake(&r->judge, at, "trusted_directory", i, "%s %s", quote(name).text, fault);
    }
}

static void read_verifier(struct settings_reader *r, const struct decode_at *parent,
                          const Turbotls__V1__X509Verifier *m, struct settings *out)
{
    struct decode_at at = text_inside(parent, m, "x509_verifier", 0);

    text_check(&r->judge, &at);
    out->trusted =
        settings_certificates_read(r, &at, "trusted_cas", m->trusted_cas, m->n_trusted_cas);
    read_directories(r, &at, m, out);
    out->system_store = m->system_store != 0;
    out->verify_depth = m->max_verify_depth;
    if (m->max_verify_depth > DEPTH_MAX)
        text_mistake(&r->judge, &at, "max_verify_depth", 0,
                     "%u is out of range; write a number from 0 to %d",
                     (unsigned)m->max_verify_depth, DEPTH_MAX);
    if (m->n_trusted_cas + m->n_trusted_directory > 0 || m->system_store ||
        text_was_tried(&r->judge, &at, "trusted_cas") ||
        text_was_tried(&r->judge, &at, "trusted_directory") ||
        (text_was_tried(&r->judge, &at, "system_store") && !m->has_system_store))
        return;
    text_mistake(&r->judge, &at, NULL, 0,
                 "trusts nobody; write trusted_cas { static { data { filename: \"ca.pem\" } } }, "
                 "trusted_directory: \"/etc/ssl/certs\" or system_store: true");
}

static void check_client_verifiers(struct settings_reader *r, const struct decode_at *at,
                                   const Turbotls__V1__CommonOptions *m)
{
    if (m->x509_verifier != NULL && m->empty_verifier != NULL)
        text_mistake(&r->judge, at, "empty_verifier", 0,
                     "contradicts x509_verifier; leave it out, or peers are not verified");
    if (m->x509_verifier != NULL || m->empty_verifier != NULL ||
        text_was_tried(&r->judge, at, "x509_verifier") ||
        text_was_tried(&r->judge, at, "empty_verifier"))
        return;
    text_mistake(&r->judge, at, NULL, 0,
                 "does not say whom to trust; write x509_verifier { trusted_cas { static { data { "
                 "filename: \"ca.pem\" } } } }, x509_verifier { system_store: true }, or, for "
                 "tests where anybody may answer, empty_verifier { }");
}

/* Servers that ask for no certificates may say that they verify none. */
static void check_server_verifiers(struct settings_reader *r, const struct decode_at *at,
                                   const Turbotls__V1__CommonOptions *m,
                                   enum settings_client_authentication asked)
{
    if (asked == SETTINGS_CLIENTS_UNASKED) {
        if (m->x509_verifier != NULL)
            text_mistake(&r->judge, at, "x509_verifier", 0,
                         "has nothing to verify, since clients are not asked for certificates; "
                         "write client_authentication: CLIENT_AUTHENTICATION_REQUIRED in tls, or "
                         "leave it out");
        return;
    }
    if (m->empty_verifier != NULL)
        text_mistake(&r->judge, at, "empty_verifier", 0,
                     "contradicts client_authentication; say in x509_verifier whose certificates "
                     "clients may show, or do not ask for them");
    else if (m->x509_verifier == NULL)
        text_missing(&r->judge, at, "x509_verifier",
                     "since clients are asked for certificates; such as x509_verifier { "
                     "trusted_cas { static { data { filename: \"clients-ca.pem\" } } } }");
}

/* ---- who we are ---- */

static void read_identity(struct settings_reader *r, const struct decode_at *parent,
                          const Turbotls__V1__X509Identity *m, struct settings *out)
{
    struct decode_at at = text_inside(parent, m, "identity", 0), key;

    text_check(&r->judge, &at);
    out->certificates =
        settings_certificates_read(r, &at, "certificate", m->certificate, m->n_certificate);
    if (m->n_certificate == 0)
        text_missing(&r->judge, &at, "certificate",
                     "such as certificate { static { data { filename: \"cert.pem\" } } }");
    if (m->private_key == NULL) {
        text_missing(&r->judge, &at, "private_key",
                     "such as private_key { static { data { filename: \"key.pem\" } } }");
        return;
    }
    key = text_inside(&at, m->private_key, "private_key", 0);
    (void)settings_object_read(r, &key, m->private_key->static_, OBJECT_KEY, &out->key);
}

static void read_key_log(struct settings_reader *r, const struct decode_at *at,
                         const Turbotls__V1__CommonOptions *m, struct settings *out)
{
    if (m->key_log_file == NULL)
        return;
    out->key_log_file = arena_text(r->arena, m->key_log_file);
    if (m->key_log_file[0] == '\0')
        text_mistake(&r->judge, at, "key_log_file", 0, "is empty; name a file, or leave it out");
}

void settings_common_read(struct settings_reader *r, const struct decode_at *at,
                          const Turbotls__V1__CommonOptions *m, struct settings *out)
{
    text_check(&r->judge, at);
    read_versions(r, at, m, out);
    read_suites(r, at, m, out);
    out->alpn = settings_names_read(r, at, "alpn_protocols", m->alpn_protocols, m->n_alpn_protocols,
                                    settings_alpn_fault);
    if (out->server)
        check_server_verifiers(r, at, m, out->client_authentication);
    else
        check_client_verifiers(r, at, m);
    out->empty_verifier = m->empty_verifier != NULL;
    if (m->x509_verifier != NULL)
        read_verifier(r, at, m->x509_verifier, out);
    if (m->identity != NULL)
        read_identity(r, at, m->identity, out);
    else if (out->server)
        text_missing(
            &r->judge, at, "identity",
            "such as identity { certificate { static { data { filename: \"cert.pem\" } } } "
            "private_key { static { data { filename: \"key.pem\" } } } }");
    out->session_tickets = m->session_tickets != 0;
    read_key_log(r, at, m, out);
}
