#include "tunnel/backends/gnutls_match.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { IPV4_BYTES = 4, IPV6_BYTES = 16 };

void match_make_printable(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == '\x7f')
            *text = '?';
}

gnutls_subject_alt_names_t match_names_of(gnutls_x509_crt_t leaf)
{
    gnutls_datum_t der = {NULL, 0};
    unsigned critical;
    gnutls_subject_alt_names_t names;
    if (gnutls_subject_alt_names_init(&names) < 0)
        return NULL;
    if (gnutls_x509_crt_get_extension_by_oid2(leaf, GNUTLS_X509EXT_OID_SAN, 0, &der, &critical) >=
        0)
        (void)gnutls_x509_ext_import_subject_alt_names(&der, names, 0);
    gnutls_free(der.data);
    return names;
}

static bool name_at(gnutls_subject_alt_names_t names, unsigned index, unsigned *type,
                    gnutls_datum_t *name)
{
    return gnutls_subject_alt_names_get(names, index, type, name, NULL) >= 0;
}

/* Without regard to ASCII case. A zero byte in a certificate's name is a difference like any other.
 */
static bool is_same(const char *a, const char *b, size_t length)
{
    return memchr(a, '\0', length) == NULL && strncasecmp(a, b, length) == 0;
}

/* "*.example.com": one label, and only where two more follow (RFC 9525 §6.3). */
static bool matches_star(const char *pattern, size_t length, const char *name)
{
    const char *rest = strchr(name, '.');
    if (length < 2 || pattern[0] != '*' || pattern[1] != '.' || rest == NULL || rest == name)
        return false;
    return memchr(pattern + 2, '.', length - 2) != NULL && strlen(rest) == length - 1 &&
           is_same(pattern + 1, rest, length - 1);
}

/* GnuTLS's own check takes the CN where it sees no DNS name, and stops looking at the first name
 * that is too long for it. */
static bool matches_dns(gnutls_subject_alt_names_t names, const char *wanted)
{
    gnutls_datum_t name;
    unsigned type;
    for (unsigned i = 0; name_at(names, i, &type, &name); i++) {
        const char *text = (const char *)name.data;
        if (type != GNUTLS_SAN_DNSNAME)
            continue;
        if (matches_star(text, name.size, wanted) ||
            (name.size == strlen(wanted) && is_same(text, wanted, name.size)))
            return true;
    }
    return false;
}

static bool matches_address(gnutls_subject_alt_names_t names, const uint8_t *address, size_t length)
{
    gnutls_datum_t name;
    unsigned type;
    for (unsigned i = 0; name_at(names, i, &type, &name); i++)
        if (type == GNUTLS_SAN_IPADDRESS && name.size == length &&
            memcmp(name.data, address, length) == 0)
            return true;
    return false;
}

/* Whose is the mailbox is the host's affair, so case counts there; in the host's name it does not
 * (RFC 5280 §7.5). */
static bool is_mailbox(const gnutls_datum_t *name, const char *mailbox)
{
    size_t local = (size_t)(strchr(mailbox, '@') - mailbox);
    const char *text = (const char *)name->data;
    return name->size == strlen(mailbox) && memcmp(text, mailbox, local + 1) == 0 &&
           is_same(text + local + 1, mailbox + local + 1, name->size - local - 1);
}

static bool matches_mailbox(gnutls_subject_alt_names_t names, const char *mailbox)
{
    gnutls_datum_t name;
    unsigned type;
    for (unsigned i = 0; name_at(names, i, &type, &name); i++)
        if (type == GNUTLS_SAN_RFC822NAME && is_mailbox(&name, mailbox))
            return true;
    return false;
}

static bool matches_name(gnutls_subject_alt_names_t names, const char *name)
{
    uint8_t address[IPV6_BYTES];
    if (inet_pton(AF_INET, name, address) == 1)
        return matches_address(names, address, IPV4_BYTES);
    if (inet_pton(AF_INET6, name, address) == 1)
        return matches_address(names, address, IPV6_BYTES);
    return strchr(name, '@') != NULL ? matches_mailbox(names, name) : matches_dns(names, name);
}

bool match_any(gnutls_subject_alt_names_t names, char *const *wanted)
{
    for (; *wanted != NULL; wanted++)
        if (matches_name(names, *wanted))
            return true;
    return false;
}

void match_list(gnutls_subject_alt_names_t names, char *text, size_t capacity)
{
    char address[INET6_ADDRSTRLEN];
    gnutls_datum_t name;
    unsigned type;
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; name_at(names, i, &type, &name) && used < capacity; i++) {
        const char *separator = used > 0 ? ", " : "";
        if (type == GNUTLS_SAN_DNSNAME || type == GNUTLS_SAN_RFC822NAME)
            used += (size_t)snprintf(text + used, capacity - used, "%s%.*s", separator,
                                     (int)name.size, (const char *)name.data);
        else if (type == GNUTLS_SAN_IPADDRESS &&
                 inet_ntop(name.size == IPV4_BYTES ? AF_INET : AF_INET6, name.data, address,
                           sizeof(address)) != NULL)
            used += (size_t)snprintf(text + used, capacity - used, "%s%s", separator, address);
    }
    match_make_printable(text);
}
