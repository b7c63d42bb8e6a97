#include <errno.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "proxy/arrival.h"
#include "proxy/listener.h"
#include "proxy/ops/admin.h"
#include "proxy/worker_parts.h"

enum {
    FILES_RESERVED = 12,  /* standard streams, signals, logs */
    FILES_A_WORKER = 12,  /* epoll, its inbox, resolver */
    FILES_A_LISTENER = 3, /* TCP, UDP, its timer */
    FILES_A_PIPE = 2,
    PIPES_MAX = 128,
    PIPES_SHARE = 16, /* of the files, one in so many becomes a pipe */
    CONNECTIONS_MIN = 4,
    ARRIVALS_SHARE = 4,  /* of the connections, a quarter */
    ARRIVALS_LEAST = 64, /* where files are few, a burst of honest clients looks the same */
};

static const turbo_time COMPLAINT_PAUSE = 10 * TURBO_SECOND;
static const double RETRY_SECONDS = 0.1; /* can connections be accepted again? */

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

/* Two TCP sockets, and UDP while a turbo upstream's session begins. Third TCP sockets, while
 * connecting takes long, are spares. */
static size_t files_a_connection(const struct config *config)
{
    for (size_t i = 0; i < config->upstream_count; i++)
        if (config->upstreams[i].kind == ENDPOINT_TURBO)
            return 3;
    return 2;
}

static size_t files_reserved(const struct worker *w, const struct config *config)
{
    return w->mates->count * (FILES_A_WORKER + FILES_A_LISTENER * config->listener_count) +
           FILES_RESERVED + (config->admin.length > 0 ? ADMIN_FILES : 0);
}

void worker_share_files(struct worker *w, const struct config *config)
{
    size_t files = raise_file_limit();
    size_t reserved = files_reserved(w, config);
    size_t each = files_a_connection(config);
    files = files > reserved ? files - reserved : 0;
    size_t pipes = files / PIPES_SHARE < PIPES_MAX ? files / PIPES_SHARE : PIPES_MAX;
    size_t workers = w->mates->count;
    w->pipes.max = w->spares.max = (pipes + workers - 1) / workers;
    size_t others = workers * (FILES_A_PIPE * w->pipes.max + w->spares.max);
    w->connections_max = files > others ? (files - others) / each : 0;
    /* Whoever opens connections and says nothing must not fill it all. */
    w->arrivals_max = w->connections_max / ARRIVALS_SHARE / workers;
    if (w->arrivals_max < ARRIVALS_LEAST)
        w->arrivals_max = ARRIVALS_LEAST;
}

bool worker_has_files(const struct worker *w, const struct config *config)
{
    size_t files = raise_file_limit();
    size_t least = files_reserved(w, config) + CONNECTIONS_MIN * files_a_connection(config);
    if (files < least)
        log_event(w->log, LOG_LEVEL_ERROR, "too few open files are allowed: raise ulimit -n",
                  LOG_NUMBER("allowed", files), LOG_NUMBER("least", least));
    return files >= least;
}

static size_t connections_of_all(const struct worker *w)
{
    return atomic_load_explicit(&w->mates->connections, memory_order_relaxed);
}

/* ---- accepting ---- */

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
    if (w->accepting || connections_of_all(w) >= w->connections_max)
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

void worker_on_retry(struct ev_loop *loop, ev_timer *timer, int events)
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
    worker_connection_sent(w);
    if (connections_of_all(w) >= w->connections_max && w->accepting)
        pause_accepting(w, "as many connections as open files allow: not accepting until one ends",
                        EMFILE);
}

void worker_connection_failed(struct worker *w)
{
    resume_accepting(w);
    worker_check_drained(w);
}

void worker_connection_goes_on(struct worker *w)
{
    w->connections--;
    worker_connection_received(w);
}

void worker_connection_ended(struct worker *w)
{
    worker_connection_goes_on(w);
    peak_left(&w->peak, w->connections);
    worker_connection_failed(w);
}

void worker_connection_sent(struct worker *w)
{
    atomic_fetch_add_explicit(&w->mates->connections, 1, memory_order_relaxed);
}

void worker_connection_received(struct worker *w)
{
    atomic_fetch_sub_explicit(&w->mates->connections, 1, memory_order_release);
}

/* Half of the room is kept for connections by TCP, so that pending sessions can be joined. */
bool worker_has_room_for_udp(const struct worker *w)
{
    return (w->connections - w->arrival_count) * w->mates->count < w->connections_max / 2;
}

bool worker_is_crowded(const struct worker *w)
{
    return w->arrival_count > w->arrivals_max;
}
