#include "proxy/sides/discovery.h"

#include <assert.h>

#include "proxy/net/resolver.h"
#include "proxy/target.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

enum { DISCOVERY_TAG = 0x44697363 /* "Disc" */ };

static void on_discovered(void *owner, bool known, bool turbo, uint16_t udp_port)
{
    struct discovery *d = owner;
    assert(d->tag == DISCOVERY_TAG);
    d->query = NULL;
    d->known = known;
    d->turbo = turbo;
    d->udp_port = udp_port;
    d->told(d->owner);
}

void discovery_start(struct discovery *d, struct worker *worker, const struct upstream *upstream,
                     const struct upstream_call *call, void (*told)(void *owner), void *owner)
{
    *d = (struct discovery){
        .tag = DISCOVERY_TAG, .settings = upstream->settings, .told = told, .owner = owner};
    if (!upstream->settings->requested || call->name == NULL)
        return;
    /* What is known must be so from the start: the first SYN leaves before `told` could be called.
     */
    d->known =
        resolver_recall(worker->resolver, call->name, call->target->port, &d->turbo, &d->udp_port);
    if (!d->known)
        d->query = resolver_discover(worker->resolver, call->name, call->target->port,
                                     on_discovered, d); /* out of memory: as if there were none */
}

void discovery_stop(struct discovery *d)
{
    if (d->query != NULL)
        resolver_cancel(d->query);
    d->query = NULL;
}

static bool counts(const struct discovery *d, const struct address *peer)
{
    return d->turbo && address_is_public(peer);
}

bool discovery_allows(const struct discovery *d, const struct address *peer,
                      const struct turbo_learned *learned)
{
    if (!d->settings->requested || d->settings->turbo != CONFIG_TURBO_AUTO)
        return true;
    /* An answer of today says more than what it was before. */
    return d->known ? counts(d, peer) : learned->speaks;
}

void discovery_remember(const struct discovery *d, struct server *server)
{
    if (d->known)
        server->record_udp_port = d->turbo ? d->udp_port : 0;
}

uint16_t discovery_udp_port(const struct server *server, const struct address *peer)
{
    return server->record_udp_port != 0 && address_is_public(peer) ? server->record_udp_port
                                                                   : server->udp_port;
}
