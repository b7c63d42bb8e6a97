#include "probe.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "probe_settings.h"

/* A series of connections; a slot whose probe has no settings is free. */
struct series {
    const struct way *way;
    const struct settings *settings;
    void *context;
    struct probe *slots;
    struct pollfd *polls;
    size_t count, started, ended, failed;
    uint64_t next_start;
    bool report;
};

uint64_t probe_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int probe_socket(struct probe *probe, int type)
{
    probe->fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe->fd < 0)
        probe_end(probe, "no-socket");
    return probe->fd;
}

void probe_note_local_port(struct probe *probe)
{
    struct sockaddr_in local = {0};
    socklen_t length = sizeof local;
    if (getsockname(probe->fd, (struct sockaddr *)&local, &length) == 0)
        probe->local_port = ntohs(local.sin_port);
}

void probe_end(struct probe *probe, const char *result)
{
    if (probe->result == NULL)
        probe->result = result;
}

void probe_answer(struct probe *probe, const uint8_t *bytes, size_t length)
{
    if (probe->first_byte == 0)
        probe->first_byte = probe_now();
    if (length > ANSWER_MAX - probe->answer_length) {
        probe_end(probe, "answer-too-long");
        return;
    }
    memcpy(probe->answer + probe->answer_length, bytes, length);
    probe->answer_length += length;
}

void probe_judge(struct probe *probe, bool status_200, const uint8_t *body, size_t length)
{
    const struct settings *settings = probe->settings;
    bool same =
        length == settings->expected_length && memcmp(body, settings->expected, length) == 0;
    probe_end(probe, status_200 && same ? "ok" : "wrong-answer");
}

static void start_in(struct series *series, struct probe *slot, const struct sockaddr_in *server)
{
    *slot = (struct probe){.settings = series->settings,
                           .context = series->context,
                           .server = *server,
                           .fd = -1,
                           .wake = UINT64_MAX,
                           .detail = "-",
                           .began = probe_now()};
    series->started++;
    series->next_start = slot->began + series->settings->spacing_us;
    series->way->start(slot);
}

static void print_time(uint64_t began, uint64_t at)
{
    if (at != 0)
        printf("%llu", (unsigned long long)(at - began));
    putchar(',');
}

static void print_row(const struct probe *probe, size_t number)
{
    printf("%zu,%u,", number, probe->local_port);
    print_time(probe->began, probe->connected);
    print_time(probe->began, probe->secured);
    print_time(probe->began, probe->first_byte);
    printf("%s,%s\n", probe->detail, probe->result);
}

static void finish(struct series *series, struct probe *probe)
{
    series->way->stop(probe);
    if (probe->fd >= 0)
        close(probe->fd);
    probe->settings = NULL;
    series->ended++;
    if (strcmp(probe->result, "ok") != 0)
        series->failed++;
    if (series->report)
        print_row(probe, series->ended);
}

static uint64_t limit_of(const struct probe *probe)
{
    return probe->began + probe->settings->limit_us;
}

static void step_due(struct series *series, size_t index)
{
    struct probe *probe = &series->slots[index];
    uint64_t now = probe_now();
    if (probe->result == NULL && (series->polls[index].revents != 0 || probe->wake <= now))
        series->way->step(probe);
    if (limit_of(probe) <= now)
        probe_end(probe, "timeout");
    if (probe->result != NULL)
        finish(series, probe);
}

static void start_due(struct series *series, const struct sockaddr_in *server)
{
    for (size_t i = 0; i < series->settings->parallel; i++) {
        if (series->started == series->count || probe_now() < series->next_start)
            return;
        if (series->slots[i].settings == NULL)
            start_in(series, &series->slots[i], server);
    }
}

/* Fills in what to poll for; the earliest time at which something must be done without an event. */
static uint64_t arm(struct series *series)
{
    uint64_t earliest = UINT64_MAX;
    bool free_slot = false;
    for (size_t i = 0; i < series->settings->parallel; i++) {
        const struct probe *probe = &series->slots[i];
        bool used = probe->settings != NULL;
        series->polls[i] = (struct pollfd){.fd = used ? probe->fd : -1, .events = probe->events};
        free_slot = free_slot || !used;
        if (!used)
            continue;
        uint64_t due = probe->wake < limit_of(probe) ? probe->wake : limit_of(probe);
        if (probe->result != NULL)
            due = 0;
        if (due < earliest)
            earliest = due;
    }
    if (free_slot && series->started < series->count && series->next_start < earliest)
        earliest = series->next_start;
    return earliest;
}

static void wait_for_event(struct series *series)
{
    uint64_t until = arm(series), now = probe_now(), us = until > now ? until - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(us / 1000000),
                               .tv_nsec = (long)(us % 1000000) * 1000};
    ppoll(series->polls, (nfds_t)series->settings->parallel, &timeout, NULL);
}

/* How many connections were not "ok". */
static size_t run(struct series *series, const struct sockaddr_in *server)
{
    while (series->ended < series->count) {
        start_due(series, server);
        wait_for_event(series);
        for (size_t i = 0; i < series->settings->parallel; i++)
            if (series->slots[i].settings != NULL)
                step_due(series, i);
    }
    return series->failed;
}

/* A process's first handshake loads libraries and their tables, which takes longer than the
 * handshake. */
static void warm_up(const struct series *template)
{
    struct series series = *template;
    series.count = 1;
    series.report = false;
    if (run(&series, &series.settings->warm_up) != 0)
        fprintf(stderr, "the connection to warm up failed\n");
}

/* Whether a connection was all right. */
static bool measure(struct series *series)
{
    const struct settings *settings = series->settings;
    if (settings->warm_up.sin_port != 0)
        warm_up(series);
    puts("index,local_port,connect_us,handshake_us,first_byte_us,detail,result");
    return run(series, &settings->server) < series->count && fflush(stdout) == 0;
}

int probe_main(int argc, char **argv, const struct way *way)
{
    static struct settings settings;
    int code = settings_read(&settings, argc, argv);
    if (code != 0)
        return code;
    struct series series = {.way = way,
                            .settings = &settings,
                            .context = way->prepare(&settings),
                            .slots = calloc(settings.parallel, sizeof *series.slots),
                            .polls = calloc(settings.parallel, sizeof *series.polls),
                            .count = settings.count,
                            .report = true};
    bool ready = series.context != NULL && series.slots != NULL && series.polls != NULL;
    code = ready && measure(&series) ? 0 : 1;
    free(series.slots);
    free(series.polls);
    if (series.context != NULL)
        way->release(series.context);
    return code;
}
