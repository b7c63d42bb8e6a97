/* Within turbotls-server only: what it is to do, and its connections. */
#ifndef PROGRAMS_SERVER_H
#define PROGRAMS_SERVER_H

#include "common.h"
#include "tls_options.h"

#define SERVER_NAME "turbotls-server"

enum { SERVER_CONNECTIONS_MAX = 10000, CONNECTION_BUFFER = 16384, HEAD_BYTES = 512 };

struct server {
    struct place place;
    struct tls_options tls;
    bool turbo, sandwich, json, quiet, listens;
    uint32_t udp_port, timeout_s, connections_max;
    char *greeting; /* with its line's end; NULL: none */
    const char *directory, *body_file;
    char wrong[64]; /* with an option's number */
    uint8_t *body;  /* of body_file; NULL: there is none */
    size_t body_length;
    int directory_fd; /* -1: there is none */
    /* What main opens. */
    struct tunnel_context *context;
    struct tunnel_listener *listener;
    int signals;
};

/* False: the program ends with `code`, and all is said. */
bool server_options(struct server *server, int argc, char **argv, enum exit_code *code);
/* Until a signal ends it. */
enum exit_code server_run(struct server *server);

/* ---- answers to GET ---- */

/* What is sent behind the head of an answer: from memory, or from a file. */
struct source {
    const uint8_t *bytes; /* NULL: from `fd` */
    int fd;               /* -1: nothing is open */
    uint64_t left;
};

enum http_request { HTTP_MORE, HTTP_WHOLE, HTTP_TOO_LONG };
/* Is there a whole request? `length` of it, with the empty line at its end. */
enum http_request http_find(const uint8_t *bytes, size_t got, size_t *length);
/*
 * Answers the request, whose last byte may be overwritten: the head, of which the length is
 * returned, and where the body is from. `keep`: may another one follow?
 */
size_t http_answer(const struct server *server, char *request, char head[static HEAD_BYTES],
                   struct source *body, bool *keep);
void source_close(struct source *source);
/* Up to `capacity` bytes of it; 0: it is at its end; -1: the file is shorter than it was. */
ssize_t source_take(struct source *source, uint8_t *out, size_t capacity);

/* ---- connections ---- */

struct connection {
    const struct server *server;
    struct tunnel *tunnel;
    enum tunnel_result want; /* WANT_READ or WANT_WRITE: what it waits for */
    enum tunnel_result result;
    bool agreed_upon, saying_goodbye, last, over;
    struct agreed agreed;
    uint64_t begun_us, moved_us, handshake_us;
    uint64_t sent, received;
    const uint8_t *out; /* what is to be sent: of `buffer`, or the greeting */
    size_t out_length;
    size_t got; /* of a request, in `buffer` */
    struct source body;
    char head[HEAD_BYTES];
    uint8_t buffer[CONNECTION_BUFFER];
};

/* Takes the I/O. NULL: no memory. */
struct connection *connection_begin(const struct server *server, struct tunnel_io *io);
/* As far as it goes without waiting, within bounds. `over` is set when it has ended. Returns
 * whether it would go on at once. */
bool connection_step(struct connection *connection);
/* Nothing has happened for too long. */
void connection_time_out(struct connection *connection);
/* Says how it went, and frees it. */
void connection_end(struct connection *connection);

#endif
