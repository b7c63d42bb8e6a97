#include "proxy/ops/blocks.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>

/* A block under a sanitizer is malloc's and freed at once, so that it sees who still uses it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SPARE_MAX = 0, IS_MAPPED = 0 };
#else
enum { SPARE_MAX = 64, IS_MAPPED = 1 };
#endif

static const double UNUSED_SECONDS = 1.;

struct block {
    _Alignas(max_align_t) size_t kind;
    struct block *next; /* while it is spare */
};

static void *get(size_t bytes)
{
    if (!IS_MAPPED)
        return malloc(bytes);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void drop(const struct blocks *b, struct block *block)
{
    if (IS_MAPPED)
        (void)munmap(block, sizeof(*block) + b->kinds[block->kind].bytes);
    else
        free(block);
}

static struct block *take_spare(struct blocks *b, size_t kind)
{
    struct block *block = b->kinds[kind].spare;
    if (block != NULL) {
        b->kinds[kind].spare = block->next;
        b->kinds[kind].count--;
    }
    return block;
}

/* What has been spare all the time since it fired last is more than is needed. */
static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct blocks *b = timer->data;
    size_t left = 0;
    for (size_t kind = 0; kind < BLOCKS_SIZES; kind++) {
        for (; b->kinds[kind].unused > 0; b->kinds[kind].unused--)
            drop(b, take_spare(b, kind));
        b->kinds[kind].unused = b->kinds[kind].count;
        left += b->kinds[kind].count;
    }
    if (left == 0)
        ev_timer_stop(loop, timer);
}

void blocks_init(struct blocks *b, struct ev_loop *loop)
{
    *b = (struct blocks){.loop = loop};
    ev_timer_init(&b->timer, on_timer, 0., UNUSED_SECONDS);
    b->timer.data = b;
}

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
    struct block *block = take_spare(b, kind);
    if (block != NULL) {
        if (b->kinds[kind].unused > b->kinds[kind].count)
            b->kinds[kind].unused = b->kinds[kind].count;
        return block + 1;
    }
    block = get(sizeof(*block) + bytes);
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
        drop(b, block);
        return;
    }
    block->next = b->kinds[block->kind].spare;
    b->kinds[block->kind].spare = block;
    b->kinds[block->kind].count++;
    if (!ev_is_active(&b->timer))
        ev_timer_again(b->loop, &b->timer);
}

void blocks_end(struct blocks *b)
{
    for (size_t kind = 0; kind < BLOCKS_SIZES; kind++) {
        struct block *block;
        while ((block = take_spare(b, kind)) != NULL)
            drop(b, block);
        b->kinds[kind].unused = 0;
    }
    ev_timer_stop(b->loop, &b->timer);
}
