/*
 * QUIC with the smallest HTTP/3 that asks for one file (see probe.h), by libngtcp2 and GnuTLS.
 *
 * Debian's gtlsclient would do, but handles one connection a process, and its start costs User-Mode
 * Linux 300 ms of CPU.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "probe.h"

enum { DATAGRAM_MAX = 1500, CONNECTION_ID = 16 };

/* What is to be sent on a stream of ours. */
struct outgoing {
    int64_t stream;
    uint8_t bytes[320];
    size_t length, sent;
    bool end, done;
};

struct quic {
    ngtcp2_conn *conn;
    ngtcp2_crypto_conn_ref reference;
    ngtcp2_path path;
    struct sockaddr_in local;
    gnutls_session_t session;
    struct outgoing control, request;
    bool streams_open;
};

static ngtcp2_tstamp timestamp(void)
{
    return probe_now() * NGTCP2_MICROSECONDS;
}

static void *prepare(const struct settings *settings)
{
    gnutls_certificate_credentials_t credentials;
    if (gnutls_certificate_allocate_credentials(&credentials) != 0)
        return NULL;
    int count =
        gnutls_certificate_set_x509_trust_file(credentials, settings->ca_file, GNUTLS_X509_FMT_PEM);
    if (count > 0)
        return credentials;
    fprintf(stderr, "there is no certificate in %s\n", settings->ca_file);
    gnutls_certificate_free_credentials(credentials);
    return NULL;
}

static void release(void *context)
{
    gnutls_certificate_free_credentials(context);
}

/* HTTP/3 (RFC 9114), QPACK with its static table only (RFC 9204). */

static void put(struct outgoing *to, const void *bytes, size_t length)
{
    memcpy(to->bytes + to->length, bytes, length);
    to->length += length;
}

/* A control stream with empty SETTINGS. */
static void write_control(struct outgoing *to)
{
    put(to, "\x00\x04\x00", 3);
}

/* HEADERS: GET (static table 17), https (23), :authority (0) as it is, path / (1); the stream ends
 * with it. */
static bool write_request(struct outgoing *to, const char *name)
{
    size_t length = strlen(name);
    if (length > 50) /* so that lengths are one byte */
        return false;
    const uint8_t begin[] = {0x01, (uint8_t)(length + 7), 0x00, 0x00, 0xd1, 0xd7,
                             0x50, (uint8_t)length};
    put(to, begin, sizeof begin);
    put(to, name, length);
    put(to, "\xc1", 1);
    to->end = true;
    return true;
}

struct reader {
    const uint8_t *at, *end;
};

/* A variable-length integer (RFC 9000, 16); UINT64_MAX when it is cut short. */
static uint64_t read_integer(struct reader *reader)
{
    if (reader->at == reader->end || reader->end - reader->at < 1 << (*reader->at >> 6))
        return UINT64_MAX;
    size_t length = (size_t)1 << (*reader->at >> 6);
    uint64_t value = *reader->at++ & 0x3f;
    while (--length > 0)
        value = value << 8 | *reader->at++;
    return value;
}

/* Moves the contents of the DATA frames together; a HEADERS frame must begin with :status 200 (25).
 */
static void judge(struct probe *probe)
{
    struct reader reader = {probe->answer, probe->answer + probe->answer_length};
    uint8_t *body = probe->answer;
    bool status_200 = false;
    while (reader.at < reader.end) {
        uint64_t type = read_integer(&reader), length = read_integer(&reader);
        if (length > (uint64_t)(reader.end - reader.at)) {
            probe_end(probe, "answer-cut-short");
            return;
        }
        if (type == 1)
            status_200 = length > 2 && reader.at[2] == 0xd9;
        if (type == 0) {
            memmove(body, reader.at, length);
            body += length;
        }
        reader.at += length;
    }
    probe_judge(probe, status_200, probe->answer, (size_t)(body - probe->answer));
}

/* What libngtcp2 calls; user_data is the probe. */

static int on_handshake_completed(ngtcp2_conn *conn, void *user_data)
{
    (void)conn;
    struct probe *probe = user_data;
    probe->secured = probe_now();
    return 0;
}

static int on_stream_data(ngtcp2_conn *conn, uint32_t flags, int64_t stream, uint64_t offset,
                          const uint8_t *data, size_t length, void *user_data, void *stream_data)
{
    (void)conn;
    (void)offset;
    (void)stream_data;
    struct probe *probe = user_data;
    const struct quic *quic = probe->state;
    if (!quic->streams_open || stream != quic->request.stream)
        return 0;
    if (length > 0)
        probe_answer(probe, data, length);
    if ((flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0 && probe->result == NULL)
        judge(probe);
    return 0;
}

static void random_bytes(uint8_t *bytes, size_t length, const ngtcp2_rand_ctx *context)
{
    (void)context;
    gnutls_rnd(GNUTLS_RND_NONCE, bytes, length);
}

static int on_new_connection_id(ngtcp2_conn *conn, ngtcp2_cid *id, uint8_t *token, size_t length,
                                void *user_data)
{
    (void)conn;
    (void)user_data;
    id->datalen = length;
    gnutls_rnd(GNUTLS_RND_NONCE, id->data, length);
    gnutls_rnd(GNUTLS_RND_NONCE, token, NGTCP2_STATELESS_RESET_TOKENLEN);
    return 0;
}

static const ngtcp2_callbacks callbacks = {
    .client_initial = ngtcp2_crypto_client_initial_cb,
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .handshake_completed = on_handshake_completed,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .recv_stream_data = on_stream_data,
    .recv_retry = ngtcp2_crypto_recv_retry_cb,
    .rand = random_bytes,
    .get_new_connection_id = on_new_connection_id,
    .update_key = ngtcp2_crypto_update_key_cb,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
};

/* Sending and receiving. */

/* Adds to the packet that libngtcp2 is composing. Its length when it is full, NGTCP2_ERR_WRITE_MORE
 * when not. */
static ngtcp2_ssize add_stream(struct quic *quic, struct outgoing *from, uint8_t *packet)
{
    ngtcp2_pkt_info info;
    ngtcp2_ssize taken = -1;
    uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE;
    if (from->end)
        flags |= NGTCP2_WRITE_STREAM_FLAG_FIN;
    ngtcp2_ssize length = ngtcp2_conn_write_stream(
        quic->conn, NULL, &info, packet, DATAGRAM_MAX, &taken, flags, from->stream,
        from->bytes + from->sent, from->length - from->sent, timestamp());
    if (taken >= 0)
        from->sent += (size_t)taken;
    from->done = taken >= 0 && from->sent == from->length;
    return length;
}

static ngtcp2_ssize compose(struct quic *quic, uint8_t *packet)
{
    struct outgoing *const streams[] = {&quic->control, &quic->request};
    for (size_t i = 0; quic->streams_open && i < 2; i++) {
        if (streams[i]->done)
            continue;
        ngtcp2_ssize length = add_stream(quic, streams[i], packet);
        if (length != NGTCP2_ERR_WRITE_MORE && length != NGTCP2_ERR_STREAM_DATA_BLOCKED)
            return length;
    }
    ngtcp2_pkt_info info;
    return ngtcp2_conn_write_stream(quic->conn, NULL, &info, packet, DATAGRAM_MAX, NULL,
                                    NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, timestamp());
}

/*
 * A datagram that the socket does not take is as good as one lost on the way.
 *
 * Without ngtcp2_conn_update_pkt_tx_time, libngtcp2 does not pace: its first guess of the round
 * trip, 333 ms, would hold the client's Finished back until 22 ms after the ClientHello, which is
 * long where the round trip is 10 ms.
 */
static void send_all(struct probe *probe)
{
    struct quic *quic = probe->state;
    uint8_t packet[DATAGRAM_MAX];
    ngtcp2_ssize length;
    while ((length = compose(quic, packet)) > 0)
        (void)!send(probe->fd, packet, (size_t)length, 0);
    if (length < 0)
        probe_end(probe, ngtcp2_strerror((int)length));
}

static void receive_all(struct probe *probe)
{
    struct quic *quic = probe->state;
    uint8_t packet[DATAGRAM_MAX];
    const ngtcp2_pkt_info info = {0};
    ssize_t length;
    while (probe->result == NULL && (length = recv(probe->fd, packet, sizeof packet, 0)) >= 0) {
        int error = ngtcp2_conn_read_pkt(quic->conn, &quic->path, &info, packet, (size_t)length,
                                         timestamp());
        if (error != 0)
            probe_end(probe, ngtcp2_strerror(error));
    }
}

static void open_streams(struct probe *probe)
{
    struct quic *quic = probe->state;
    if (ngtcp2_conn_open_uni_stream(quic->conn, &quic->control.stream, NULL) != 0 ||
        ngtcp2_conn_open_bidi_stream(quic->conn, &quic->request.stream, NULL) != 0)
        probe_end(probe, "no-stream");
    quic->streams_open = true;
}

static void handle_expiry(struct probe *probe)
{
    struct quic *quic = probe->state;
    ngtcp2_tstamp now = timestamp();
    if (probe->result != NULL || ngtcp2_conn_get_expiry(quic->conn) > now)
        return;
    int error = ngtcp2_conn_handle_expiry(quic->conn, now);
    if (error != 0)
        probe_end(probe, ngtcp2_strerror(error));
}

static void step(struct probe *probe)
{
    struct quic *quic = probe->state;
    receive_all(probe);
    handle_expiry(probe);
    if (probe->result == NULL && probe->secured != 0 && !quic->streams_open)
        open_streams(probe);
    if (probe->result == NULL)
        send_all(probe);
    ngtcp2_tstamp expiry = ngtcp2_conn_get_expiry(quic->conn);
    probe->wake = expiry == UINT64_MAX ? UINT64_MAX : expiry / NGTCP2_MICROSECONDS + 1;
}

/* Setting up. */

static ngtcp2_conn *connection_of(ngtcp2_crypto_conn_ref *reference)
{
    const struct quic *quic = reference->user_data;
    return quic->conn;
}

static bool set_up_session(struct probe *probe, struct quic *quic)
{
    static const char priorities[] =
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1"
        ":%DISABLE_TLS13_COMPAT_MODE";
    const gnutls_datum_t protocol = {(uint8_t[]){'h', '3'}, 2};
    const char *name = probe->settings->name;
    quic->reference = (ngtcp2_crypto_conn_ref){connection_of, quic};
    if (gnutls_init(&quic->session, GNUTLS_CLIENT) != 0)
        return false;
    gnutls_session_set_ptr(quic->session, &quic->reference);
    gnutls_session_set_verify_cert(quic->session, name, 0);
    return gnutls_priority_set_direct(quic->session, priorities, NULL) == 0 &&
           ngtcp2_crypto_gnutls_configure_client_session(quic->session) == 0 &&
           gnutls_credentials_set(quic->session, GNUTLS_CRD_CERTIFICATE, probe->context) == 0 &&
           gnutls_server_name_set(quic->session, GNUTLS_NAME_DNS, name, strlen(name)) == 0 &&
           gnutls_alpn_set_protocols(quic->session, &protocol, 1, GNUTLS_ALPN_MANDATORY) == 0;
}

/* What every probe has alike; path MTU discovery would only add packets after the handshake. */
static void configure(ngtcp2_settings *settings, ngtcp2_transport_params *params)
{
    ngtcp2_settings_default(settings);
    settings->initial_ts = timestamp();
    settings->handshake_timeout = UINT64_MAX; /* the probe's own limit ends it */
    settings->no_pmtud = 1;
    ngtcp2_transport_params_default(params);
    params->initial_max_data = ANSWER_MAX;
    params->initial_max_stream_data_bidi_local = ANSWER_MAX;
    params->initial_max_stream_data_uni = ANSWER_MAX;
    params->initial_max_streams_uni = 3;
}

static bool set_up_connection(struct probe *probe, struct quic *quic)
{
    ngtcp2_settings settings;
    ngtcp2_transport_params params;
    ngtcp2_cid to = {.datalen = CONNECTION_ID}, from = {.datalen = CONNECTION_ID};
    gnutls_rnd(GNUTLS_RND_NONCE, to.data, to.datalen);
    gnutls_rnd(GNUTLS_RND_NONCE, from.data, from.datalen);
    configure(&settings, &params);
    if (ngtcp2_conn_client_new(&quic->conn, &to, &from, &quic->path, NGTCP2_PROTO_VER_V1,
                               &callbacks, &settings, &params, NULL, probe) != 0)
        return false;
    ngtcp2_conn_set_tls_native_handle(quic->conn, quic->session);
    return true;
}

static bool set_up_path(struct probe *probe, struct quic *quic)
{
    socklen_t length = sizeof quic->local;
    if (connect(probe->fd, (struct sockaddr *)&probe->server, sizeof probe->server) != 0 ||
        getsockname(probe->fd, (struct sockaddr *)&quic->local, &length) != 0)
        return false;
    quic->path.local = (ngtcp2_addr){(ngtcp2_sockaddr *)&quic->local, sizeof quic->local};
    quic->path.remote = (ngtcp2_addr){(ngtcp2_sockaddr *)&probe->server, sizeof probe->server};
    return true;
}

static void start(struct probe *probe)
{
    struct quic *quic = calloc(1, sizeof *quic);
    probe->state = quic;
    if (quic == NULL || probe_socket(probe, SOCK_DGRAM) < 0 || !set_up_session(probe, quic) ||
        !write_request(&quic->request, probe->settings->name)) {
        probe_end(probe, "no-session");
        return;
    }
    write_control(&quic->control);
    probe->events = POLLIN;
    probe->began = probe_now();
    if (!set_up_path(probe, quic) || !set_up_connection(probe, quic)) {
        probe_end(probe, "no-connection");
        return;
    }
    probe->connected = probe_now();
    probe_note_local_port(probe);
    step(probe);
}

static void say_goodbye(struct probe *probe, const struct quic *quic)
{
    uint8_t packet[DATAGRAM_MAX];
    ngtcp2_pkt_info info;
    ngtcp2_connection_close_error reason;
    ngtcp2_connection_close_error_default(&reason);
    ngtcp2_connection_close_error_set_application_error(&reason, 0x100, NULL, 0); /* H3_NO_ERROR */
    ngtcp2_ssize length = ngtcp2_conn_write_connection_close(quic->conn, NULL, &info, packet,
                                                             sizeof packet, &reason, timestamp());
    if (length > 0)
        (void)!send(probe->fd, packet, (size_t)length, 0);
}

static void stop(struct probe *probe)
{
    struct quic *quic = probe->state;
    if (quic == NULL)
        return;
    if (quic->conn != NULL) {
        say_goodbye(probe, quic);
        ngtcp2_conn_del(quic->conn);
    }
    if (quic->session != NULL)
        gnutls_deinit(quic->session);
    free(quic);
}

int main(int argc, char **argv)
{
    static const struct way quic = {prepare, release, start, step, stop};
    return probe_main(argc, argv, &quic);
}
