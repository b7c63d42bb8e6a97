#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proxy/arrival_parts.h"
#include "proxy/listener.h"
#include "proxy/net/resolver.h"
#include "proxy/route.h"
#include "proxy/sides/side.h"
#include "proxy/talk.h"
#include "proxy/target.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "tunnel/net/socket.h"

/* ---- answers ---- */

static void answer(struct arrival *a, enum prelude_answer answer_)
{
    prelude_answer(talk_prelude(a->talk), answer_);
    arrival_converse(a);
}

static void refuse(struct arrival *a, enum prelude_answer answer_, enum turbo_reason reason)
{
    arrival_report_far(a);
    arrival_drop_plans(a);
    a->otherwise = reason;
    answer(a, answer_);
}

static enum prelude_answer answer_of(const struct side *far)
{
    if (socket_exhausted(far->error))
        return PRELUDE_UNAVAILABLE;
    if (far->lost == SIDE_RESET || far->reason != TURBO_REASON_NONE)
        return PRELUDE_REFUSED_THERE;
    switch (far->error) {
    case 0: return PRELUDE_NOT_FOUND;
    case ECONNREFUSED:
    case ECONNRESET: return PRELUDE_REFUSED_THERE;
    case ETIMEDOUT: return PRELUDE_TIMED_OUT;
    default: return PRELUDE_NO_WAY;
    }
}

bool arrival_answer_late(struct arrival *a)
{
    if (a->talk == NULL || prelude_state(talk_prelude(a->talk)) != PRELUDE_ASKED)
        return false;
    arrival_limit_leaving(a); /* it may not even take the answer */
    /* The client has said all it had to. */
    refuse(a, PRELUDE_TIMED_OUT,
           a->query != NULL ? TURBO_REASON_NAME_NOT_FOUND : TURBO_REASON_UPSTREAM_UNREACHED);
    return true;
}

/* ---- the far side ---- */

/* TCP is up, and what comes before the client's bytes has been said; or UDP is used. */
static bool may_begin(const struct side *far)
{
    return (far->server != NULL && far->ops->room(far) > 0) ||
           (far->ops->begins_early != NULL && far->ops->begins_early(far));
}

/* The client waits for an answer. */
static void report(struct arrival *a)
{
    struct side *far = a->far;
    if (far->lost != 0)
        refuse(a, answer_of(far), side_unreached_reason(far));
    else if (may_begin(far))
        answer(a, PRELUDE_CONNECTED);
    else
        far->ops->watch(far, true, false);
}

/* The client has its answer, and has not begun. Plaintext of the server's is not for who awaits
 * TLS. */
static void listen_to(struct arrival *a)
{
    ssize_t bytes = a->far->ops->peek(a->far);
    enum turbo_reason reason = bytes > 0 ? TURBO_REASON_SERVER_FIRST : TURBO_REASON_SERVER_ENDED;
    if (bytes == SIDE_AGAIN)
        a->far->ops->watch(a->far, true, false);
    else if (bytes == SIDE_UNREACHED)
        arrival_end(a, side_unreached_reason(a->far), true);
    else if (a->only_tls || a->stage != ARRIVAL_OPENING)
        arrival_end(a, reason, true);
    else
        arrival_become_relay(a, TURBO_OUTCOME_OPAQUE, reason);
}

static void on_far(struct side_owner *owner)
{
    struct arrival *a = (struct arrival *)owner;
    assert(a->tag == ARRIVAL_TAG);
    if (a->stage == ARRIVAL_REQUEST && prelude_state(talk_prelude(a->talk)) == PRELUDE_ASKED)
        report(a);
    else if (a->stage == ARRIVAL_STARTTLS || a->stage == ARRIVAL_OPENING)
        listen_to(a);
}

static void connect_far(struct arrival *a)
{
    a->far_upstream = connection_upstream(&a->connection);
    a->far = connection_open(&a->connection, NULL, NULL);
    if (a->far == NULL)
        refuse(a, PRELUDE_UNAVAILABLE, TURBO_REASON_UPSTREAM_UNREACHED);
    else
        arrival_heed_far(a, on_far);
}

/* ---- names ---- */

/* Those that the route allows the client. */
static void keep_allowed(const struct arrival *a, const struct address *addresses, size_t count)
{
    struct target *target = a->asked.target;
    target->address_count = 0;
    for (size_t i = 0; i < count; i++)
        if (route_may_reach(a->connection.route, target, &addresses[i]))
            target->addresses[target->address_count++] = addresses[i];
}

static void on_resolved(void *owner, const struct address *addresses, size_t count,
                        const char *error)
{
    struct arrival *a = owner;
    assert(a->tag == ARRIVAL_TAG);
    a->query = NULL;
    if (error != NULL)
        log_event(a->worker->log, LOG_LEVEL_INFO, "cannot resolve a name that was asked for",
                  LOG_TEXT("name", a->asked.target->host), LOG_TEXT("error", error));
    keep_allowed(a, addresses, count);
    if (count == 0)
        refuse(a, PRELUDE_NOT_FOUND, TURBO_REASON_NAME_NOT_FOUND);
    else if (a->asked.target->address_count == 0)
        refuse(a, PRELUDE_FORBIDDEN, TURBO_REASON_FORBIDDEN);
    else
        connect_far(a);
}

/* It is in the resolver's cache now, where the far side looks. */
static void on_record(void *owner, bool known, bool turbo, uint16_t udp_port)
{
    struct arrival *a = owner;
    assert(a->tag == ARRIVAL_TAG);
    (void)known, (void)turbo, (void)udp_port;
    a->record = NULL;
}

static void resolve(struct arrival *a)
{
    const struct target *target = a->asked.target;
    struct resolver *resolver = a->worker->resolver;
    if (connection_upstream(&a->connection)->settings->turbo != CONFIG_TURBO_NEVER)
        a->record = resolver_discover(resolver, target->host, target->port, on_record, a);
    a->query = resolver_resolve_requested(resolver, target->host, on_resolved, a);
    if (a->query == NULL)
        refuse(a, PRELUDE_UNAVAILABLE, TURBO_REASON_UPSTREAM_UNREACHED);
}

/* ---- what is asked for ---- */

void arrival_asked(struct arrival *a)
{
    const struct prelude *prelude = talk_prelude(a->talk);
    struct connection *c = &a->connection;
    if (!connection_request(c, target_create(prelude_host(prelude), prelude_port(prelude))))
        refuse(a, PRELUDE_UNAVAILABLE, TURBO_REASON_UPSTREAM_UNREACHED);
    else if (connection_place(c, NULL) != TURBO_REASON_NONE)
        refuse(a, PRELUDE_FORBIDDEN, TURBO_REASON_FORBIDDEN);
    else if (connection_upstream(c)->settings->requested && a->asked.target->is_name)
        resolve(a);
    else
        connect_far(a);
}

static bool was_redirected(const struct arrival *a, struct address *to)
{
    const struct address *listener = listener_address(a->connection.listener);
    if (a->connection.settings->request == CONFIG_REQUEST_REDIRECT)
        return socket_original_destination(a->fd, to);
    /* Who comes to the listener's own address and port was not meant for another one. */
    struct address any;
    address_wildcard(&any, address_family(listener), address_port(listener));
    socket_local_address(a->fd, to);
    return address_port(to) != address_port(listener) ||
           !(address_equal(listener, &any) || address_equal(listener, to));
}

bool arrival_find_destination(struct arrival *a)
{
    struct address to;
    if (!was_redirected(a, &to)) {
        arrival_end(a, TURBO_REASON_NOT_REDIRECTED, true);
        return false;
    }
    if (!connection_request(&a->connection, target_at(&to))) {
        arrival_end(a, TURBO_REASON_NONE, true);
        return false;
    }
    a->asked.server = to;
    return true;
}
