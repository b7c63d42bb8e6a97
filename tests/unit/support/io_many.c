#include "tests/unit/support/io_many.h"

enum { PATIENCE_MS = 30000, FDS_MAX = (2 * IO_MANY + 1) * TUNNEL_WATCH_MAX };

static const char answer[] = "answer";

static struct client {
    struct tunnel_io *io;
    enum tunnel_result wants; /* what the last call gave */
    uint8_t says[IO_MANY_FIRST_MAX + sizeof(answer)], hears[IO_MANY_FIRST_MAX + sizeof(answer)];
    size_t first, all; /* bytes of its first words, and with the answer */
    size_t said, heard;
} clients[IO_MANY];

static struct server {
    struct tunnel_io *io;
    uint8_t held[IO_MANY_FIRST_MAX]; /* to be said again */
    size_t length;
    enum tunnel_result wants;
} servers[IO_MANY];

static size_t accepted;

void io_many_client(size_t i, struct tunnel_io *io, const void *first, size_t length)
{
    struct client *c = &clients[i];
    assert_true(io != NULL && length <= IO_MANY_FIRST_MAX);
    *c = (struct client){.io = io, .first = length, .all = length + strlen(answer)};
    memcpy(c->says, first, length);
    memcpy(c->says + length, answer, strlen(answer));
    accepted = 0;
}

/* True: it is not to be called again before something has happened. */
static bool waits(enum tunnel_result result)
{
    if (result != TUNNEL_OK && result != TUNNEL_WANT_READ && result != TUNNEL_WANT_WRITE)
        fail_msg("%s", tunnel_result_name(result));
    return result != TUNNEL_OK;
}

static void client_step(struct client *c)
{
    size_t n;
    do {
        /* The answer is said once the first words were heard. */
        size_t may = c->heard >= c->first ? c->all : c->first;
        if (c->said < may) {
            c->wants = tunnel_io_write(c->io, c->says + c->said, may - c->said, &n);
            c->said += n;
        } else {
            c->wants = tunnel_io_read(c->io, c->hears + c->heard, may - c->heard, &n);
            c->heard += n;
        }
    } while (c->heard < c->all && !waits(c->wants));
    assert_memory_equal(c->says, c->hears, c->heard);
}

static void server_step(struct server *s)
{
    size_t n;
    do {
        if (s->length == 0) {
            s->wants = tunnel_io_read(s->io, s->held, sizeof(s->held), &n);
            s->length = n;
        } else {
            s->wants = tunnel_io_write(s->io, s->held, s->length, &n);
            s->length -= n;
            memmove(s->held, s->held + n, s->length);
        }
    } while (!waits(s->wants));
}

static void add(struct tunnel_watch *all, const struct tunnel_watch *one, struct pollfd *fds,
                nfds_t *count)
{
    memcpy(fds + *count, one->fds, one->count * sizeof(fds[0]));
    *count += one->count;
    if (one->deadline_us < all->deadline_us)
        all->deadline_us = one->deadline_us;
}

/* As tunnel_io_wait, for all of them. */
static void wait_for_any(struct tunnel_listener *listener)
{
    static struct pollfd fds[FDS_MAX];
    struct tunnel_watch all = {.deadline_us = TUNNEL_FOR_EVER}, one = {.count = 0};
    nfds_t count = 0;
    tunnel_listener_watch(listener, &one);
    add(&all, &one, fds, &count);
    for (size_t i = 0; i < IO_MANY; i++) {
        if (clients[i].heard < clients[i].all) {
            tunnel_io_watch(clients[i].io, clients[i].wants, &one);
            add(&all, &one, fds, &count);
        }
        if (i < accepted) {
            tunnel_io_watch(servers[i].io, servers[i].wants, &one);
            add(&all, &one, fds, &count);
        }
    }
    /* A deadline is soon, where there is one: some milliseconds. */
    assert_true(poll(fds, count, all.deadline_us == TUNNEL_FOR_EVER ? PATIENCE_MS : 1) > 0 ||
                all.deadline_us != TUNNEL_FOR_EVER);
}

void io_many_run(struct tunnel_listener *listener)
{
    for (;;) {
        size_t done = 0;
        for (size_t i = 0; i < IO_MANY; i++) {
            if (clients[i].heard < clients[i].all)
                client_step(&clients[i]);
            done += clients[i].heard == clients[i].all;
        }
        if (done == IO_MANY)
            return;
        while (accepted < IO_MANY &&
               tunnel_listener_accept(listener, &servers[accepted].io) == TUNNEL_OK)
            servers[accepted++].length = 0;
        for (size_t i = 0; i < accepted; i++)
            server_step(&servers[i]);
        wait_for_any(listener);
    }
}

struct tunnel_io_report io_many_report(size_t i)
{
    struct tunnel_io_report report;
    assert_true(tunnel_io_report(clients[i].io, &report));
    return report;
}

void io_many_close(void)
{
    for (size_t i = 0; i < IO_MANY; i++)
        tunnel_io_close(clients[i].io);
    for (size_t i = 0; i < accepted; i++)
        tunnel_io_close(servers[i].io);
}
