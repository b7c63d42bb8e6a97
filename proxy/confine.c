#include "proxy/confine.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "proxy/ops/privileges.h"
#include "proxy/ops/sandbox.h"
#include "tunnel/net/socket.h"

enum { ERROR_BYTES = 512 };

static bool intercepts(const struct config *config)
{
    bool does = config->mark != 0;

    for (size_t i = 0; i < config->listener_count; i++)
        does = does || config->listeners[i].request == CONFIG_REQUEST_TPROXY;
    return does;
}

bool confine_permits(const struct config *config, struct log *log)
{
    if (config->mark == 0 || socket_may_mark() || errno != EPERM)
        return true;
    log_event(log, LOG_LEVEL_ERROR, "cannot mark connections",
              LOG_TEXT("error", "process.mark needs CAP_NET_RAW (CAP_NET_ADMIN before Linux 5.17): "
                                "start as root, or with AmbientCapabilities=CAP_NET_RAW"));
    return false;
}

bool confine(const struct config *config, const char *config_file, struct log *log)
{
    char error[ERROR_BYTES];
    unsigned keep = PRIVILEGE_PORTS | (intercepts(config) ? PRIVILEGE_INTERCEPT : 0);

    if ((config->user != NULL || config->group != NULL) &&
        !privileges_drop(config->user, config->group, keep, error, sizeof(error))) {
        log_event(log, LOG_LEVEL_ERROR, "cannot change the user", LOG_TEXT("error", error));
        return false;
    }
    if (config->sandbox)
        (void)sandbox_enter(&(struct sandbox_needs){.config_file = config_file, .privileges = keep},
                            log);
    return true;
}

static bool is_other(const char *now, const char *next)
{
    return now == NULL || next == NULL ? now != next : strcmp(now, next) != 0;
}

bool confine_keep(const struct config *now, struct config *next)
{
    bool differs = now->sandbox != next->sandbox || now->mark != next->mark ||
                   now->workers != next->workers || is_other(now->user, next->user) ||
                   is_other(now->group, next->group);

    next->mark = now->mark; /* which connections would have at once, or fail for */
    return differs;
}
