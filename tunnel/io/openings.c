#include "tunnel/io/openings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tunnel/net/socket.h"

/* A ClientHello, and what comes with it in the same segments. */
enum { ROOM_FIRST = 2048, ROOM_MAX = TURBO_HELLO_MAX + 32 * 1024 };

struct opening *openings_add(struct openings *list, int fd, const struct address *peer,
                             turbo_time now)
{
    struct opening *o = calloc(1, sizeof(*o));
    if (o == NULL)
        return NULL;
    o->fd = fd;
    o->peer = *peer;
    o->since = now;
    turbo_opening_init(&o->opening);
    o->previous = list->newest;
    *(list->newest == NULL ? &list->oldest : &list->newest->next) = o;
    list->newest = o;
    list->count++;
    return o;
}

void openings_remove(struct openings *list, struct opening *o, bool reset)
{
    *(o->previous == NULL ? &list->oldest : &o->previous->next) = o->next;
    *(o->next == NULL ? &list->newest : &o->next->previous) = o->previous;
    list->count--;
    if (reset)
        socket_reset(o->fd);
    else
        socket_close(o->fd);
    free(o->bytes);
    free(o);
}

static bool make_room(struct opening *o)
{
    if (o->length < o->capacity)
        return true;
    size_t capacity = o->capacity == 0 ? ROOM_FIRST : 2 * o->capacity;
    uint8_t *bytes = capacity > ROOM_MAX ? NULL : realloc(o->bytes, capacity);
    if (bytes == NULL)
        return false;
    o->bytes = bytes;
    o->capacity = capacity;
    return true;
}

static enum opening_news judge(struct opening *o, struct turbo_endpoint *endpoint, size_t from)
{
    struct turbo_address client;
    address_to_turbo(&o->peer, &client);
    struct turbo_opener opener = {.endpoint = endpoint, .from = &client};
    size_t used = turbo_opening_push(&o->opening, o->bytes + from, o->length - from,
                                     turbo_opener_prefix_known, &opener);
    switch (o->opening.kind) {
    case TURBO_OPENING_MORE: return OPENING_MORE;
    case TURBO_OPENING_CLASSIC: return OPENING_CLASSIC;
    case TURBO_OPENING_OTHER: return OPENING_OTHER;
    case TURBO_OPENING_TOMBSTONE: break;
    }
    if (o->afresh)
        return OPENING_OTHER; /* one behind another (protocol §5.8) */
    o->length -= from + used;
    memmove(o->bytes, o->bytes + from + used, o->length);
    return OPENING_TOMBSTONE;
}

enum opening_news opening_read(struct opening *o, struct turbo_endpoint *endpoint)
{
    enum opening_news news = OPENING_MORE;
    while (news == OPENING_MORE) {
        if (!make_room(o))
            return OPENING_ENDED;
        ssize_t n = recv(o->fd, o->bytes + o->length, o->capacity - o->length, 0);
        if (n < 0 && socket_is_again(errno))
            return OPENING_MORE;
        if (n <= 0) /* an end settles it: what has come is no opening of ours */
            return n == 0 && o->length > 0 ? OPENING_OTHER : OPENING_ENDED;
        o->length += (size_t)n;
        news = judge(o, endpoint, o->length - (size_t)n);
    }
    return news;
}

enum opening_news opening_judge_afresh(struct opening *o, struct turbo_endpoint *endpoint)
{
    o->afresh = true;
    turbo_opening_init(&o->opening);
    return judge(o, endpoint, 0);
}
