/*
 * Once the listeners are open the process gives up what it needed for that: the user that started
 * it, capabilities, files and system calls, as the configuration says.
 */
#ifndef PROXY_CONFINE_H
#define PROXY_CONFINE_H

#include <stdbool.h>

#include "proxy/config/config.h"

/* Before anything is opened: has the process what the configuration takes for as long as it runs?
 * False, with an explanation in the log. */
bool confine_permits(const struct config *config, struct log *log);
/* `config_file`: NULL: there is none. False, with an explanation in the log: it must not go on. */
bool confine(const struct config *config, const char *config_file, struct log *log);
/* Whether `next` asks for what only a start can change. The mark, which would be used at once, is
 * in `next` as it is in `now` from here on. */
bool confine_keep(const struct config *now, struct config *next);

#endif
