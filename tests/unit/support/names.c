#include "tests/unit/support/names.h"

#include <arpa/inet.h>

#include "proxy/net/resolver.h"

enum { TTL_S = 200 };

static void answer(void *owner, struct dns_message *message)
{
    static const char *const addresses[] = {NAMES_FIRST, NAMES_SECOND};
    const struct names *names = owner;
    struct in_addr ipv4;

    for (size_t i = 0; message->type == DNS_A && i < COUNT(addresses); i++) {
        assert_int_equal(inet_pton(AF_INET, addresses[i], &ipv4), 1);
        dns_put_record(message, DNS_A, TTL_S, &ipv4, sizeof(ipv4));
    }
    dns_server_send(&names->server, message);
}

void names_start(struct names *names, struct fixture *f)
{
    names->loop = f->loop;
    dns_server_start(&names->server, names->loop, answer, names);
    assert_true(resolver_set_servers(f->worker->resolver, names->server.name));
}

void names_stop(struct names *names)
{
    dns_server_stop(&names->server, names->loop);
}
