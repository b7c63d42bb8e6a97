/*
 * Memory that is freed all at once, and wiped before it is: there may be keys in it.
 */
#ifndef TUNNEL_CONFIG_ARENA_H
#define TUNNEL_CONFIG_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

struct arena_block;

/* Zeroed: empty. */
struct arena {
    struct arena_block *blocks;
    bool failed; /* there was not enough of it, once at least */
};

/* `count` zeroed items; NULL: none were asked for, or there is not enough, which `failed` says. */
void *arena_take(struct arena *arena, size_t count, size_t bytes);
char *arena_text(struct arena *arena, const char *text);
void arena_release(struct arena *arena);

/* For protobuf-c: malloc's memory, wiped when it is freed. */
ProtobufCAllocator arena_wiping(void);

#endif
