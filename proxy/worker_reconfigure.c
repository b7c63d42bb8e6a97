#include <errno.h>
#include <stdlib.h>

#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/net/inherited.h"
#include "proxy/worker_parts.h"

/* What listens now, less what is kept: one that changes its kind goes on with the same sockets. */
static bool bequeath(const struct worker *w, const bool kept[static CONFIG_LISTENERS_MAX],
                     struct inherited *heirs)
{
    for (size_t i = 0; i < w->listener_count; i++)
        if (!kept[i] && !listener_bequeath(w->listeners[i], heirs))
            return false;
    return true;
}

/* Where in `listeners` the one is that goes on as `settings`; its count: nowhere. */
static size_t find_kept(const struct worker *w, const struct config_listener *settings,
                        const bool kept[static CONFIG_LISTENERS_MAX])
{
    for (size_t i = 0; i < w->listener_count; i++)
        if (!kept[i] && config_same_listener(listener_settings(w->listeners[i]), settings))
            return i;
    return w->listener_count;
}

/* The listeners of a configuration to come: kept ones at their new place, NULL for new ones. */
struct succession {
    struct listener *listeners[CONFIG_LISTENERS_MAX];
    bool kept[CONFIG_LISTENERS_MAX]; /* of the worker's */
    bool opened[CONFIG_LISTENERS_MAX];
};

static void find_all_kept(const struct worker *w, const struct config *config,
                          struct succession *next)
{
    for (size_t i = 0; i < config->listener_count; i++) {
        size_t at = find_kept(w, &config->listeners[i], next->kept);
        if (at == w->listener_count)
            continue;
        next->kept[at] = true;
        next->listeners[i] = w->listeners[at];
    }
}

static bool open_new(struct worker *w, struct generation *g, struct succession *next)
{
    struct inherited heirs;
    inherited_init(&heirs);
    bool opened = bequeath(w, next->kept, &heirs);
    if (!opened)
        log_event(w->log, LOG_LEVEL_ERROR, "cannot keep the listening sockets", LOG_ERRNO(errno));
    for (size_t i = 0; opened && i < g->config->listener_count; i++) {
        if (next->listeners[i] != NULL)
            continue;
        next->listeners[i] = listener_open(w, g, i, &heirs);
        opened = next->opened[i] = next->listeners[i] != NULL;
    }
    inherited_close(&heirs);
    for (size_t i = 0; !opened && i < g->config->listener_count; i++)
        if (next->opened[i])
            listener_release(next->listeners[i]);
    return opened;
}

/* Room for those that will not be kept. */
static bool reserve_leaving(struct worker *w)
{
    size_t room = w->leaving_count + w->listener_count;
    struct listener **leaving = realloc(w->leaving, room * sizeof(struct listener *));
    if (leaving != NULL)
        w->leaving = leaving;
    return leaving != NULL;
}

/* Both would accept from the same socket: not before the old one has what is pending there. */
static void await_predecessors(struct worker *w, struct listener *heir)
{
    for (size_t i = 0; i < w->leaving_count; i++) {
        struct listener *old = w->leaving[i];
        if (!listener_clashes(old, heir))
            continue;
        listener_close(old, false);
        if (listener_is_open(old))
            listener_await(heir, old);
    }
}

static void succeed(struct worker *w, struct generation *g, const struct succession *next)
{
    struct generation *before = w->generation;
    for (size_t i = 0; i < w->listener_count; i++)
        if (!next->kept[i]) /* finishes what is pending, and goes */
            w->leaving[w->leaving_count++] = w->listeners[i];
    w->generation = g;
    w->listener_count = g->config->listener_count;
    for (size_t i = 0; i < w->listener_count; i++) {
        w->listeners[i] = next->listeners[i];
        if (next->opened[i]) {
            await_predecessors(w, w->listeners[i]);
            worker_tell_listening(w, w->listeners[i]);
            if (w->accepting)
                listener_resume(w->listeners[i]);
        } else {
            listener_adopt(w->listeners[i], g, i);
        }
    }
    generation_stop_checks(before);
    worker_start_checks(w);
    generation_release(before);
    worker_share_files(w, g->config);
    worker_start_handover_timer(w);
    worker_check_drained(w);
}

/* False, with an explanation in the log. */
static bool may_change(const struct worker *w)
{
    if (w->draining || w->quiet != NULL)
        log_event(w->log, LOG_LEVEL_WARNING, "the configuration stays as it was",
                  LOG_TEXT("error", "the proxy is going away"));
    return !w->draining && w->quiet == NULL;
}

bool worker_reconfigure(struct worker *w, struct config *config)
{
    if (!may_change(w) || !worker_has_files(w, config))
        return false;
    struct succession next = {0};
    struct generation *g = generation_create(config, w->stats, w->generation);
    if (g == NULL || !reserve_leaving(w)) {
        log_event(w->log, LOG_LEVEL_ERROR, "the configuration stays as it was", LOG_ERRNO(ENOMEM));
        generation_release(g);
        return false;
    }
    find_all_kept(w, config, &next);
    if (!open_new(w, g, &next)) {
        generation_release(g);
        return false;
    }
    succeed(w, g, &next);
    return true;
}
