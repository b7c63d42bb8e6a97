/*
 * What the process can still ask of the kernel, should somebody take it over: no file to write, few
 * to read (Landlock), and no system call that the proxy has no use for (seccomp). Both are kept by
 * every program that is executed from here on, and each time that one of them enters a sandbox of
 * its own, what both allow remains. See privileges.h for when to call it.
 *
 * Files: nothing can be written, created, or removed. Read: the configuration's directory, what
 * looking up names takes (/etc, and where systemd-resolved, resolvconf and NetworkManager keep
 * resolv.conf), /proc, the system's libraries. Executed: those, and what is in the program's
 * directory, so that a hand-over finds the new file under the old name. Sockets in the file system
 * (/dev/log, the journal, systemd's) are not files in this sense. Signals reach only this process
 * and what it started.
 *
 * System calls: what is not on the list fails with EPERM, and so do sockets below TCP and UDP, so
 * that CAP_NET_RAW, where it is kept, reads and forges no packets; those that only an intruder
 * needs (ptrace, mount, bpf, ...) end the process.
 */
#ifndef PROXY_OPS_SANDBOX_H
#define PROXY_OPS_SANDBOX_H

#include "proxy/ops/log.h"

struct sandbox_needs {
    const char *config_file; /* read again at every reload; NULL: there is none */
    unsigned privileges;     /* to keep, as privileges_limit has them */
};

/* What holds, as bits; what the kernel does not offer does not. */
enum {
    SANDBOX_CAPABILITIES = 1, /* none is left but what is needed */
    SANDBOX_FILES = 2,
    SANDBOX_CALLS = 4,
};

/*
 * Enters as much of it as there is, and says in the log (level DEBUG) what there is not and why:
 * nothing here keeps the proxy from starting. Built with a sanitizer or run by valgrind, which need
 * more than they would get: nothing. Call it with one thread only.
 */
unsigned sandbox_enter(const struct sandbox_needs *needs, struct log *log);

#endif
