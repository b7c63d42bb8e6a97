/*
 * Suites and groups by the names of the configuration: IANA's for suites, OpenSSL's or RFC 8446's
 * for groups. GnuTLS has names of its own, and offers what it was built with.
 */
#ifndef TUNNEL_BACKENDS_GNUTLS_NAMES_H
#define TUNNEL_BACKENDS_GNUTLS_NAMES_H

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SUITE_NAME_BYTES = 64, SUITES_MAX = 128 };

/* A cipher suite as GnuTLS sees it: parts that are allowed one by one. */
struct suite {
    char name[SUITE_NAME_BYTES]; /* IANA's */
    uint16_t number;
    bool tls13;
    gnutls_kx_algorithm_t exchange; /* of TLS 1.2's */
    gnutls_cipher_algorithm_t cipher;
    gnutls_mac_algorithm_t mac;
};

struct suites {
    struct suite list[SUITES_MAX];
    size_t count;
};

/* Those of TLS 1.2 and 1.3 that prove who the server is and hide what is said, by a cipher that is
 * not broken; forward secrecy and AEAD first. */
void suites_offered(struct suites *suites);
/* NULL: not offered. */
const struct suite *suite_find(const struct suites *suites, bool tls13, const char *name);
/* The suite that the session has agreed upon. False: none. */
bool suite_of_session(gnutls_session_t session, struct suite *suite);

/* GNUTLS_GROUP_INVALID: not offered. Case does not matter. */
gnutls_group_t group_find(const char *name);
/* By its number on the wire. */
gnutls_group_t group_of_number(uint16_t number);
/* "X25519", "P-256", "ffdhe2048"; NULL: not one of ours. */
const char *group_name(gnutls_group_t group);
/* The names of those offered, by `index`; NULL: no more. */
const char *group_offered(size_t index);

#endif
