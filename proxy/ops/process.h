/*
 * What is known of the process beside its worker: what it uses of the system, since when it runs,
 * and how its configuration was last reloaded.
 */
#ifndef PROXY_OPS_PROCESS_H
#define PROXY_OPS_PROCESS_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>

struct process {
    DIR *files;          /* /proc/self/fd; NULL: not to be had */
    int memory;          /* /proc/self/statm; -1: not to be had */
    uint64_t started_us; /* Unix time */
    uint64_t reloads, failed_reloads;
    uint64_t reloaded_us; /* Unix time at which the configuration in force was read */
    bool reload_failed;   /* the last one did */
};

/*
 * At start: who has changed its user, or is in a sandbox, can no longer open these files, but go on
 * reading them.
 */
void process_open(struct process *process);
void process_close(struct process *process);

/* The configuration was read again. */
void process_reloaded(struct process *process, bool succeeded);

/* 0: not known. */
uint64_t process_open_files(const struct process *process);
uint64_t process_resident_bytes(const struct process *process);
/* As many as it may open; and what it has used of the processor, microseconds. */
uint64_t process_max_files(void);
uint64_t process_cpu_us(void);

#endif
