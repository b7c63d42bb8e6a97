#include "proxy/administration.h"

#include <errno.h>
#include <string.h>

#include "proxy/crew.h"
#include "proxy/listener.h"
#include "proxy/ops/admin.h"
#include "proxy/ops/metrics.h"
#include "proxy/ops/status.h"
#include "proxy/ops/totals.h"
#include "proxy/worker.h"

/* For the answer that a socket which is no longer wanted still owes. */
static const double FAREWELL_SECONDS = 1.;

static struct worker *first(const struct administration *a)
{
    return crew_worker(a->crew, 0);
}

/* ---- the answers ---- */

/* NULL: out of memory. */
static struct totals *gather(const struct administration *a)
{
    struct totals *totals = totals_create(first(a));
    bool complete = totals != NULL;
    crew_pause(a->crew);
    for (unsigned i = 1; complete && i < crew_count(a->crew); i++)
        complete = totals_add(totals, crew_worker(a->crew, i));
    crew_resume(a->crew);
    if (complete)
        return totals;
    totals_destroy(totals);
    return NULL;
}

static bool write_metrics(void *owner, FILE *out)
{
    const struct administration *a = owner;
    struct totals *totals = gather(a);
    if (totals == NULL)
        return false;
    metrics_write(totals, a->process, out);
    totals_destroy(totals);
    return true;
}

static bool write_status(void *owner, FILE *out)
{
    const struct administration *a = owner;
    struct totals *totals = gather(a);
    bool written = totals != NULL && status_write(totals, a->process, out);
    totals_destroy(totals);
    return written;
}

/* NULL: nothing. */
static const char *lacks(const struct worker *w)
{
    if (w->draining)
        return "stopping";
    if (!w->accepting)
        return "not accepting: out of descriptors or memory, until a connection ends";
    for (size_t i = 0; i < w->listener_count; i++)
        if (!listener_is_open(w->listeners[i]))
            return "a listener is not open";
    return NULL;
}

static bool is_ready(void *owner, FILE *out)
{
    const struct administration *a = owner;
    const char *why = NULL;
    crew_pause(a->crew);
    for (unsigned i = 0; why == NULL && i < crew_count(a->crew); i++)
        why = lacks(crew_worker(a->crew, i));
    crew_resume(a->crew);
    if (why != NULL)
        (void)fprintf(out, "%s\n", why);
    return why == NULL;
}

static bool reload(void *owner, FILE *out)
{
    struct administration *a = owner;
    struct config_errors errors;
    config_errors_init(&errors);
    bool reloaded = a->reload(a->owner, &errors);
    for (size_t i = 0; i < errors.count; i++)
        (void)fprintf(out, "%s\n", errors.texts[i]);
    if (errors.total > errors.count)
        (void)fprintf(out, "and %zu more\n", errors.total - errors.count);
    if (!reloaded && errors.total == 0)
        (void)fputs("it could not be put in force; the log says why\n", out);
    config_errors_free(&errors);
    return reloaded;
}

static const struct admin_answers answers = {write_metrics, write_status, is_ready, reload};

/* ---- its socket ---- */

/* NULL, with an explanation in the log. */
static struct admin *open_admin(struct administration *a, const struct config *config,
                                struct inherited *inherited)
{
    char text[ADDRESS_TEXT_BYTES];
    const char *error = NULL;
    struct address address = config->admin;
    int fd =
        inherited_or_new(inherited, SOCK_STREAM, &address, config->admin_dual_stack, SOCKET_ALONE);
    struct admin *admin = NULL;
    if (fd < 0)
        error = strerror(errno);
    else
        admin = admin_create(first(a)->loop, fd, &config->admin_from, &answers, a, &error);
    address_text(&address, text);
    if (admin == NULL)
        log_event(first(a)->log, LOG_LEVEL_ERROR, "cannot listen for administration by HTTP",
                  LOG_TEXT("address", text), LOG_TEXT("error", error));
    else
        log_event(first(a)->log, LOG_LEVEL_INFO, "administration by HTTP",
                  LOG_TEXT("address", text));
    return admin;
}

static void on_farewell(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct administration *a = timer->data;
    admin_destroy(a->old);
    a->old = NULL;
}

/* ---- its life ---- */

bool administration_open(struct administration *a, struct crew *crew, const struct config *config,
                         struct inherited *inherited, struct process *process,
                         administration_reload *reload_, void *owner)
{
    *a = (struct administration){.crew = crew,
                                 .process = process,
                                 .reload = reload_,
                                 .owner = owner,
                                 .address = config->admin,
                                 .dual_stack = config->admin_dual_stack};
    ev_timer_init(&a->old_timer, on_farewell, FAREWELL_SECONDS, 0.);
    a->old_timer.data = a;
    if (a->address.length == 0)
        return true;
    a->admin = open_admin(a, config, inherited);
    return a->admin != NULL;
}

void administration_start(struct administration *a)
{
    if (a->admin != NULL)
        admin_start(a->admin);
}

void administration_close(struct administration *a)
{
    if (a->crew == NULL)
        return;
    ev_timer_stop(first(a)->loop, &a->old_timer);
    admin_destroy(a->admin);
    admin_destroy(a->next);
    admin_destroy(a->old);
    a->admin = a->next = a->old = NULL;
    a->crew = NULL;
}

static bool stays(const struct administration *a, const struct config *config)
{
    return a->dual_stack == config->admin_dual_stack && address_equal(&a->address, &config->admin);
}

bool administration_prepare(struct administration *a, const struct config *config)
{
    if (a->crew == NULL || stays(a, config))
        return true;
    if (a->old != NULL) {
        log_write(first(a)->log, LOG_LEVEL_ERROR,
                  "the address for administration has just changed: try again in a second", NULL);
        return false;
    }
    if (config->admin.length == 0)
        return true;
    a->next = open_admin(a, config, NULL);
    return a->next != NULL;
}

/* Whoever asked for the reload may have asked there. */
static void dismiss(struct administration *a)
{
    a->old = a->admin;
    if (a->old == NULL)
        return;
    ev_timer_set(&a->old_timer, FAREWELL_SECONDS, 0.);
    ev_timer_start(first(a)->loop, &a->old_timer);
}

void administration_settle(struct administration *a, const struct config *config)
{
    if (a->crew == NULL)
        return;
    if (config == NULL) {
        admin_destroy(a->next);
    } else if (!stays(a, config)) {
        dismiss(a);
        a->admin = a->next;
        a->address = config->admin;
        a->dual_stack = config->admin_dual_stack;
        administration_start(a);
    } else if (a->admin != NULL && !admin_set_from(a->admin, &config->admin_from)) {
        log_write(first(a)->log, LOG_LEVEL_ERROR,
                  "out of memory: who may ask for administration stays as it was", NULL);
    }
    a->next = NULL;
}

int administration_fd(const struct administration *a)
{
    return a->admin == NULL ? -1 : admin_fd(a->admin);
}
