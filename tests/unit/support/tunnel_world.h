/*
 * A world of certificates for tests of tunnels, made anew in a directory of its own, and contexts
 * from a configuration that names its files.
 *
 *   root ─┬─ ecdsa, rsa, ed25519     for server.example, *.wild.example, 192.0.2.1, 2001:db8::1
 *         ├─ elsewhere, subject      for other.example; for nothing, but with the right subject
 *         ├─ expired, future
 *         ├─ purpose                 for clients only
 *         ├─ client                  for clients: client.example, someone@client.example
 *         ├─ intermediate ─ chained, incomplete (without the intermediate), bent (its CA is none)
 *         └─ 1 ─ 2 ─ … ─ 9 ─ long    ten certificates are sent
 *   stranger root ─ stranger, stranger-whole (the root is sent along), stranger-client
 *   self                             issued by itself
 */
#ifndef TEST_TUNNEL_WORLD_H
#define TEST_TUNNEL_WORLD_H

#include <stdbool.h>

#include "tunnel/tunnel.h"

enum { WORLD_PATH_BYTES = 256 };

struct world {
    char directory[WORLD_PATH_BYTES];
};

/* Asserts that all of it works. */
void world_create(struct world *world);
/* Removes the files. */
void world_destroy(struct world *world);
/* "<directory>/<name>": the certificates of "rsa" are in "rsa.pem", its key in "rsa.key". */
const char *world_path(const struct world *world, const char *name, char path[WORLD_PATH_BYTES]);
/* All of a file, zero-terminated, to be freed. NULL: there is none. */
char *world_read(const struct world *world, const char *name);

/* One end's configuration. Everything may be NULL. */
struct world_end {
    const char *implementation; /* "IMPL_OPENSSL3" */
    const char *before;         /* in front of client or server, such as a provider */
    const char *identity;       /* whose certificates and key */
    const char *trust;          /* whose certificate; NULL: a client verifies nothing */
    const char *common;         /* more of common_options */
    const char *more;           /* more of tls */
};

/* NULL: `error`. */
struct tunnel_context *world_context(const struct world *world, bool server,
                                     const struct world_end *end, struct tunnel_error *error);
/* Of a client that trusts "root", and of a server that shows "ecdsa". */
void world_usual(const struct world *world, const char *implementation,
                 struct tunnel_context **client, struct tunnel_context **server);

#endif
