/*
 * What is remembered of each upstream address: bounded, the least recently used one makes room
 * (protocol §6.9).
 */
#ifndef PROXY_MEMORY_H
#define PROXY_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/net/address.h"
#include "turbo/learned.h"

enum { MEMORY_ADDRESSES_MAX = 64 };

struct memory_entry {
    struct address address; /* empty: free */
    struct turbo_learned learned;
    uint64_t used; /* when, in look-ups */
};

struct memory {
    uint64_t clock;
    size_t count;                  /* at least 1 */
    struct memory_entry entries[]; /* all zero at first */
};

/* Of `count` (at least 1) addresses; freed with free. NULL: out of memory. */
struct memory *memory_create(size_t count);
/* The entry of `address`, made if it is not there. Valid until the next call. */
struct memory_entry *memory_of(struct memory *memory, const struct address *address);

#endif
