/* Tests that hold whichever TLS library is at which end: each runs once for every pair of them. */
#ifndef TEST_TUNNEL_EACH_H
#define TEST_TUNNEL_EACH_H

#include "tests/unit/support/check.h"
#include "tests/unit/support/tunnel_pair.h"
#include "tests/unit/support/tunnel_world.h"

/* What a test's state points to. */
struct each {
    const char *client, *server; /* "IMPL_OPENSSL3", "IMPL_GNUTLS" */
    struct world *world;
};

/* How many of `tests` failed. The world is made once. */
int each_run(const char *name, const struct CMUnitTest *tests, size_t count);

/* Must succeed; `end` says everything but the implementation. */
struct tunnel_context *each_client(const struct each *each, const struct world_end *end);
struct tunnel_context *each_server(const struct each *each, const struct world_end *end);
/* Must fail because of the configuration, with this in its text, up to " | " or all of it. */
void each_refuses(const struct each *each, bool server, const struct world_end *end,
                  const char *why);

/* CLIENT(each, .identity = "client", .trust = "root") */
#define CLIENT(each, ...) each_client(each, &(struct world_end){__VA_ARGS__})
#define SERVER(each, ...) each_server(each, &(struct world_end){__VA_ARGS__})

/* For loops over versions. */
#define ONLY_TLS12 "tls12 { }"
#define ONLY_TLS13 "tls13 { }"

/* The names behind "There are: " in an error, in place, NULL behind the last. */
enum { EACH_NAMES_MAX = 128 };
void each_offered(struct tunnel_error *error, const char *names[static EACH_NAMES_MAX]);
bool each_has(const char *const *names, const char *name);

/* Under valgrind, which is 20 to 50 times slower, some cases are cut short. */
bool each_is_slow(void);
/* Two libraries? What only takes long is not tried with every pair. */
bool each_is_mixed(const struct each *each);

#endif
