/*
 * N connections to a server, at most P of them at once, each timed and printed as one CSV line.
 *
 * What a connection speaks is a `struct way`: tls_times.c (TLS over TCP) and quic_times.c (QUIC).
 * Both are measured by the same clock, from before the socket connects, and do the same: verify the
 * certificate, ask for one file, compare all of it with what it must be.
 */
#ifndef BENCH_PROBE_H
#define BENCH_PROBE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ANSWER_MAX = 64 * 1024 };

struct settings {
    struct sockaddr_in server;
    struct sockaddr_in warm_up; /* port 0: none */
    char *name;
    const char *ca_file;
    uint8_t expected[ANSWER_MAX];
    size_t expected_length;
    size_t count;
    size_t parallel;
    uint64_t spacing_us;
    uint64_t limit_us;
    bool fastopen;
};

/* One connection. Times are of probe_now; 0 is not yet. */
struct probe {
    const struct settings *settings;
    void *context; /* what way->prepare returned */
    void *state;   /* the way's own */
    struct sockaddr_in server;
    int fd;
    short events;  /* what to poll for */
    uint64_t wake; /* when to step even without an event; UINT64_MAX never */
    uint64_t began, connected, secured, first_byte;
    uint16_t local_port;
    const char *detail;
    const char *result; /* NULL while it goes on; "ok" when all was right */
    uint8_t answer[ANSWER_MAX];
    size_t answer_length;
};

struct way {
    void *(*prepare)(const struct settings *settings);
    void (*release)(void *context);
    void (*start)(struct probe *probe);
    void (*step)(struct probe *probe);
    void (*stop)(struct probe *probe);
};

/* Does what the arguments say; the exit code. */
int probe_main(int argc, char **argv, const struct way *way);

uint64_t probe_now(void);

/* A non-blocking socket of `type`, or -1 and the probe has its result. */
int probe_socket(struct probe *probe, int type);
void probe_note_local_port(struct probe *probe);

void probe_end(struct probe *probe, const char *result);
/* Keeps a piece of the answer and notes the time of the first. */
void probe_answer(struct probe *probe, const uint8_t *bytes, size_t length);
/* Ends the probe by whether `body` is the expected file. */
void probe_judge(struct probe *probe, bool status_200, const uint8_t *body, size_t length);

#endif
