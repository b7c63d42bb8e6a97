/*
 * TLS 1.3 over TCP, with or without TCP Fast Open (see probe.h).
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "probe.h"

struct tls {
    SSL *ssl;
    bool (*phase)(struct probe *probe); /* true when the next phase may go on at once */
};

static void *prepare(const struct settings *settings)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_load_verify_locations(context, settings->ca_file, NULL) != 1) {
        ERR_print_errors_fp(stderr);
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

static void release(void *context)
{
    SSL_CTX_free(context);
}

/* What an SSL call that returned `code` waits for. */
static bool wait_or_fail(struct probe *probe, int code, const char *result)
{
    const struct tls *tls = probe->state;
    switch (SSL_get_error(tls->ssl, code)) {
    case SSL_ERROR_WANT_READ: probe->events = POLLIN; break;
    case SSL_ERROR_WANT_WRITE: probe->events = POLLOUT; break;
    default: probe_end(probe, result);
    }
    return false;
}

static void judge(struct probe *probe)
{
    static const char status[] = "HTTP/1.1 200 ", separator[] = "\r\n\r\n";
    const uint8_t *end = memmem(probe->answer, probe->answer_length, separator, 4);
    if (end == NULL) {
        probe_end(probe, "no-answer");
        return;
    }
    bool good = memcmp(probe->answer, status, sizeof status - 1) == 0;
    const uint8_t *body = end + 4;
    probe_judge(probe, good, body, (size_t)(probe->answer + probe->answer_length - body));
}

/* The server closes the connection after its answer. */
static bool answer_phase(struct probe *probe)
{
    const struct tls *tls = probe->state;
    uint8_t bytes[4096];
    int length = SSL_read(tls->ssl, bytes, sizeof bytes);
    if (length > 0) {
        probe_answer(probe, bytes, (size_t)length);
        return probe->result == NULL;
    }
    if (SSL_get_error(tls->ssl, length) == SSL_ERROR_ZERO_RETURN) {
        judge(probe);
        return false;
    }
    return wait_or_fail(probe, length, "answer-cut-short");
}

static bool request_phase(struct probe *probe)
{
    struct tls *tls = probe->state;
    char request[256];
    int length = snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n",
                          probe->settings->name);
    int sent = SSL_write(tls->ssl, request, length);
    if (sent <= 0)
        return wait_or_fail(probe, sent, "request-failed");
    tls->phase = answer_phase;
    return true;
}

static void note_fastopen(struct probe *probe)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    getsockopt(probe->fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    probe->detail = (info.tcpi_options & TCPI_OPT_SYN_DATA) != 0 ? "syn-data" : "no-syn-data";
}

static bool handshake_phase(struct probe *probe)
{
    struct tls *tls = probe->state;
    int code = SSL_connect(tls->ssl);
    if (code != 1)
        return wait_or_fail(probe, code, "handshake-failed");
    probe->secured = probe_now();
    if (probe->settings->fastopen)
        note_fastopen(probe);
    tls->phase = request_phase;
    return true;
}

static bool connect_phase(struct probe *probe)
{
    struct tls *tls = probe->state;
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0) {
        probe_end(probe, "connect-failed");
        return false;
    }
    probe->connected = probe_now();
    tls->phase = handshake_phase;
    return true;
}

static void step(struct probe *probe)
{
    const struct tls *tls = probe->state;
    while (tls->phase(probe)) {
    }
    ERR_clear_error();
}

static bool set_up(struct probe *probe, struct tls *tls)
{
    const struct settings *settings = probe->settings;
    const int on = 1;
    probe->state = tls;
    if (tls == NULL)
        return false;
    tls->phase = connect_phase;
    tls->ssl = SSL_new(probe->context);
    return tls->ssl != NULL && probe_socket(probe, SOCK_STREAM) >= 0 &&
           SSL_set_fd(tls->ssl, probe->fd) == 1 && SSL_set1_host(tls->ssl, settings->name) == 1 &&
           SSL_set_tlsext_host_name(tls->ssl, settings->name) == 1 &&
           setsockopt(probe->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
           (!settings->fastopen ||
            setsockopt(probe->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) == 0);
}

/* With a Fast Open cookie connect() succeeds at once, and the ClientHello leaves with the SYN. */
static void start(struct probe *probe)
{
    if (!set_up(probe, calloc(1, sizeof(struct tls)))) {
        probe_end(probe, "no-memory");
        return;
    }
    probe->began = probe_now();
    probe->events = POLLOUT;
    if (connect(probe->fd, (struct sockaddr *)&probe->server, sizeof probe->server) == 0)
        step(probe);
    else if (errno != EINPROGRESS)
        probe_end(probe, "connect-failed");
    probe_note_local_port(probe);
}

static void stop(struct probe *probe)
{
    struct tls *tls = probe->state;
    if (tls != NULL)
        SSL_free(tls->ssl);
    free(tls);
}

int main(int argc, char **argv)
{
    static const struct way tls = {prepare, release, start, step, stop};
    return probe_main(argc, argv, &tls);
}
