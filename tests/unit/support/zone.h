/*
 * A name server on the worker's loop whose names, addresses and HTTPS records are the test's; other
 * names do not exist. Answers may be held back.
 */
#ifndef TEST_ZONE_H
#define TEST_ZONE_H

#include "tests/unit/support/dns_server.h"
#include "tests/unit/support/worker_fixture.h"

enum { ZONE_NAMES_MAX = 8, ZONE_HELD_MAX = 8 };
enum { ZONE_A = DNS_A };

struct zone_name {
    const char *name;
    const char *addresses; /* "192.0.2.1 2001:db8::1", given in this order */
    bool has_record;       /* for HTTPS ... */
    uint16_t udp_port;     /* ... which says that TurboTLS is spoken here; 0: nothing of it */
};

struct zone {
    struct ev_loop *loop;
    struct dns_server server;
    struct zone_name names[ZONE_NAMES_MAX];
    size_t count;
    uint16_t holds; /* answers to questions of this type; 0: none */
    struct dns_message held[ZONE_HELD_MAX];
    size_t held_count;
    size_t asked; /* questions so far */
};

/* The worker asks it from now on. */
void zone_start(struct zone *zone, struct fixture *f);
void zone_stop(struct zone *zone);
void zone_add(struct zone *zone, const struct zone_name *name);
/* Gives the answers held back, and holds none any more. */
void zone_release(struct zone *zone);

#endif
