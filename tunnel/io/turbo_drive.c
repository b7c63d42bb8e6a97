#include "tunnel/io/turbo_drive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tunnel/io/recall.h"
#include "tunnel/net/client_datagrams.h"
#include "tunnel/net/crypto.h"
#include "tunnel/net/socket.h"

/* ---- ends ---- */

enum tunnel_result turbo_io_failed(struct turbo_io *t, const char *doing, int error)
{
    char peer[ADDRESS_TEXT_BYTES];
    (void)snprintf(t->error, sizeof(t->error), "%s %s: %s", doing, address_text(&t->peer, peer),
                   strerror(error));
    return TUNNEL_IO;
}

/* The first word counts. */
static void end(struct turbo_io *t, enum tunnel_result result, const char *why)
{
    if (t->over != TUNNEL_OK)
        return;
    t->over = result;
    if (why != NULL)
        (void)snprintf(t->error, sizeof(t->error), "%s", why);
}

static void close_udp(struct turbo_io *t)
{
    socket_close(t->udp);
    t->udp = -1;
}

void turbo_io_free_session(struct turbo_io *t, turbo_time now)
{
    if (t->session == NULL)
        return;
    t->last = turbo_client_report(t->session);
    recall_note(t->memory, &t->asked, now, &t->last);
    free(t->session);
    t->session = NULL;
    close_udp(t);
}

static bool has_failed(const struct turbo_io *t)
{
    return t->session != NULL && turbo_client_state(t->session) == TURBO_CLIENT_FAILED;
}

/* In the Sandwich dialect; NULL: as in profile 1. */
static const char *why_failed(enum turbo_reason reason)
{
    switch (reason) {
    case TURBO_REASON_NO_RESPONSE:
        return "nothing came by UDP, and Sandwich's dialect has no other way";
    case TURBO_REASON_UNREACHABLE: return "nobody takes UDP there, and Sandwich's dialect needs it";
    case TURBO_REASON_DATAGRAM_LOST:
        return "a datagram was lost that servers of Sandwich's dialect do not repeat: try again";
    case TURBO_REASON_HELLO_TOO_LARGE:
    case TURBO_REASON_FLIGHT_TOO_LARGE:
        return "the handshake is larger than Sandwich's dialect allows";
    case TURBO_REASON_EARLY_DATA: return "Sandwich's dialect has no place for early data";
    case TURBO_REASON_NOT_TLS: return "Sandwich's dialect is for TLS alone, from the first byte on";
    case TURBO_REASON_SERVER_FIRST:
    case TURBO_REASON_SERVER_ENDED:
        return "TCP has spoken before the handshake was over: no server of Sandwich's dialect";
    default: return NULL;
    }
}

static void end_as_failed(struct turbo_io *t)
{
    struct turbo_client_report report = turbo_client_report(t->session);
    bool sandwich = t->dialect == TURBO_DIALECT_SANDWICH;
    const char *why = sandwich ? why_failed(report.reason) : NULL;
    if (why == NULL)
        why = report.delivered
                  ? "TCP has spoken though UDP had answered: they reach different servers"
                  : "the connection was given up";
    end(t, sandwich && !report.responded ? TUNNEL_UNREACHED : TUNNEL_IO, why);
}

/* ---- sessions ---- */

static struct turbo_client *new_session(struct turbo_io *t, turbo_time now)
{
    struct turbo_client_config config;
    void *memory = malloc(turbo_client_bytes());
    if (memory == NULL)
        return NULL;
    turbo_client_config_init(&config, crypto_sha256);
    config.always = t->always;
    config.dialect = t->dialect;
    config.attempt = t->in_vain;
    if (t->dialect == TURBO_DIALECT_SANDWICH &&
        !crypto_random(config.id.bytes, sizeof(config.id.bytes))) {
        free(memory);
        return NULL;
    }
    recall_configure(t->memory, &t->asked, now, &config);
    return turbo_client_init(memory, &config, now);
}

/* The session for the SYN that has left on `syn`, with what the app has written so far. */
static void begin_session(struct turbo_io *t, int syn, const struct address *peer, turbo_time now)
{
    struct turbo_client *before = t->session;
    const uint8_t *data;
    size_t length;
    if (before != NULL && turbo_client_report(before).delivered) {
        end(t, TUNNEL_UNREACHED, "UDP has answered from an address that does not take TCP");
        return;
    }
    t->session = NULL;
    close_udp(t);
    if (before != NULL) {
        t->last = turbo_client_report(before);
        recall_note(t->memory, &t->asked, now, &t->last);
    }
    t->asked = *peer;
    if (t->udp_port != 0)
        address_set_port(&t->asked, t->udp_port);
    t->session = new_session(t, now);
    if (t->session == NULL) {
        end(t, TUNNEL_MEMORY, "no memory, or no random numbers, for a TurboTLS session");
    } else {
        if (turbo_client_uses_udp(t->session))
            t->udp = socket_connect_udp(&t->asked, syn, 0);
        if (before != NULL) {
            length = turbo_client_unsent(before, &data);
            turbo_client_push(t->session, now, data, length);
        }
    }
    free(before);
}

/* ---- what arrives ---- */

/* The server end that was asked in vain need not wait for us. */
static void tcp_failed(struct turbo_io *t, turbo_time now)
{
    if (t->session == NULL)
        return;
    turbo_client_tcp_failed(t->session, now);
    client_datagrams_send(t->udp, t->session, now);
}

static void tcp_is_up(struct turbo_io *t, turbo_time now)
{
    t->tcp = (struct descriptor){.fd = connector_take(t->connector, &t->peer), .is_socket = true};
    t->up_at = now;
    turbo_client_tcp_up(t->session, now);
}

static void connect_step(struct turbo_io *t, turbo_time now)
{
    struct address peer;
    int syn = -1;
    enum connector_state state = connector_step(t->connector, now);
    unsigned attempt = connector_attempt(t->connector, &syn, &peer);
    if (state != CONNECTOR_FAILED && attempt != t->attempt) {
        tcp_failed(t, now);
        begin_session(t, syn, &peer, now);
        t->attempt = attempt;
    }
    if (t->over != TUNNEL_OK)
        return;
    if (state == CONNECTOR_UP) {
        tcp_is_up(t, now);
    } else if (state == CONNECTOR_FAILED) {
        tcp_failed(t, now);
        end(t, connector_result(t->connector), NULL);
    }
}

/* Before the opening anything that TCP has to say matters (protocol §6.1). */
static void hear_tcp(struct turbo_io *t, turbo_time now)
{
    uint8_t byte;
    ssize_t n = recv(t->tcp.fd, &byte, sizeof(byte), MSG_PEEK);
    if (n >= 0) {
        turbo_client_tcp_readable(t->session, now);
    } else if (!socket_is_again(errno)) {
        end(t, turbo_io_failed(t, "connected to", errno), NULL);
        turbo_client_tcp_failed(t->session, now);
    }
}

void turbo_io_arrive(struct turbo_io *t, turbo_time now)
{
    if (t->session != NULL && t->udp >= 0) {
        bool knew = turbo_client_report(t->session).responded;
        client_datagrams_receive(t->udp, t->session, now);
        bool tells = t->dialect == TURBO_DIALECT_PROFILE1;
        if (tells && !knew && turbo_client_report(t->session).responded)
            recall_speaks(t->memory, &t->asked);
    }
    if (has_failed(t))
        return;
    if (t->over == TUNNEL_OK && t->tcp.fd < 0)
        connect_step(t, now);
    if (t->session != NULL && t->tcp.fd >= 0 && !turbo_io_is_open(t) && !has_failed(t))
        hear_tcp(t, now);
}

/* ---- what is to be done ---- */

void turbo_io_flush(struct turbo_io *t)
{
    const uint8_t *data;
    size_t length, taken = 0;
    while (t->written == TUNNEL_OK && (length = turbo_client_tcp_peek(t->session, &data)) > 0) {
        enum tunnel_result result = descriptor_write(t->tcp, data, length, &taken);
        if (result == TUNNEL_IO)
            t->written = turbo_io_failed(t, "writing to", errno);
        if (result != TUNNEL_OK)
            return;
        turbo_client_tcp_consume(t->session, taken);
        t->begun = true;
    }
}

/*
 * The app knows nothing yet of a session that has failed: another may have more luck. With a new
 * TCP connection, since a Sandwich server knows this one by its id (protocol §11).
 */
static void begin_anew(struct turbo_io *t, turbo_time now)
{
    if (t->over != TUNNEL_OK || !has_failed(t) || !turbo_client_report(t->session).again)
        return;
    t->in_vain++;
    socket_reset(t->tcp.fd);
    t->tcp.fd = -1;
    t->up_at = 0;
    connector_repeat(t->connector);
    connect_step(t, now);
}

void turbo_io_act(struct turbo_io *t, turbo_time now)
{
    if (t->session == NULL)
        return;
    turbo_client_tick(t->session, now);
    begin_anew(t, now);
    if (t->session == NULL)
        return;
    if (turbo_client_dial_again(t->session) && t->tcp.fd < 0)
        connector_again(t->connector, now);
    client_datagrams_send(t->udp, t->session, now);
    if (turbo_io_is_open(t))
        turbo_io_flush(t);
    if (has_failed(t))
        end_as_failed(t);
    if (!turbo_client_uses_udp(t->session))
        close_udp(t);
    if (turbo_client_settled(t->session))
        turbo_io_free_session(t, now);
}
