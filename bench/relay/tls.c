/*
 * Real TLS 1.3 by OpenSSL, where talk.h only looks like it; both ends, one thread each:
 *
 *   relay_tls serve ADDRESS:PORT CERTIFICATE KEY        until it is killed
 *   relay_tls connect ADDRESS:PORT COUNT PARALLEL       new connections; prints as relay_load does
 *
 * Each connection: a full handshake without tickets, 100 bytes up, 1,000 down, close_notify.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ends.h"
#include "talk.h"

enum { EVENTS_MAX = 256, STUCK_MS = 20000, COUNT_MAX = 10000000 };
enum { REQUEST_BYTES = 100, RESPONSE_BYTES = 1000 };

struct end {
    int epoll, listening; /* a client does not listen: -1 */
    SSL_CTX *context;
    struct sockaddr_in address;
    size_t count, parallel, started, done, failed;
};

enum stage { HANDSHAKE, WRITE, READ, END };

struct connection {
    int fd;
    SSL *ssl;
    enum stage stage;
    size_t read;
    uint32_t events;
};

enum step { GO_ON, WAIT, OVER, BROKEN };

static bool is_server(const struct end *e)
{
    return e->listening >= 0;
}

static void drop(struct end *e, struct connection *c, bool good)
{
    e->done++;
    e->failed += good ? 0 : 1;
    SSL_free(c->ssl);
    close(c->fd);
    free(c);
}

/* What an SSL call that returned `code` waits for. */
static enum step wait_for(struct end *e, struct connection *c, int code)
{
    uint32_t events;
    switch (SSL_get_error(c->ssl, code)) {
    case SSL_ERROR_WANT_READ: events = EPOLLIN; break;
    case SSL_ERROR_WANT_WRITE: events = EPOLLOUT; break;
    case SSL_ERROR_ZERO_RETURN: return OVER;
    default: ERR_clear_error(); return BROKEN;
    }
    if (events != c->events)
        ends_watch(e->epoll, EPOLL_CTL_MOD, c->fd, events, c);
    c->events = events;
    return WAIT;
}

static enum step shake_hands(struct end *e, struct connection *c)
{
    int code = SSL_do_handshake(c->ssl);
    if (code != 1)
        return wait_for(e, c, code);
    c->stage = is_server(e) ? READ : WRITE;
    return GO_ON;
}

static enum step write_all(struct end *e, struct connection *c)
{
    static const uint8_t bytes[RESPONSE_BYTES];
    int code = SSL_write(c->ssl, bytes, is_server(e) ? RESPONSE_BYTES : REQUEST_BYTES);
    if (code <= 0)
        return wait_for(e, c, code);
    c->stage = is_server(e) ? END : READ;
    return GO_ON;
}

static enum step read_all(struct end *e, struct connection *c)
{
    uint8_t bytes[RESPONSE_BYTES];
    int code = SSL_read(c->ssl, bytes, sizeof bytes);
    if (code <= 0)
        return wait_for(e, c, code) == WAIT ? WAIT : BROKEN;
    c->read += (size_t)code;
    if (c->read < (is_server(e) ? REQUEST_BYTES : RESPONSE_BYTES))
        return GO_ON;
    c->stage = is_server(e) ? WRITE : END;
    if (!is_server(e)) {
        SSL_shutdown(c->ssl);
        shutdown(c->fd, SHUT_WR);
    }
    return GO_ON;
}

/* The server waits for close_notify, the client for the end of what the server sends. */
static enum step await_end(struct end *e, struct connection *c)
{
    uint8_t byte;
    if (is_server(e))
        return wait_for(e, c, SSL_read(c->ssl, &byte, 1));
    ssize_t n = recv(c->fd, &byte, 1, 0);
    return n == 0 ? OVER : n < 0 && errno == EAGAIN ? WAIT : BROKEN;
}

static void serve(struct end *e, struct connection *c)
{
    static enum step (*const stages[])(struct end *, struct connection *) = {
        [HANDSHAKE] = shake_hands, [WRITE] = write_all, [READ] = read_all, [END] = await_end};
    enum step step;
    do
        step = stages[c->stage](e, c);
    while (step == GO_ON);
    if (step != WAIT)
        drop(e, c, step == OVER);
}

static void begin(struct end *e, int fd)
{
    struct connection *c = calloc(1, sizeof *c);
    if (c == NULL || (c->ssl = SSL_new(e->context)) == NULL || SSL_set_fd(c->ssl, fd) != 1)
        ends_fail("no memory");
    c->fd = fd;
    c->events = is_server(e) ? EPOLLIN : EPOLLOUT;
    if (is_server(e)) {
        SSL_set_accept_state(c->ssl);
    } else {
        SSL_set_connect_state(c->ssl);
        static char name[] =
            TALK_NAME; /* SSL_set_tlsext_host_name casts const away; the name is copied */
        SSL_set_tlsext_host_name(c->ssl, name);
    }
    ends_watch(e->epoll, EPOLL_CTL_ADD, fd, c->events, c);
}

static void accept_all(struct end *e)
{
    for (;;) {
        int fd = accept4(e->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED))
            return;
        if (fd < 0)
            ends_fail("cannot take another connection");
        ends_no_delay(fd);
        begin(e, fd);
    }
}

static void turn(struct end *e)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(e->epoll, events, EVENTS_MAX, is_server(e) ? -1 : STUCK_MS);
    if (count == 0) {
        errno = 0;
        ends_fail("stuck: %zu connections were started, %zu have ended", e->started, e->done);
    }
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == NULL)
            accept_all(e);
        else
            serve(e, events[i].data.ptr);
    }
}

_Noreturn static void run_server(struct end *e, const char *certificate, const char *key)
{
    e->context = SSL_CTX_new(TLS_server_method());
    if (e->context == NULL || SSL_CTX_use_certificate_chain_file(e->context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(e->context, key, SSL_FILETYPE_PEM) != 1)
        ends_fail("%s and %s cannot be used", certificate, key);
    SSL_CTX_set_num_tickets(e->context, 0);
    SSL_CTX_set_session_cache_mode(e->context, SSL_SESS_CACHE_OFF);
    e->listening = ends_listen(&e->address);
    ends_watch(e->epoll, EPOLL_CTL_ADD, e->listening, EPOLLIN, NULL);
    for (;;)
        turn(e);
}

static int run_client(struct end *e)
{
    e->listening = -1;
    e->context = SSL_CTX_new(TLS_client_method());
    if (e->context == NULL || SSL_CTX_set_min_proto_version(e->context, TLS1_3_VERSION) != 1)
        ends_fail("no TLS 1.3 is to be had");
    uint64_t began = ends_now();
    while (e->done < e->count) {
        for (; e->started < e->count && e->started - e->done < e->parallel; e->started++)
            begin(e, ends_connect(&e->address, SOCK_NONBLOCK));
        turn(e);
    }
    printf("connections %zu\nseconds %.6f\nfailed %zu\n", e->count,
           (double)(ends_now() - began) / 1e9, e->failed);
    SSL_CTX_free(e->context);
    return e->failed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    bool serves = argc == 5 && strcmp(argv[1], "serve") == 0;
    if (!serves && (argc != 5 || strcmp(argv[1], "connect") != 0)) {
        (void)fputs("usage: relay_tls serve ADDRESS:PORT CERTIFICATE KEY\n"
                    "       relay_tls connect ADDRESS:PORT COUNT PARALLEL\n",
                    stderr);
        return 2;
    }
    struct end end = {.epoll = ends_epoll(), .address = ends_address(argv[2])};
    if (serves)
        run_server(&end, argv[3], argv[4]);
    end.count = (size_t)ends_number("COUNT", argv[3], COUNT_MAX);
    end.parallel = (size_t)ends_number("PARALLEL", argv[4], COUNT_MAX);
    return run_client(&end);
}
