#include "proxy/route.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/net/name.h"

/* ---- names ---- */

static int compare_names(const void *name, const void *element)
{
    return strcmp(name, *(const char *const *)element);
}

struct names {
    const char *const *list;
    size_t count;
};

static bool has_name(const struct names *names, const char *name)
{
    return bsearch(name, names->list, names->count, sizeof(names->list[0]), compare_names) != NULL;
}

/* Wildcards stand together, behind names that begin with "-", which is less than a dot. */
static size_t first_wildcard(const struct names *names)
{
    size_t low = 0, high = names->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (names->list[middle][0] < '.')
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t count_wildcards(const struct names *names, size_t first, size_t enough)
{
    size_t n = 0;

    while (n < enough && first + n < names->count && names->list[first + n][0] == '.')
        n++;
    return n;
}

static bool ends_with(const char *name, size_t length, const char *ending)
{
    size_t n = strlen(ending);

    return n < length && memcmp(name + length - n, ending, n) == 0;
}

/* Is `name` below one of the wildcards? The client chooses how many labels it has (up to 127), so
 * few wildcards are compared one by one; among many, each name above it is searched for. */
static bool matches_wildcard(const struct names *names, const char *name)
{
    enum { FEW = 16 };
    size_t first = first_wildcard(names);
    size_t wildcards = count_wildcards(names, first, FEW);
    size_t length = strlen(name);

    if (wildcards == FEW) {
        for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
            if (has_name(names, dot))
                return true;
        }
        return false;
    }
    for (size_t i = 0; i < wildcards; i++) {
        if (ends_with(name, length, names->list[first + i]))
            return true;
    }
    return false;
}

/* `name` is normalized. */
static bool matches_name(const struct names *names, const char *name)
{
    /* "*" stands for one label or more, and none is empty. */
    if (name[0] == '.')
        return false;
    return has_name(names, name) || matches_wildcard(names, name);
}

/* ---- protocols ---- */

static bool has_protocol(const struct config_route *route, const uint8_t *name, size_t length)
{
    for (size_t i = 0; i < route->alpn_count; i++) {
        const struct config_bytes *protocol = &route->alpn[i];
        if (protocol->length == length && memcmp(protocol->data, name, length) == 0)
            return true;
    }
    return false;
}

static bool matches_protocol(const struct config_route *route,
                             const struct turbo_client_hello *hello)
{
    size_t at = 0, length;
    const uint8_t *name;

    while ((name = turbo_client_hello_alpn(hello, &at, &length)) != NULL) {
        if (has_protocol(route, name, length))
            return true;
    }
    return false;
}

/* ---- routes ---- */

static bool asks_hello(const struct config_route *route)
{
    return route->server_name_count > 0 || route->alpn_count > 0;
}

static bool is_in(const struct networks *networks, const struct address *client)
{
    return networks->count == 0 || networks_hold(networks, client);
}

static bool matches_hello(const struct config_route *route, const char *name,
                          const struct turbo_client_hello *hello)
{
    const struct names names = {route->server_names, route->server_name_count};

    if (!asks_hello(route))
        return true;
    if (hello == NULL)
        return false;
    if (names.count > 0 && !matches_name(&names, name))
        return false;
    return route->alpn_count == 0 || matches_protocol(route, hello);
}

/* ---- what the client asks for ---- */

static int compare_ports(const void *a_, const void *b_)
{
    const uint16_t *a = a_, *b = b_;

    return (*a > *b) - (*a < *b);
}

static bool matches_port(const struct config_route *route, uint16_t port)
{
    return route->requested_port_count == 0 ||
           bsearch(&port, route->requested_ports, route->requested_port_count, sizeof(port),
                   compare_ports) != NULL;
}

static bool matches_address(const struct config_hosts *hosts, const struct address *address)
{
    return networks_hold(&hosts->networks, address) || (hosts->any && address_is_public(address));
}

static bool matches_target(const struct config_route *route, const struct target *target)
{
    const struct config_hosts *hosts = &route->requested;
    const struct names names = {hosts->names, hosts->name_count};

    if (target == NULL)
        return config_hosts_all(hosts);
    if (!matches_port(route, target->port))
        return false;
    if (config_hosts_all(hosts))
        return true;
    if (!target->is_name)
        return matches_address(hosts, &target->addresses[0]);
    return hosts->any || matches_name(&names, target->host);
}

bool route_may_reach(const struct config_route *route, const struct target *target,
                     const struct address *address)
{
    const struct config_hosts *hosts = &route->requested;

    if (!target->is_name)
        return config_hosts_all(hosts) || matches_address(hosts, address);
    return address_is_public(address) || networks_hold(&hosts->networks, address);
}

/* ---- the first that matches ---- */

const struct config_route *route_find(const struct config_listener *listener,
                                      const struct route_facts *facts)
{
    char name[TURBO_SERVER_NAME_MAX + 1] = "";

    if (facts->hello != NULL)
        name_normalize(facts->hello->server_name, name, sizeof(name));
    for (size_t i = 0; i < listener->route_count; i++) {
        const struct config_route *route = &listener->routes[i];
        if (is_in(&route->sources, facts->client) && matches_hello(route, name, facts->hello) &&
            matches_target(route, facts->target))
            return route;
    }
    return NULL;
}

bool route_needs_hello(const struct config_listener *listener)
{
    for (size_t i = 0; i < listener->route_count; i++) {
        if (asks_hello(&listener->routes[i]))
            return true;
    }
    return false;
}

/* ---- addresses ---- */

bool route_vouches(const struct config_listener *listener, const struct config_route *route)
{
    for (size_t i = 0; i < listener->rule_count; i++) {
        if (listener->rules[i].networks.count > 0)
            return true;
    }
    /* Those before it as well: that they were passed over may be due to the address. */
    for (size_t i = 0; i < listener->route_count; i++) {
        if (listener->routes[i].sources.count > 0)
            return true;
        if (&listener->routes[i] == route)
            break;
    }
    return false;
}

bool route_allows(const struct config_listener *listener, const struct address *client)
{
    for (size_t i = 0; i < listener->rule_count; i++) {
        const struct config_rule *rule = &listener->rules[i];
        if (is_in(&rule->networks, client))
            return rule->allow;
    }
    return true;
}
