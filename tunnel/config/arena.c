#include "tunnel/config/arena.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
    struct arena_block *next;
    size_t length;
    max_align_t bytes[];
};

void *arena_take(struct arena *arena, size_t count, size_t bytes)
{
    struct arena_block *block = NULL;

    if (count == 0)
        return NULL;
    if (count <= (SIZE_MAX - sizeof(*block)) / bytes)
        block = calloc(1, sizeof(*block) + count * bytes);
    if (block == NULL) {
        arena->failed = true;
        return NULL;
    }
    block->length = count * bytes;
    block->next = arena->blocks;
    arena->blocks = block;
    return block->bytes;
}

char *arena_text(struct arena *arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = arena_take(arena, bytes, 1);

    return copy == NULL ? NULL : memcpy(copy, text, bytes);
}

void arena_release(struct arena *arena)
{
    struct arena_block *next;

    for (struct arena_block *block = arena->blocks; block != NULL; block = next) {
        next = block->next;
        explicit_bzero(block->bytes, block->length);
        free(block);
    }
    *arena = (struct arena){0};
}

static void *wiping_alloc(void *unused, size_t bytes)
{
    (void)unused;
    return malloc(bytes);
}

static void wiping_free(void *unused, void *block)
{
    (void)unused;
    if (block != NULL)
        explicit_bzero(block, malloc_usable_size(block));
    free(block);
}

ProtobufCAllocator arena_wiping(void)
{
    return (ProtobufCAllocator){.alloc = wiping_alloc, .free = wiping_free};
}
