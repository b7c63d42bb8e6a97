#include "proxy/ops/sandbox.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/ops/privileges.h"
#include "proxy/ops/sandbox_parts.h"

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

/* valgrind loads a part of itself into the program that way. */
static bool runs_in_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");

    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

static unsigned held(bool holds, unsigned part, const char *what, struct log *log)
{
    if (holds)
        return part;
    log_event(log, LOG_LEVEL_DEBUG, "a part of the sandbox is missing", LOG_TEXT("part", what),
              LOG_ERRNO(errno));
    return 0;
}

unsigned sandbox_enter(const struct sandbox_needs *needs, struct log *log)
{
    unsigned parts = 0;

    if (sanitized || runs_in_valgrind()) {
        log_write(log, LOG_LEVEL_DEBUG, "no sandbox: instrumented code needs more", NULL);
        return 0;
    }
    parts |= held(privileges_limit(needs->privileges), SANDBOX_CAPABILITIES, "capabilities", log);
    parts |= held(sandbox_limit_files(needs->config_file), SANDBOX_FILES, "landlock", log);
    parts |= held(sandbox_limit_calls(), SANDBOX_CALLS, "seccomp", log);
    return parts;
}
