/* Is the peer whom it should be? And if not, why, and what would be right. */
#include "tunnel/backends/openssl.h"

#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "tunnel/failure.h"

/* ---- what is in a certificate, as text that is fit for a terminal ---- */

static void take_text(BIO *from, char *text, size_t capacity)
{
    int length = from == NULL ? 0 : BIO_read(from, text, (int)capacity - 1);
    text[length < 0 ? 0 : length] = 0;
    BIO_free(from);
}

static void name_text(const X509_NAME *name, char *text, size_t capacity)
{
    BIO *out = BIO_new(BIO_s_mem());
    if (out != NULL)
        X509_NAME_print_ex(out, name, 0, XN_FLAG_ONELINE);
    take_text(out, text, capacity);
    if (text[0] == 0)
        snprintf(text, capacity, "%s", "without a subject");
}

static void time_text(const ASN1_TIME *time, char *text, size_t capacity)
{
    BIO *out = BIO_new(BIO_s_mem());
    if (out != NULL)
        ASN1_TIME_print_ex(out, time, ASN1_DTFLGS_ISO8601);
    take_text(out, text, capacity);
}

static void alternative_text(BIO *out, const GENERAL_NAME *name)
{
    int type = 0;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    if (type == GEN_DNS || type == GEN_EMAIL) {
        ASN1_STRING_print_ex(out, value, ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_ESC_MSB);
    } else if (type == GEN_IPADD) {
        char address[INET6_ADDRSTRLEN] = "?";
        int length = ASN1_STRING_length(value);
        if (length == (int)sizeof(struct in_addr) || length == (int)sizeof(struct in6_addr))
            inet_ntop(length == (int)sizeof(struct in_addr) ? AF_INET : AF_INET6,
                      ASN1_STRING_get0_data(value), address, sizeof(address));
        BIO_puts(out, address);
    } else {
        BIO_puts(out, "another kind of name");
    }
}

static void alternatives_text(X509 *certificate, char *text, size_t capacity)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    BIO *out = BIO_new(BIO_s_mem());
    for (int i = 0; out != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        BIO_puts(out, i == 0 ? "" : ", ");
        alternative_text(out, sk_GENERAL_NAME_value(names, i));
    }
    GENERAL_NAMES_free(names);
    take_text(out, text, capacity);
    if (text[0] == 0)
        snprintf(text, capacity, "%s", "no name at all (a subject does not count)");
}

/* ---- verifying ---- */

/* Of the alternative names only: RFC 9525 §6.3, RFC 6125 §6.4.4. */
static bool is_for(X509 *certificate, const char *name)
{
    const unsigned flags =
        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
    uint8_t address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return X509_check_ip_asc(certificate, name, flags) == 1;
    if (strchr(name, '@') != NULL)
        return X509_check_email(certificate, name, 0, flags) == 1;
    /* To OpenSSL a dot in front means everything below. */
    return name[0] != '.' && X509_check_host(certificate, name, 0, flags, NULL) == 1;
}

static bool is_for_one(const struct backend_session *session, X509 *certificate)
{
    if (session->names == NULL)
        return true;
    for (char *const *name = session->names; *name != NULL; name++)
        if (is_for(certificate, *name))
            return true;
    return false;
}

bool openssl_verify_again(const struct backend_session *session, X509 *certificate)
{
    return !session->verify || (certificate != NULL && is_for_one(session, certificate) &&
                                X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0);
}

static void remember(struct openssl_doubt *doubt, X509_STORE_CTX *store)
{
    doubt->code = X509_STORE_CTX_get_error(store);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    if (certificate == NULL)
        certificate = leaf;
    name_text(X509_get_subject_name(certificate), doubt->subject, sizeof(doubt->subject));
    name_text(X509_get_issuer_name(certificate), doubt->issuer, sizeof(doubt->issuer));
    bool begins = doubt->code == X509_V_ERR_CERT_NOT_YET_VALID;
    time_text(begins ? X509_get0_notBefore(certificate) : X509_get0_notAfter(certificate),
              doubt->time, sizeof(doubt->time));
    alternatives_text(leaf, doubt->names, sizeof(doubt->names));
}

static bool is_about_time(int code)
{
    return code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID;
}

/* Names come before times, as where OpenSSL checks them by itself. */
int openssl_verify(X509_STORE_CTX *store, void *unused)
{
    (void)unused;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct backend_session *session = SSL_get_app_data(ssl);
    if (!session->verify) {
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    bool verified = X509_verify_cert(store) > 0;
    if (verified && is_for_one(session, leaf))
        return 1;
    if (verified || (is_about_time(X509_STORE_CTX_get_error(store)) && !is_for_one(session, leaf)))
        X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
    remember(&session->doubt, store);
    return 0;
}

/* ---- telling ---- */

static enum tunnel_result result_of(int code)
{
    switch (code) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_EMAIL_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return TUNNEL_NAME_MISMATCH;
    case X509_V_ERR_CERT_HAS_EXPIRED: return TUNNEL_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID: return TUNNEL_NOT_YET_VALID;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return TUNNEL_SELF_SIGNED;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: return TUNNEL_UNKNOWN_CA;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_REJECTED: return TUNNEL_UNTRUSTED_ROOT;
    case X509_V_ERR_CERT_REVOKED: return TUNNEL_REVOKED;
    case X509_V_ERR_OUT_OF_MEM: return TUNNEL_MEMORY;
    default: return TUNNEL_BAD_CERTIFICATE;
    }
}

static enum tunnel_result other_names(const struct backend_session *session,
                                      struct tunnel_error *error)
{
    char wanted[OPENSSL_NAMES_BYTES] = "";
    for (char *const *name = session->names; *name != NULL; name++)
        openssl_list_add(wanted, sizeof(wanted), " or ", *name);
    return failure(error, TUNNEL_NAME_MISMATCH,
                   "the peer's certificate is not for %s; it is for: %s. Ask for a name that it is "
                   "for, or give the peer a certificate for this one",
                   wanted, session->doubt.names);
}

static const char *advice_for(int code)
{
    switch (code) {
    case X509_V_ERR_INVALID_PURPOSE: return "it was issued for another use (extended key usage)";
    case X509_V_ERR_CERT_CHAIN_TOO_LONG: return "raise max_verify_depth if the chain is right";
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
        return "the peer needs one with a stronger key or hash (RSA 2048, P-256, SHA-256)";
    default: return "the peer needs a certificate that is in order";
    }
}

enum tunnel_result openssl_doubted(const struct backend_session *session,
                                   struct tunnel_error *error)
{
    const struct openssl_doubt *doubt = &session->doubt;
    enum tunnel_result result = result_of(doubt->code);
    switch (result) {
    case TUNNEL_NAME_MISMATCH: return other_names(session, error);
    case TUNNEL_EXPIRED:
        return failure(error, result,
                       "the certificate of %s expired on %s: it must be renewed, unless the clock "
                       "here is wrong",
                       doubt->subject, doubt->time);
    case TUNNEL_NOT_YET_VALID:
        return failure(error, result,
                       "the certificate of %s is not valid before %s: is the clock here right?",
                       doubt->subject, doubt->time);
    case TUNNEL_SELF_SIGNED:
        return failure(error, result,
                       "the peer's certificate (%s) is self-signed: if it is the right one, add it "
                       "to trusted_cas, else the peer needs one from a CA that is there",
                       doubt->subject);
    case TUNNEL_UNKNOWN_CA:
        return failure(error, result,
                       "%s, which issued the certificate of %s, is not known here: add that CA to "
                       "trusted_cas, or have the peer send its intermediate certificates along",
                       doubt->issuer, doubt->subject);
    case TUNNEL_UNTRUSTED_ROOT:
        return failure(error, result,
                       "the peer's certificates lead to the root %s, which is not trusted (any "
                       "more): add it to trusted_cas if it should be",
                       doubt->subject);
    case TUNNEL_REVOKED:
        return failure(error, result, "the certificate of %s was revoked: the peer needs a new one",
                       doubt->subject);
    case TUNNEL_MEMORY: return failure(error, result, "no memory to verify a certificate");
    default:
        return failure(error, result, "the certificate of %s is not acceptable: %s; %s",
                       doubt->subject, X509_verify_cert_error_string(doubt->code),
                       advice_for(doubt->code));
    }
}
