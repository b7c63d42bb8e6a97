/*
 * Within decode*.c only: the decoder at work, what it calls a field, and the checks that messages
 * have in common.
 */
#ifndef PROXY_CONFIG_DECODE_PARTS_H
#define PROXY_CONFIG_DECODE_PARTS_H

#include "proto/text/judge.h"
#include "proto/text/quote.h"
#include "proxy/config/decode.h"
#include "proxy/config/endpoint.h"

struct decoder {
    const Turbotls__V1__Proxy *message;
    const struct config_source *source;
    struct config_errors *errors;
    struct config *config;
    struct config_listener *listeners; /* config->listeners */
    struct config_upstream *upstreams; /* config->upstreams */
    bool no_memory;
};

/* `field` of the message at `at` is wrong; NULL: the message as a whole is. */
__attribute__((format(printf, 5, 6))) void decode_error(struct decoder *decoder,
                                                        const struct decode_at *at,
                                                        const char *field, size_t index,
                                                        const char *format, ...);
/* Is `field`, of which nothing is in the message, in the file all the same, but could not be read?
 */
bool decode_was_tried(const struct decoder *decoder, const struct decode_at *at, const char *field);
/* `field` must be given; says so unless it was tried. */
void decode_missing(struct decoder *decoder, const struct decode_at *at, const char *field,
                    const char *advice);

/* Memory of the configuration; NULL (also of count 0): `no_memory` is set unless it is 0. */
void *decode_alloc(struct decoder *decoder, size_t count, size_t bytes);
const char *decode_text(struct decoder *decoder, const char *text);

/* A number's range; both ends belong to it, but for `above`. */
struct decode_range {
    const char *field;
    double min, max;
    bool above;   /* `min` itself does not */
    bool or_zero; /* 0 is allowed besides */
};
/* Numbers that are out of range, values that no enum has, texts that are none, unknown fields. */
void decode_check(struct decoder *decoder, const struct decode_at *at,
                  const struct decode_range *ranges, size_t count);

/* How many of a repeated field's values are taken: `count`, unless that is above `max`. */
size_t decode_count(struct decoder *decoder, const struct decode_at *at, const char *field,
                    size_t count, size_t max);
/* 1 to 64 letters, digits, "-", "_", "."; `name` may be NULL. False: it is wrong, and said so. */
bool decode_name(struct decoder *decoder, const struct decode_at *at, const char *name);
struct networks decode_networks(struct decoder *decoder, const struct decode_at *at,
                                const char *field, char *const *texts, size_t count, size_t max);

void decode_upstreams(struct decoder *decoder, const struct decode_at *top);
/* After the upstreams. */
void decode_listeners(struct decoder *decoder, const struct decode_at *top);

/* Request, logins and starttls; after the address, before the routes. */
void decode_request(struct decoder *decoder, const struct decode_at *at,
                    const Turbotls__V1__Listener *message, struct config_listener *out);
/* After the access rules. */
void decode_check_open_proxy(struct decoder *decoder, const struct decode_at *at,
                             const struct config_listener *listener);
/* Do its clients name the host they want (HTTP_CONNECT, SOCKS5)? */
bool decode_names_hosts(const struct config_listener *listener);
/* There is a request, but it could not be read: what depends on it is not judged. */
bool decode_request_is_unread(const struct decoder *decoder, const struct decode_at *at,
                              const Turbotls__V1__Listener *message);

/* ---- names ---- */

enum { DECODE_NAME_TEXT_MAX = 253 };

struct decode_names {
    const char **list; /* as struct config_route's server_names */
    size_t count;
};

/* What would be a name, where `name` ("www.example.com", "*.example.com") is not; NULL: it is. */
const char *decode_name_advice(const char *name);
/* As struct config_route has it: lower case, ".example.com" for "*.example.com". It is valid. */
const char *decode_fold(const char *name, char folded[static CONFIG_HOST_MAX + 1]);
/* `list` has room for it. */
void decode_add_name(struct decoder *decoder, struct decode_names *names, const char *name);
/* By strcmp, each but once. */
void decode_sort_names(struct decode_names *names);

/* Can a ClientHello ask for it, or for what is below it? */
bool decode_is_server_name(const char *name);
void decode_server_names(struct decoder *decoder, const struct decode_at *at,
                         const Turbotls__V1__Route *message, struct config_route *out);

/* ---- routes ---- */

/* What clients may ask for; after the listener's request. `at` is the route's. */
void decode_requested(struct decoder *decoder, const struct decode_at *at,
                      const Turbotls__V1__Listener *listener_message,
                      const struct config_listener *listener, const Turbotls__V1__Route *message,
                      struct config_route *out);
/* After its upstream. */
void decode_check_opaque(struct decoder *decoder, const struct decode_at *at,
                         const Turbotls__V1__Listener *message,
                         const struct config_listener *listener, const struct config_route *route);
/* After all routes, with their upstreams: what can never match. */
void decode_check_reachable(struct decoder *decoder, const struct decode_at *at,
                            const Turbotls__V1__Listener *message,
                            const struct config_listener *listener);

/* Of a listener, after the upstreams. */
void decode_routes(struct decoder *decoder, const struct decode_at *at,
                   const Turbotls__V1__Listener *message, struct config_listener *out);

#endif
