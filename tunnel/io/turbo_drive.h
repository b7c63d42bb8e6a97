/*
 * The client end over sockets (protocol §6): what proxy/sides/turbo_client does from an event loop,
 * here done by whoever reads, writes and waits.
 *
 *   turbo_drive.c  arrive: what UDP and TCP have brought, and how far connecting is
 *                  act:    time passes; what the session wants sent leaves; what is over is let go
 *   turbo.c        what the tunnel sees
 *
 * Once the session is settled it is freed, and a plain socket remains.
 */
#ifndef TUNNEL_IO_TURBO_DRIVE_H
#define TUNNEL_IO_TURBO_DRIVE_H

#include "tunnel/io/connector.h"
#include "tunnel/io/descriptor.h"
#include "turbo/client.h"

enum { TURBO_IO_ERROR_BYTES = 256 };

struct turbo_io {
    struct tunnel_io base;
    bool always;
    enum turbo_dialect dialect;
    uint8_t in_vain;              /* sessions that were, in the Sandwich dialect */
    uint16_t udp_port;            /* 0: TCP's */
    struct tunnel_memory *memory; /* the user's; NULL: none */
    struct connector *connector;
    unsigned attempt;             /* of the connector's, that the session is for */
    struct address asked;         /* by UDP */
    struct turbo_client *session; /* NULL: no SYN has left yet, or TCP carries on alone */
    int udp;                      /* -1: none */
    struct descriptor tcp;        /* none: it is not up */
    struct address peer;
    bool begun;                 /* TCP has taken bytes */
    enum tunnel_state above;    /* the tunnel's */
    enum tunnel_result over;    /* OK: it is not */
    enum tunnel_result written; /* the same of writing; what TCP has brought may still be read */
    turbo_time began, up_at;
    struct turbo_client_report last; /* of the last session that is gone */
    char error[TURBO_IO_ERROR_BYTES];
};

static inline bool turbo_io_is_open(const struct turbo_io *t)
{
    return t->session != NULL && turbo_client_state(t->session) == TURBO_CLIENT_OPEN;
}

void turbo_io_arrive(struct turbo_io *t, turbo_time now);
void turbo_io_act(struct turbo_io *t, turbo_time now);
/* OPEN: TCP gets what it takes of what is held. */
void turbo_io_flush(struct turbo_io *t);
/* What the session has taught is kept for later connections to the address that was asked. NULL is
 * none. */
void turbo_io_free_session(struct turbo_io *t, turbo_time now);
/* IO, with the system's words. */
enum tunnel_result turbo_io_failed(struct turbo_io *t, const char *doing, int error);

#endif
