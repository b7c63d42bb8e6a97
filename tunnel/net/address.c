#include "tunnel/net/address.h"

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

/* Those of IANA's special-purpose registries (RFC 6890) that something may answer at; not the
 * documentation's, where nobody is. */
static bool v4_is_public(const uint8_t ip[static 4])
{
    static const struct {
        uint8_t ip[4], bits;
    } special[] = {
        {{0, 0, 0, 0}, 8},      /* this network: Linux takes 0.0.0.0 for loopback */
        {{10, 0, 0, 0}, 8},     /* private, RFC 1918 */
        {{100, 64, 0, 0}, 10},  /* carrier-grade NAT, RFC 6598 */
        {{127, 0, 0, 0}, 8},    /* loopback */
        {{169, 254, 0, 0}, 16}, /* link-local */
        {{172, 16, 0, 0}, 12},  /* private */
        {{192, 0, 0, 0}, 24},   /* protocol assignments, such as DS-Lite's */
        {{192, 168, 0, 0}, 16}, /* private */
        {{198, 18, 0, 0}, 15},  /* benchmarks, RFC 2544; and inside of tunnels */
        {{224, 0, 0, 0}, 4},    /* multicast */
        {{240, 0, 0, 0}, 4},    /* reserved, and broadcast */
    };
    uint32_t number = (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];

    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++) {
        const uint8_t *net = special[i].ip;
        uint32_t prefix = (uint32_t)net[0] << 24 | (uint32_t)net[1] << 16 | (uint32_t)net[2] << 8;

        if ((number ^ prefix) >> (32 - special[i].bits) == 0)
            return false;
    }
    return true;
}

static bool v6_is_public(const uint8_t ip[static 16])
{
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b}; /* 64:ff9b::/96, RFC 6052 */
    static const uint8_t teredo[4] = {0x20, 0x01};          /* 2001::/32, RFC 4380: through NATs */

    if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0 ||
        memcmp(ip, nat64, sizeof(nat64)) == 0)
        return v4_is_public(ip + 12);
    if (ip[0] == 0x20 && ip[1] == 0x02) /* 6to4, RFC 3056 */
        return v4_is_public(ip + 2);
    /* All global unicast addresses there are come from 2000::/3; the rest is special. */
    return ip[0] >> 5 == 1 && memcmp(ip, teredo, sizeof(teredo)) != 0;
}

bool address_is_public(const struct address *address)
{
    struct turbo_address plain;

    if (address_family(address) == AF_UNSPEC)
        return false;
    address_to_turbo(address, &plain);
    return v6_is_public(plain.ip);
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

bool address_is_loopback(const struct address *address)
{
    if (address_family(address) == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
    return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}
