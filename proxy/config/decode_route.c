#include "proxy/config/decode_parts.h"

#include <stdio.h>
#include <string.h>

#include "proto/text/similar.h"

_Static_assert(CONFIG_NAME_MAX <= (int)SIMILAR_MAX, "any two names can be compared");

enum { SUFFIX_BYTES = 8 /* of "-1024", and to spare */ };

/* ---- which upstream ---- */

/* The upstream whose name is most like `name`; NULL: none is like it. */
static const char *nearest(const struct config *config, const char *name)
{
    const char *best = NULL;
    size_t length = strlen(name), least = similar_bound(length);

    for (size_t i = 0; i < config->upstream_count; i++) {
        const char *other = config->upstreams[i].name;
        size_t far = other == NULL || other[0] == '\0'
                         ? SIZE_MAX
                         : similar_distance(name, length, other, strlen(other));

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

/* Where clients do not say where they want to go nothing can go there. */
static void check_requested_upstream(struct decoder *decoder, const struct decode_at *at,
                                     const Turbotls__V1__Listener *message,
                                     const struct config_listener *listener, size_t index)
{
    if (decoder->upstreams[index].requested && listener->request == CONFIG_REQUEST_NONE &&
        !decode_request_is_unread(decoder, at->parent, message))
        decode_error(decoder, at, "upstream", 0,
                     "%s goes where clients ask to go, and those of this listener do not ask; use "
                     "an upstream with servers, or give the listener a request",
                     quote(decoder->upstreams[index].name).text);
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
    decode_requested(decoder, &at, message, listener, route, out);
    out->opaque = route->opaque;
    out->sources = decode_networks(decoder, &at, "source", route->source, route->n_source,
                                   CONFIG_NETWORKS_MAX);
    if (route->name != NULL) {
        check_route_name(decoder, &at, message, index);
        out->name = decode_text(decoder, route->name);
    }
    if (find_upstream(decoder, &at, route->upstream, &out->upstream)) {
        if (route->name == NULL)
            out->name = derive_name(decoder, message, listener, index);
        check_requested_upstream(decoder, &at, message, listener, out->upstream);
    }
    decode_check_opaque(decoder, &at, message, listener, out);
}

/* Where no route is given everything goes to the upstream, if there is but one. */
static void route_everything(struct decoder *decoder, const struct decode_at *at,
                             const Turbotls__V1__Listener *message, struct config_listener *out)
{
    const struct config *config = decoder->config;
    struct config_route *route;

    if (decode_names_hosts(out)) {
        decode_error(decoder, at, NULL, 0,
                     "has no route, and nothing is allowed by default; say what clients may ask "
                     "for, such as route { requested_host: \"*.example.com\" upstream: %s }",
                     quote(config->upstream_count == 0 || config->upstreams[0].name == NULL
                               ? ""
                               : config->upstreams[0].name)
                         .text);
        return;
    }
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
    if (config->upstreams[0].requested && out->request == CONFIG_REQUEST_NONE &&
        !decode_request_is_unread(decoder, at, message))
        decode_error(decoder, at, NULL, 0,
                     "its only upstream goes where clients ask to go, and they do not ask; say "
                     "with request how they do, or give the upstream a server");
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
            route_everything(decoder, at, message, out);
        return;
    }
    out->routes = routes;
    out->route_count = routes == NULL ? 0 : count;
    for (size_t i = 0; i < out->route_count; i++)
        decode_route(decoder, at, message, out, routes, i);
    if (decoder->config->upstream_count == 0)
        out->route_count = 0; /* their upstreams are nowhere; an error told so */
    else if (out->route_count > 0)
        decode_check_reachable(decoder, at, message, out);
}
