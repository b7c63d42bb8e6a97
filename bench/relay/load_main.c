/*
 * relay_load COMMAND --to ADDRESS:PORT [OPTION...]: the client end of talk.h's conversations.
 * Prints lines of a name and a value; exit code 0 when every connection did what it should.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ends.h"
#include "load.h"

enum { COUNT_MAX = 10000000, EXCHANGE_BYTES = 32 * 1024 };

static const char usage[] =
    "usage: relay_load COMMAND --to ADDRESS:PORT [--count N] [--parallel N] [--bytes N]\n"
    "  connections  --count new ones, --parallel at once\n"
    "  up, down     --count connections at once, --bytes through each\n"
    "  hold         opens --count connections and keeps them; then each line of the input is a\n"
    "               command: \"exchange\" sends 32 KiB each way through each, \"close\" ends\n"
    "  first-byte   from connecting to the first byte of the answer, one after the other\n"
    "  ping-pong    one byte there and back, --count times on one connection\n"
    "The far end must be relay_backend.\n";

struct command {
    const char *name;
    struct talk talk;
    int (*run)(struct load_settings *settings);
};

static int finish(struct load *load)
{
    size_t failed = load_failed(load);
    printf("failed %zu\n", failed);
    load_free(load);
    return failed == 0 ? 0 : 1;
}

static int run_connections(struct load_settings *settings)
{
    uint64_t began = ends_now();
    struct load *load = load_new(settings);
    load_open(load);
    double seconds = (double)(ends_now() - began) / 1e9;
    printf("connections %zu\nseconds %.6f\n", settings->count, seconds);
    return finish(load);
}

static int run_bulk(struct load_settings *settings)
{
    settings->parallel = settings->count;
    struct load *load = load_new(settings);
    load_open(load);
    printf("bytes %llu\nseconds %.6f\n",
           (unsigned long long)(settings->talk.bytes * settings->count), load_seconds(load));
    return finish(load);
}

static int run_hold(struct load_settings *settings)
{
    char line[32];
    settings->hold = true;
    settings->talk.bytes = EXCHANGE_BYTES;
    struct load *load = load_new(settings);
    load_open(load);
    printf("held %zu\n", settings->count - load_failed(load));
    while (fgets(line, sizeof line, stdin) != NULL && strcmp(line, "close\n") != 0) {
        if (strcmp(line, "exchange\n") != 0)
            ends_fail("not a command: %s", line);
        load_again(load);
        printf("exchanged %zu\n", settings->count - load_failed(load));
    }
    return finish(load);
}

static int run_first_byte(struct load_settings *settings)
{
    latency_of_connections(settings);
    return 0;
}

static int run_ping_pong(struct load_settings *settings)
{
    settings->talk.bytes = 1;
    latency_of_bytes(settings);
    return 0;
}

static const struct command commands[] = {
    {"connections", {TALK_CLOSE, 0}, run_connections},
    {"up", {TALK_UP, 0}, run_bulk},
    {"down", {TALK_DOWN, 0}, run_bulk},
    {"hold", {TALK_ECHO, 0}, run_hold},
    {"first-byte", {TALK_CLOSE, 0}, run_first_byte},
    {"ping-pong", {TALK_ECHO, 0}, run_ping_pong},
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static void read_options(struct load_settings *settings, int argc, char **argv)
{
    static const struct option options[] = {{"to", required_argument, NULL, 't'},
                                            {"count", required_argument, NULL, 'c'},
                                            {"parallel", required_argument, NULL, 'p'},
                                            {"bytes", required_argument, NULL, 'b'},
                                            {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 't': settings->to = ends_address(optarg); break;
        case 'c': settings->count = (size_t)ends_number("--count", optarg, COUNT_MAX); break;
        case 'p': settings->parallel = (size_t)ends_number("--parallel", optarg, COUNT_MAX); break;
        case 'b': settings->talk.bytes = ends_number("--bytes", optarg, UINT64_MAX); break;
        default: (void)fputs(usage, stderr); exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    const struct command *command = argc > 1 ? find(argv[1]) : NULL;
    struct load_settings settings = {.count = 1, .parallel = 1};
    if (command != NULL) {
        settings.talk = (struct talk){command->talk.kind, 1};
        read_options(&settings, argc - 1, argv + 1);
    }
    if (command == NULL || settings.to.sin_port == 0) {
        (void)fputs(usage, stderr);
        return 2;
    }
    return command->run(&settings);
}
