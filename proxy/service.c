#include "proxy/service.h"

#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/administration.h"
#include "proxy/config/load.h"
#include "proxy/confine.h"
#include "proxy/crew.h"
#include "proxy/generation.h"
#include "proxy/ops/service_manager.h"
#include "proxy/replacement.h"
#include "proxy/worker.h"

enum { SIGNALS_MAX = 5 };

struct service {
    const struct options *options;
    char *const *argv;
    struct log log;
    struct crew *crew;
    struct replacement replacement;
    struct process process;
    struct administration administration;
    struct service_watchdog watchdog;
    ev_signal signals[SIGNALS_MAX];
};

static struct worker *first(const struct service *s)
{
    return crew_worker(s->crew, 0);
}

/* ---- another configuration ---- */

static const char NOT_RELOADED[] = "the configuration stays as it was";

static void tell_errors(struct service *s, const struct config_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++)
        log_event(&s->log, LOG_LEVEL_ERROR, "the configuration is not valid",
                  LOG_TEXT("error", errors->texts[i]));
}

/* False: nothing has changed, and `errors` (or the log) says why. */
static bool reload(void *owner, struct config_errors *errors)
{
    struct service *s = owner;
    if (replacement_is_under_way(&s->replacement)) {
        static const char why[] = "another process is taking over, and has read the file";
        config_error(errors, "%s", why);
        log_event(&s->log, LOG_LEVEL_WARNING, NOT_RELOADED, LOG_TEXT("reason", why));
        return false;
    }
    struct config *config = config_load_again(s->options, errors);
    bool restart = config != NULL && confine_keep(first(s)->generation->config, config);
    bool changed = config != NULL && administration_prepare(&s->administration, config) &&
                   crew_reconfigure(s->crew, config);
    administration_settle(&s->administration, changed ? config : NULL);
    process_reloaded(&s->process, changed);
    if (changed) {
        log_event(&s->log, LOG_LEVEL_INFO, "the configuration was reloaded",
                  LOG_NUMBER("listeners", config->listener_count),
                  LOG_NUMBER("upstreams", config->upstream_count));
        if (restart)
            log_write(
                &s->log, LOG_LEVEL_WARNING,
                "another user, group, sandbox, mark or number of workers takes effect with the "
                "next start",
                NULL);
    } else {
        tell_errors(s, errors);
        log_write(&s->log, LOG_LEVEL_ERROR, NOT_RELOADED, NULL);
    }
    config_release(config);
    return changed;
}

/* ---- signals ---- */

static void on_end(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    struct service *s = watcher->data;
    service_manager_stopping();
    replacement_leave(&s->replacement);
}

static void on_reload(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    struct config_errors errors;
    config_errors_init(&errors);
    service_manager_reloading();
    bool changed = reload(watcher->data, &errors);
    service_manager_ready(changed ? "accepting connections"
                                  : "accepting connections; the new configuration was refused");
    config_errors_free(&errors);
}

static void on_replace(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    struct service *s = watcher->data;
    replacement_begin(&s->replacement, administration_fd(&s->administration));
}

/* Sent out of habit (to rotate logs), they must not end connections. */
static void on_other(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    struct service *s = watcher->data;
    log_event(&s->log, LOG_LEVEL_WARNING, "this signal does nothing here",
              LOG_TEXT("signal", strsignal(watcher->signum)));
}

static const struct {
    int number;
    void (*callback)(struct ev_loop *loop, ev_signal *watcher, int events);
} signals[SIGNALS_MAX] = {
    {SIGTERM, on_end},   {SIGINT, on_end},      {SIGHUP, on_reload},
    {SIGUSR1, on_other}, {SIGUSR2, on_replace},
};

/* ---- its life ---- */

static void on_accept(void *owner)
{
    struct service *s = owner;
    crew_accept(s->crew);
    administration_start(&s->administration);
    worker_print_listeners(first(s), stdout);
    service_manager_ready("accepting connections");
}

static void on_gone(void *owner)
{
    struct service *s = owner;
    administration_close(&s->administration);
}

/* Opens all that this process listens at. */
static bool start(struct service *s, struct config *config)
{
    struct inherited inherited;
    if (!replacement_inherit(&s->log, &inherited))
        return false;
    s->crew = crew_create(config, &s->log, crew_wanted(config, &inherited));
    if (s->crew == NULL) {
        inherited_close(&inherited);
        return false;
    }
    s->replacement = (struct replacement){
        .crew = s->crew,
        .log = &s->log,
        .argv = s->argv,
        .patience_s = HANDOVER_READY_SECONDS,
        .accept = on_accept,
        .gone = on_gone,
        .owner = s,
    };
    if (!replacement_open(&s->replacement, &inherited))
        return false;
    bool opened = administration_open(&s->administration, s->crew, config, &inherited, &s->process,
                                      reload, s);
    replacement_close_rest(&s->replacement, &inherited);
    return opened;
}

static bool is_alive(void *owner)
{
    return crew_is_alive(owner);
}

/* What comes from now on finds a process that ends: it must not end it in the middle. */
static void stop_signals(struct service *s)
{
    sigset_t ours;
    sigemptyset(&ours);
    for (int i = 0; i < SIGNALS_MAX; i++)
        sigaddset(&ours, signals[i].number);
    pthread_sigmask(SIG_BLOCK, &ours, NULL);
    for (int i = 0; i < SIGNALS_MAX; i++)
        ev_signal_stop(first(s)->loop, &s->signals[i]);
}

static bool serve(struct service *s)
{
    for (int i = 0; i < SIGNALS_MAX; i++) {
        ev_signal_init(&s->signals[i], signals[i].callback, signals[i].number);
        s->signals[i].data = s;
        ev_signal_start(first(s)->loop, &s->signals[i]);
    }
    bool serves = crew_start(s->crew) && replacement_take_up(&s->replacement);
    service_manager_watch(&s->watchdog, first(s)->loop, s->replacement.is_successor, is_alive,
                          s->crew);
    if (serves)
        crew_run(s->crew);
    service_manager_unwatch(&s->watchdog);
    replacement_cancel(&s->replacement);
    stop_signals(s);
    return serves;
}

int service_run(const struct options *options, struct config *config, char *const argv[])
{
    struct service s = {.options = options, .argv = argv};
    process_open(&s.process);
    int fd = log_descriptor(STDERR_FILENO);
    log_init(&s.log, fd, config->log_level, config->log_format);
    log_configure(&s.log, config->log_level, config->log_format, config->log_target);
    bool served = confine_permits(config, &s.log) && start(&s, config) &&
                  confine(config, options->config, &s.log) && serve(&s);
    administration_close(&s.administration);
    crew_destroy(s.crew);
    process_close(&s.process);
    if (served)
        log_write(&s.log, LOG_LEVEL_INFO, "stopped", NULL);
    log_end(&s.log);
    if (fd != STDERR_FILENO)
        close(fd);
    return served ? EXIT_OK : EXIT_STARTUP;
}
