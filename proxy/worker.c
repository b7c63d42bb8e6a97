#include "proxy/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "proxy/arrival.h"
#include "proxy/listener.h"
#include "proxy/net/clock.h"
#include "proxy/net/socket.h"
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

/* What the files mean for connections and pipes. Returns how many it takes at least. */
static size_t share_files(struct worker *w, size_t files)
{
    size_t reserved = FILES_RESERVED + FILES_A_LISTENER * w->options->listener_count;
    /* Two TCP sockets, and UDP while a turbo upstream's session begins. */
    size_t each = w->options->upstream.kind == ENDPOINT_TURBO ? 3 : 2;
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

static bool has_files(struct worker *w)
{
    size_t files = raise_file_limit();
    size_t least = share_files(w, files);
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
}

static void resume_accepting(struct worker *w)
{
    if (w->accepting || w->connections >= w->connections_max)
        return;
    w->accepting = true;
    ev_timer_stop(w->loop, &w->retry_timer);
    for (size_t i = 0; i < w->listener_count; i++)
        listener_resume(w->listeners[i]);
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
static bool is_listening(const struct worker *w)
{
    for (size_t i = 0; i < w->listener_count; i++)
        if (listener_is_open(w->listeners[i]))
            return true;
    return false;
}

static void on_handover_timeout(struct ev_loop *loop, ev_timer *timer, int events);

/* Before any other callback of this turn. */
static void on_turn(struct ev_loop *loop, ev_check *turn, int events)
{
    (void)loop;
    (void)events;
    struct worker *w = turn->data;
    w->now = clock_now();
}

static bool set_up(struct worker *w)
{
    const char *error = NULL;
    w->scratch = malloc(WORKER_SCRATCH_BYTES);
    w->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOSIGMASK);
    if (w->scratch == NULL || w->loop == NULL) {
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

struct worker *worker_create(const struct options *options, struct log *log)
{
    struct worker *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        report_failure(log, "cannot start", strerror(ENOMEM));
        return NULL;
    }
    w->options = options;
    w->log = log;
    w->accepting = true;
    w->handover_timeout_s = (double)TURBO_HANDOVER_TIME / (double)TURBO_SECOND;
    upstream_init(&w->upstream, &options->upstream);
    w->now = clock_now();
    ev_check_init(&w->turn, on_turn);
    ev_set_priority(&w->turn, EV_MAXPRI);
    w->turn.data = w;
    ev_init(&w->retry_timer, on_retry);
    ev_init(&w->drain_timer, on_drain_timeout);
    ev_init(&w->handover_timer, on_handover_timeout);
    w->retry_timer.data = w->drain_timer.data = w->handover_timer.data = w;
    if (!has_files(w) || !set_up(w)) {
        worker_destroy(w);
        return NULL;
    }
    return w;
}

bool worker_listen(struct worker *w)
{
    for (size_t i = 0; i < w->options->listener_count; i++) {
        struct listener *l = listener_open(w, &w->options->listeners[i]);
        if (l == NULL)
            return false;
        w->listeners[w->listener_count++] = l;
        log_event(w->log, LOG_LEVEL_INFO, "listening", LOG_TEXT("listener", listener_text(l)),
                  LOG_TEXT("upstream", w->upstream.text), LOG_TEXT("version", TURBOTLS_VERSION));
    }
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
        listener_close(w->listeners[i]);
    resolver_destroy(w->resolver);
    hangups_destroy(w->hangups);
    if (w->loop != NULL) {
        ev_check_stop(w->loop, &w->turn);
        ev_timer_stop(w->loop, &w->retry_timer);
        ev_timer_stop(w->loop, &w->drain_timer);
        ev_timer_stop(w->loop, &w->handover_timer);
        ev_loop_destroy(w->loop);
    }
    pump_close_all(&w->pipes);
    free(w->scratch);
    free(w);
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

static void on_handover_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct worker *w = timer->data;
    stop_listening(w, true);
    worker_check_drained(w);
}

void worker_drain(struct worker *w)
{
    if (w->draining || w->options->drain_timeout_s <= 0.) {
        ev_break(w->loop, EVBREAK_ALL);
        return;
    }
    log_event(w->log, LOG_LEVEL_INFO, "stopping: no new connections, the others may finish",
              LOG_NUMBER("connections", w->connections));
    w->draining = true;
    ev_timer_set(&w->drain_timer, w->options->drain_timeout_s, 0.);
    ev_timer_start(w->loop, &w->drain_timer);
    ev_timer_set(&w->handover_timer, w->handover_timeout_s, 0.);
    ev_timer_start(w->loop, &w->handover_timer);
    worker_check_drained(w);
}

void worker_check_drained(struct worker *w)
{
    if (!w->draining)
        return;
    stop_listening(w, false);
    if (!is_listening(w))
        arrivals_end_late(w);
    if (w->connections == 0)
        ev_break(w->loop, EVBREAK_ALL);
}
