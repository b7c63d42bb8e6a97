#include "proxy/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "proxy/arrival.h"
#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/ops/stats.h"
#include "proxy/relay.h"
#include "proxy/sides/plain.h"
#include "proxy/worker_parts.h"
#include "tunnel/net/clock.h"
#include "tunnel/net/socket.h"

static void report_failure(struct log *log, const char *what, const char *why)
{
    log_event(log, LOG_LEVEL_ERROR, what, LOG_TEXT("error", why));
}

/* Listeners that nobody uses any more; between two turns, as others may be at work in them. */
static void reap(struct worker *w)
{
    size_t left = 0;
    for (size_t i = 0; i < w->leaving_count; i++) {
        if (listener_is_unused(w->leaving[i])) {
            listener_release(w->leaving[i]);
            continue;
        }
        listener_shed(w->leaving[i]);
        w->leaving[left++] = w->leaving[i];
    }
    w->leaving_count = left;
}

/* Before any other callback of this turn. */
static void on_turn(struct ev_loop *loop, ev_check *turn, int events)
{
    (void)loop;
    (void)events;
    struct worker *w = turn->data;
    w->now = clock_now();
    reap(w);
    inbox_collect(&w->inbox);
}

static void on_woken(struct worker *w)
{
    worker_check_drained(w);
    if (w->mates->woken != NULL)
        w->mates->woken(w->mates->owner, w);
}

/* The one that the next call to open one returns. */
static int next_descriptor(void)
{
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    socket_close(fd);
    return fd;
}

/* libev does not tell: -1 where it is not what it opened first. `pollable` is not in its set. */
static int confirm_epoll(int fd, int pollable)
{
    bool is_one = epoll_ctl(fd, EPOLL_CTL_DEL, pollable, NULL) != 0 && errno == ENOENT;
    return is_one ? fd : -1;
}

void worker_forget(const struct worker *w, int fd)
{
    if (w->epoll >= 0)
        (void)epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static bool set_up(struct worker *w, struct config *config)
{
    const char *error = NULL;
    w->stats = stats_create();
    w->generation = w->stats == NULL ? NULL : generation_create(config, w->stats, NULL);
    w->scratch = malloc(WORKER_SCRATCH_BYTES);
    int epoll = next_descriptor();
    w->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOSIGMASK);
    if (w->scratch == NULL || w->loop == NULL || w->generation == NULL || w->stats == NULL) {
        report_failure(w->log, "cannot start an event loop", strerror(errno));
        return false;
    }
    blocks_init(&w->blocks, w->loop);
    ev_check_start(w->loop, &w->turn);
    if (!inbox_open(&w->inbox, w->loop, w, on_woken)) {
        report_failure(w->log, "cannot hear from other workers", strerror(errno));
        return false;
    }
    w->epoll = confirm_epoll(epoll, w->inbox.fd);
    w->hangups = hangups_create(w->loop, plain_was_reset);
    if (w->hangups == NULL) {
        report_failure(w->log, "cannot watch for resets", strerror(errno));
        return false;
    }
    w->resolver = resolver_create(w->loop, config->mark, &error);
    if (w->resolver == NULL) {
        report_failure(w->log, "cannot set up name resolution", error);
        return false;
    }
    return true;
}

struct worker *worker_create(struct config *config, struct log *log)
{
    return worker_create_among(config, log, NULL, 0);
}

struct worker *worker_create_among(struct config *config, struct log *log, struct workmates *mates,
                                   unsigned index)
{
    struct worker *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        report_failure(log, "cannot start", strerror(ENOMEM));
        return NULL;
    }
    w->alone.count = 1;
    w->mates = mates != NULL ? mates : &w->alone;
    w->index = index;
    w->mates->workers[index] = w;
    w->epoll = -1;
    w->log = log;
    w->accepting = true;
    w->handover_timeout_s = (double)TURBO_HANDOVER_TIME / (double)TURBO_SECOND;
    w->now = clock_now();
    ev_check_init(&w->turn, on_turn);
    ev_set_priority(&w->turn, EV_MAXPRI);
    w->turn.data = w;
    ev_init(&w->retry_timer, worker_on_retry);
    ev_init(&w->drain_timer, worker_on_drain_timeout);
    ev_init(&w->look_timer, relay_on_look);
    ev_init(&w->handover_timer, worker_on_handover_timeout);
    ev_prepare_init(&w->quiet_event, worker_on_quiet);
    w->quiet_event.data = w;
    w->look_timer.data = w;
    w->retry_timer.data = w->drain_timer.data = w->handover_timer.data = w;
    if (!worker_has_files(w, config) || !set_up(w, config)) {
        worker_destroy(w);
        return NULL;
    }
    worker_share_files(w, config);
    return w;
}

void worker_tell_listening(const struct worker *w, const struct listener *l)
{
    if (w->index > 0)
        return;
    log_event(w->log, LOG_LEVEL_INFO, "listening", LOG_TEXT("listener", listener_settings(l)->name),
              LOG_TEXT("address", listener_text(l)), LOG_TEXT("version", TURBOTLS_VERSION));
}

bool worker_open(struct worker *w, struct inherited *inherited)
{
    for (size_t i = 0; i < w->generation->config->listener_count; i++) {
        struct listener *elder = w->index == 0 ? NULL : w->mates->workers[0]->listeners[i];
        struct listener *l = listener_open(w, w->generation, i, inherited, elder);
        if (l == NULL)
            return false;
        w->listeners[w->listener_count++] = l;
    }
    return true;
}

void worker_start_checks(struct worker *w)
{
    if (w->index > 0) /* the first one's are enough: it tells how they went */
        return;
    if (!generation_start_checks(w->generation, w))
        log_event(w->log, LOG_LEVEL_ERROR, "servers are not checked", LOG_ERRNO(ENOMEM));
}

void worker_accept(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        worker_tell_listening(w, w->listeners[i]);
        listener_resume(w->listeners[i]);
    }
    worker_start_checks(w);
}

bool worker_listen(struct worker *w)
{
    if (!worker_open(w, NULL))
        return false;
    worker_accept(w);
    return true;
}

void worker_print_listeners(const struct worker *w, FILE *out)
{
    for (size_t i = 0; i < w->listener_count; i++)
        (void)fprintf(out, "listening %s\n", listener_text(w->listeners[i]));
    (void)fflush(out);
}

static struct listener *find(struct listener *const *list, size_t count,
                             const struct listener_group *group)
{
    for (size_t i = 0; i < count; i++)
        if (listener_group(list[i]) == group)
            return list[i];
    return NULL;
}

struct listener *worker_listener(const struct worker *w, const struct listener_group *group)
{
    struct listener *l = find(w->listeners, w->listener_count, group);
    return l != NULL ? l : find(w->leaving, w->leaving_count, group);
}

void worker_run(struct worker *w)
{
    ev_run(w->loop, 0);
}

static void abort_connections(struct worker *w)
{
    if (w->connections > 0)
        log_event(w->log, LOG_LEVEL_WARNING, "connections are cut off by shutting down",
                  LOG_NUMBER("connections", w->connections));
    while (w->relays != NULL)
        relay_abort(w->relays);
    while (w->arrivals != NULL)
        arrival_abort(w->arrivals);
}

void worker_destroy(struct worker *w)
{
    if (w == NULL)
        return;
    if (w->loop != NULL) {
        inbox_close(&w->inbox);
        abort_connections(w);
    }
    for (size_t i = 0; i < w->listener_count; i++)
        listener_release(w->listeners[i]);
    for (size_t i = 0; i < w->leaving_count; i++)
        listener_release(w->leaving[i]);
    free(w->leaving);
    generation_stop_checks(w->generation);
    generation_release(w->generation);
    stats_destroy(w->stats);
    resolver_destroy(w->resolver);
    hangups_destroy(w->hangups);
    if (w->loop != NULL) {
        ev_check_stop(w->loop, &w->turn);
        ev_timer_stop(w->loop, &w->retry_timer);
        ev_timer_stop(w->loop, &w->drain_timer);
        ev_timer_stop(w->loop, &w->look_timer);
        ev_timer_stop(w->loop, &w->handover_timer);
        ev_clear_pending(w->loop, &w->quiet_event);
        blocks_end(&w->blocks);
        ev_loop_destroy(w->loop);
    }
    pump_close_all(&w->pipes);
    w->mates->workers[w->index] = NULL;
    free(w->scratch);
    free(w);
}
