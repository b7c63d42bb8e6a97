#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/generation.h"
#include "proxy/listener.h"
#include "proxy/net/inherited.h"
#include "proxy/worker_parts.h"

/* Where in `listeners` the one is that goes on as `settings`; its count: nowhere. */
static size_t find_kept(const struct worker *w, const struct config_listener *settings,
                        const bool kept[static CONFIG_LISTENERS_MAX])
{
    for (size_t i = 0; i < w->listener_count; i++)
        if (!kept[i] && config_same_listener(listener_settings(w->listeners[i]), settings))
            return i;
    return w->listener_count;
}

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

/* The first worker's has been opened before. */
static const struct listener *elder_of(const struct worker *w, size_t i)
{
    return w->index == 0 ? NULL : w->mates->workers[0]->next->listeners[i];
}

/* What listens now, less what is kept: one that changes its kind goes on with the same sockets. */
static bool bequeath(const struct worker *w, const bool kept[static CONFIG_LISTENERS_MAX],
                     struct inherited *heirs)
{
    for (size_t i = 0; i < w->listener_count; i++)
        if (!kept[i] && !listener_bequeath(w->listeners[i], heirs))
            return false;
    return true;
}

/* Of all workers, which have the same listeners, in their order. False with errno. */
static bool find_heirs(struct worker *first, struct succession *next)
{
    next->heirs = malloc(sizeof(*next->heirs));
    if (next->heirs == NULL)
        return false;
    inherited_init(next->heirs);
    for (unsigned i = 0; i < first->mates->count; i++)
        if (!bequeath(first->mates->workers[i], next->kept, next->heirs))
            return false;
    return true;
}

static struct inherited *heirs_of(struct worker *w, struct succession *next)
{
    if (w->index > 0)
        return w->mates->workers[0]->next->heirs;
    if (find_heirs(w, next))
        return next->heirs;
    log_event(w->log, LOG_LEVEL_ERROR, "cannot keep the listening sockets", LOG_ERRNO(errno));
    return NULL;
}

static bool open_new(struct worker *w, struct generation *g, struct succession *next)
{
    struct inherited *heirs = heirs_of(w, next);
    bool opened = heirs != NULL;
    for (size_t i = 0; opened && i < g->config->listener_count; i++) {
        if (next->listeners[i] != NULL)
            continue;
        next->listeners[i] = listener_open(w, g, i, heirs, elder_of(w, i));
        opened = next->opened[i] = next->listeners[i] != NULL;
    }
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

/* `next` and `generation` are left to give_up, whatever comes of it. */
static bool prepare(struct worker *w, struct config *config, struct succession *next)
{
    if (!may_change(w) || !worker_has_files(w, config))
        return false;
    next->generation = generation_create(config, w->stats, w->generation);
    if (next->generation == NULL || !reserve_leaving(w)) {
        log_event(w->log, LOG_LEVEL_ERROR, "the configuration stays as it was", LOG_ERRNO(ENOMEM));
        return false;
    }
    find_all_kept(w, config, next);
    return open_new(w, next->generation, next);
}

bool worker_prepare(struct worker *w, struct config *config, struct succession *next)
{
    memset(next, 0, sizeof(*next));
    w->next = next;
    return prepare(w, config, next);
}

static void give_up(struct succession *next)
{
    for (size_t i = 0; i < CONFIG_LISTENERS_MAX; i++)
        if (next->opened[i])
            listener_release(next->listeners[i]);
    generation_release(next->generation);
}

void worker_settle(struct worker *w, struct succession *next, bool changed)
{
    if (next->heirs != NULL)
        inherited_close(next->heirs);
    free(next->heirs);
    if (changed)
        succeed(w, next->generation, next);
    else
        give_up(next);
    w->next = NULL;
}

bool worker_reconfigure(struct worker *w, struct config *config)
{
    struct succession next;
    bool changed = worker_prepare(w, config, &next);
    worker_settle(w, &next, changed);
    return changed;
}
