#include "proxy/config/endpoint.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/quote.h"

enum {
    NAME_TEXT_MAX = 253, /* CONFIG_HOST_MAX on the wire, less the first length and the root */
    LABEL_MAX = 63,
};

/* HOST:PORT taken apart. */
struct parts {
    char text[CONFIG_HOST_MAX + 16]; /* what `host` points into */
    char *host;
    bool in_brackets;
    uint16_t port;
};

static const char not_a_name[] =
    "is not a host name or an address; a name has letters, digits, '-', '_' and '.' (other "
    "alphabets as xn--)";

__attribute__((format(printf, 2, 3))) static bool refuse(char fault[static ENDPOINT_FAULT_BYTES],
                                                         const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(fault, ENDPOINT_FAULT_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

static bool may_be_port(const char *text)
{
    size_t length = strlen(text);

    return length >= 1 && length <= 5 && strspn(text, "0123456789") == length;
}

bool endpoint_port(const char *text, const char *what, unsigned int min, uint16_t *port,
                   char fault[static ENDPOINT_FAULT_BYTES])
{
    unsigned long number = strtoul(text, NULL, 10);

    if (!may_be_port(text) || number > UINT16_MAX || number < min)
        return refuse(fault, "%s %s is not a number from %u to 65535", what, quote(text).text, min);
    *port = (uint16_t)number;
    return true;
}

/* Ends the host where it does. Returns what is behind its colon; NULL: refused. */
static const char *split(struct parts *parts, bool listens, char fault[static ENDPOINT_FAULT_BYTES])
{
    char *text = parts->text, *colon = strrchr(text, ':');

    parts->in_brackets = text[0] == '[';
    parts->host = text + parts->in_brackets;
    if (parts->in_brackets) {
        colon = strchr(text, ']');
        if (colon == NULL) {
            (void)refuse(fault, "the '[' of the IPv6 address is not closed by a ']'");
            return NULL;
        }
        *colon++ = '\0';
        if (*colon != ':') {
            (void)refuse(fault, "there is no ':PORT' after the ']'");
            return NULL;
        }
    }
    if (!parts->in_brackets && strstr(text, "://") != NULL) {
        (void)refuse(fault, "%s and a port are needed, without a scheme such as https://",
                     listens ? "an address" : "a host");
        return NULL;
    }
    if (colon == NULL) { /* the example keeps what may be a port */
        (void)refuse(fault, "%s and a port are needed, as in %s:%s",
                     listens ? "an address" : "a host", listens ? "*" : "www.example",
                     may_be_port(text) ? text : "443");
        return NULL;
    }
    *colon = '\0';
    if (!parts->in_brackets && strchr(parts->host, ':') != NULL) {
        (void)refuse(fault, "an IPv6 address goes in brackets, as in [::1]:443");
        return NULL;
    }
    return colon + 1;
}

static bool take_apart(const char *text, bool listens, struct parts *parts,
                       char fault[static ENDPOINT_FAULT_BYTES])
{
    const char *port;

    if (strlen(text) >= sizeof(parts->text)) {
        (void)refuse(fault, "%s is longer than a host name can be", quote(text).text);
        return false;
    }
    memcpy(parts->text, text, strlen(text) + 1);
    port = split(parts, listens, fault);
    return port != NULL && endpoint_port(port, "port", listens ? 0 : 1, &parts->port, fault);
}

static bool read_bracketed(const struct parts *parts, struct address *address,
                           char fault[static ENDPOINT_FAULT_BYTES])
{
    bool is_literal = address_from_literal(address, parts->host, parts->port);

    if (strchr(parts->host, ':') != NULL && is_literal)
        return true;
    if (is_literal)
        return refuse(fault, "IPv4 is written without brackets: %s:%u", parts->host,
                      (unsigned int)parts->port);
    return refuse(fault, "%s is not an IPv6 address%s", quote(parts->host).text,
                  strchr(parts->host, '%') ? " with an interface of this host" : "");
}

/* What no socket can listen on: multicast and broadcast. */
static bool is_for_many(const struct address *address)
{
    uint32_t v4 = ntohl(address->v4.sin_addr.s_addr);

    if (address_family(address) == AF_INET6)
        return IN6_IS_ADDR_MULTICAST(&address->v6.sin6_addr);
    return IN_MULTICAST(v4) || v4 == INADDR_BROADCAST;
}

bool endpoint_listen(const char *text, struct address *address, bool *dual_stack,
                     char fault[static ENDPOINT_FAULT_BYTES])
{
    struct parts parts;

    *dual_stack = false;
    if (!take_apart(text, true, &parts, fault))
        return false;
    if (parts.in_brackets) {
        if (!read_bracketed(&parts, address, fault))
            return false;
    } else if (strcmp(parts.host, "*") == 0) {
        *dual_stack = true;
        address_wildcard(address, AF_INET6, parts.port);
    } else if (!address_from_literal(address, parts.host, parts.port)) {
        return refuse(fault,
                      "%s is not an IP address; use a literal such as 127.0.0.1, [::1] or * for "
                      "all",
                      quote(parts.host).text);
    }
    if (is_for_many(address))
        return refuse(fault, "nobody can connect to a multicast or broadcast address; use one of "
                             "this host's, or * for all");
    return true;
}

const char *endpoint_name_fault(const char *name)
{
    size_t length = strlen(name), label = 0;
    const char *last_dot;

    if (length > 1 && name[length - 1] == '.')
        length--;
    if (length > NAME_TEXT_MAX)
        return "is longer than a host name can be";
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)name[i];

        label = byte == '.' ? 0 : label + 1;
        if (!isalnum(byte) && strchr("-_.", byte) == NULL)
            return not_a_name;
        if (label > LABEL_MAX || (byte == '.' && (i == 0 || name[i - 1] == '.')))
            return "is not a host name: between the dots go 1 to 63 characters";
    }
    last_dot = memrchr(name, '.', length);
    label = last_dot == NULL ? 0 : (size_t)(last_dot - name) + 1;
    if (length == 0 || strspn(name + label, "0123456789") >= length - label)
        return "is not an IPv4 address, a host name or an IPv6 address in brackets";
    return NULL;
}

static bool check_server_v6(const struct parts *parts, char fault[static ENDPOINT_FAULT_BYTES])
{
    struct address address = {.length = 0};

    if (!read_bracketed(parts, &address, fault))
        return false;
    if (address_family(&address) == AF_INET6 && address.v6.sin6_scope_id == 0 &&
        IN6_IS_ADDR_LINKLOCAL(&address.v6.sin6_addr))
        return refuse(fault, "a link-local address needs its interface: [fe80::1%%eth0]");
    return true;
}

bool endpoint_server(const char *text, char host[static CONFIG_HOST_MAX + 1], uint16_t *port,
                     char fault[static ENDPOINT_FAULT_BYTES])
{
    struct parts parts;
    struct address address;

    if (!take_apart(text, false, &parts, fault))
        return false;
    if (parts.in_brackets) {
        if (!check_server_v6(&parts, fault))
            return false;
    } else if (!address_from_literal(&address, parts.host, 0) &&
               endpoint_name_fault(parts.host) != NULL) {
        return refuse(fault, "%s %s", quote(parts.host).text, endpoint_name_fault(parts.host));
    }
    if (strlen(parts.host) > CONFIG_HOST_MAX)
        return refuse(fault, "%s is longer than a host name can be", quote(parts.host).text);
    for (size_t i = 0; i <= strlen(parts.host); i++)
        host[i] = (char)tolower((unsigned char)parts.host[i]);
    *port = parts.port;
    return true;
}
