/*
 * A resolver, and the DNS server it asks, on a loop of their own.
 */
#ifndef TEST_RESOLVER_WORLD_H
#define TEST_RESOLVER_WORLD_H

#include "tests/unit/support/dns_server.h"

#include "proxy/net/resolver.h"

enum { WORLD_QUESTIONS_MAX = 2 * RESOLVER_NAMES_MAX, WORLD_HELD_MAX = 16 };

enum manner { ANSWERS, HOLDS_BACK, IS_SILENT, LOSES_THE_FIRST };

struct resolver_world {
    struct ev_loop *loop;
    struct resolver *resolver;
    ev_timer guard; /* ends a test that hangs */
    struct dns_server server;
    enum manner (*answer)(struct dns_message *message);
    uint16_t type;                   /* that the test is about */
    char (*questions)[DNS_NAME_MAX]; /* the names this was asked for */
    size_t question_count, other_count /* questions of other types */;
    struct dns_message held[WORLD_HELD_MAX];
    size_t held_count;
};

/* `answer` puts the records, and says what happens to them. */
struct resolver_world *resolver_world_create(uint16_t type,
                                             enum manner (*answer)(struct dns_message *message));
void resolver_world_destroy(struct resolver_world *world);

/* A new resolver in the place of the old one, which may be gone already. */
void make_resolver(struct resolver_world *world, uint32_t mark);

/* How often the name was asked for. */
int asked(const struct resolver_world *world, const char *name);
/* Sends what was held back. */
void release_held(struct resolver_world *world);

/* Until the name was asked for so often; until so many answers have come, and no more. */
void run_until_asked(struct resolver_world *world, const char *name, int times);
void run_until_answered(struct resolver_world *world, const int *calls, int count);

#endif
