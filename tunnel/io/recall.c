#include "tunnel/io/recall.h"

#include <pthread.h>
#include <stdlib.h>

#include "turbo/learned.h"

enum { ADDRESSES_MAX = 256 };

struct tunnel_memory {
    pthread_mutex_t lock;
    uint64_t clock;
    struct known {
        struct address address; /* empty: free */
        uint64_t used;          /* when, in look-ups */
        struct turbo_learned learned;
    } known[ADDRESSES_MAX];
};

struct tunnel_memory *tunnel_memory_new(void)
{
    struct tunnel_memory *memory = calloc(1, sizeof(*memory));
    if (memory != NULL && pthread_mutex_init(&memory->lock, NULL) != 0) {
        free(memory);
        return NULL;
    }
    return memory;
}

void tunnel_memory_free(struct tunnel_memory *memory)
{
    if (memory == NULL)
        return;
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

/* Made if it is not there. The lock is held until unlock(). */
static struct turbo_learned *lock(struct tunnel_memory *memory, const struct address *address)
{
    pthread_mutex_lock(&memory->lock);
    struct known *oldest = &memory->known[0];
    uint64_t now = ++memory->clock;
    for (size_t i = 0; i < ADDRESSES_MAX; i++) {
        struct known *k = &memory->known[i];
        if (k->address.length != 0 && address_equal(&k->address, address)) {
            k->used = now;
            return &k->learned;
        }
        if (k->used < oldest->used)
            oldest = k;
    }
    *oldest = (struct known){.address = *address, .used = now};
    return &oldest->learned;
}

static void unlock(struct tunnel_memory *memory)
{
    pthread_mutex_unlock(&memory->lock);
}

void recall_configure(struct tunnel_memory *memory, const struct address *asked, turbo_time now,
                      struct turbo_client_config *config)
{
    if (memory == NULL)
        return;
    turbo_learned_configure(lock(memory, asked), now, config);
    unlock(memory);
}

void recall_note(struct tunnel_memory *memory, const struct address *asked, turbo_time now,
                 const struct turbo_client_report *report)
{
    if (memory == NULL)
        return;
    turbo_learned_note(lock(memory, asked), now, report);
    unlock(memory);
}

void recall_speaks(struct tunnel_memory *memory, const struct address *asked)
{
    if (memory == NULL)
        return;
    lock(memory, asked)->speaks = true;
    unlock(memory);
}
