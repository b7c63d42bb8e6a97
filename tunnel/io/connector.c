#include "tunnel/io/connector.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/io/lookup.h"
#include "tunnel/net/socket.h"

#define RACE_DELAY (250 * TURBO_MILLISECOND) /* RFC 8305 §5, Connection Attempt Delay */

enum {
    HOST_MAX = 255, /* RFC 1035 §2.3.4; an address with its scope is shorter */
    ATTEMPTS_MAX = TUNNEL_WATCH_MAX - 1, /* one is for UDP */
    REASONS_BYTES = 512,
    FIRST = 0, /* without race: of the two SYNs to one address */
    SECOND = 1,
};

struct attempt {
    int fd; /* -1: none */
    size_t address;
    turbo_time since;
};

struct connector {
    enum connector_state state;
    bool race;
    uint16_t port;
    char *servers; /* NULL: the system's */
    turbo_time give_up, resolved_at;
    struct lookup *lookup;
    struct address addresses[LOOKUP_ADDRESSES_MAX];
    size_t count, next;
    struct attempt attempts[ATTEMPTS_MAX];
    unsigned begun;
    turbo_time next_at;  /* the next address is tried then, if there is one */
    turbo_time fresh_at; /* a second SYN is replaced, or first made, then */
    int fd;              /* once up; -1: taken */
    size_t up;           /* its address */
    int timeout_ms;
    enum tunnel_result result;
    char reasons[REASONS_BYTES]; /* "192.0.2.1:443: Connection refused; …" */
    char error[REASONS_BYTES + HOST_MAX + 64];
    char host[HOST_MAX + 1];
};

/* ---- why not ---- */

__attribute__((format(printf, 3, 4))) static void fail(struct connector *c,
                                                       enum tunnel_result result,
                                                       const char *format, ...)
{
    va_list values;
    va_start(values, format);
    (void)vsnprintf(c->error, sizeof(c->error), format, values);
    va_end(values);
    c->state = CONNECTOR_FAILED;
    c->result = result;
}

static void note(struct connector *c, size_t address, const char *words)
{
    char text[ADDRESS_TEXT_BYTES];
    size_t used = strlen(c->reasons);
    (void)snprintf(c->reasons + used, sizeof(c->reasons) - used, "%s%s: %s", used > 0 ? "; " : "",
                   address_text(&c->addresses[address], text), words);
}

/* ---- attempts ---- */

static void drop(struct attempt *a)
{
    socket_close(a->fd);
    a->fd = -1;
}

static void drop_all(struct connector *c)
{
    for (size_t i = 0; i < ATTEMPTS_MAX; i++)
        drop(&c->attempts[i]);
}

static size_t running(const struct connector *c)
{
    size_t count = 0;
    for (size_t i = 0; i < ATTEMPTS_MAX; i++)
        count += c->attempts[i].fd >= 0;
    return count;
}

static struct attempt *free_attempt(struct connector *c)
{
    for (size_t i = 0; i < ATTEMPTS_MAX; i++)
        if (c->attempts[i].fd < 0)
            return &c->attempts[i];
    return NULL;
}

static struct attempt *oldest_attempt(struct connector *c)
{
    struct attempt *oldest = &c->attempts[0];
    for (size_t i = 1; i < ATTEMPTS_MAX; i++)
        if (c->attempts[i].since < oldest->since)
            oldest = &c->attempts[i];
    return oldest;
}

/* The addresses that are left share the time that is left, and most of it is the last one's. */
static turbo_time share_of_time(const struct connector *c, turbo_time now)
{
    turbo_time left = c->give_up > now ? c->give_up - now : 0;
    turbo_time share = left / (c->count - c->next + 1);
    bool is_last = c->next == c->count;
    return !is_last && share > TURBO_ADDRESS_TIME / c->count ? TURBO_ADDRESS_TIME / c->count
                                                             : share;
}

/* To the next address. False: not even that could be done. */
static bool begin(struct connector *c, struct attempt *a, turbo_time now)
{
    size_t address = c->next++;
    int fd = socket_connect_tcp(&c->addresses[address], 0);
    if (fd < 0) {
        note(c, address, strerror(errno));
        return false;
    }
    *a = (struct attempt){.fd = fd, .address = address, .since = now};
    c->begun++;
    c->next_at = now + (c->race ? RACE_DELAY : share_of_time(c, now));
    c->fresh_at = now + TURBO_FRESH_SYN_TIME;
    return true;
}

static void failed(struct connector *c, struct attempt *a, const char *words, turbo_time now)
{
    if (!c->race && a == &c->attempts[SECOND]) {
        drop(a); /* the first one decides, as if there had never been a second */
        return;
    }
    note(c, a->address, words);
    if (c->race)
        drop(a);
    else
        drop_all(c);
    c->next_at = now;
}

static void is_up(struct connector *c, struct attempt *a)
{
    c->fd = a->fd;
    c->up = a->address;
    a->fd = -1;
    drop_all(c);
    c->state = CONNECTOR_UP;
}

static void look(struct connector *c, turbo_time now)
{
    struct pollfd fds[ATTEMPTS_MAX];
    for (size_t i = 0; i < ATTEMPTS_MAX; i++)
        fds[i] = (struct pollfd){.fd = c->attempts[i].fd, .events = POLLOUT};
    if (poll(fds, ATTEMPTS_MAX, 0) <= 0)
        return;
    for (size_t i = 0; i < ATTEMPTS_MAX && c->state == CONNECTOR_CONNECTING; i++) {
        struct attempt *a = &c->attempts[i];
        if (fds[i].revents == 0 || a->fd < 0)
            continue;
        int error = socket_error(a->fd);
        if (error == 0)
            is_up(c, a);
        else
            failed(c, a, strerror(error), now);
    }
}

/* Which address is next, and is it its turn? */
static void pace_race(struct connector *c, turbo_time now)
{
    while (c->next < c->count && (now >= c->next_at || running(c) == 0)) {
        struct attempt *a = free_attempt(c);
        if (a == NULL && oldest_attempt(c)->since + TURBO_ADDRESS_TIME > now) {
            c->next_at = oldest_attempt(c)->since + TURBO_ADDRESS_TIME;
            return;
        }
        if (a == NULL) {
            a = oldest_attempt(c);
            failed(c, a, "no answer", now);
        }
        (void)begin(c, a, now);
    }
}

static void pace_sequence(struct connector *c, turbo_time now)
{
    struct attempt *first = &c->attempts[FIRST];
    if (first->fd >= 0 && c->next < c->count && now >= c->next_at)
        failed(c, first, "no answer", now);
    while (first->fd < 0 && c->next < c->count)
        (void)begin(c, first, now);
    if (first->fd >= 0 && now >= c->fresh_at)
        connector_again(c, now);
}

static void give_up(struct connector *c)
{
    for (size_t i = 0; i < ATTEMPTS_MAX; i++)
        if (c->attempts[i].fd >= 0 && (c->race || i == FIRST))
            note(c, c->attempts[i].address, "no answer");
    drop_all(c);
    fail(c, TUNNEL_TIMEOUT, "no connection to %s within %d ms: %s", c->host, c->timeout_ms,
         c->reasons);
}

static void connect_step(struct connector *c, turbo_time now)
{
    look(c, now);
    if (c->state != CONNECTOR_CONNECTING)
        return;
    if (now >= c->give_up) {
        give_up(c);
        return;
    }
    if (c->race)
        pace_race(c, now);
    else
        pace_sequence(c, now);
    if (running(c) == 0)
        fail(c, TUNNEL_UNREACHED, "cannot connect to %s: %s", c->host, c->reasons);
}

void connector_again(struct connector *c, turbo_time now)
{
    const struct attempt *first = &c->attempts[FIRST];
    struct attempt *second = &c->attempts[SECOND];
    if (c->race || c->state != CONNECTOR_CONNECTING || first->fd < 0)
        return;
    drop(second);
    *second = (struct attempt){.fd = socket_connect_tcp(&c->addresses[first->address], 0),
                               .address = first->address,
                               .since = now};
    c->fresh_at = now + TURBO_FRESH_SYN_TIME;
}

void connector_repeat(struct connector *c)
{
    assert(!c->race && (c->state == CONNECTOR_CONNECTING || c->state == CONNECTOR_UP));
    c->next = c->state == CONNECTOR_UP ? c->up : c->attempts[FIRST].address;
    drop_all(c);
    socket_close(c->fd);
    c->fd = -1;
    c->state = CONNECTOR_CONNECTING;
}

/* ---- the name ---- */

static void resolve(struct connector *c, turbo_time now)
{
    if (c->lookup == NULL)
        c->lookup = lookup_start(c->host, c->servers);
    if (c->lookup == NULL) {
        fail(c, TUNNEL_MEMORY, "no memory to look %s up", c->host);
    } else if (lookup_step(c->lookup)) {
        c->count = lookup_addresses(c->lookup, c->addresses);
        for (size_t i = 0; i < c->count; i++)
            address_set_port(&c->addresses[i], c->port);
        c->resolved_at = now;
        c->state = CONNECTOR_CONNECTING;
        if (c->count == 0)
            fail(c, TUNNEL_UNREACHED, "cannot resolve %s: %s", c->host, lookup_error(c->lookup));
        lookup_free(c->lookup);
        c->lookup = NULL;
    } else if (now >= c->give_up) {
        fail(c, TUNNEL_TIMEOUT, "the name %s did not resolve within %d ms", c->host, c->timeout_ms);
    }
}

/* ---- as others see it ---- */

struct connector *connector_start(const struct tunnel_io_dial *dial, bool race, turbo_time now)
{
    const char *servers = dial->name_servers;
    size_t length = dial->host == NULL ? 0 : strlen(dial->host);
    if (length == 0 || length > HOST_MAX) {
        errno = EINVAL;
        return NULL;
    }
    struct connector *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return NULL;
    c->servers = servers == NULL ? NULL : strdup(servers);
    if (servers != NULL && c->servers == NULL) {
        free(c);
        return NULL;
    }
    c->state = CONNECTOR_RESOLVING;
    c->race = race;
    c->port = dial->port;
    c->timeout_ms =
        dial->timeout_ms > 0 ? dial->timeout_ms : (int)(TURBO_CONNECT_TIME / TURBO_MILLISECOND);
    c->give_up = now + (turbo_time)c->timeout_ms * (turbo_time)TURBO_MILLISECOND;
    for (size_t i = 0; i < ATTEMPTS_MAX; i++)
        c->attempts[i].fd = -1;
    c->fd = -1;
    memcpy(c->host, dial->host, length + 1);
    return c;
}

enum connector_state connector_step(struct connector *c, turbo_time now)
{
    if (c->state == CONNECTOR_RESOLVING)
        resolve(c, now);
    if (c->state == CONNECTOR_CONNECTING)
        connect_step(c, now);
    return c->state;
}

static turbo_time next_turn(const struct connector *c)
{
    turbo_time first = c->next < c->count ? c->next_at : c->give_up;
    return !c->race && c->fresh_at < first ? c->fresh_at : first;
}

void connector_watch(const struct connector *c, turbo_time now, struct tunnel_watch *watch)
{
    turbo_time deadline = c->give_up;
    if (c->state == CONNECTOR_RESOLVING && c->lookup != NULL) {
        lookup_watch(c->lookup, now, watch);
    } else if (c->state != CONNECTOR_CONNECTING || running(c) == 0) {
        deadline = now; /* a step is due */
    } else {
        for (size_t i = 0; i < ATTEMPTS_MAX; i++)
            if (c->attempts[i].fd >= 0)
                watch->fds[watch->count++] =
                    (struct pollfd){.fd = c->attempts[i].fd, .events = POLLOUT};
        deadline = next_turn(c) < deadline ? next_turn(c) : deadline;
    }
    if (deadline < watch->deadline_us)
        watch->deadline_us = deadline;
}

unsigned connector_attempt(const struct connector *c, int *fd, struct address *peer)
{
    if (c->begun > 0) {
        *fd = c->state == CONNECTOR_UP ? c->fd : c->attempts[FIRST].fd;
        *peer = c->addresses[c->next - 1];
    }
    return c->begun;
}

int connector_take(struct connector *c, struct address *peer)
{
    int fd = c->fd;
    assert(c->state == CONNECTOR_UP && fd >= 0);
    c->fd = -1;
    *peer = c->addresses[c->up];
    socket_retry_evenly(fd);
    return fd;
}

enum tunnel_result connector_result(const struct connector *c)
{
    return c->result;
}

const char *connector_error(const struct connector *c)
{
    return c->error[0] == '\0' ? NULL : c->error;
}

turbo_time connector_resolved_at(const struct connector *c)
{
    return c->resolved_at;
}

void connector_free(struct connector *c)
{
    if (c == NULL)
        return;
    lookup_free(c->lookup);
    drop_all(c);
    socket_close(c->fd);
    free(c->servers);
    free(c);
}
