#include "proxy/confine.h"

#include <stddef.h>
#include <string.h>

#include "proxy/ops/privileges.h"
#include "proxy/ops/sandbox.h"

enum { ERROR_BYTES = 512 };

bool confine(const struct config *config, const char *config_file, struct log *log)
{
    char error[ERROR_BYTES];

    if ((config->user != NULL || config->group != NULL) &&
        !privileges_drop(config->user, config->group, true, error, sizeof(error))) {
        log_event(log, LOG_LEVEL_ERROR, "cannot change the user", LOG_TEXT("error", error));
        return false;
    }
    if (config->sandbox)
        (void)sandbox_enter(&(struct sandbox_paths){.config_file = config_file}, log);
    return true;
}

static bool is_other(const char *now, const char *next)
{
    return now == NULL || next == NULL ? now != next : strcmp(now, next) != 0;
}

bool confine_differs(const struct config *now, const struct config *next)
{
    return now->sandbox != next->sandbox || is_other(now->user, next->user) ||
           is_other(now->group, next->group);
}
