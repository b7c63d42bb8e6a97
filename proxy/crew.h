/*
 * The workers of a process. The first one runs in the main thread, with whatever belongs to the
 * process as a whole (signals, reloading, administration, making way for a successor); each of the
 * others has a thread. They share nothing that changes but counts, and send each other messages.
 *
 * What is rare, and concerns all of them, the main thread does while the others stand still between
 * two events: it may then read and change everything that they have (crew_pause). All functions
 * here are the main thread's, and those that change something pause by themselves.
 */
#ifndef PROXY_CREW_H
#define PROXY_CREW_H

#include <stdbool.h>
#include <stdio.h>

#include "proxy/arrival.h"
#include "proxy/config/config.h"
#include "proxy/ops/log.h"

struct crew;
struct inherited;
struct worker;

/* As many as the configuration says, or one for each processor; as many at least as there are
 * `inherited` sockets at one address, else some would not be listened at. */
unsigned crew_wanted(const struct config *config, const struct inherited *inherited);
/*
 * `count` of them, which do not run yet. `log` is the first one's, the others log in the same way.
 * NULL, with an explanation in the log.
 */
struct crew *crew_create(struct config *config, struct log *log, unsigned count);
/* Ends the threads, if they run. NULL is allowed. */
void crew_destroy(struct crew *crew);

unsigned crew_count(const struct crew *crew);
/* 0: the one in the main thread. */
struct worker *crew_worker(const struct crew *crew, unsigned index);

/* As worker_open, for all. */
bool crew_open(struct crew *crew, struct inherited *inherited);
/* Starts the threads: what the process gives up for itself is to be given up before. False, with an
 * explanation in the log. */
bool crew_start(struct crew *crew);
void crew_accept(struct crew *crew);
/* Runs the first one until all connections have ended in a drain, or it is over; then ends the
 * threads. */
void crew_run(struct crew *crew);

/* Until crew_resume, as often as this was called, none of the others moves. */
void crew_pause(struct crew *crew);
void crew_resume(struct crew *crew);
/*
 * Do all of them answer? Called time and again: false while one has not, since the last call. Does
 * not pause.
 */
bool crew_is_alive(struct crew *crew);

/* As worker_reconfigure: everywhere at once, or nowhere. The log of all is set up anew as well. */
bool crew_reconfigure(struct crew *crew, struct config *config);
/* As worker_quiesce: `quiet` is called in the main thread once all are. */
void crew_quiesce(struct crew *crew, void (*quiet)(void *owner), void *owner);
void crew_unquiesce(struct crew *crew);
/* The listening sockets of all, in the order in which the workers have them at each address; an
 * array for free. NULL: out of memory. `extra` (-1: none) is put behind them. */
int *crew_sockets(const struct crew *crew, int extra, size_t *count);
void crew_give_up_sockets(struct crew *crew);
void crew_pass_on_arrivals(struct crew *crew, arrival_heir *heir, void *owner);
void crew_drain(struct crew *crew);

#endif
