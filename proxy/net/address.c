#include "proxy/net/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ::ffff:0:0/96, RFC 4291 §2.5.5.2. */
static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void set_v4(struct address *out, const void *ip, uint16_t port)
{
    *out = (struct address){.length = sizeof(out->v4)};
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(port);
    memcpy(&out->v4.sin_addr, ip, sizeof(out->v4.sin_addr));
}

static void set_v6(struct address *out, const void *ip, uint32_t scope, uint16_t port)
{
    const uint8_t *bytes = ip;

    if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        set_v4(out, bytes + sizeof(mapped_prefix), port);
        return;
    }
    *out = (struct address){.length = sizeof(out->v6)};
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(port);
    out->v6.sin6_scope_id = scope;
    memcpy(&out->v6.sin6_addr, ip, sizeof(out->v6.sin6_addr));
}

/* An interface by name or number; 0: there is none. */
static uint32_t scope_from_text(const char *text)
{
    uint32_t scope = if_nametoindex(text);
    size_t length = strlen(text);

    if (scope == 0 && length <= 9 && strspn(text, "0123456789") == length)
        scope = (uint32_t)strtoul(text, NULL, 10);
    return scope;
}

static bool v6_from_literal(struct address *out, const char *host, uint16_t port)
{
    struct in6_addr ip;
    char text[INET6_ADDRSTRLEN];
    uint32_t scope = 0;
    size_t length = strcspn(host, "%");

    if (length >= sizeof(text))
        return false;
    memcpy(text, host, length);
    text[length] = '\0';
    if (inet_pton(AF_INET6, text, &ip) != 1)
        return false;
    if (host[length] == '%') {
        /* Elsewhere a scope means nothing (RFC 4007 §6), so there it is a mistake. */
        if (!IN6_IS_ADDR_LINKLOCAL(&ip) && !IN6_IS_ADDR_MC_LINKLOCAL(&ip))
            return false;
        scope = scope_from_text(host + length + 1);
        if (scope == 0)
            return false;
    }
    set_v6(out, &ip, scope, port);
    return true;
}

bool address_from_literal(struct address *out, const char *host, uint16_t port)
{
    struct in_addr ip;

    *out = (struct address){.length = 0};
    /* inet_pton, as inet_aton and getaddrinfo also take "127.1" and octal numbers. */
    if (inet_pton(AF_INET, host, &ip) == 1) {
        set_v4(out, &ip, port);
        return true;
    }
    return v6_from_literal(out, host, port);
}

void address_from_sockaddr(struct address *out, const struct sockaddr *sa, socklen_t length)
{
    struct address in = {.length = 0};

    *out = (struct address){.length = 0};
    if (length < sizeof(in.any.sa_family))
        return;
    memcpy(&in.v6, sa, length < sizeof(in.v6) ? length : sizeof(in.v6));
    if (in.any.sa_family == AF_INET && length >= sizeof(in.v4))
        set_v4(out, &in.v4.sin_addr, ntohs(in.v4.sin_port));
    else if (in.any.sa_family == AF_INET6 && length >= sizeof(in.v6))
        set_v6(out, &in.v6.sin6_addr, in.v6.sin6_scope_id, ntohs(in.v6.sin6_port));
}

void address_wildcard(struct address *out, int family, uint16_t port)
{
    struct in_addr any = {.s_addr = htonl(INADDR_ANY)};

    if (family == AF_INET)
        set_v4(out, &any, port);
    else
        set_v6(out, &in6addr_any, 0, port);
}

int address_family(const struct address *address)
{
    return address->length == 0 ? AF_UNSPEC : address->any.sa_family;
}

uint16_t address_port(const struct address *address)
{
    switch (address_family(address)) {
    case AF_INET: return ntohs(address->v4.sin_port);
    case AF_INET6: return ntohs(address->v6.sin6_port);
    default: return 0;
    }
}

void address_set_port(struct address *address, uint16_t port)
{
    switch (address_family(address)) {
    case AF_INET: address->v4.sin_port = htons(port); break;
    case AF_INET6: address->v6.sin6_port = htons(port); break;
    default: break;
    }
}

bool address_equal(const struct address *a, const struct address *b)
{
    if (address_family(a) != address_family(b) || address_port(a) != address_port(b))
        return false;
    switch (address_family(a)) {
    case AF_INET: return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    case AF_INET6:
        return IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr) &&
               a->v6.sin6_scope_id == b->v6.sin6_scope_id;
    default: return true;
    }
}

static void v6_text(const struct sockaddr_in6 *v6, char text[static ADDRESS_TEXT_BYTES])
{
    char ip[INET6_ADDRSTRLEN];
    char interface[IF_NAMESIZE];
    unsigned int port = ntohs(v6->sin6_port);

    inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
    if (v6->sin6_scope_id == 0)
        (void)snprintf(text, ADDRESS_TEXT_BYTES, "[%s]:%u", ip, port);
    else if (if_indextoname(v6->sin6_scope_id, interface) != NULL)
        (void)snprintf(text, ADDRESS_TEXT_BYTES, "[%s%%%s]:%u", ip, interface, port);
    else
        (void)snprintf(text, ADDRESS_TEXT_BYTES, "[%s%%%u]:%u", ip, v6->sin6_scope_id, port);
}

const char *address_text(const struct address *address, char text[static ADDRESS_TEXT_BYTES])
{
    char ip[INET_ADDRSTRLEN];

    switch (address_family(address)) {
    case AF_INET:
        inet_ntop(AF_INET, &address->v4.sin_addr, ip, sizeof(ip));
        (void)snprintf(text, ADDRESS_TEXT_BYTES, "%s:%u", ip, (unsigned int)address_port(address));
        break;
    case AF_INET6: v6_text(&address->v6, text); break;
    default: (void)snprintf(text, ADDRESS_TEXT_BYTES, "-"); break;
    }
    return text;
}

void address_to_turbo(const struct address *address, struct turbo_address *out)
{
    /* Padding too, so that a caller may hash or compare the whole struct. */
    memset(out, 0, sizeof(*out));
    out->port = address_port(address);
    switch (address_family(address)) {
    case AF_INET:
        memcpy(out->ip, mapped_prefix, sizeof(mapped_prefix));
        memcpy(out->ip + sizeof(mapped_prefix), &address->v4.sin_addr, 4);
        break;
    case AF_INET6:
        memcpy(out->ip, &address->v6.sin6_addr, sizeof(out->ip));
        out->scope = address->v6.sin6_scope_id;
        break;
    default: break;
    }
}

void address_from_turbo(const struct turbo_address *turbo, struct address *out)
{
    set_v6(out, turbo->ip, turbo->scope, turbo->port);
}
