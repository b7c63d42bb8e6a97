#include "proxy/config/decode_parts.h"

#include <stdlib.h>
#include <string.h>

/*
 * A route that nothing can reach is a mistake: whoever wrote it expects connections there. So is a
 * name of it. Networks and application protocols are not compared.
 */

enum asked { ASKED_SERVER_NAME, ASKED_HOST }; /* by the ClientHello; by a request */

/* A name that a route takes from everybody, at least for that route's ports. */
struct taken {
    const char *name; /* "*": all of them */
    size_t route;
};

struct taken_list {
    struct taken *list; /* by name, then by route */
    size_t count;
    const struct config_route *routes;
};

static int compare_taken(const void *a_, const void *b_)
{
    const struct taken *a = a_, *b = b_;
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : (a->route > b->route) - (a->route < b->route);
}

/* Does it take what is asked for whatever else there is about a connection, ports aside? */
static bool takes_by_name(const struct config_route *route, enum asked asked)
{
    if (route->alpn_count > 0 || route->sources.count > 0)
        return false;
    return asked == ASKED_HOST ? route->server_name_count == 0
                               : config_hosts_all(&route->requested);
}

static bool takes_everything(const Turbotls__V1__Route *message)
{
    return message->n_server_name == 0 && message->n_alpn == 0 && message->n_source == 0 &&
           message->n_requested_host == 0;
}

/* Is each port of `inner` one of `outer`? */
static bool ports_within(const struct config_route *inner, const struct config_route *outer)
{
    size_t at = 0;

    if (outer->requested_port_count == 0)
        return true;
    for (size_t i = 0; i < inner->requested_port_count; i++) {
        while (at < outer->requested_port_count &&
               outer->requested_ports[at] < inner->requested_ports[i])
            at++;
        if (at == outer->requested_port_count ||
            outer->requested_ports[at] != inner->requested_ports[i])
            return false;
    }
    return inner->requested_port_count > 0;
}

static size_t name_count(const struct config_route *route, enum asked asked)
{
    return asked == ASKED_HOST ? route->requested.name_count : route->server_name_count;
}

static void add_taken(struct taken_list *taken, size_t index, enum asked asked)
{
    const struct config_route *route = &taken->routes[index];
    const char *const *names = asked == ASKED_HOST ? route->requested.names : route->server_names;

    for (size_t i = 0; i < name_count(route, asked); i++)
        taken->list[taken->count++] = (struct taken){names[i], index};
    if (asked == ASKED_HOST && route->requested.any)
        taken->list[taken->count++] = (struct taken){"*", index};
}

/* False: out of memory. */
static bool list_taken(const struct config_listener *listener, enum asked asked,
                       struct taken_list *taken)
{
    size_t room = 1;

    *taken = (struct taken_list){.routes = listener->routes};
    for (size_t i = 0; i < listener->route_count; i++)
        room += name_count(&listener->routes[i], asked) + 1;
    taken->list = calloc(room, sizeof(*taken->list));
    if (taken->list == NULL)
        return false;
    for (size_t i = 0; i < listener->route_count; i++)
        if (takes_by_name(&listener->routes[i], asked))
            add_taken(taken, i, asked);
    qsort(taken->list, taken->count, sizeof(*taken->list), compare_taken);
    return true;
}

/* The first route before `route` that takes exactly `name` for all its ports; SIZE_MAX: none. */
static size_t first_taker(const struct taken_list *taken, const char *name, size_t route)
{
    size_t low = 0, high = taken->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(taken->list[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < taken->count && strcmp(taken->list[low].name, name) == 0; low++) {
        size_t other = taken->list[low].route;

        if (other >= route)
            break;
        if (ports_within(&taken->routes[route], &taken->routes[other]))
            return other;
    }
    return SIZE_MAX;
}

/* The same, by itself, with all that is below one above it, or with everything. */
static size_t first_match(const struct taken_list *taken, const char *name, size_t route)
{
    size_t first = first_taker(taken, name, route), found = first_taker(taken, "*", route);

    if (found < first)
        first = found;
    for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        found = first_taker(taken, dot, route);
        if (found < first)
            first = found;
    }
    return first;
}

static void check_name(struct decoder *decoder, const struct decode_at *at, const char *field,
                       size_t index, const char *name, const struct taken_list *taken)
{
    char folded[CONFIG_HOST_MAX + 1];
    size_t first;

    if (strcmp(name, "*") != 0 && !decode_is_server_name(name))
        return;
    first =
        first_match(taken, strcmp(name, "*") == 0 ? name : decode_fold(name, folded), at->index);
    if (first != SIZE_MAX)
        decode_error(decoder, at, field, index,
                     "%s never comes here: route[%zu] takes it first; leave it out, or put this "
                     "route before that one",
                     quote(name).text, first);
}

static void check_names_of(struct decoder *decoder, const struct decode_at *at,
                           const Turbotls__V1__Route *message, const struct taken_list *server,
                           const struct taken_list *host)
{
    for (size_t i = 0; i < message->n_server_name && i < CONFIG_SERVER_NAMES_MAX; i++)
        check_name(decoder, at, "server_name", i, message->server_name[i], server);
    for (size_t i = 0; i < message->n_requested_host && i < CONFIG_REQUESTED_HOSTS_MAX; i++)
        check_name(decoder, at, "requested_host", i, message->requested_host[i], host);
}

/* The first route before `index` that takes all that could come to it; SIZE_MAX: none. */
static size_t taker_of_all(const Turbotls__V1__Listener *message,
                           const struct config_listener *listener, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (takes_everything(message->route[i]) &&
            ports_within(&listener->routes[index], &listener->routes[i]))
            return i;
    return SIZE_MAX;
}

static void check_routes(struct decoder *decoder, const struct decode_at *parent,
                         const Turbotls__V1__Listener *message,
                         const struct config_listener *listener, const struct taken_list *server,
                         const struct taken_list *host)
{
    for (size_t i = 0; i < listener->route_count; i++) {
        struct decode_at at = {parent, &message->route[i]->base, "route", i};
        size_t taker = taker_of_all(message, listener, i);

        if (taker == SIZE_MAX)
            check_names_of(decoder, &at, message->route[i], server, host);
        else if (listener->routes[taker].requested_port_count == 0)
            decode_error(decoder, &at, NULL, 0,
                         "nothing ever comes here: route[%zu] has no conditions and takes "
                         "everything; put that one last",
                         taker);
        else
            decode_error(decoder, &at, NULL, 0,
                         "nothing ever comes here: route[%zu] takes everything for these ports; "
                         "put this route before that one",
                         taker);
    }
}

void decode_check_reachable(struct decoder *decoder, const struct decode_at *at,
                            const Turbotls__V1__Listener *message,
                            const struct config_listener *listener)
{
    struct taken_list server = {0}, host = {0};

    if (list_taken(listener, ASKED_SERVER_NAME, &server) && list_taken(listener, ASKED_HOST, &host))
        check_routes(decoder, at, message, listener, &server, &host);
    else
        decoder->no_memory = true;
    free(server.list);
    free(host.list);
}
