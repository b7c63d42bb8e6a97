/*
 * Who the process is: from root, with ports below 1024 bound, to a user that owns nothing; for
 * good.
 *
 * The order at start (a process that was handed its sockets over does the same, as the user it
 * already is):
 *
 *     log, configuration read      as started: root may read what the user may not
 *     listeners bound              ports below 1024 need CAP_NET_BIND_SERVICE
 *     privileges_drop              if the configuration names a user or a group
 *     sandbox_enter                unless it says sandbox: false
 *     the loop; "ready" is told
 */
#ifndef PROXY_OPS_PRIVILEGES_H
#define PROXY_OPS_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

/* What is kept of what is there, as bits. */
enum {
    PRIVILEGE_PORTS = 1, /* CAP_NET_BIND_SERVICE: a reload can open port 443 */
    /*
     * Every connection can be marked, and a reload can open listeners for TPROXY. CAP_NET_RAW,
     * which is worth nothing more in the sandbox; before Linux 5.17 marks need CAP_NET_ADMIN, which
     * can change the host's network: then that, as where it is the only one.
     */
    PRIVILEGE_INTERCEPT = 2,
};

/*
 * Becomes `user` with its groups, or with `group` alone; either may be NULL: that stays. Afterwards
 * no capability is left but what `keep` says; that is also ambient (capabilities(7)), so that the
 * program which is executed at a hand-over has it. No exec(2) can gain privileges from here on. The
 * kernel no longer lets others of that user trace the process, and writes no core (prctl(2),
 * PR_SET_DUMPABLE).
 *
 * Who is not root may name only what it already is. False: `error` says what is wrong and what
 * would be right; the process must end, since it may be neither the one nor the other.
 */
bool privileges_drop(const char *user, const char *group, unsigned keep, char *error,
                     size_t error_bytes);

/*
 * Stays who it is, but gives up every capability but what `keep` says, and with it what exec(2)
 * might gain. Of no effect where there is nothing to give up. False with errno.
 */
bool privileges_limit(unsigned keep);

#endif
