/* Within turbotls-client only: what it is to do, and how a connection went. */
#ifndef PROGRAMS_CLIENT_H
#define PROGRAMS_CLIENT_H

#include "common.h"
#include "tls_options.h"

#define CLIENT_NAME "turbotls-client"

enum { CLIENT_NAMES_MAX = 16 };

struct client {
    struct place place;
    struct tls_options tls;
    bool turbo, sandwich, always, json, timing, quiet, get, from_stdin, expects;
    uint32_t udp_port, timeout_s, resume, count, parallel, expected;
    const char *server_name;
    const char *names[CLIENT_NAMES_MAX + 1];
    size_t name_count;
    const char *output;
    char wrong[64];   /* with an option's number */
    uint8_t *payload; /* what is said, but for standard input */
    size_t payload_length;
    /* What main opens. */
    struct tunnel_context *context;
    struct tunnel_memory *memory;
    int signals;
    int out; /* where to what comes goes; -1: nowhere */
};

/* False: the program ends with `code`, and all is said. */
bool client_options(struct client *client, int argc, char **argv, enum exit_code *code);

/* How a connection went. */
struct visit {
    enum tunnel_result result;
    bool interrupted;
    char text[TUNNEL_ERROR_TEXT_BYTES]; /* why it failed */
    struct tunnel_io_report report;
    struct agreed agreed;
    uint64_t begun_us, handshake_us, first_byte_us,
        done_us; /* but for begun: since then; 0: never */
    uint64_t sent, received;
};

/* A secret; `bytes` NULL: none. */
struct ticket {
    uint8_t *bytes;
    size_t length;
};

void ticket_free(struct ticket *ticket);

/* Connects, talks and closes. `ticket` is used, and what the server gave comes in its place. */
void visit_make(const struct client *client, struct ticket *ticket, struct visit *visit);
/* As JSON or as text, as was asked for. */
void visit_tell(const struct client *client, const struct visit *visit);

#endif
