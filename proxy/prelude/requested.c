#include "proxy/prelude/prelude_parts.h"

#include <arpa/inet.h>
#include <string.h>

/* RFC 1035 §2.3.4, as text and without a dot at the end; RFC 1123 §2.1. */
enum { NAME_MAX_BYTES = 253, LABEL_MAX_BYTES = 63 };

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char digits[] = "0123456789";
static const char hex_digits[] = "0123456789abcdefABCDEF";

/* Other software may read such an end as a number, and with it the name as an IPv4 address:
 * "127.1", "0x7f000001" (inet_aton, and the WHATWG's URL standard). A top-level domain is none. */
static bool is_number(const char *label)
{
    if (label[0] == '0' && (label[1] == 'x' || label[1] == 'X'))
        return label[2 + strspn(label + 2, hex_digits)] == '\0';
    return label[strspn(label, digits)] == '\0';
}

/* The length of the label at `text`; 0: there is none. */
static size_t label_length(const char *text)
{
    size_t length = 0;

    while (text[length] != '\0' &&
           (strchr(letters, text[length]) != NULL || strchr(digits, text[length]) != NULL ||
            text[length] == '-' || text[length] == '_'))
        length++;
    return length <= LABEL_MAX_BYTES ? length : 0;
}

/* Without the dot at the end. */
static bool is_name(const char *name)
{
    if (strlen(name) > NAME_MAX_BYTES)
        return false;
    for (;;) {
        size_t length = label_length(name);
        if (length == 0)
            return false;
        if (name[length] == '\0')
            return !is_number(name);
        if (name[length] != '.')
            return false;
        name += length + 1;
    }
}

static bool is_name_or_rooted(const char *text, size_t length)
{
    char name[PRELUDE_HOST_MAX + 1];

    memcpy(name, text, length + 1);
    if (length > 0 && name[length - 1] == '.')
        name[length - 1] = '\0';
    return is_name(name);
}

static bool ask(struct prelude *p, const char *host, uint16_t port)
{
    if (port == 0)
        return false;
    memcpy(p->host, host, strlen(host) + 1);
    p->port = port;
    p->state = PRELUDE_ASKED;
    return true;
}

bool prelude_ask_address(struct prelude *p, const struct address *address)
{
    char text[INET6_ADDRSTRLEN];
    int family = address_family(address);
    const void *ip = family == AF_INET ? (const void *)&address->v4.sin_addr
                                       : (const void *)&address->v6.sin6_addr;

    return inet_ntop(family, ip, text, sizeof(text)) != NULL && ask(p, text, address_port(address));
}

bool prelude_ask(struct prelude *p, const void *host, size_t length, uint16_t port)
{
    char text[PRELUDE_HOST_MAX + 1];
    struct address address;

    if (length > PRELUDE_HOST_MAX || memchr(host, '\0', length) != NULL)
        return false;
    memcpy(text, host, length);
    text[length] = '\0';
    /* A scope is of this machine, and nothing a client can know. */
    if (strchr(text, '%') == NULL && address_from_literal(&address, text, port))
        return prelude_ask_address(p, &address);
    return is_name_or_rooted(text, length) && ask(p, text, port);
}
