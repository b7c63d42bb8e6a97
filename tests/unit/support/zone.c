#include "tests/unit/support/zone.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#include "proxy/net/resolver.h"
#include "proxy/net/svcb.h"

enum { TTL_S = 200 };

static void put_addresses(struct dns_message *m, const char *addresses)
{
    char text[DNS_NAME_MAX], *rest = text, *one;
    bool ipv4 = m->type == DNS_A;
    uint8_t ip[16];

    (void)snprintf(text, sizeof(text), "%s", addresses != NULL ? addresses : "");
    while ((one = strsep(&rest, " ")) != NULL)
        if (inet_pton(ipv4 ? AF_INET : AF_INET6, one, ip) == 1)
            dns_put_record(m, m->type, TTL_S, ip, ipv4 ? 4 : 16);
}

/* Priority 1, at the name itself. */
static void put_https(struct dns_message *m, uint16_t udp_port)
{
    const uint8_t data[] = {0,
                            1,
                            0,
                            SVCB_KEY_TURBO >> 8,
                            SVCB_KEY_TURBO & 0xff,
                            0,
                            2,
                            (uint8_t)(udp_port >> 8),
                            (uint8_t)udp_port};

    dns_put_record(m, DNS_HTTPS, TTL_S, data, udp_port == 0 ? 3 : sizeof(data));
}

static const struct zone_name *find_name(const struct zone *z, const char *text)
{
    for (size_t i = 0; i < z->count; i++)
        if (strcasecmp(z->names[i].name, text) == 0)
            return &z->names[i];
    return NULL;
}

static void answer(void *owner, struct dns_message *m)
{
    struct zone *z = owner;
    const struct zone_name *name = find_name(z, m->name);

    z->asked++;
    if (name == NULL)
        dns_set_rcode(m, DNS_NXDOMAIN);
    else if (m->type == DNS_A || m->type == DNS_AAAA)
        put_addresses(m, name->addresses);
    else if (m->type == DNS_HTTPS && name->has_record)
        put_https(m, name->udp_port);
    if (m->type != z->holds) {
        dns_server_send(&z->server, m);
        return;
    }
    assert_true(z->held_count < ZONE_HELD_MAX);
    z->held[z->held_count++] = *m;
}

void zone_start(struct zone *z, struct fixture *f)
{
    memset(z, 0, sizeof(*z));
    z->loop = f->loop;
    dns_server_start(&z->server, z->loop, answer, z);
    assert_true(resolver_set_servers(f->worker->resolver, z->server.name));
}

void zone_stop(struct zone *z)
{
    dns_server_stop(&z->server, z->loop);
}

void zone_add(struct zone *z, const struct zone_name *name)
{
    assert_true(z->count < ZONE_NAMES_MAX);
    z->names[z->count++] = *name;
}

void zone_release(struct zone *z)
{
    z->holds = 0;
    for (size_t i = 0; i < z->held_count; i++)
        dns_server_send(&z->server, &z->held[i]);
    z->held_count = 0;
}
