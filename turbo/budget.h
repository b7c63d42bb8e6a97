/*
 * What a session may send to which client address (protocol §4): one response for every request,
 * and three bytes for every byte, both counted per address. A session answers few addresses; one
 * that does not fit earns nothing. In the Sandwich dialect an address that is proved to be the
 * client's may be sent anything (protocol §11.7e).
 */
#ifndef TURBO_BUDGET_H
#define TURBO_BUDGET_H

#include "turbo/turbo.h"

struct budget_account {
    struct turbo_path path;
    uint32_t permits;  /* requests not yet answered */
    uint32_t received; /* bytes */
    uint32_t sent;     /* bytes */
};

struct budget {
    struct budget_account accounts[TURBO_PATHS_MAX]; /* most recently heard first */
    uint8_t count;
    bool is_proved;              /* `proved` is the client's */
    struct turbo_address proved; /* at whatever port */
};

/* A request of `bytes` came by `path`. False: too many addresses; nothing is earned. */
bool budget_earn(struct budget *budget, const struct turbo_path *path, size_t bytes);
/*
 * Spends one permit and `bytes` on the address heard most recently that has both. False: none has,
 * and nothing was spent.
 */
bool budget_spend(struct budget *budget, size_t bytes, struct turbo_path *path);
/* The same, but only where another permit is left after it. */
bool budget_spend_spare(struct budget *budget, size_t bytes, struct turbo_path *path);
/* Was anything earned from `peer`, at whatever port? */
bool budget_knows(const struct budget *budget, const struct turbo_address *peer);
/* What others than `peer`, at whatever port, have earned so far is void. */
void budget_keep(struct budget *budget, const struct turbo_address *peer);

#endif
