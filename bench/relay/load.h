/*
 * Connections through a relay, each of them talk.h's client end; one thread, one epoll.
 *
 *   load_open    starts connections, `parallel` under way at once, until `count` are done
 *   load_again   for those that are held: the exchange of TALK_ECHO once more on each
 */
#ifndef BENCH_RELAY_LOAD_H
#define BENCH_RELAY_LOAD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "talk.h"

struct load_settings {
    struct sockaddr_in to;
    struct talk talk;
    size_t count, parallel;
    bool hold; /* connections stay when they are done */
};

struct load;

/* The settings are copied. */
struct load *load_new(const struct load_settings *settings);
void load_open(struct load *load);
void load_again(struct load *load);
/* Closes what is held, and frees. */
void load_free(struct load *load);

/* Connections that did not do what they should. */
size_t load_failed(const struct load *load);
/* From the first byte after a handshake to the end of the last connection; seconds. */
double load_seconds(const struct load *load);

/* Blocking, one connection at a time: prints quantiles in microseconds. */
void latency_of_connections(const struct load_settings *settings);
void latency_of_bytes(const struct load_settings *settings);

#endif
