#include "proxy/replacement.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/arrival.h"
#include "proxy/ops/service_manager.h"
#include "proxy/worker.h"

enum { ERROR_BYTES = 200 };

/* ---- the successor ---- */

bool replacement_inherit(struct log *log, struct inherited *inherited)
{
    char error[ERROR_BYTES];
    inherited_init(inherited);
    if (inherited_from_environment(inherited, error, sizeof(error)))
        return true;
    log_event(log, LOG_LEVEL_ERROR, "cannot take over what others have opened",
              LOG_TEXT("error", error));
    inherited_close(inherited);
    return false;
}

bool replacement_open(struct replacement *r, struct inherited *inherited)
{
    r->shares_sockets = inherited->count > 0;
    if (crew_open(r->crew, inherited))
        return true;
    inherited_close(inherited);
    return false;
}

void replacement_close_rest(struct replacement *r, struct inherited *inherited)
{
    for (size_t i = 0; i < inherited->count; i++) {
        const struct inherited_socket *s = &inherited->sockets[i];
        char text[ADDRESS_TEXT_BYTES];
        log_event(r->log, LOG_LEVEL_WARNING, "an inherited socket is wanted by no listener",
                  LOG_TEXT("address", address_text(&s->address, text)),
                  LOG_TEXT("type", s->type == SOCK_STREAM ? "tcp" : "udp"),
                  LOG_TEXT("family", s->dual_stack ? "both" : "one"));
    }
    inherited_close(inherited);
}

static void on_go(void *owner)
{
    struct replacement *r = owner;
    r->is_successor = false;
    r->accept(r->owner);
}

static void on_passed(void *owner, int fd, const char *listener)
{
    struct replacement *r = owner;
    worker_take(crew_worker(r->crew, 0), fd, listener);
}

static void on_ended(void *owner)
{
    struct replacement *r = owner;
    r->handover = NULL;
}

static const struct handover_news news = {.go = on_go, .passed = on_passed, .ended = on_ended};

bool replacement_take_up(struct replacement *r)
{
    int fd = handover_inherited();
    if (fd < 0) {
        r->accept(r->owner);
        return true;
    }
    r->handover = handover_join(crew_worker(r->crew, 0)->loop, fd, &news, r);
    r->is_successor = r->handover != NULL;
    if (r->is_successor)
        return true;
    log_event(r->log, LOG_LEVEL_ERROR, "cannot take over", LOG_ERRNO(errno));
    close(fd);
    return false;
}

/* ---- the predecessor ---- */

static void fail(struct replacement *r, const char *why)
{
    r->handover = NULL;
    log_event(r->log, LOG_LEVEL_ERROR, "no new process: this one goes on as it was",
              LOG_TEXT("program", r->argv[0]), LOG_TEXT("error", why));
}

static void on_failed(void *owner, const char *why)
{
    struct replacement *r = owner;
    crew_unquiesce(r->crew);
    fail(r, why);
}

static bool pass_on(void *owner, int fd, const struct address *listener)
{
    struct replacement *r = owner;
    char text[ADDRESS_TEXT_BYTES];
    return handover_pass(r->handover, fd, address_text(listener, text));
}

/* Nobody is left who could only be joined here. */
static void make_way(struct replacement *r)
{
    pid_t successor = handover_pid(r->handover);
    service_manager_successor(successor);
    if (!handover_go(r->handover)) {
        service_manager_successor(getpid());
        on_failed(r, "it has ended");
        return;
    }
    r->has_gone = true;
    log_event(r->log, LOG_LEVEL_INFO, "the new process accepts from now on",
              LOG_NUMBER("pid", (uint64_t)successor));
    r->gone(r->owner);
    crew_pass_on_arrivals(r->crew, pass_on, r);
    handover_end(r->handover);
    r->handover = NULL;
    crew_give_up_sockets(r->crew);
    crew_drain(r->crew);
}

/* No worker reads any more when the successor does. */
static void on_quiet(void *owner)
{
    struct replacement *r = owner;
    crew_pause(r->crew);
    make_way(r);
    crew_resume(r->crew);
}

static void on_ready(void *owner)
{
    struct replacement *r = owner;
    /* Before that is said: who reads it begins no session here any more. */
    crew_quiesce(r->crew, on_quiet, r);
    log_event(r->log, LOG_LEVEL_INFO,
              "the new process is ready: it will accept once no session waits for TCP",
              LOG_NUMBER("pid", (uint64_t)handover_pid(r->handover)));
}

static const struct handover_events events = {.ready = on_ready, .failed = on_failed};

static bool may_begin(const struct replacement *r)
{
    const char *why = r->has_gone ? "the new process accepts already"
                      : r->is_leaving || crew_worker(r->crew, 0)->draining
                          ? "this process is ending"
                      : r->is_successor     ? "this process is one itself, and does not accept yet"
                      : r->handover != NULL ? "one has been started"
                                            : NULL;
    if (why != NULL)
        log_event(r->log, LOG_LEVEL_WARNING, "no new process is started", LOG_TEXT("reason", why));
    return why == NULL;
}

static struct handover *start(struct replacement *r, int fd)
{
    size_t count;
    int *fds = crew_sockets(r->crew, fd, &count);
    if (fds == NULL)
        return NULL;
    struct handover *handover = handover_start(crew_worker(r->crew, 0)->loop, r->argv, fds, count,
                                               r->log->fd, r->patience_s, &events, r);
    int error = errno;
    free(fds);
    errno = error;
    return handover;
}

void replacement_begin(struct replacement *r, int fd)
{
    if (!may_begin(r))
        return;
    r->handover = start(r, fd);
    if (r->handover == NULL) {
        fail(r, strerror(errno));
        return;
    }
    log_event(r->log, LOG_LEVEL_INFO, "a new process is starting", LOG_TEXT("program", r->argv[0]),
              LOG_NUMBER("pid", (uint64_t)handover_pid(r->handover)));
}

bool replacement_is_under_way(const struct replacement *r)
{
    return r->handover != NULL || r->has_gone;
}

void replacement_cancel(struct replacement *r)
{
    if (r->handover != NULL && !r->is_successor)
        crew_unquiesce(r->crew);
    handover_end(r->handover);
    r->handover = NULL;
}

/* ---- the end ---- */

static void on_quiet_end(void *owner)
{
    struct replacement *r = owner;
    crew_give_up_sockets(r->crew);
    crew_drain(r->crew);
}

void replacement_leave(struct replacement *r)
{
    bool twice = r->is_leaving, again = twice && !crew_worker(r->crew, 0)->draining;
    r->is_leaving = true;
    replacement_cancel(r);
    /* systemd tells the old process when it means the new one. */
    if (r->has_gone && !twice)
        return;
    if (again)
        on_quiet_end(r);
    if (again || !r->shares_sockets || crew_worker(r->crew, 0)->draining)
        crew_drain(r->crew);
    else
        crew_quiesce(r->crew, on_quiet_end, r);
}
