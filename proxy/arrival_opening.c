#include <string.h>

#include "proxy/arrival_parts.h"
#include "proxy/listener.h"
#include "proxy/prelude/proxy_header.h"
#include "proxy/sides/turbo_server.h"
#include "proxy/worker.h"

const struct turbo_client_hello *arrival_hello(const struct arrival *a)
{
    return a->opening.hello.state == TURBO_HELLO_COMPLETE ? &a->opening.hello : NULL;
}

static void join(struct arrival *a, struct turbo_server *session)
{
    struct worker *w = a->worker;
    struct side *side = turbo_server_user(session);
    int fd = a->fd;
    uint8_t *bytes = a->bytes;
    size_t length = a->length;
    a->bytes = NULL;
    connection_dismiss(&a->connection);
    arrival_dismiss(a);
    worker_connection_ended(w);
    turbo_server_side_join(side, fd, bytes, length);
}

static struct turbo_address client_of(const struct arrival *a)
{
    struct turbo_address client;
    address_to_turbo(&a->connection.access.client, &client);
    return client;
}

/* On a plain listener there are no sessions. */
static bool adopt(struct arrival *a, struct turbo_server **session)
{
    struct turbo_endpoint *endpoint = arrival_endpoint(a);
    struct turbo_address client = client_of(a);
    return endpoint != NULL && arrival_hello(a) != NULL && !arrival_goes_on_here(a) &&
           turbo_endpoint_adopt(endpoint, a->worker->now, a->bytes, a->opening.hello.length,
                                &client, session) == TURBO_JOIN_SESSION;
}

static bool offers(const struct turbo_client_hello *hello, const char *protocol)
{
    size_t at = 0, length;
    const uint8_t *name;
    while ((name = turbo_client_hello_alpn(hello, &at, &length)) != NULL)
        if (length == strlen(protocol) && memcmp(name, protocol, length) == 0)
            return true;
    return false;
}

static void classic(struct arrival *a)
{
    struct turbo_server *session;
    if (a->only_alpn != NULL &&
        !(arrival_hello(a) != NULL && offers(arrival_hello(a), a->only_alpn)))
        arrival_end(a, TURBO_REASON_NO_TLS, true);
    else if (adopt(a, &session))
        join(a, session);
    else
        arrival_become_relay(a, TURBO_OUTCOME_CLASSIC, TURBO_REASON_CLIENT_CLASSIC);
}

static void prove_address(const struct arrival *a)
{
    struct turbo_address client = client_of(a);
    if (arrival_endpoint(a) != NULL)
        turbo_endpoint_prove(arrival_endpoint(a), a->worker->now, &client);
}

/* The listener is closed, and had no session left: as an endpoint that knows none. */
static enum turbo_join join_nothing(const struct turbo_tombstone *tombstone)
{
    return tombstone->replay && tombstone->consumed == 0 ? TURBO_JOIN_FRESH : TURBO_JOIN_RESET;
}

static enum turbo_join try_to_join(const struct arrival *a, struct turbo_server **session)
{
    const struct turbo_tombstone *tombstone = &a->opening.tombstone;
    struct turbo_address client = client_of(a);
    return arrival_endpoint(a) == NULL ? join_nothing(tombstone)
                                       : turbo_endpoint_join(arrival_endpoint(a), a->worker->now,
                                                             tombstone, &client, session);
}

static void tombstone(struct arrival *a)
{
    struct turbo_server *session = NULL;
    if (a->afresh) {
        arrival_become_relay(a, TURBO_OUTCOME_OPAQUE, TURBO_REASON_NOT_TLS);
        return;
    }
    arrival_drop_front(a, turbo_tombstone_bytes(a->opening.tombstone.dialect));
    switch (try_to_join(a, &session)) {
    case TURBO_JOIN_SESSION: join(a, session); break;
    case TURBO_JOIN_FRESH:
        a->afresh = true;
        turbo_opening_init(&a->opening);
        arrival_judge(a, 0);
        break;
    case TURBO_JOIN_RESET: arrival_end(a, TURBO_REASON_UNKNOWN_SESSION, true); break;
    }
}

/* No TLS. Whoever is not trusted may not claim to be somebody else, it would be believed further
 * on; so what may yet become such a claim is waited for. */
static void other(struct arrival *a)
{
    struct proxy_header header;
    if (a->only_tls) {
        arrival_end(a, TURBO_REASON_NO_TLS, true);
        return;
    }
    switch (proxy_header_read(a->bytes, a->length, &header)) {
    case PROXY_HEADER_MORE: break;
    case PROXY_HEADER_DONE:
    case PROXY_HEADER_BAD: arrival_end(a, TURBO_REASON_PROXY_HEADER, true); break;
    case PROXY_HEADER_NONE:
        arrival_become_relay(a, TURBO_OUTCOME_OPAQUE, TURBO_REASON_NOT_TLS);
        break;
    }
}

static enum turbo_prefix never_known(void *owner, const uint8_t *bytes, size_t length)
{
    (void)owner;
    (void)bytes;
    (void)length;
    return TURBO_PREFIX_NONE;
}

void arrival_act(struct arrival *a)
{
    switch (a->opening.kind) {
    case TURBO_OPENING_MORE: break;
    case TURBO_OPENING_CLASSIC:
        prove_address(a);
        classic(a);
        break;
    case TURBO_OPENING_TOMBSTONE:
        if (a->connection.settings->kind != ENDPOINT_TURBO) {
            other(a);
            break;
        }
        prove_address(a);
        tombstone(a);
        break;
    case TURBO_OPENING_OTHER: other(a); break;
    }
}

/* Looks at the bytes from `from` on. */
void arrival_judge(struct arrival *a, size_t from)
{
    if (!a->at_home && (arrival_is_undecided(a) || arrival_moves(a)))
        return;
    if (a->opening.prefix_bytes == 0) /* what came before was not judged */
        from = 0;
    struct turbo_endpoint *endpoint = arrival_endpoint(a);
    struct turbo_address client = client_of(a);
    /* Whose TCP comes through somebody in front may be heard by UDP from another address. */
    bool in_front = a->connection.settings->proxy_from.count > 0;
    struct turbo_opener opener = {.endpoint = endpoint, .from = in_front ? NULL : &client};
    turbo_opening_push(&a->opening, a->bytes + from, a->length - from,
                       endpoint == NULL ? never_known : turbo_opener_prefix_known, &opener);
    if (!a->at_home && a->opening.kind != TURBO_OPENING_MORE && arrival_moves(a))
        return;
    arrival_act(a);
}
