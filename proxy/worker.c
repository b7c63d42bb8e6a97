#include "proxy/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "proxy/arrival.h"
#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/net/clock.h"
#include "proxy/net/inherited.h"
#include "proxy/net/socket.h"
#include "proxy/ops/stats.h"
#include "proxy/relay.h"

enum {
    FILES_RESERVED = 24,  /* standard streams, epoll, resolver, logs */
    FILES_A_LISTENER = 3, /* TCP, UDP, its timer */
    FILES_A_PIPE = 2,
    PIPES_MAX = 256,
    PIPES_SHARE = 16, /* of the files, one in so many becomes a pipe */
    CONNECTIONS_MIN = 4,
    ARRIVALS_SHARE = 4,  /* of the connections, a quarter */
    ARRIVALS_LEAST = 64, /* where files are few, a burst of honest clients looks the same */
};

static const turbo_time COMPLAINT_PAUSE = 10 * TURBO_SECOND;
static const double RETRY_SECONDS = 0.1; /* can connections be accepted again? */

/* ---- limits ---- */

/* As many files as the system lets us have. */
static size_t raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur;
}

/* Two TCP sockets, and UDP while a turbo upstream's session begins. */
static size_t files_a_connection(const struct config *config)
{
    for (size_t i = 0; i < config->upstream_count; i++)
        if (config->upstreams[i].kind == ENDPOINT_TURBO)
            return 3;
    return 2;
}

/* What the files mean for connections and pipes. Returns how many it takes at least. */
static size_t share_files(struct worker *w, const struct config *config, size_t files)
{
    size_t reserved = FILES_RESERVED + FILES_A_LISTENER * config->listener_count;
    size_t each = files_a_connection(config);
    size_t least = reserved + CONNECTIONS_MIN * each;
    files = files > reserved ? files - reserved : 0;
    w->pipes.max = files / PIPES_SHARE < PIPES_MAX ? files / PIPES_SHARE : PIPES_MAX;
    w->connections_max = (files - FILES_A_PIPE * w->pipes.max) / each;
    /* Whoever opens connections and says nothing must not fill it all. */
    w->arrivals_max = w->connections_max / ARRIVALS_SHARE;
    if (w->arrivals_max < ARRIVALS_LEAST)
        w->arrivals_max = ARRIVALS_LEAST;
    return least;
}

static bool has_files(struct worker *w, const struct config *config)
{
    size_t files = raise_file_limit();
    size_t least = share_files(w, config, files);
    if (files < least)
        log_event(w->log, LOG_LEVEL_ERROR, "too few open files are allowed: raise ulimit -n",
                  LOG_NUMBER("allowed", files), LOG_NUMBER("least", least));
    return files >= least;
}

static void stop_accepting(struct worker *w)
{
    w->accepting = false;
    for (size_t i = 0; i < w->listener_count; i++)
        listener_pause(w->listeners[i]);
    for (size_t i = 0; i < w->leaving_count; i++)
        listener_pause(w->leaving[i]);
}

static void resume_accepting(struct worker *w)
{
    if (w->accepting || w->connections >= w->connections_max)
        return;
    w->accepting = true;
    ev_timer_stop(w->loop, &w->retry_timer);
    for (size_t i = 0; i < w->listener_count; i++)
        listener_resume(w->listeners[i]);
    for (size_t i = 0; i < w->leaving_count; i++)
        listener_resume(w->leaving[i]);
}

static void retry_soon(struct worker *w)
{
    ev_timer_stop(w->loop, &w->retry_timer);
    ev_timer_set(&w->retry_timer, RETRY_SECONDS, 0.);
    ev_timer_start(w->loop, &w->retry_timer);
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct worker *w = timer->data;
    arrivals_make_room(w);
    resume_accepting(w);
    if (!w->accepting)
        retry_soon(w);
}

/* Says so once, however often it happens, until it has not happened for a while. */
static void pause_accepting(struct worker *w, const char *message, int error)
{
    turbo_time now = w->now;
    if (w->paused_at == 0 || now - w->paused_at > COMPLAINT_PAUSE)
        log_event(w->log, LOG_LEVEL_WARNING, message, LOG_NUMBER("connections", w->connections),
                  LOG_ERRNO(error));
    w->paused_at = now;
    stop_accepting(w);
    retry_soon(w);
}

void worker_exhausted(struct worker *w, int error)
{
    if (!w->accepting)
        return;
    pause_accepting(w, "out of descriptors or memory: not accepting until a connection ends",
                    error);
}

void worker_connection_began(struct worker *w)
{
    w->connections++;
    if (w->connections >= w->connections_max && w->accepting)
        pause_accepting(w, "as many connections as open files allow: not accepting until one ends",
                        EMFILE);
}

void worker_connection_failed(struct worker *w)
{
    resume_accepting(w);
    worker_check_drained(w);
}

void worker_connection_ended(struct worker *w)
{
    w->connections--;
    worker_connection_failed(w);
}

/* Half of the room is kept for connections by TCP, so that pending sessions can be joined. */
bool worker_has_room_for_udp(const struct worker *w)
{
    return w->connections - w->arrival_count < w->connections_max / 2;
}

bool worker_is_crowded(const struct worker *w)
{
    return w->arrival_count > w->arrivals_max;
}

/* ---- life ---- */

static void report_failure(struct log *log, const char *what, const char *why)
{
    log_event(log, LOG_LEVEL_ERROR, what, LOG_TEXT("error", why));
}

static void on_drain_timeout(struct ev_loop *loop, ev_timer *timer, int events);
static void on_handover_timeout(struct ev_loop *loop, ev_timer *timer, int events);
static void on_quiet(struct ev_loop *loop, ev_prepare *event, int events);
static void start_handover_timer(struct worker *w);

/* Listeners that nobody uses any more; between two turns, as others may be at work in them. */
static void reap(struct worker *w)
{
    size_t left = 0;
    for (size_t i = 0; i < w->leaving_count; i++) {
        if (listener_is_unused(w->leaving[i]))
            listener_release(w->leaving[i]);
        else
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
}

static bool set_up(struct worker *w, struct config *config)
{
    const char *error = NULL;
    w->stats = stats_create();
    w->generation = w->stats == NULL ? NULL : generation_create(config, w->stats, NULL);
    w->scratch = malloc(WORKER_SCRATCH_BYTES);
    w->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOSIGMASK);
    if (w->scratch == NULL || w->loop == NULL || w->generation == NULL || w->stats == NULL) {
        report_failure(w->log, "cannot start an event loop", strerror(errno));
        return false;
    }
    ev_check_start(w->loop, &w->turn);
    w->hangups = hangups_create(w->loop);
    if (w->hangups == NULL) {
        report_failure(w->log, "cannot watch for resets", strerror(errno));
        return false;
    }
    w->resolver = resolver_create(w->loop, &error);
    if (w->resolver == NULL) {
        report_failure(w->log, "cannot set up name resolution", error);
        return false;
    }
    return true;
}

struct worker *worker_create(struct config *config, struct log *log)
{
    struct worker *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        report_failure(log, "cannot start", strerror(ENOMEM));
        return NULL;
    }
    w->log = log;
    w->accepting = true;
    w->handover_timeout_s = (double)TURBO_HANDOVER_TIME / (double)TURBO_SECOND;
    w->now = clock_now();
    ev_check_init(&w->turn, on_turn);
    ev_set_priority(&w->turn, EV_MAXPRI);
    w->turn.data = w;
    ev_init(&w->retry_timer, on_retry);
    ev_init(&w->drain_timer, on_drain_timeout);
    ev_init(&w->handover_timer, on_handover_timeout);
    ev_prepare_init(&w->quiet_event, on_quiet);
    w->quiet_event.data = w;
    w->retry_timer.data = w->drain_timer.data = w->handover_timer.data = w;
    if (!has_files(w, config) || !set_up(w, config)) {
        worker_destroy(w);
        return NULL;
    }
    return w;
}

static void tell_listening(const struct worker *w, const struct listener *l)
{
    log_event(w->log, LOG_LEVEL_INFO, "listening", LOG_TEXT("listener", listener_text(l)),
              LOG_TEXT("name", listener_settings(l)->name), LOG_TEXT("version", TURBOTLS_VERSION));
}

bool worker_open(struct worker *w, struct inherited *inherited)
{
    for (size_t i = 0; i < w->generation->config->listener_count; i++) {
        struct listener *l = listener_open(w, w->generation, i, inherited);
        if (l == NULL)
            return false;
        w->listeners[w->listener_count++] = l;
    }
    return true;
}

void worker_accept(struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        tell_listening(w, w->listeners[i]);
        listener_resume(w->listeners[i]);
    }
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
    if (w->loop != NULL)
        abort_connections(w);
    for (size_t i = 0; i < w->listener_count; i++)
        listener_release(w->listeners[i]);
    for (size_t i = 0; i < w->leaving_count; i++)
        listener_release(w->leaving[i]);
    free(w->leaving);
    generation_release(w->generation);
    stats_destroy(w->stats);
    resolver_destroy(w->resolver);
    hangups_destroy(w->hangups);
    if (w->loop != NULL) {
        ev_check_stop(w->loop, &w->turn);
        ev_timer_stop(w->loop, &w->retry_timer);
        ev_timer_stop(w->loop, &w->drain_timer);
        ev_timer_stop(w->loop, &w->handover_timer);
        ev_clear_pending(w->loop, &w->quiet_event);
        ev_loop_destroy(w->loop);
    }
    pump_close_all(&w->pipes);
    free(w->scratch);
    free(w);
}

/* ---- another configuration ---- */

/* What listens now, less what is kept: one that changes its kind goes on with the same sockets. */
static bool bequeath(const struct worker *w, const bool kept[static CONFIG_LISTENERS_MAX],
                     struct inherited *heirs)
{
    for (size_t i = 0; i < w->listener_count; i++)
        if (!kept[i] && !listener_bequeath(w->listeners[i], heirs))
            return false;
    return true;
}

/* Where in `listeners` the one is that goes on as `settings`; its count: nowhere. */
static size_t find_kept(const struct worker *w, const struct config_listener *settings,
                        const bool kept[static CONFIG_LISTENERS_MAX])
{
    for (size_t i = 0; i < w->listener_count; i++)
        if (!kept[i] && config_same_listener(listener_settings(w->listeners[i]), settings))
            return i;
    return w->listener_count;
}

/* The listeners of a configuration to come: kept ones at their new place, NULL for new ones. */
struct succession {
    struct listener *listeners[CONFIG_LISTENERS_MAX];
    bool kept[CONFIG_LISTENERS_MAX]; /* of the worker's */
    bool opened[CONFIG_LISTENERS_MAX];
};

static void find_all_kept(const struct worker *w, const struct config *config,
                          struct succession *next)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        size_t at = find_kept(w, &config->listeners[i], next->kept);
        if (at == w->listener_count)
            continue;
        next->kept[at] = true;
        next->listeners[i] = w->listeners[at];
    }
}

static bool open_new(struct worker *w, struct generation *g, struct succession *next)
{
    struct inherited heirs;
    inherited_init(&heirs);
    bool opened = bequeath(w, next->kept, &heirs);
    for (size_t i = 0; opened && i < g->config->listener_count; i++) {
        if (next->listeners[i] != NULL)
            continue;
        next->listeners[i] = listener_open(w, g, i, &heirs);
        opened = next->opened[i] = next->listeners[i] != NULL;
    }
    inherited_close(&heirs);
    for (size_t i = 0; !opened && i < g->config->listener_count; i++)
        if (next->opened[i])
            listener_release(next->listeners[i]);
    return opened;
}

/* The listeners that are not kept finish what is pending, and go. */
static bool dismiss_old(struct worker *w, const struct succession *next)
{
    size_t room = w->leaving_count + w->listener_count;
    struct listener **leaving = realloc(w->leaving, room * sizeof(struct listener *));
    if (leaving == NULL)
        return false;
    w->leaving = leaving;
    for (size_t i = 0; i < w->listener_count; i++)
        if (!next->kept[i])
            w->leaving[w->leaving_count++] = w->listeners[i];
    return true;
}

static void succeed(struct worker *w, struct generation *g, const struct succession *next)
{
    struct generation *before = w->generation;
    w->generation = g;
    w->listener_count = g->config->listener_count;
    for (size_t i = 0; i < w->listener_count; i++) {
        w->listeners[i] = next->listeners[i];
        if (next->opened[i]) {
            tell_listening(w, w->listeners[i]);
            if (w->accepting)
                listener_resume(w->listeners[i]);
        } else {
            listener_adopt(w->listeners[i], g, i);
        }
    }
    generation_release(before);
    share_files(w, g->config, raise_file_limit());
    start_handover_timer(w);
    worker_check_drained(w);
}

bool worker_reconfigure(struct worker *w, struct config *config)
{
    struct succession next = {0};
    struct generation *g = generation_create(config, w->stats, w->generation);
    if (g == NULL) {
        report_failure(w->log, "the configuration stays as it was", strerror(ENOMEM));
        return false;
    }
    find_all_kept(w, config, &next);
    if (!open_new(w, g, &next) || !dismiss_old(w, &next)) {
        generation_release(g);
        return false;
    }
    succeed(w, g, &next);
    return true;
}

/* ---- draining ---- */

static void on_drain_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(loop, EVBREAK_ALL); /* worker_destroy cuts off what is left */
}

static void stop_listening(struct worker *w, bool even_if_pending)
{
    for (size_t i = 0; i < w->listener_count; i++)
        listener_drain(w->listeners[i], even_if_pending);
}

static void stop_leaving(struct worker *w, bool even_if_pending)
{
    for (size_t i = 0; i < w->leaving_count; i++)
        listener_drain(w->leaving[i], even_if_pending);
}

static void start_handover_timer(struct worker *w)
{
    ev_timer_stop(w->loop, &w->handover_timer);
    ev_timer_set(&w->handover_timer, w->handover_timeout_s, 0.);
    ev_timer_start(w->loop, &w->handover_timer);
}

static bool is_pending(const struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++) {
        struct udp_endpoint *udp = listener_udp(w->listeners[i]);
        if (udp != NULL && turbo_endpoint_pending(udp_endpoint_turbo(udp)) > 0)
            return true;
    }
    return false;
}

static void tell_quiet(struct worker *w)
{
    void (*quiet)(void *) = w->quiet;
    w->quiet = NULL;
    if (quiet != NULL)
        quiet(w->quiet_owner);
}

static void on_quiet(struct ev_loop *loop, ev_prepare *event, int events)
{
    (void)loop;
    (void)events;
    tell_quiet(event->data);
}

static void on_handover_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct worker *w = timer->data;
    tell_quiet(w);
    stop_leaving(w, true);
    if (w->draining)
        stop_listening(w, true);
    worker_check_drained(w);
}

void worker_quiesce(struct worker *w, void (*quiet)(void *owner), void *owner)
{
    w->quiet = quiet;
    w->quiet_owner = owner;
    for (size_t i = 0; i < w->listener_count; i++)
        if (listener_udp(w->listeners[i]) != NULL)
            turbo_endpoint_drain(udp_endpoint_turbo(listener_udp(w->listeners[i])));
    start_handover_timer(w);
    worker_check_drained(w);
}

void worker_drain(struct worker *w)
{
    double seconds = w->generation->config->drain_timeout_s;
    if (w->draining || seconds <= 0.) {
        ev_break(w->loop, EVBREAK_ALL);
        return;
    }
    log_event(w->log, LOG_LEVEL_INFO, "stopping: no new connections, the others may finish",
              LOG_NUMBER("connections", w->connections));
    w->draining = true;
    ev_timer_set(&w->drain_timer, seconds, 0.);
    ev_timer_start(w->loop, &w->drain_timer);
    start_handover_timer(w);
    worker_check_drained(w);
}

void worker_check_drained(struct worker *w)
{
    if (w->quiet != NULL && !is_pending(w))
        ev_feed_event(w->loop, &w->quiet_event, EV_CUSTOM);
    if (w->leaving_count > 0) {
        stop_leaving(w, false);
        arrivals_end_late(w);
    }
    if (!w->draining)
        return;
    stop_listening(w, false);
    arrivals_end_late(w);
    if (w->connections == 0)
        ev_break(w->loop, EVBREAK_ALL);
}
