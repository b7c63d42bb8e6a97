#include "tests/unit/support/pki.h"

#include <arpa/inet.h>
#include <gnutls/x509.h>
#include <time.h>

#include "tests/unit/support/check.h"

enum { HOUR_S = 3600, DAY_S = 24 * HOUR_S };

static void check(int code)
{
    if (code < 0)
        fail_msg("pki: %s", gnutls_strerror(code));
}

static gnutls_x509_privkey_t new_key(enum pki_key kind)
{
    enum { RSA_2048 = 2048, RSA_1024 = 1024 };
    gnutls_x509_privkey_t key;
    check(gnutls_x509_privkey_init(&key));
    switch (kind) {
    case PKI_EC:
        check(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                           GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
        break;
    case PKI_RSA_2048: check(gnutls_x509_privkey_generate(key, GNUTLS_PK_RSA, RSA_2048, 0)); break;
    case PKI_RSA_1024: check(gnutls_x509_privkey_generate(key, GNUTLS_PK_RSA, RSA_1024, 0)); break;
    }
    return key;
}

static void add_names(gnutls_x509_crt_t crt, const struct pki_subject *subject)
{
    for (size_t i = 0; i < sizeof(subject->dns) / sizeof(subject->dns[0]) && subject->dns[i]; i++)
        check(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, subject->dns[i],
                                                   (unsigned)strlen(subject->dns[i]),
                                                   GNUTLS_FSAN_APPEND));
    for (size_t i = 0; i < sizeof(subject->ip) / sizeof(subject->ip[0]) && subject->ip[i]; i++) {
        uint8_t address[16];
        bool four = inet_pton(AF_INET, subject->ip[i], address) == 1;
        assert_true(four || inet_pton(AF_INET6, subject->ip[i], address) == 1);
        check(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, address,
                                                   four ? 4 : 16, GNUTLS_FSAN_APPEND));
    }
}

static void add_mailbox(gnutls_x509_crt_t crt, const char *mailbox)
{
    if (mailbox != NULL)
        check(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_RFC822NAME, mailbox,
                                                   (unsigned)strlen(mailbox), GNUTLS_FSAN_APPEND));
}

static void add_times(gnutls_x509_crt_t crt, const struct pki_subject *subject)
{
    bool given = subject->from_s != 0 || subject->until_s != 0;
    time_t now = time(NULL);
    check(gnutls_x509_crt_set_activation_time(crt, now + (given ? subject->from_s : -HOUR_S)));
    check(gnutls_x509_crt_set_expiration_time(crt, now + (given ? subject->until_s : DAY_S)));
}

static void add_uses(gnutls_x509_crt_t crt, const struct pki_subject *subject)
{
    unsigned usage =
        subject->ca ? GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN : GNUTLS_KEY_DIGITAL_SIGNATURE;
    if (subject->key != PKI_EC && !subject->ca)
        usage |= GNUTLS_KEY_KEY_ENCIPHERMENT;
    check(gnutls_x509_crt_set_basic_constraints(crt, subject->ca, -1));
    check(gnutls_x509_crt_set_key_usage(crt, usage));
    if (subject->for_clients_only)
        check(gnutls_x509_crt_set_key_purpose_oid(crt, GNUTLS_KP_TLS_WWW_CLIENT, 0));
}

static void add_identity(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
                         const struct pki_subject *subject)
{
    uint8_t id[20];
    size_t length = sizeof(id);
    const char *name = subject->common_name;
    check(gnutls_x509_crt_set_version(crt, 3));
    check(gnutls_x509_crt_set_key(crt, key));
    if (name != NULL)
        check(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                            (unsigned)strlen(name)));
    check(gnutls_x509_crt_get_key_id(crt, 0, id, &length));
    check(gnutls_x509_crt_set_serial(crt, id, 8));
    check(gnutls_x509_crt_set_subject_key_id(crt, id, length));
}

static void sign(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
                 const struct pki_certificate *issuer, gnutls_digest_algorithm_t digest)
{
    if (issuer == NULL) {
        check(gnutls_x509_crt_sign2(crt, crt, key, digest, 0));
        return;
    }
    gnutls_x509_crt_t ca;
    gnutls_x509_privkey_t ca_key;
    gnutls_datum_t pem = {(unsigned char *)(uintptr_t)issuer->certificate,
                          (unsigned)strlen(issuer->certificate)};
    gnutls_datum_t key_pem = {(unsigned char *)(uintptr_t)issuer->key,
                              (unsigned)strlen(issuer->key)};
    uint8_t id[20];
    size_t length = sizeof(id);
    check(gnutls_x509_crt_init(&ca));
    check(gnutls_x509_privkey_init(&ca_key));
    check(gnutls_x509_crt_import(ca, &pem, GNUTLS_X509_FMT_PEM));
    check(gnutls_x509_privkey_import(ca_key, &key_pem, GNUTLS_X509_FMT_PEM));
    check(gnutls_x509_crt_get_subject_key_id(ca, id, &length, NULL));
    check(gnutls_x509_crt_set_authority_key_id(crt, id, length));
    check(gnutls_x509_crt_sign2(crt, ca, ca_key, digest, 0));
    gnutls_x509_privkey_deinit(ca_key);
    gnutls_x509_crt_deinit(ca);
}

static void write_out(gnutls_x509_crt_t crt, gnutls_x509_privkey_t key,
                      struct pki_certificate *made)
{
    size_t length = sizeof(made->certificate);
    check(gnutls_x509_crt_export(crt, GNUTLS_X509_FMT_PEM, made->certificate, &length));
    length = sizeof(made->key);
    check(gnutls_x509_privkey_export_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN,
                                           made->key, &length));
}

void pki_make(const struct pki_subject *subject, const struct pki_certificate *issuer,
              struct pki_certificate *made)
{
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t key = new_key(subject->key);
    check(gnutls_x509_crt_init(&crt));
    memset(made, 0, sizeof(*made));
    add_identity(crt, key, subject);
    add_names(crt, subject);
    add_mailbox(crt, subject->mailbox);
    add_times(crt, subject);
    add_uses(crt, subject);
    sign(crt, key, issuer, subject->sha1 ? GNUTLS_DIG_SHA1 : GNUTLS_DIG_SHA256);
    write_out(crt, key, made);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}
