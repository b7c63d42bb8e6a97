/*
 * Once the listeners are open the process gives up what it needed for that: the user that started
 * it, capabilities, files and system calls, as the configuration says.
 */
#ifndef PROXY_CONFINE_H
#define PROXY_CONFINE_H

#include <stdbool.h>

#include "proxy/config/config.h"

/* `config_file`: NULL: there is none. False, with an explanation in the log: it must not go on. */
bool confine(const struct config *config, const char *config_file, struct log *log);
/* Whether `next` asks for what only a start can do, after `now`. */
bool confine_differs(const struct config *now, const struct config *next);

#endif
