#include "proxy/ops/blocks.h"

#include <assert.h>
#include <stdlib.h>

/* A block under a sanitizer is freed at once, so that it sees who still uses it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SPARE_MAX = 0 };
#else
enum { SPARE_MAX = 64 };
#endif

struct block {
    _Alignas(max_align_t) size_t kind;
    struct block *next; /* while it is spare */
};

static size_t kind_of(struct blocks *b, size_t bytes)
{
    size_t kind = 0;
    while (b->kinds[kind].bytes != 0 && b->kinds[kind].bytes != bytes) {
        kind++;
        assert(kind < BLOCKS_SIZES);
    }
    b->kinds[kind].bytes = bytes;
    return kind;
}

void *blocks_take(struct blocks *b, size_t bytes)
{
    size_t kind = kind_of(b, bytes);
    struct block *block = b->kinds[kind].spare;
    if (block != NULL) {
        b->kinds[kind].spare = block->next;
        b->kinds[kind].count--;
        return block + 1;
    }
    block = malloc(sizeof(*block) + bytes);
    if (block == NULL)
        return NULL;
    block->kind = kind;
    return block + 1;
}

void blocks_give(struct blocks *b, void *memory)
{
    if (memory == NULL)
        return;
    struct block *block = (struct block *)memory - 1;
    if (b->kinds[block->kind].count + 1 > SPARE_MAX) {
        free(block);
        return;
    }
    block->next = b->kinds[block->kind].spare;
    b->kinds[block->kind].spare = block;
    b->kinds[block->kind].count++;
}

void blocks_end(struct blocks *b)
{
    for (size_t kind = 0; kind < BLOCKS_SIZES; kind++) {
        struct block *block;
        while ((block = b->kinds[kind].spare) != NULL) {
            b->kinds[kind].spare = block->next;
            free(block);
        }
        b->kinds[kind].count = 0;
    }
}
