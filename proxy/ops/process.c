#include "proxy/ops/process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SECOND_US = 1000000, STATM_BYTES = 128 };

static uint64_t unix_time_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * SECOND_US + (uint64_t)now.tv_nsec / 1000;
}

void process_open(struct process *p)
{
    *p = (struct process){.files = opendir("/proc/self/fd"),
                          .memory = open("/proc/self/statm", O_RDONLY | O_CLOEXEC),
                          .started_us = unix_time_us()};
    p->reloaded_us = p->started_us;
}

void process_close(struct process *p)
{
    if (p->files != NULL)
        closedir(p->files);
    if (p->memory >= 0)
        close(p->memory);
    p->files = NULL;
    p->memory = -1;
}

void process_reloaded(struct process *p, bool succeeded)
{
    p->reload_failed = !succeeded;
    if (!succeeded) {
        p->failed_reloads++;
        return;
    }
    p->reloads++;
    p->reloaded_us = unix_time_us();
}

uint64_t process_open_files(const struct process *p)
{
    uint64_t count = 0;
    if (p->files == NULL)
        return 0;
    rewinddir(p->files);
    for (const struct dirent *entry; (entry = readdir(p->files)) != NULL;)
        count += entry->d_name[0] != '.';
    return count;
}

/* proc(5): size, resident, …, in pages. */
uint64_t process_resident_bytes(const struct process *p)
{
    char text[STATM_BYTES], *rest;
    ssize_t length = p->memory < 0 ? -1 : pread(p->memory, text, sizeof(text) - 1, 0);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    (void)strtoull(text, &rest, 10);
    return strtoull(rest, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t process_max_files(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

static uint64_t microseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * SECOND_US + (uint64_t)time.tv_usec;
}

uint64_t process_cpu_us(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0
               ? microseconds(usage.ru_utime) + microseconds(usage.ru_stime)
               : 0;
}
