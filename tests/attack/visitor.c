/*
 * visitor --to ADDRESS:PORT --ca FILE --page PATH --expect FILE [--rate N] [--seconds N]
 *         [--again MILLISECONDS]
 *
 * Says that it is ready, and begins when it is given a line on standard input.
 *
 * Well-behaved TLS clients at a fixed rate: each connects, shakes hands anew, fetches the page,
 * with
 * --again once more after a while over the same connection, and compares every byte. One line of
 * JSON at the end: how many failed, why the first did, and how long each handshake took, from
 * connect() on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    THREADS = 8,
    VISITS_MAX = 65536,
    TIMEOUT_SECONDS = 5,
    REPLY_ROOM = 256 * 1024,
    NS_A_SECOND = 1000000000,
};

static char host_name[] = "example.test"; /* not const: a macro of OpenSSL casts it */

struct order {
    struct sockaddr_in to;
    const char *ca, *page, *expect;
    double rate, seconds;
    unsigned again_ms;
};

struct visits {
    struct order order;
    SSL_CTX *context;
    char request[512], last_request[512];
    uint8_t *page;
    size_t page_length;
    uint64_t started;
    pthread_mutex_t lock; /* for all below */
    uint32_t begun, done, failed, begun_late;
    uint32_t handshake_us[VISITS_MAX];
    char first_failure[256];
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_A_SECOND + (uint64_t)now.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec time = {(time_t)(ns / NS_A_SECOND), (long)(ns % NS_A_SECOND)};
    nanosleep(&time, NULL);
}

/* ---- one visit; each step returns what went wrong, or NULL ---- */

static const char *connect_tcp(const struct visits *v, int *fd)
{
    struct timeval timeout = {.tv_sec = TIMEOUT_SECONDS};
    int on = 1;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return "socket";
    (void)setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    (void)setsockopt(*fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    (void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return connect(*fd, (const struct sockaddr *)&v->order.to, sizeof(v->order.to)) == 0
               ? NULL
               : "connect";
}

/* The page behind the header, and after the last request nothing but the end. */
static const char *read_reply(const struct visits *v, SSL *tls, bool last)
{
    uint8_t *reply = malloc(REPLY_ROOM);
    if (reply == NULL)
        return "memory";
    size_t length = 0, header = 0;
    int n = 1;
    while ((header == 0 || last || length < header + v->page_length) && length < REPLY_ROOM &&
           (n = SSL_read(tls, reply + length, (int)(REPLY_ROOM - length))) > 0) {
        length += (size_t)n;
        const uint8_t *end = header > 0 ? NULL : memmem(reply, length, "\r\n\r\n", 4);
        if (end != NULL)
            header = (size_t)(end - reply) + 4;
    }
    bool ended = !last || SSL_get_error(tls, n) == SSL_ERROR_ZERO_RETURN;
    bool same = header > 0 && length == header + v->page_length &&
                memcmp(reply + header, v->page, v->page_length) == 0;
    free(reply);
    return !same ? "the page is not what it should be" : !ended ? "no clean end" : NULL;
}

static const char *ask(const struct visits *v, SSL *tls, bool last)
{
    const char *request = last ? v->last_request : v->request;
    if (SSL_write(tls, request, (int)strlen(request)) <= 0)
        return "write";
    return read_reply(v, tls, last);
}

static const char *visit_tls(const struct visits *v, SSL *tls, uint64_t started, uint32_t *us)
{
    if (SSL_connect(tls) != 1)
        return "handshake";
    *us = (uint32_t)((now_ns() - started) / 1000);
    if (v->order.again_ms == 0)
        return ask(v, tls, true);
    const char *problem = ask(v, tls, false);
    if (problem != NULL)
        return problem;
    sleep_ns((uint64_t)v->order.again_ms * 1000000);
    return ask(v, tls, true);
}

static const char *visit(const struct visits *v, uint32_t *us)
{
    int fd;
    uint64_t started = now_ns();
    const char *problem = connect_tcp(v, &fd);
    SSL *tls = problem == NULL ? SSL_new(v->context) : NULL;
    if (tls != NULL) {
        SSL_set_fd(tls, fd);
        SSL_set_tlsext_host_name(tls, host_name);
        SSL_set1_host(tls, host_name);
        problem = visit_tls(v, tls, started, us);
        SSL_free(tls);
    }
    if (fd >= 0)
        close(fd);
    return problem;
}

/* ---- all of them ---- */

static void note(struct visits *v, const char *problem, uint32_t us, int error)
{
    char reason[128];
    ERR_error_string_n(ERR_get_error(), reason, sizeof(reason));
    pthread_mutex_lock(&v->lock);
    if (problem == NULL)
        v->handshake_us[v->done++] = us;
    else if (v->failed++ == 0)
        (void)snprintf(v->first_failure, sizeof(v->first_failure), "%s: %s, %s", problem,
                       strerror(error), reason);
    pthread_mutex_unlock(&v->lock);
    ERR_clear_error();
}

/* The next visit's turn; false: there is none left. */
static bool next(struct visits *v, uint64_t *at)
{
    pthread_mutex_lock(&v->lock);
    uint64_t after = (uint64_t)(v->begun * (NS_A_SECOND / v->order.rate));
    bool more = after < (uint64_t)(v->order.seconds * NS_A_SECOND) && v->begun < VISITS_MAX;
    *at = v->started + after;
    if (more) {
        v->begun++;
        v->begun_late += now_ns() > *at + NS_A_SECOND / 100;
    }
    pthread_mutex_unlock(&v->lock);
    return more;
}

static void *visit_in_turn(void *argument)
{
    struct visits *v = argument;
    uint64_t at;
    while (next(v, &at)) {
        uint64_t now = now_ns();
        if (now < at)
            sleep_ns(at - now);
        uint32_t us = 0;
        errno = 0;
        const char *problem = visit(v, &us);
        note(v, problem, us, errno);
    }
    return NULL;
}

static void report(const struct visits *v)
{
    (void)printf("{\"begun\": %u, \"failed\": %u, \"begun_late\": %u, \"first_failure\": \"%s\", "
                 "\"handshake_us\": [",
                 v->begun, v->failed, v->begun_late, v->first_failure);
    for (uint32_t i = 0; i < v->done; i++)
        (void)printf("%s%u", i == 0 ? "" : ", ", v->handshake_us[i]);
    (void)printf("]}\n");
}

/* ---- setting up ---- */

static bool read_file(const char *path, uint8_t **bytes, size_t *length)
{
    FILE *file = fopen(path, "re");
    *bytes = malloc(REPLY_ROOM);
    if (file == NULL || *bytes == NULL) {
        perror(path);
        return false;
    }
    *length = fread(*bytes, 1, REPLY_ROOM, file);
    (void)fclose(file);
    return true;
}

static bool set_up(struct visits *v)
{
    const struct order *o = &v->order;
    (void)snprintf(v->request, sizeof(v->request), "GET %s HTTP/1.1\r\nHost: example.test\r\n\r\n",
                   o->page);
    (void)snprintf(v->last_request, sizeof(v->last_request),
                   "GET %s HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n", o->page);
    v->context = SSL_CTX_new(TLS_client_method());
    if (v->context == NULL || SSL_CTX_load_verify_locations(v->context, o->ca, NULL) != 1) {
        ERR_print_errors_fp(stderr);
        return false;
    }
    SSL_CTX_set_verify(v->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(v->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_min_proto_version(v->context, TLS1_3_VERSION);
    pthread_mutex_init(&v->lock, NULL);
    return read_file(o->expect, &v->page, &v->page_length);
}

static bool read_place(const char *text, struct sockaddr_in *to)
{
    char host[32];
    (void)snprintf(host, sizeof(host), "%s", text);
    char *colon = strchr(host, ':');
    if (colon == NULL)
        return false;
    *colon = '\0';
    to->sin_family = AF_INET;
    to->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    return inet_pton(AF_INET, host, &to->sin_addr) == 1;
}

static bool read_options(struct order *o, int argc, char **argv)
{
    static const struct option options[] = {
        {"to", required_argument, NULL, 't'},    {"ca", required_argument, NULL, 'c'},
        {"page", required_argument, NULL, 'p'},  {"expect", required_argument, NULL, 'e'},
        {"rate", required_argument, NULL, 'r'},  {"seconds", required_argument, NULL, 's'},
        {"again", required_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
    bool good = true;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 't': good &= read_place(optarg, &o->to); break;
        case 'c': o->ca = optarg; break;
        case 'p': o->page = optarg; break;
        case 'e': o->expect = optarg; break;
        case 'r': o->rate = strtod(optarg, NULL); break;
        case 's': o->seconds = strtod(optarg, NULL); break;
        case 'a': o->again_ms = (unsigned)strtoul(optarg, NULL, 10); break;
        default: good = false;
        }
    }
    return good && o->to.sin_port != 0 && o->ca != NULL && o->page != NULL && o->expect != NULL;
}

int main(int argc, char **argv)
{
    static struct visits v = {.order = {.rate = 50, .seconds = 1}};
    if (!read_options(&v.order, argc, argv)) {
        (void)fprintf(stderr,
                      "usage: visitor --to ADDRESS:PORT --ca FILE --page PATH --expect FILE "
                      "[--rate N] [--seconds N] [--again MILLISECONDS]\n");
        return 2;
    }
    if (!set_up(&v))
        return 1;
    (void)printf("ready\n");
    (void)fflush(stdout);
    (void)getchar();
    pthread_t threads[THREADS];
    v.started = now_ns();
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, visit_in_turn, &v);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    report(&v);
    SSL_CTX_free(v.context);
    free(v.page);
    return 0;
}
