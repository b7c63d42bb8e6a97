/* Is a certificate for a name? Its subject alternative names count, never the subject's CN (RFC
 * 9525 §6). */
#ifndef TUNNEL_BACKENDS_GNUTLS_MATCH_H
#define TUNNEL_BACKENDS_GNUTLS_MATCH_H

#include <gnutls/x509-ext.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stddef.h>

/* Its alternative names; none, where they cannot be read. NULL: no memory. To be freed with
 * gnutls_subject_alt_names_deinit. */
gnutls_subject_alt_names_t match_names_of(gnutls_x509_crt_t leaf);
/* `wanted`: host names, addresses and mailboxes; ends with NULL. */
bool match_any(gnutls_subject_alt_names_t names, char *const *wanted);
/* "www.example.com, 192.0.2.1", as far as there is room. */
void match_list(gnutls_subject_alt_names_t names, char *text, size_t capacity);
/* A peer's text is not to move anybody's cursor. */
void match_make_printable(char *text);

#endif
