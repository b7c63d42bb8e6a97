#include "proxy/memory.h"

#include <stdlib.h>

struct memory *memory_create(size_t count)
{
    struct memory *memory = calloc(1, sizeof(*memory) + count * sizeof(struct memory_entry));
    if (memory != NULL)
        memory->count = count;
    return memory;
}

struct memory_entry *memory_of(struct memory *memory, const struct address *address)
{
    struct memory_entry *oldest = &memory->entries[0];
    uint64_t now = ++memory->clock;
    for (size_t i = 0; i < memory->count; i++) {
        struct memory_entry *e = &memory->entries[i];
        if (e->address.length != 0 && address_equal(&e->address, address)) {
            e->used = now;
            return e;
        }
        if (e->used < oldest->used)
            oldest = e;
    }
    *oldest = (struct memory_entry){.address = *address, .used = now};
    return oldest;
}
