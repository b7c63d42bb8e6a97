#include "turbo/opening.h"

#include <string.h>

#include "turbo/wire.h"

void turbo_opening_init(struct turbo_opening *o)
{
    memset(o, 0, sizeof(*o));
    turbo_client_hello_init(&o->hello);
}

static void judge_hello(struct turbo_opening *o)
{
    switch (o->hello.state) {
    case TURBO_HELLO_MORE: break;
    case TURBO_HELLO_COMPLETE:
    case TURBO_HELLO_TOO_LARGE: o->kind = TURBO_OPENING_CLASSIC; break;
    case TURBO_HELLO_NOT_TLS: o->kind = TURBO_OPENING_OTHER; break;
    }
}

/* The whole of an id of 16 bytes, and more: what follows it is a number. */
static void judge_sandwich(struct turbo_opening *o)
{
    if (o->prefix_bytes < SANDWICH_TOMBSTONE_BYTES)
        return;
    o->kind = sandwich_tombstone_decode(&o->tombstone, o->prefix) ? TURBO_OPENING_TOMBSTONE
                                                                  : TURBO_OPENING_OTHER;
}

/* Judges `prefix`, which has just grown by a byte. */
static void judge_prefix(struct turbo_opening *o, turbo_prefix_known *known, void *owner)
{
    enum turbo_prefix prefix = known(owner, o->prefix, o->prefix_bytes);
    if (prefix == TURBO_PREFIX_SANDWICH) {
        judge_sandwich(o);
        return;
    }
    if (turbo_starts_record(o->prefix, o->prefix_bytes)) {
        if (o->prefix_bytes < 2)
            return;
        o->is_hello = true;
        turbo_client_hello_push(&o->hello, o->prefix, o->prefix_bytes);
        return;
    }
    bool possible = turbo_looks_like_id(o->prefix, o->prefix_bytes) || prefix == TURBO_PREFIX_DRAFT;
    /* Longer ones have waited for a session that is gone now. */
    if (!possible || o->prefix_bytes > TURBO_TOMBSTONE_BYTES)
        o->kind = TURBO_OPENING_OTHER;
    else if (o->prefix_bytes == TURBO_TOMBSTONE_BYTES)
        o->kind = turbo_tombstone_decode(&o->tombstone, o->prefix) ? TURBO_OPENING_TOMBSTONE
                                                                   : TURBO_OPENING_OTHER;
}

size_t turbo_opening_push(struct turbo_opening *o, const uint8_t *data, size_t length,
                          turbo_prefix_known *known, void *owner)
{
    size_t used = 0;
    while (used < length && o->kind == TURBO_OPENING_MORE && !o->is_hello) {
        o->prefix[o->prefix_bytes++] = data[used++];
        judge_prefix(o, known, owner);
    }
    if (o->is_hello && o->kind == TURBO_OPENING_MORE) {
        used += turbo_client_hello_push(&o->hello, data + used, length - used);
        judge_hello(o);
    }
    return used;
}

int turbo_opening_owner(const struct turbo_opening *o, turbo_sha256 *sha256, const uint8_t *data,
                        size_t length, unsigned count)
{
    struct turbo_id id;
    bool undecided = turbo_starts_record(data, length) && o->kind == TURBO_OPENING_MORE;
    if (length <= TURBO_SHARE_BYTE || undecided || o->hello.state == TURBO_HELLO_TOO_LARGE)
        return -1;
    if (o->kind != TURBO_OPENING_CLASSIC) /* it may be a pending id, whatever it looks like */
        return (int)(data[TURBO_SHARE_BYTE] % count);
    turbo_id_from_hello(&id, sha256, data, o->hello.length);
    return (int)(id.bytes[TURBO_SHARE_BYTE] % count);
}
