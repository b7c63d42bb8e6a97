/* Certificates made for a test, with an EC key on P-256 if nothing else is said. */
#ifndef TESTS_UNIT_SUPPORT_PKI_H
#define TESTS_UNIT_SUPPORT_PKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PKI_PEM_BYTES = 8192 };

enum pki_key { PKI_EC, PKI_RSA_2048, PKI_RSA_1024 };

/* PEM, zero-terminated. */
struct pki_certificate {
    char certificate[PKI_PEM_BYTES];
    char key[PKI_PEM_BYTES];
};

/* What a certificate says. All zero: no CA, no names, good from an hour ago for a day. */
struct pki_subject {
    const char *common_name;
    const char *dns[4]; /* subject alternative names; NULL: no more */
    const char *ip[2];
    const char *mailbox;
    bool ca;
    bool for_clients_only;   /* extended key usage */
    bool sha1;               /* is signed with it */
    int64_t from_s, until_s; /* seconds from now; both 0: as above */
    enum pki_key key;
};

/* `issuer` NULL: self-signed. Fails the test if it cannot be made. */
void pki_make(const struct pki_subject *subject, const struct pki_certificate *issuer,
              struct pki_certificate *made);

#endif
