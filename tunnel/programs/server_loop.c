/* All connections in one poll(2) loop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

enum { ACCEPTS_A_TURN = 64, PAUSE_US = 100000, US_A_SECOND = 1000000 };

struct loop {
    struct server *server;
    struct connection **list; /* `connections_max` of them, `count` in use */
    size_t count;
    struct pollfd *fds;  /* of all that is waited for */
    size_t fd_count;     /* before the first connection's: signals and listener */
    uint64_t until_us;   /* … or until then */
    uint64_t paused_us;  /* nothing is accepted until then; 0: it is */
    bool told_exhausted; /* once for each time that it begins */
    bool busy;           /* somebody would go on at once */
};

static void sooner(struct loop *l, uint64_t us)
{
    if (us < l->until_us)
        l->until_us = us;
}

static void add(struct loop *l, const struct tunnel_watch *watch)
{
    memcpy(l->fds + l->fd_count, watch->fds, watch->count * sizeof(*watch->fds));
    l->fd_count += watch->count;
    sooner(l, watch->deadline_us);
}

/* ---- waiting ---- */

static void prepare(struct loop *l)
{
    struct tunnel_watch watch;

    l->fds[0] = (struct pollfd){.fd = l->server->signals, .events = POLLIN};
    l->fd_count = 1;
    l->until_us = l->busy ? 0 : TUNNEL_FOR_EVER;
    if (l->paused_us != 0) {
        sooner(l, l->paused_us);
    } else if (l->count < l->server->connections_max) {
        tunnel_listener_watch(l->server->listener, &watch);
        add(l, &watch);
    }
    for (size_t i = 0; i < l->count; i++) {
        struct connection *c = l->list[i];
        tunnel_watch(c->tunnel, c->want, &watch);
        add(l, &watch);
        sooner(l, c->moved_us + (uint64_t)l->server->timeout_s * US_A_SECOND);
    }
}

static void wait_for_any(struct loop *l)
{
    uint64_t now = now_us(), left = l->until_us > now ? l->until_us - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / US_A_SECOND),
                               .tv_nsec = (long)(left % US_A_SECOND) * 1000};

    (void)ppoll(l->fds, l->fd_count, l->until_us == TUNNEL_FOR_EVER ? NULL : &timeout, NULL);
}

/* ---- accepting ---- */

/* Of descriptors or memory: what ends gives some back, so it is tried again after a while. */
static void pause_accepting(struct loop *l, int error)
{
    l->paused_us = now_us() + PAUSE_US;
    if (!l->told_exhausted)
        say(SERVER_NAME,
            "nobody can be accepted for now: %s; raise the limit of open files, or "
            "lower --connections",
            strerror(error));
    l->told_exhausted = true;
}

static void accept_some(struct loop *l)
{
    if (l->paused_us != 0 && now_us() < l->paused_us)
        return;
    l->paused_us = 0;
    for (int i = 0; i < ACCEPTS_A_TURN && l->count < l->server->connections_max; i++) {
        struct tunnel_io *io = NULL;
        enum tunnel_result result = tunnel_listener_accept(l->server->listener, &io);
        if (result == TUNNEL_WANT_READ)
            return;
        if (result != TUNNEL_OK) {
            pause_accepting(l, errno);
            return;
        }
        struct connection *c = connection_begin(l->server, io);
        if (c == NULL) {
            pause_accepting(l, ENOMEM);
            return;
        }
        l->list[l->count++] = c;
        l->told_exhausted = false;
    }
    l->busy = true; /* there may be more */
}

/* ---- turns ---- */

/* The last takes the place of one that is over. */
static void step_all(struct loop *l)
{
    uint64_t now = now_us(), patience = (uint64_t)l->server->timeout_s * US_A_SECOND;

    for (size_t i = 0; i < l->count;) {
        struct connection *c = l->list[i];
        if (connection_step(c))
            l->busy = true;
        if (!c->over && c->moved_us + patience <= now)
            connection_time_out(c);
        if (c->over) {
            connection_end(c);
            l->list[i] = l->list[--l->count];
            l->paused_us = 0;
        } else {
            i++;
        }
    }
}

static void end_all(struct loop *l)
{
    while (l->count > 0) {
        struct connection *c = l->list[--l->count];
        c->result = TUNNEL_IO;
        source_close(&c->body);
        tunnel_free(c->tunnel);
        free(c);
    }
}

enum exit_code server_run(struct server *server)
{
    struct loop l = {.server = server};

    l.list = calloc(server->connections_max, sizeof(struct connection *));
    l.fds = calloc(((size_t)server->connections_max + 1) * TUNNEL_WATCH_MAX + 1, sizeof(*l.fds));
    while (l.list != NULL && l.fds != NULL && !is_signalled(server->signals)) {
        prepare(&l);
        wait_for_any(&l);
        l.busy = false;
        accept_some(&l);
        step_all(&l);
    }
    end_all(&l);
    bool good = l.list != NULL && l.fds != NULL;
    free(l.list);
    free(l.fds);
    if (!good)
        say(SERVER_NAME, "out of memory; lower --connections");
    return good ? EXIT_GOOD : EXIT_OTHER;
}
