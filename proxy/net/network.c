#include "proxy/net/network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { V4_OFFSET = 96 /* bits of ::ffff:0:0/96 */, V6_BITS = 128, V4_BITS = 32 };

static const uint8_t mapped_prefix[V4_OFFSET / 8] = {[10] = 0xff, [11] = 0xff};

static bool is_v4(const struct network *network)
{
    return network->bits >= V4_OFFSET &&
           memcmp(network->prefix, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

/* A decimal number from 0 to `max`; -1: it is none. */
static int read_bits(const char *text, int max)
{
    size_t length = strlen(text);
    int bits = length >= 1 && length <= 3 && strspn(text, "0123456789") == length
                   ? (int)strtoul(text, NULL, 10)
                   : -1;

    return bits <= max ? bits : -1;
}

/* The bytes of `network` with all behind its bits 0. */
static void mask(const uint8_t in[static 16], uint8_t bits, uint8_t out[static 16])
{
    memset(out, 0, 16);
    memcpy(out, in, bits / 8);
    if (bits % 8 != 0)
        out[bits / 8] = (uint8_t)(in[bits / 8] & (0xff << (8 - bits % 8)));
}

const char *network_parse(const char *text, struct network *out)
{
    char host[INET6_ADDRSTRLEN] = "";
    size_t length = strcspn(text, "/");
    struct network read = {.bits = V6_BITS};
    uint8_t masked[16];
    int bits;

    *out = (struct network){.bits = 0};
    if (text[0] == '[')
        return "is not a network: an address is written without brackets here, as in 2001:db8::/32";
    if (length >= sizeof(host))
        return "is not a network; use an address or a prefix, such as 198.51.100.0/24 or "
               "2001:db8::/32";
    memcpy(host, text, length);
    if (inet_pton(AF_INET, host, read.prefix + sizeof(mapped_prefix)) == 1)
        memcpy(read.prefix, mapped_prefix, sizeof(mapped_prefix));
    else if (inet_pton(AF_INET6, host, read.prefix) != 1)
        return "is not a network; use an address or a prefix, such as 198.51.100.0/24 or "
               "2001:db8::/32";
    if (text[length] == '/') {
        bool v4 = strchr(host, ':') == NULL;

        bits = read_bits(text + length + 1, v4 ? V4_BITS : V6_BITS);
        if (bits < 0)
            return v4 ? "is not a network: behind the '/' of an IPv4 network goes a number from 0 "
                        "to 32"
                      : "is not a network: behind the '/' of an IPv6 network goes a number from 0 "
                        "to 128";
        read.bits = (uint8_t)(bits + (v4 ? V4_OFFSET : 0));
    }
    mask(read.prefix, read.bits, masked);
    if (memcmp(masked, read.prefix, sizeof(masked)) != 0)
        return "is not a network: bits are set behind its prefix; an address alone has no '/', and "
               "a network ends in zeros, as 198.51.100.0/24 does";
    *out = read;
    return NULL;
}

bool network_holds(const struct network *network, const struct address *address)
{
    struct turbo_address plain;
    uint8_t masked[16];

    if (address_family(address) == AF_UNSPEC)
        return false;
    /* ::/0 has every IPv6 address, and no IPv4 one. */
    if (is_v4(network) != (address_family(address) == AF_INET))
        return false;
    address_to_turbo(address, &plain);
    mask(plain.ip, network->bits, masked);
    return memcmp(masked, network->prefix, sizeof(masked)) == 0;
}

bool networks_hold(const struct networks *networks, const struct address *address)
{
    for (size_t i = 0; i < networks->count; i++)
        if (network_holds(&networks->list[i], address))
            return true;
    return false;
}

const char *network_text(const struct network *network, char text[static NETWORK_TEXT_BYTES])
{
    bool v4 = is_v4(network);
    char ip[INET6_ADDRSTRLEN];

    inet_ntop(v4 ? AF_INET : AF_INET6, network->prefix + (v4 ? sizeof(mapped_prefix) : 0), ip,
              sizeof(ip));
    if (network->bits == V6_BITS)
        (void)snprintf(text, NETWORK_TEXT_BYTES, "%s", ip);
    else
        (void)snprintf(text, NETWORK_TEXT_BYTES, "%s/%d", ip, network->bits - (v4 ? V4_OFFSET : 0));
    return text;
}
