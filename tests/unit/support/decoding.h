/*
 * Configurations written as texts: what they amount to, or what is said against them.
 */
#ifndef TEST_DECODING_H
#define TEST_DECODING_H

#include "proto/text/errors.h"
#include "proxy/config/config.h"

/* Of the last text; `config` is NULL where it was refused. */
struct decoded {
    struct config *config;
    struct config_errors errors;
};
extern struct decoded decoded;

/* Decodes `text` as the file "f", in place of the last one. */
void decode(const char *text);
/* The same, or the test fails: without an error; with exactly these, up to NULL. */
void accepted(const char *text);
void refused(const char *text, const char *const expected[]);
#define REFUSE(text, ...) refused(text, (const char *const[]){__VA_ARGS__, NULL})

/* A group's teardown. */
int decoded_free(void **state);

#define WEB      "upstream { name: \"web\" server { address: \"web.example:8443\" } }\n"
#define LISTENER "listener { address: \"*:443\" }\n"

#define THERE "upstream { name: 'there' protocol: TURBO requested: true }\n"
#define ALL   "route { requested_host: '*' upstream: 'there' }"
/* Listeners for requests, but for their ends: "}". */
#define CONNECT  "listener { protocol: TCP address: '127.0.0.1:3128' request: HTTP_CONNECT\n"
#define SOCKS5   "listener { protocol: TCP address: '127.0.0.1:1080' request: SOCKS5\n"
#define REDIRECT "listener { protocol: TCP address: '*:15001' request: REDIRECT\n"

#endif
