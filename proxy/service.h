/*
 * The program at work: its worker, its log, and whoever may tell it to reload, to make way for a
 * new binary, or to end.
 */
#ifndef PROXY_SERVICE_H
#define PROXY_SERVICE_H

#include "proxy/options.h"

/* Runs until it is told to end. Returns an exit code of options.h. */
int service_run(const struct options *options, struct config *config, char *const argv[]);

#endif
