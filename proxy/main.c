/*
 * turbotls-proxy: arguments in, a worker running, signals out.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/options.h"
#include "proxy/worker.h"

enum { SIGNALS_MAX = 5 };

static void on_end(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    worker_drain(watcher->data);
}

/* Sent out of habit (to reload, to rotate logs), they must not end connections. */
static void on_other(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    struct worker *worker = watcher->data;
    log_event(worker->log, LOG_LEVEL_WARNING, "this signal does nothing here",
              LOG_TEXT("signal", strsignal(watcher->signum)));
}

static const struct {
    int number;
    void (*callback)(struct ev_loop *loop, ev_signal *watcher, int events);
} signals[SIGNALS_MAX] = {
    {SIGTERM, on_end},   {SIGINT, on_end},    {SIGHUP, on_other},
    {SIGUSR1, on_other}, {SIGUSR2, on_other},
};

static void serve(struct worker *worker)
{
    ev_signal watchers[SIGNALS_MAX];
    for (int i = 0; i < SIGNALS_MAX; i++) {
        ev_signal_init(&watchers[i], signals[i].callback, signals[i].number);
        watchers[i].data = worker;
        ev_signal_start(worker->loop, &watchers[i]);
    }
    worker_print_listeners(worker, stdout);
    worker_run(worker);
    for (int i = 0; i < SIGNALS_MAX; i++)
        ev_signal_stop(worker->loop, &watchers[i]);
}

/* What libev cannot do without; it would abort. */
static void on_loop_failure(const char *message)
{
    (void)fprintf(stderr, "turbotls-proxy: %s: %s\n", message, strerror(errno));
    _exit(EXIT_STARTUP);
}

/* The loop takes no failure for an answer, and would abort. */
static void *loop_memory(void *block, long bytes)
{
    if (bytes == 0) {
        free(block);
        return NULL;
    }
    void *moved = realloc(block, (size_t)bytes);
    if (moved == NULL)
        on_loop_failure("the event loop is out of memory");
    return moved;
}

static int run(const struct options *options)
{
    struct log log;
    int fd = log_descriptor(STDERR_FILENO);
    log_init(&log, fd, options->log_level, options->log_format);
    struct worker *worker = worker_create(options, &log);
    bool listening = worker != NULL && worker_listen(worker);
    if (listening)
        serve(worker);
    worker_destroy(worker);
    if (listening)
        log_write(&log, LOG_LEVEL_INFO, "stopped", NULL);
    if (fd != STDERR_FILENO)
        close(fd);
    return listening ? EXIT_OK : EXIT_STARTUP;
}

/* Closed standard streams would make room for sockets, and what is printed would go there. */
static void open_standard_streams(void)
{
    int fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    if (fd >= 0)
        close(fd);
}

static int print(const char *message)
{
    return fputs(message, stdout) >= 0 && fflush(stdout) == 0 ? EXIT_OK : EXIT_STARTUP;
}

int main(int argc, char *argv[])
{
    static struct options options;
    static char message[OPTIONS_MESSAGE_BYTES];
    open_standard_streams();
    (void)signal(SIGPIPE, SIG_IGN);
    ev_set_allocator(loop_memory);
    ev_set_syserr_cb(on_loop_failure);
    switch (options_parse(&options, argc, argv, message)) {
    case OPTIONS_RUN: return run(&options);
    case OPTIONS_DONE: return print(message);
    case OPTIONS_INVALID: (void)fprintf(stderr, "turbotls-proxy: %s\n", message); break;
    }
    return EXIT_USAGE;
}
