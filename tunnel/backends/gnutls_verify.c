#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

#include "tunnel/backends/gnutls_internal.h"
#include "tunnel/backends/gnutls_match.h"
#include "tunnel/failure.h"

enum { SUBJECT_BYTES = 160, NAMES_BYTES = 320 };

/* The chain as the peer has sent it. */
struct shown {
    const gnutls_datum_t *der;
    unsigned count;
    gnutls_x509_crt_t leaf;
    char subject[SUBJECT_BYTES];
};

/* ---- words ---- */

static void read_subject(struct shown *shown)
{
    size_t length = sizeof(shown->subject);
    if (gnutls_x509_crt_get_dn(shown->leaf, shown->subject, &length) < 0)
        snprintf(shown->subject, sizeof(shown->subject), "a long subject, or none");
    match_make_printable(shown->subject);
}

static void date_of(time_t when, char text[static 32])
{
    struct tm parts;
    if (gmtime_r(&when, &parts) == NULL || strftime(text, 32, "%F %T UTC", &parts) == 0)
        snprintf(text, 32, "?");
}

/* ---- names ---- */

static enum tunnel_result wrong_name(gnutls_subject_alt_names_t names, char *const *wanted,
                                     struct tunnel_error *error)
{
    char list[NAMES_BYTES];
    match_list(names, list, sizeof(list));
    return failure(
        error, TUNNEL_NAME_MISMATCH,
        "the peer's certificate is not for %s%s, but for %s: ask for a name that it has, or "
        "have one issued with it as a subject alternative name",
        wanted[0], wanted[1] != NULL ? " (nor the others)" : "",
        list[0] != '\0' ? list : "no name or address at all");
}

static enum tunnel_result check_names(gnutls_x509_crt_t leaf, char *const *wanted,
                                      struct tunnel_error *error)
{
    if (wanted == NULL)
        return TUNNEL_OK;
    gnutls_subject_alt_names_t names = match_names_of(leaf);
    if (names == NULL)
        return failure(error, TUNNEL_MEMORY, "out of memory");
    enum tunnel_result result =
        match_any(names, wanted) ? TUNNEL_OK : wrong_name(names, wanted, error);
    gnutls_subject_alt_names_deinit(names);
    return result;
}

/* ---- issuers ---- */

static bool is_self_issued(const gnutls_datum_t *der)
{
    gnutls_x509_crt_t certificate;
    if (gnutls_x509_crt_init(&certificate) < 0)
        return false;
    bool self = gnutls_x509_crt_import(certificate, der, GNUTLS_X509_FMT_DER) >= 0 &&
                gnutls_x509_crt_check_issuer(certificate, certificate) != 0;
    gnutls_x509_crt_deinit(certificate);
    return self;
}

static enum tunnel_result without_anchor(const struct shown *shown, struct tunnel_error *error)
{
    bool ends_in_root = is_self_issued(&shown->der[shown->count - 1]);
    if (ends_in_root && shown->count == 1)
        return failure(
            error, TUNNEL_SELF_SIGNED,
            "the peer's certificate (%s) is self-signed: add it to trusted_cas if it is the right "
            "one, or have one issued by a CA",
            shown->subject);
    if (ends_in_root)
        return failure(
            error, TUNNEL_UNTRUSTED_ROOT,
            "the peer's certificate (%s) leads to a root that is not trusted: add the root to "
            "trusted_cas if it should be",
            shown->subject);
    return failure(error, TUNNEL_UNKNOWN_CA,
                   "the issuer of the peer's certificate (%s) is not known: add its CA to "
                   "trusted_cas, or have "
                   "the peer send the intermediate certificates",
                   shown->subject);
}

static enum tunnel_result bad(const struct shown *shown, const char *why,
                              struct tunnel_error *error)
{
    return failure(error, TUNNEL_BAD_CERTIFICATE,
                   "the peer's certificate (%s) or one above it %s: replace it", shown->subject,
                   why);
}

static enum tunnel_result wrong_time(const struct shown *shown, bool expired,
                                     struct tunnel_error *error)
{
    char date[32];
    date_of(expired ? gnutls_x509_crt_get_expiration_time(shown->leaf)
                    : gnutls_x509_crt_get_activation_time(shown->leaf),
            date);
    return failure(
        error, expired ? TUNNEL_EXPIRED : TUNNEL_NOT_YET_VALID,
        "the peer's certificate (%s; valid %s %s) or one above it %s: renew it, or check this "
        "machine's clock",
        shown->subject, expired ? "until" : "from", date,
        expired ? "has expired" : "is not valid yet");
}

/* In the order in which OpenSSL finds them, so that both say the same of a certificate with
 * several. */
static enum tunnel_result judge(const struct backend_session *s, const struct shown *shown,
                                unsigned status, struct tunnel_error *error)
{
    if (status & (GNUTLS_CERT_SIGNER_NOT_FOUND))
        return without_anchor(shown, error);
    if (status & GNUTLS_CERT_SIGNER_NOT_CA)
        return bad(shown, "was issued by one that is no CA", error);
    if (status & (GNUTLS_CERT_PURPOSE_MISMATCH | GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE))
        return bad(shown, "is not for this purpose, or its CA may not issue it", error);
    if (status & GNUTLS_CERT_UNKNOWN_CRIT_EXTENSIONS)
        return bad(shown, "has a critical extension that is not known", error);
    if (status & GNUTLS_CERT_INSECURE_ALGORITHM)
        return bad(shown, "has a weak key or signature (less than 112 bits)", error);
    enum tunnel_result result = check_names(shown->leaf, s->names, error);
    if (result != TUNNEL_OK)
        return result;
    if (status & GNUTLS_CERT_SIGNATURE_FAILURE)
        return bad(shown, "has a wrong signature", error);
    if (status & GNUTLS_CERT_REVOKED)
        return failure(error, TUNNEL_REVOKED, "the peer's certificate (%s) was revoked: replace it",
                       shown->subject);
    if (status & GNUTLS_CERT_EXPIRED)
        return wrong_time(shown, true, error);
    if (status & GNUTLS_CERT_NOT_ACTIVATED)
        return wrong_time(shown, false, error);
    return status != 0 ? bad(shown, "is not valid", error) : TUNNEL_OK;
}

static enum tunnel_result too_deep(const struct shown *shown, struct tunnel_error *error)
{
    return failure(
        error, TUNNEL_BAD_CERTIFICATE,
        "the peer's certificate (%s) has more of them above it than max_verify_depth: raise "
        "that, or have the peer send fewer",
        shown->subject);
}

/* GnuTLS's own limit does not know whether the root is among those that were sent. */
static bool is_too_deep(const struct backend_session *s, const struct shown *shown)
{
    unsigned between = shown->count - 1;
    if (between > 0 && is_self_issued(&shown->der[between]))
        between--;
    return between > s->context->verify_depth;
}

static enum tunnel_result unverifiable(const struct shown *shown, int code,
                                       struct tunnel_error *error)
{
    if (code == GNUTLS_E_MEMORY_ERROR)
        return failure(error, TUNNEL_MEMORY, "out of memory");
    if (code == GNUTLS_E_CONSTRAINT_ERROR)
        return too_deep(shown, error);
    return failure(error, TUNNEL_BAD_CERTIFICATE,
                   "the peer's certificate (%s) cannot be verified: %s", shown->subject,
                   gnutls_strerror(code));
}

static enum tunnel_result verify_shown(const struct backend_session *s, struct shown *shown,
                                       struct tunnel_error *error)
{
    /* The library's structure is not const, but it does not write there. */
    char server_purpose[] = GNUTLS_KP_TLS_WWW_SERVER, client_purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st purpose = {
        .type = GNUTLS_DT_KEY_PURPOSE_OID,
        .data = (unsigned char *)(s->context->server ? client_purpose : server_purpose),
    };
    unsigned status;
    int code = gnutls_x509_crt_import(shown->leaf, &shown->der[0], GNUTLS_X509_FMT_DER);
    if (code < 0)
        return failure(error, TUNNEL_BAD_CERTIFICATE,
                       "the peer's certificate cannot be read: %s; replace it",
                       gnutls_strerror(code));
    read_subject(shown);
    if (is_too_deep(s, shown))
        return too_deep(shown, error);
    code = gnutls_certificate_verify_peers(s->tls, &purpose, 1, &status);
    return code < 0 ? unverifiable(shown, code, error) : judge(s, shown, status, error);
}

enum tunnel_result backend_gnutls_verify(const struct backend_session *s,
                                         struct tunnel_error *error)
{
    struct shown shown = {0};
    shown.der = gnutls_certificate_get_peers(s->tls, &shown.count);
    if (shown.der == NULL || shown.count == 0)
        return failure(error, TUNNEL_NO_CERTIFICATE,
                       "the peer showed no certificate, and one is needed: give it one");
    if (gnutls_x509_crt_init(&shown.leaf) < 0)
        return failure(error, TUNNEL_MEMORY, "out of memory");
    enum tunnel_result result = verify_shown(s, &shown, error);
    gnutls_x509_crt_deinit(shown.leaf);
    return result;
}
