/*
 * Administration by HTTP of all workers: the socket it is asked on, from one configuration to the
 * next, and the answers.
 */
#ifndef PROXY_ADMINISTRATION_H
#define PROXY_ADMINISTRATION_H

#include <ev.h>
#include <stdbool.h>

#include "proto/text/errors.h"
#include "proxy/config/config.h"
#include "proxy/net/inherited.h"
#include "proxy/ops/process.h"

struct admin;
struct crew;

/* Reads the configuration again. False: nothing has changed, and `errors`, or the log, says why. */
typedef bool administration_reload(void *owner, struct config_errors *errors);

struct administration {
    struct crew *crew;
    struct process *process;
    administration_reload *reload;
    void *owner;
    struct address address; /* as configured; empty: nobody is to ask */
    bool dual_stack;
    struct admin *admin; /* NULL: likewise */
    struct admin *next;  /* of a configuration that is not in force yet; NULL: none, or the same */
    struct admin *old;   /* still answering whoever asked for the reload */
    ev_timer old_timer;
};

/*
 * Listens where `config` says, if it does, on a socket from `inherited` (may be NULL) if it is
 * there; nobody is answered before administration_start. False, with an explanation in the log.
 */
bool administration_open(struct administration *administration, struct crew *crew,
                         const struct config *config, struct inherited *inherited,
                         struct process *process, administration_reload *reload, void *owner);
void administration_start(struct administration *administration);
/* One that was never opened, or is closed already, is allowed, here and below. */
void administration_close(struct administration *administration);

/*
 * The two steps of a reload: can this configuration be put in force? False, with an explanation in
 * the log. And then: it was (or, `config` NULL, another part of it could not be).
 */
bool administration_prepare(struct administration *administration, const struct config *config);
void administration_settle(struct administration *administration, const struct config *config);

/* The listening socket; -1: there is none. */
int administration_fd(const struct administration *administration);

#endif
