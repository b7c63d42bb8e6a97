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
 *
 * Old and new are versions of one program, so this does not change: the new one finds the sockets'
 * descriptors in the environment (inherited.h) and beside them that of its end of a line, a
 * SOCK_SEQPACKET. It says "r" for ready there and hears "g" for go, which are messages of one byte;
 * then, for each connection that was accepted but has said nothing yet, "c" with the address it
 * came by ("c192.0.2.1:443"), and its descriptor beside it (SCM_RIGHTS): datagrams of the same
 * client may be what the new process receives. Should the old one die, the line ends, which means
 * go.
 */
#ifndef PROXY_HANDOVER_H
#define PROXY_HANDOVER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define HANDOVER_VARIABLE "TURBOTLS_HANDOVER_FD"

/* A new process may take so long to read its configuration and open what is new in it. */
enum { HANDOVER_READY_SECONDS = 30 };

struct handover;

/* ---- the old process ---- */

struct handover_events {
    void (*ready)(void *owner); /* the new process waits for handover_go */
    /*
     * It ended, or did not become ready in time: the new process and the handover are gone, the
     * sockets are as they were. May also come after `ready`. `why` is valid during the call.
     */
    void (*failed)(void *owner, const char *why);
};

/*
 * Starts `argv[0]` with `argv` and the listening sockets `fds`, which stay the caller's. The name
 * is looked up anew, in PATH unless there is a slash in it: /proc/self/exe would be the old file.
 * Of this process the new one has the environment, the standard streams, the directory and the
 * limits, no other descriptor, no signal blocked or ignored. Its standard error is `log`, which
 * never blocks: it may not be allowed to open our standard error anew, as we were. It fails when it
 * is not ready within `patience_s`. NULL with errno: it could not be started.
 */
struct handover *handover_start(struct ev_loop *loop, char *const argv[], const int *fds,
                                size_t count, int log, double patience_s,
                                const struct handover_events *events, void *owner);
pid_t handover_pid(const struct handover *handover);
/*
 * After `ready`: the new one accepts from now on, and this process must not read the sockets any
 * more. False: it is dead, which `failed` would have told next; the handover is gone, all is as it
 * was before handover_start.
 */
bool handover_go(struct handover *handover);
/*
 * After handover_go: a copy of an accepted socket, and the listener's address as address_text has
 * it. May wait for the new one, a second at most. False: it does not take it.
 */
bool handover_pass(struct handover *handover, int fd, const char *listener);
/* Kills the new process if it has not been let go, and frees the handover. NULL is allowed. */
void handover_end(struct handover *handover);

/* ---- the new process ---- */

/*
 * The descriptor to talk to the old process, once: it is the caller's, and the variable is removed.
 * -1: this process was not started by handover_start.
 */
int handover_inherited(void);

/* From the loop. */
struct handover_news {
    void (*go)(void *owner); /* this process may accept */
    /* After `go`: `fd`, now the owner's, was accepted at `listener`. */
    void (*passed)(void *owner, int fd, const char *listener);
    void (*ended)(void *owner); /* after `go`: nothing more is to come, the handover is gone */
};

/*
 * Takes over `fd` and tells the old process that this one is ready. handover_end forgets about it.
 * NULL with errno: `fd` is still the caller's.
 */
struct handover *handover_join(struct ev_loop *loop, int fd, const struct handover_news *news,
                               void *owner);

#endif
