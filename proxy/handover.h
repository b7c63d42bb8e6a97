/*
 * Replacing the running program without refusing a connection (protocol §7.5): the old process
 * starts the new one with its listening sockets, waits until it is ready, lets sessions that are
 * pending by UDP be joined, and only then lets it accept.
 *
 *   old  fork, exec ──────────▶ new  reads its configuration, takes the sockets over
 *        ready   ◀────────────       (does not accept yet)
 *        refuses new sessions by UDP until those pending have joined, 5 s at most;
 *        stops accepting
 *        go      ────────────▶       accepts
 *        finishes its connections, ends
 */
#ifndef PROXY_HANDOVER_H
#define PROXY_HANDOVER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct handover;

/* ---- the old process ---- */

struct handover_events {
    void (*ready)(void *owner); /* the new process waits for handover_go */
    /* It ended, or did not become ready in time: the handover is gone, nothing has changed. */
    void (*failed)(void *owner, const char *why);
};

/*
 * Starts `argv[0]` (as the kernel found this program: /proc/self/exe may be the old file, so it is
 * looked up again) with `argv` and `fds`. NULL with errno.
 */
struct handover *handover_start(struct ev_loop *loop, char *const argv[], const int *fds,
                                size_t count, const struct handover_events *events, void *owner);
/* The new process accepts from now on; the handover is gone. */
void handover_go(struct handover *handover);
/* Ends the new process if it has not been let go. NULL is allowed. */
void handover_cancel(struct handover *handover);

/* ---- the new process ---- */

/* Was this process started by handover_start? Then the descriptor to talk to the old one, else -1.
 */
int handover_inherited(void);
/*
 * Tells the old process that this one is ready, and calls `go` once it may accept; also when the
 * old one has died. NULL with errno.
 */
struct handover *handover_join(struct ev_loop *loop, int fd, void (*go)(void *owner), void *owner);

#endif
