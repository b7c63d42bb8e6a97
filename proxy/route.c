#include "proxy/route.h"

#include <stdlib.h>
#include <string.h>

/* ---- names ---- */

static int compare_names(const void *name, const void *element)
{
    return strcmp(name, *(const char *const *)element);
}

static bool has_name(const struct config_route *route, const char *name)
{
    return bsearch(name, route->server_names, route->server_name_count,
                   sizeof(route->server_names[0]), compare_names) != NULL;
}

/* Into the form that the configuration has: lower case (ASCII's, as in a DNS name: not the
 * locale's), no dot at the end. */
static void normalize(const char *server_name, char name[static TURBO_SERVER_NAME_MAX + 1])
{
    size_t length = strlen(server_name);

    if (length > 0 && server_name[length - 1] == '.')
        length--;
    for (size_t i = 0; i < length; i++) {
        name[i] = server_name[i];
        if (name[i] >= 'A' && name[i] <= 'Z')
            name[i] = (char)(name[i] - 'A' + 'a');
    }
    name[length] = '\0';
}

/* Wildcards stand together, behind names that begin with "-", which is less than a dot. */
static size_t first_wildcard(const struct config_route *route)
{
    size_t low = 0, high = route->server_name_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (route->server_names[middle][0] < '.')
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t count_wildcards(const struct config_route *route, size_t first, size_t enough)
{
    size_t n = 0;

    while (n < enough && first + n < route->server_name_count &&
           route->server_names[first + n][0] == '.')
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
static bool matches_wildcard(const struct config_route *route, const char *name)
{
    enum { FEW = 16 };
    size_t first = first_wildcard(route);
    size_t wildcards = count_wildcards(route, first, FEW);
    size_t length = strlen(name);

    if (wildcards == FEW) {
        for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
            if (has_name(route, dot))
                return true;
        }
        return false;
    }
    for (size_t i = 0; i < wildcards; i++) {
        if (ends_with(name, length, route->server_names[first + i]))
            return true;
    }
    return false;
}

/* `name` is normalized. */
static bool matches_name(const struct config_route *route, const char *name)
{
    /* "*" stands for one label or more, and none is empty. */
    if (name[0] == '.')
        return false;
    return has_name(route, name) || matches_wildcard(route, name);
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
    if (!asks_hello(route))
        return true;
    if (hello == NULL)
        return false;
    if (route->server_name_count > 0 && !matches_name(route, name))
        return false;
    return route->alpn_count == 0 || matches_protocol(route, hello);
}

const struct config_route *route_find(const struct config_listener *listener,
                                      const struct turbo_client_hello *hello,
                                      const struct address *client)
{
    char name[TURBO_SERVER_NAME_MAX + 1] = "";

    if (hello != NULL)
        normalize(hello->server_name, name);
    for (size_t i = 0; i < listener->route_count; i++) {
        const struct config_route *route = &listener->routes[i];
        if (is_in(&route->sources, client) && matches_hello(route, name, hello))
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
