/*
 * turbotls-proxy: arguments in, a worker running, signals out.
 */
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "proxy/options.h"
#include "proxy/worker.h"

static void on_signal(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    worker_drain(watcher->data);
}

static void watch_signal(struct worker *worker, ev_signal *watcher, int number)
{
    ev_signal_init(watcher, on_signal, number);
    watcher->data = worker;
    ev_signal_start(worker->loop, watcher);
}

static void serve(struct worker *worker)
{
    ev_signal terminate, interrupt;
    watch_signal(worker, &terminate, SIGTERM);
    watch_signal(worker, &interrupt, SIGINT);
    worker_print_listeners(worker, stdout);
    worker_run(worker);
    ev_signal_stop(worker->loop, &terminate);
    ev_signal_stop(worker->loop, &interrupt);
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
    if (fd != STDERR_FILENO)
        close(fd);
    return listening ? EXIT_OK : EXIT_STARTUP;
}
int main(int argc, char *argv[])
{
    static struct options options;
    static char message[OPTIONS_MESSAGE_BYTES];
    (void)signal(SIGPIPE, SIG_IGN);
    switch (options_parse(&options, argc, argv, message)) {
    case OPTIONS_RUN: break;
    case OPTIONS_DONE: (void)fputs(message, stdout); return EXIT_OK;
    case OPTIONS_INVALID: (void)fprintf(stderr, "turbotls-proxy: %s\n", message); return EXIT_USAGE;
    }
    return run(&options);
}
