#include "proxy/crew.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "proxy/net/inherited.h"
#include "proxy/worker.h"
#include "proxy/worker_parts.h"

struct member {
    pthread_t thread;
    struct log log;            /* of all but the first */
    _Atomic unsigned answered; /* the last call that it has answered */
    struct succession next;
};

struct crew {
    struct workmates mates;
    struct member members[CONFIG_WORKERS_MAX];
    struct log *log; /* the first one's */
    /* Standing still. */
    pthread_mutex_t mutex;
    pthread_cond_t stands, goes_on;
    bool pausing; /* under the mutex, as is the next */
    unsigned standing;
    unsigned running, pauses; /* threads; crew_pause without its resume: the main thread's affair */
    _Atomic bool ending;      /* they are to end */
    _Atomic unsigned call;
    /* crew_quiesce */
    _Atomic unsigned loud; /* workers that are not quiet yet */
    void (*quiet)(void *owner);
    void *quiet_owner;
};

/* ---- their number ---- */

static unsigned processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

unsigned crew_wanted(const struct config *config, const struct inherited *inherited)
{
    unsigned wanted = config->workers > 0 ? config->workers : processors();
    size_t least = inherited_most_alike(inherited);
    if (wanted < least)
        wanted = (unsigned)least;
    return wanted < CONFIG_WORKERS_MAX ? wanted : CONFIG_WORKERS_MAX;
}

unsigned crew_count(const struct crew *crew)
{
    return crew->mates.count;
}

struct worker *crew_worker(const struct crew *crew, unsigned index)
{
    return crew->mates.workers[index];
}

static struct worker *first(const struct crew *crew)
{
    return crew->mates.workers[0];
}

/* ---- standing still ---- */

static void stand_still(struct crew *crew)
{
    pthread_mutex_lock(&crew->mutex);
    if (crew->pausing) {
        crew->standing++;
        pthread_cond_signal(&crew->stands);
        while (crew->pausing)
            pthread_cond_wait(&crew->goes_on, &crew->mutex);
        crew->standing--;
    }
    pthread_mutex_unlock(&crew->mutex);
}

static void wake_others(const struct crew *crew)
{
    for (unsigned i = 1; i < crew->mates.count; i++)
        inbox_wake(&crew->mates.workers[i]->inbox);
}

void crew_pause(struct crew *crew)
{
    if (crew->pauses++ > 0)
        return;
    pthread_mutex_lock(&crew->mutex);
    crew->pausing = true;
    if (crew->running > 0)
        wake_others(crew);
    while (crew->standing < crew->running)
        pthread_cond_wait(&crew->stands, &crew->mutex);
    pthread_mutex_unlock(&crew->mutex);
}

void crew_resume(struct crew *crew)
{
    assert(crew->pauses > 0);
    if (--crew->pauses > 0)
        return;
    pthread_mutex_lock(&crew->mutex);
    crew->pausing = false;
    pthread_cond_broadcast(&crew->goes_on);
    pthread_mutex_unlock(&crew->mutex);
}

/* ---- what a worker does when it is woken ---- */

static void tell_quiet(struct crew *crew)
{
    void (*quiet)(void *) = crew->quiet;
    if (quiet == NULL || atomic_load(&crew->loud) > 0)
        return;
    crew->quiet = NULL;
    quiet(crew->quiet_owner);
}

static void on_woken(void *owner, struct worker *worker)
{
    struct crew *crew = owner;
    if (worker->index == 0) {
        tell_quiet(crew);
        return;
    }
    atomic_store(&crew->members[worker->index].answered, atomic_load(&crew->call));
    stand_still(crew);
    if (atomic_load(&crew->ending))
        ev_break(worker->loop, EVBREAK_ALL);
}

bool crew_is_alive(struct crew *crew)
{
    unsigned last = atomic_load(&crew->call);
    bool all = true;
    for (unsigned i = 1; i <= crew->running; i++)
        all = all && atomic_load(&crew->members[i].answered) == last;
    if (!all)
        return false;
    atomic_store(&crew->call, last + 1);
    if (crew->running > 0)
        wake_others(crew);
    return true;
}

/* ---- its life ---- */

static struct log *log_of(struct crew *crew, unsigned index)
{
    return index == 0 ? crew->log : &crew->members[index].log;
}

static void set_up_log(struct crew *crew, unsigned index, const struct config *config)
{
    struct log *log = &crew->members[index].log;
    log_init(log, crew->log->fd, config->log_level, config->log_format);
    log_configure(log, config->log_level, config->log_format, config->log_target);
}

struct crew *crew_create(struct config *config, struct log *log, unsigned count)
{
    struct crew *crew = calloc(1, sizeof(*crew));
    if (crew == NULL) {
        log_event(log, LOG_LEVEL_ERROR, "cannot start", LOG_ERRNO(ENOMEM));
        return NULL;
    }
    pthread_mutex_init(&crew->mutex, NULL);
    pthread_cond_init(&crew->stands, NULL);
    pthread_cond_init(&crew->goes_on, NULL);
    crew->log = log;
    crew->mates.count = count;
    crew->mates.woken = on_woken;
    crew->mates.owner = crew;
    for (unsigned i = 1; i < count; i++)
        set_up_log(crew, i, config);
    for (unsigned i = 0; i < count; i++) {
        if (worker_create_among(config, log_of(crew, i), &crew->mates, i) == NULL) {
            crew_destroy(crew);
            return NULL;
        }
    }
    return crew;
}

static void end_threads(struct crew *crew)
{
    atomic_store(&crew->ending, true);
    if (crew->running > 0)
        wake_others(crew);
    for (unsigned i = 1; i <= crew->running; i++)
        pthread_join(crew->members[i].thread, NULL);
    crew->running = 0;
}

void crew_destroy(struct crew *crew)
{
    if (crew == NULL)
        return;
    end_threads(crew); /* they run where something else has failed after their start */
    for (unsigned i = crew->mates.count; i-- > 0;) { /* the first one is told when others end */
        worker_destroy(crew->mates.workers[i]);
        if (i > 0)
            log_end(&crew->members[i].log);
    }
    pthread_cond_destroy(&crew->stands);
    pthread_cond_destroy(&crew->goes_on);
    pthread_mutex_destroy(&crew->mutex);
    free(crew);
}

bool crew_open(struct crew *crew, struct inherited *inherited)
{
    for (unsigned i = 0; i < crew->mates.count; i++)
        if (!worker_open(crew->mates.workers[i], inherited))
            return false;
    return true;
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    (void)prctl(PR_SET_NAME, "worker");
    worker_run(worker);
    return NULL;
}

/* Signals are the main thread's, but for those that tell of a fault in the thread itself. */
static int start_thread(struct crew *crew, unsigned index)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t most, before;
    sigfillset(&most);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&most, faults[i]);
    pthread_sigmask(SIG_SETMASK, &most, &before);
    int error = pthread_create(&crew->members[index].thread, NULL, run, crew->mates.workers[index]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

bool crew_start(struct crew *crew)
{
    for (unsigned i = 1; i < crew->mates.count; i++) {
        int error = start_thread(crew, i);
        if (error != 0) {
            log_event(crew->log, LOG_LEVEL_ERROR, "cannot start a worker's thread",
                      LOG_ERRNO(error));
            end_threads(crew);
            return false;
        }
        crew->running++;
    }
    return true;
}

void crew_run(struct crew *crew)
{
    worker_run(first(crew));
    end_threads(crew);
}

/* ---- all of them ---- */

static void for_all(struct crew *crew, void (*what)(struct worker *worker))
{
    crew_pause(crew);
    for (unsigned i = 0; i < crew->mates.count; i++)
        what(crew->mates.workers[i]);
    crew_resume(crew);
}

void crew_accept(struct crew *crew)
{
    for_all(crew, worker_accept);
}

void crew_give_up_sockets(struct crew *crew)
{
    for_all(crew, worker_give_up_sockets);
}

void crew_drain(struct crew *crew)
{
    for_all(crew, worker_drain);
}

void crew_unquiesce(struct crew *crew)
{
    crew->quiet = NULL;
    for_all(crew, worker_unquiesce);
}

void crew_pass_on_arrivals(struct crew *crew, arrival_heir *heir, void *owner)
{
    crew_pause(crew);
    for (unsigned i = 0; i < crew->mates.count; i++)
        arrivals_pass_on(crew->mates.workers[i], heir, owner);
    crew_resume(crew);
}

static void on_quiet(void *owner)
{
    struct worker *worker = owner;
    struct crew *crew = worker->mates->owner;
    if (atomic_fetch_sub(&crew->loud, 1) == 1)
        inbox_wake(&first(crew)->inbox);
}

void crew_quiesce(struct crew *crew, void (*quiet)(void *owner), void *owner)
{
    crew->quiet = quiet;
    crew->quiet_owner = owner;
    atomic_store(&crew->loud, crew->mates.count);
    crew_pause(crew);
    for (unsigned i = 0; i < crew->mates.count; i++)
        worker_quiesce(crew->mates.workers[i], on_quiet, crew->mates.workers[i]);
    crew_resume(crew);
}

static void configure_logs(struct crew *crew, const struct config *config)
{
    for (unsigned i = 0; i < crew->mates.count; i++)
        log_configure(log_of(crew, i), config->log_level, config->log_format, config->log_target);
}

bool crew_reconfigure(struct crew *crew, struct config *config)
{
    unsigned prepared = 0;
    bool changed = true;
    crew_pause(crew);
    for (; changed && prepared < crew->mates.count; prepared++)
        changed =
            worker_prepare(crew->mates.workers[prepared], config, &crew->members[prepared].next);
    for (unsigned i = 0; i < prepared; i++)
        worker_settle(crew->mates.workers[i], &crew->members[i].next, changed);
    if (changed)
        configure_logs(crew, config);
    crew_resume(crew);
    return changed;
}

int *crew_sockets(const struct crew *crew, int extra, size_t *count)
{
    int *fds = calloc(crew->mates.count * (size_t)WORKER_SOCKETS_MAX + 1, sizeof(*fds));
    *count = 0;
    for (unsigned i = 0; fds != NULL && i < crew->mates.count; i++)
        *count += worker_sockets(crew->mates.workers[i], fds + *count);
    if (fds != NULL && extra >= 0)
        fds[(*count)++] = extra;
    return fds;
}
