/*
 * turbotls-proxy: arguments in, a configuration checked, a service running.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/config/load.h"
#include "proxy/dns_record.h"
#include "proxy/ops/peak.h"
#include "proxy/options.h"
#include "proxy/service.h"

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

static int refuse(const struct options *options, const struct config_errors *errors)
{
    /* Those of a file begin with its name. */
    for (size_t i = 0; i < errors->count; i++)
        (void)fprintf(stderr, "%s%s\n", options->config == NULL ? "turbotls-proxy: " : "",
                      errors->texts[i]);
    if (errors->total > errors->count)
        (void)fprintf(stderr, "turbotls-proxy: %zu more such errors\n",
                      errors->total - errors->count);
    return errors->failed ? EXIT_STARTUP : EXIT_USAGE;
}

static int run(const struct options *options, char *const argv[])
{
    struct config_errors errors;
    config_errors_init(&errors);
    struct config *config = config_load(options, &errors);
    int code = config == NULL ? refuse(options, &errors) : service_run(options, config, argv);
    config_errors_free(&errors);
    config_release(config);
    return code;
}

/* --check and --print-config. */
static int show(const struct options *options,
                bool (*shown)(const struct options *, FILE *, struct config_errors *))
{
    struct config_errors errors;
    config_errors_init(&errors);
    int code = shown(options, stdout, &errors) ? EXIT_OK : refuse(options, &errors);
    config_errors_free(&errors);
    return code;
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

static int act(const struct options *options, char *const argv[])
{
    switch (options->mode) {
    case OPTIONS_CHECK: return show(options, config_check);
    case OPTIONS_PRINT: return show(options, config_print);
    case OPTIONS_SERVE: break;
    }
    return run(options, argv);
}

static int print(const char *message)
{
    return fputs(message, stdout) >= 0 && fflush(stdout) == 0 ? EXIT_OK : EXIT_STARTUP;
}

int main(int argc, char *argv[])
{
    static struct options options;
    static char message[OPTIONS_MESSAGE_BYTES];
    enum options_result result;
    open_standard_streams();
    (void)signal(SIGPIPE, SIG_IGN);
    peak_prepare();
    ev_set_allocator(loop_memory);
    ev_set_syserr_cb(on_loop_failure);
    result = dns_record_wanted(argc, argv) ? dns_record(argc, argv, message)
                                           : options_parse(&options, argc, argv, message);
    switch (result) {
    case OPTIONS_RUN: return act(&options, argv);
    case OPTIONS_DONE: return print(message);
    case OPTIONS_INVALID: (void)fprintf(stderr, "turbotls-proxy: %s\n", message); break;
    }
    return EXIT_USAGE;
}
