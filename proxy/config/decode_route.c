#include "proxy/config/decode_parts.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUFFIX_BYTES = 8 /* of "-1024", and to spare */ };

/* ---- server names ---- */

/* What is wrong with `name`, and what would be right; NULL: nothing. */
static const char *server_name_fault(const char *name)
{
    static const char *const not_a_name =
        "is not a server name; use letters, digits, '-', '_' and '.', between dots 1 to 63 of "
        "them (other alphabets as xn--), such as \"www.example.com\" or \"*.example.com\"";
    struct in6_addr ip;
    size_t length;

    if (strcmp(name, "*") == 0)
        return "is not a server name; leave server_name out to match every connection";
    if (name[0] == '.')
        return "is not a server name; for every name below it begin with '*.'";
    if (strncmp(name, "*.", 2) == 0)
        name += 2;
    if (inet_pton(AF_INET, name, &ip) == 1 || inet_pton(AF_INET6, name, &ip) == 1)
        return "is an address, for which no ClientHello asks; use a name, or leave server_name out";
    if (strchr(name, '*') != NULL)
        return "is not a server name; a '*' stands for the whole beginning, as in "
               "\"*.example.com\"";
    length = strlen(name);
    if (length > 0 && name[length - 1] == '.')
        return "is not a server name; leave the dot at its end out";
    if (length > 253)
        return "is longer than a name can be, which is 253 characters";
    /* A last label that is a number is told as a mistyped address: no name has one. */
    return endpoint_name_fault(name) == NULL ? NULL : not_a_name;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* As struct config_route has it: lower case, ".example.com" for "*.example.com". It is valid. */
static const char *fold(const char *name, char folded[static CONFIG_HOST_MAX + 1])
{
    size_t length = 0;

    for (name += name[0] == '*'; *name != '\0' && length < CONFIG_HOST_MAX; name++)
        folded[length++] = (char)tolower((unsigned char)*name);
    folded[length] = '\0';
    return folded;
}

static void decode_server_names(struct decoder *decoder, const struct decode_at *at,
                                const Turbotls__V1__Route *message, struct config_route *out)
{
    size_t count = decode_count(decoder, at, "server_name", message->n_server_name,
                                (size_t)CONFIG_SERVER_NAMES_MAX);
    const char **names = decode_alloc(decoder, count, sizeof(*names));
    size_t used = 0;
    char folded[CONFIG_HOST_MAX + 1];

    for (size_t i = 0; names != NULL && i < count; i++) {
        const char *fault = server_name_fault(message->server_name[i]);

        if (fault != NULL)
            decode_error(decoder, at, "server_name", i, "%s %s",
                         quote(message->server_name[i]).text, fault);
        else if ((names[used] = decode_text(decoder, fold(message->server_name[i], folded))) !=
                 NULL)
            used++;
    }
    if (used > 0)
        qsort(names, used, sizeof(*names), compare_texts);
    out->server_names = names;
    out->server_name_count = used;
}

/* ---- what can never match ---- */

/* A name that a route takes from everybody, whatever else the ClientHello says. */
struct taken {
    const char *name;
    size_t route;
};

struct taken_list {
    struct taken *list; /* by name, then by route */
    size_t count;
};

static int compare_taken(const void *a_, const void *b_)
{
    const struct taken *a = a_, *b = b_;
    int order = strcmp(a->name, b->name);

    return order != 0 ? order : (a->route > b->route) - (a->route < b->route);
}

static bool takes_all_protocols(const struct config_route *route)
{
    return route->alpn_count == 0 && route->sources.count == 0;
}

static bool takes_everything(const Turbotls__V1__Route *message)
{
    return message->n_server_name == 0 && message->n_alpn == 0 && message->n_source == 0;
}

/* False: out of memory. */
static bool list_taken(const struct config_listener *listener, struct taken_list *taken)
{
    size_t count = 0;

    *taken = (struct taken_list){0};
    for (size_t i = 0; i < listener->route_count; i++)
        if (takes_all_protocols(&listener->routes[i]))
            count += listener->routes[i].server_name_count;
    taken->list = calloc(count + 1, sizeof(*taken->list));
    if (taken->list == NULL)
        return false;
    for (size_t i = 0; i < listener->route_count; i++)
        for (size_t j = 0; j < listener->routes[i].server_name_count; j++)
            if (takes_all_protocols(&listener->routes[i]))
                taken->list[taken->count++] =
                    (struct taken){listener->routes[i].server_names[j], i};
    qsort(taken->list, taken->count, sizeof(*taken->list), compare_taken);
    return true;
}

/* The first route that takes exactly `name`; SIZE_MAX: none does. */
static size_t first_taker(const struct taken_list *taken, const char *name)
{
    size_t low = 0, high = taken->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(taken->list[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < taken->count && strcmp(taken->list[low].name, name) == 0 ? taken->list[low].route
                                                                          : SIZE_MAX;
}

/* The first route that takes `name`, by itself or with all that is below one above it. */
static size_t first_match(const struct taken_list *taken, const char *name)
{
    size_t first = first_taker(taken, name), found;

    for (const char *dot = strchr(name + 1, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        found = first_taker(taken, dot);
        if (found < first)
            first = found;
    }
    return first;
}

static void check_names_of(struct decoder *decoder, const struct decode_at *at, size_t route,
                           const Turbotls__V1__Route *message, const struct taken_list *taken)
{
    for (size_t i = 0; i < message->n_server_name && i < CONFIG_SERVER_NAMES_MAX; i++) {
        const char *name = message->server_name[i];
        char folded[CONFIG_HOST_MAX + 1];
        size_t first =
            server_name_fault(name) == NULL ? first_match(taken, fold(name, folded)) : SIZE_MAX;

        if (first < route)
            decode_error(decoder, at, "server_name", i,
                         "%s never comes here: route[%zu] takes it first; leave it out, or put "
                         "this route before that one",
                         quote(name).text, first);
    }
}

/* A route that nothing can reach is a mistake: whoever wrote it expects connections there. */
static void check_reachable(struct decoder *decoder, const struct decode_at *parent,
                            const Turbotls__V1__Listener *message,
                            const struct config_listener *listener)
{
    size_t everything = SIZE_MAX;
    struct taken_list taken;

    if (!list_taken(listener, &taken)) {
        decoder->no_memory = true;
        return;
    }
    for (size_t i = 0; i < listener->route_count; i++) {
        struct decode_at at = {parent, &message->route[i]->base, "route", i};

        if (everything != SIZE_MAX)
            decode_error(decoder, &at, NULL, 0,
                         "nothing ever comes here: route[%zu] has no conditions and takes "
                         "everything; put that one last",
                         everything);
        else
            check_names_of(decoder, &at, i, message->route[i], &taken);
        if (everything == SIZE_MAX && takes_everything(message->route[i]))
            everything = i;
    }
    free(taken.list);
}

/* ---- which upstream ---- */

/* How many letters differ (Levenshtein); both have CONFIG_NAME_MAX at most. */
static size_t distance(const char *a, const char *b)
{
    size_t row[CONFIG_NAME_MAX + 1], length = strlen(b);

    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < length; j++) {
            size_t least = diagonal + (a[i] != b[j]);

            diagonal = row[j + 1];
            if (row[j] + 1 < least)
                least = row[j] + 1;
            if (diagonal + 1 < least)
                least = diagonal + 1;
            row[j + 1] = least;
        }
    }
    return row[length];
}

/* The upstream whose name is most like `name`; NULL: none is like it. */
static const char *nearest(const struct config *config, const char *name)
{
    const char *best = NULL;
    size_t length = strlen(name), least = length / 3 + 2;

    if (length > CONFIG_NAME_MAX)
        return NULL;
    for (size_t i = 0; i < config->upstream_count; i++) {
        const char *other = config->upstreams[i].name;
        size_t far = other == NULL || strlen(other) > CONFIG_NAME_MAX || other[0] == '\0'
                         ? SIZE_MAX
                         : distance(name, other);

        if (far < least) {
            least = far;
            best = other;
        }
    }
    return best;
}

static void refuse_upstream(struct decoder *decoder, const struct decode_at *at, const char *name)
{
    const struct config *config = decoder->config;
    /* Looking for it takes time, which nobody would see the use of. */
    const char *similar = config_errors_full(decoder->errors) ? NULL : nearest(config, name);

    if (similar == NULL && config->upstream_count == 1)
        similar = config->upstreams[0].name;
    if (similar != NULL && similar[0] != '\0')
        decode_error(decoder, at, "upstream", 0, "there is no upstream %s; did you mean %s?",
                     quote(name).text, quote(similar).text);
    else
        decode_error(decoder, at, "upstream", 0,
                     "there is no upstream %s; use the name of one, or add upstream { name: ... }",
                     quote(name).text);
}

/* False: `out` is not set. */
static bool find_upstream(struct decoder *decoder, const struct decode_at *at, const char *name,
                          size_t *out)
{
    if (name == NULL) {
        decode_missing(decoder, at, "upstream", "which is the name of one");
        return false;
    }
    for (size_t i = 0; i < decoder->config->upstream_count; i++)
        if (decoder->upstreams[i].name != NULL && strcmp(decoder->upstreams[i].name, name) == 0) {
            *out = i;
            return true;
        }
    refuse_upstream(decoder, at, name);
    return false;
}

/* ---- routes ---- */

static void decode_alpn(struct decoder *decoder, const struct decode_at *at,
                        const Turbotls__V1__Route *message, struct config_route *out)
{
    size_t count = decode_count(decoder, at, "alpn", message->n_alpn, (size_t)CONFIG_ALPN_MAX);
    struct config_bytes *alpn = decode_alloc(decoder, count, sizeof(*alpn));

    out->alpn = alpn;
    out->alpn_count = alpn == NULL ? 0 : count;
    for (size_t i = 0; i < out->alpn_count; i++) {
        const char *text = message->alpn[i];
        size_t length = strlen(text);

        if (length < 1 || length > CONFIG_ALPN_BYTES_MAX)
            decode_error(decoder, at, "alpn", i,
                         "has %zu bytes; an application protocol has 1 to %d, such as \"h2\"",
                         length, CONFIG_ALPN_BYTES_MAX);
        alpn[i] = (struct config_bytes){(const uint8_t *)decode_text(decoder, text), length};
    }
}

static bool is_route_name(const Turbotls__V1__Listener *message,
                          const struct config_listener *listener, size_t before, const char *name)
{
    for (size_t i = 0; i < message->n_route; i++)
        if (message->route[i]->name != NULL && strcmp(message->route[i]->name, name) == 0)
            return true;
    for (size_t i = 0; i < before; i++)
        if (listener->routes[i].name != NULL && strcmp(listener->routes[i].name, name) == 0)
            return true;
    return false;
}

/* The upstream's name; where that is taken "web-2", "web-3". */
static const char *derive_name(struct decoder *decoder, const Turbotls__V1__Listener *message,
                               const struct config_listener *listener, size_t index)
{
    size_t upstream = listener->routes[index].upstream, number = 0;
    const char *base = decoder->upstreams[upstream].name;
    char name[CONFIG_NAME_MAX + SUFFIX_BYTES];

    if (base == NULL)
        return NULL;
    (void)snprintf(name, sizeof(name), "%.*s", CONFIG_NAME_MAX, base);
    for (size_t i = 0; i < index; i++)
        number += listener->routes[i].upstream == upstream;
    while (is_route_name(message, listener, index, name)) {
        number += number == 0 ? 2 : 1;
        (void)snprintf(name, sizeof(name), "%.*s-%zu", CONFIG_NAME_MAX - SUFFIX_BYTES, base,
                       number);
    }
    return decode_text(decoder, name);
}

static void check_route_name(struct decoder *decoder, const struct decode_at *at,
                             const Turbotls__V1__Listener *message, size_t index)
{
    const char *name = message->route[index]->name;

    if (!decode_name(decoder, at, name))
        return;
    for (size_t i = 0; i < index; i++)
        if (message->route[i]->name != NULL && strcmp(message->route[i]->name, name) == 0) {
            decode_error(decoder, at, "name", 0, "route[%zu] is called %s too; use another name", i,
                         quote(name).text);
            return;
        }
}

static void decode_route(struct decoder *decoder, const struct decode_at *parent,
                         const Turbotls__V1__Listener *message, struct config_listener *listener,
                         struct config_route *routes, size_t index)
{
    const Turbotls__V1__Route *route = message->route[index];
    struct config_route *out = &routes[index];
    struct decode_at at = {parent, &route->base, "route", index};

    out->upstream = SIZE_MAX; /* until it is found */
    decode_check(decoder, &at, NULL, 0);
    decode_server_names(decoder, &at, route, out);
    decode_alpn(decoder, &at, route, out);
    out->sources = decode_networks(decoder, &at, "source", route->source, route->n_source,
                                   CONFIG_NETWORKS_MAX);
    if (route->name != NULL) {
        check_route_name(decoder, &at, message, index);
        out->name = decode_text(decoder, route->name);
    }
    if (find_upstream(decoder, &at, route->upstream, &out->upstream) && route->name == NULL)
        out->name = derive_name(decoder, message, listener, index);
}

/* Where no route is given everything goes to the upstream, if there is but one. */
static void route_everything(struct decoder *decoder, const struct decode_at *at,
                             struct config_listener *out)
{
    const struct config *config = decoder->config;
    struct config_route *route;

    if (config->upstream_count > 1) {
        decode_error(
            decoder, at, NULL, 0,
            "has no route; where there is more than one upstream say which, such as route "
            "{ upstream: %s }",
            quote(config->upstreams[0].name == NULL ? "" : config->upstreams[0].name).text);
        return;
    }
    route = config->upstream_count == 0 ? NULL : decode_alloc(decoder, 1, sizeof(*route));
    if (route == NULL)
        return;
    route->name = config->upstreams[0].name;
    out->routes = route;
    out->route_count = 1;
}

void decode_routes(struct decoder *decoder, const struct decode_at *at,
                   const Turbotls__V1__Listener *message, struct config_listener *out)
{
    size_t count = decode_count(decoder, at, "route", message->n_route, (size_t)CONFIG_ROUTES_MAX);
    struct config_route *routes = decode_alloc(decoder, count, sizeof(*routes));

    if (count == 0) {
        if (!decode_was_tried(decoder, at, "route"))
            route_everything(decoder, at, out);
        return;
    }
    out->routes = routes;
    out->route_count = routes == NULL ? 0 : count;
    for (size_t i = 0; i < out->route_count; i++)
        decode_route(decoder, at, message, out, routes, i);
    if (decoder->config->upstream_count == 0)
        out->route_count = 0; /* their upstreams are nowhere; an error told so */
    else if (out->route_count > 0)
        check_reachable(decoder, at, message, out);
}
