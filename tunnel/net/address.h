/*
 * Socket addresses: IPv4, IPv6, and the text of either.
 *
 * One type for both families. IPv4-mapped IPv6 addresses, as dual-stack sockets report them, are
 * turned into plain IPv4 on the way in, so that equal peers compare equal and print alike.
 */
#ifndef TUNNEL_NET_ADDRESS_H
#define TUNNEL_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "turbo/turbo.h"

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t length; /* 0: no address */
};

/* Room for "[" + the longest IPv6 text with a scope + "]:65535" and a zero byte. */
enum { ADDRESS_TEXT_BYTES = 80 };

/*
 * Reads a literal IPv4 or IPv6 address (no brackets, "%scope" allowed for IPv6) with a port.
 * Returns false when `host` is no literal; a name is not looked up.
 */
bool address_from_literal(struct address *out, const char *host, uint16_t port);

/* Copies what accept, recvmsg, getaddrinfo or getsockname gave; mapped IPv4 becomes IPv4. */
void address_from_sockaddr(struct address *out, const struct sockaddr *sa, socklen_t length);

/* The wildcard of a family: AF_INET 0.0.0.0, AF_INET6 [::]. */
void address_wildcard(struct address *out, int family, uint16_t port);

uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);
int address_family(const struct address *address); /* AF_INET, AF_INET6, or AF_UNSPEC when empty */

bool address_equal(const struct address *a, const struct address *b);

/* 127.0.0.0/8, ::1. It is not empty. */
bool address_is_loopback(const struct address *address);
/*
 * Could it be anybody's? Not: loopback, private (RFC 1918), carrier-grade NAT (RFC 6598),
 * link-local, unique local (RFC 4193), multicast, unspecified, broadcast, reserved and benchmarking
 * addresses, IPv6 outside of 2000::/3, Teredo, and IPv6 addresses that stand for such an IPv4 one
 * (mapped, NAT64 64:ff9b::/96, 6to4). An empty one is not.
 */
bool address_is_public(const struct address *address);

/* "192.0.2.1:443", "[2001:db8::1]:443", "[fe80::1%eth0]:443"; "-" when empty. Returns `text`. */
const char *address_text(const struct address *address, char text[static ADDRESS_TEXT_BYTES]);

/* libturbo's form (IPv4 mapped into 16 bytes), and back. Scope ids are kept. */
void address_to_turbo(const struct address *address, struct turbo_address *out);
void address_from_turbo(const struct turbo_address *turbo, struct address *out);

#endif
