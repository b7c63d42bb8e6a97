#include "proxy/net/dns.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { DNS_TAG = 0x7e501e02 };
enum { SOCKETS_MAX = 64 /* of c-ares: one for UDP and one for TCP to each server */ };

struct dns {
    uint32_t tag;
    struct ev_loop *loop;
    ares_channel channel;
    /* Room of its own: a socket that nobody watches is deaf for as long as c-ares keeps it. */
    ev_io watches[SOCKETS_MAX]; /* with descriptor -1: free */
    ev_timer timeout;           /* when c-ares wants to be called again */
    uint32_t mark;
};

ares_channel dns_channel(struct dns *dns)
{
    return dns->channel;
}

void dns_asked(struct dns *dns)
{
    struct timeval wait;

    ev_timer_stop(dns->loop, &dns->timeout);
    if (ares_timeout(dns->channel, NULL, &wait) == NULL)
        return;
    ev_timer_set(&dns->timeout, (double)wait.tv_sec + (double)wait.tv_usec / 1e6, 0);
    ev_timer_start(dns->loop, &dns->timeout);
}

static void timed_out(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct dns *dns = timer->data;
    (void)loop, (void)events;

    assert(dns->tag == DNS_TAG);
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    dns_asked(dns);
}

static void socket_ready(struct ev_loop *loop, ev_io *io, int events)
{
    struct dns *dns = io->data;
    int fd = io->fd; /* `io` may be gone after the call */
    (void)loop;

    assert(dns->tag == DNS_TAG);
    ares_process_fd(dns->channel, events & EV_READ ? fd : ARES_SOCKET_BAD,
                    events & EV_WRITE ? fd : ARES_SOCKET_BAD);
    dns_asked(dns);
}

static ev_io *watch_of(struct dns *dns, int fd)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++)
        if (dns->watches[i].fd == fd)
            return &dns->watches[i];
    return NULL;
}

/* c-ares tells what it waits for on a socket; for nothing: it is about to close it. */
static void socket_changed(void *data, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = data;
    int events = (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0);
    ev_io *watch = watch_of(dns, fd);

    if (watch == NULL)
        watch = watch_of(dns, -1);
    if (watch == NULL)
        return; /* the look-up fails when its time is over */
    ev_io_stop(dns->loop, watch);
    ev_io_set(watch, events == 0 ? -1 : fd, events);
    if (events != 0)
        ev_io_start(dns->loop, watch);
}

/* Before it connects. A server that cannot be asked with the mark is not asked at all. */
static int set_mark(ares_socket_t fd, int type, void *data)
{
    const struct dns *dns = data;
    (void)type;

    return dns->mark == 0 ? 0 : setsockopt(fd, SOL_SOCKET, SO_MARK, &dns->mark, sizeof(dns->mark));
}

struct dns *dns_create(struct ev_loop *loop, int try_ms, int tries, uint32_t mark,
                       const char **error)
{
    struct dns *dns = calloc(1, sizeof(*dns));
    struct ares_options options = {.timeout = try_ms,
                                   .tries = tries,
                                   .sock_state_cb = socket_changed,
                                   .sock_state_cb_data = dns};
    int status = ARES_ENOMEM;

    /* No ares_library_init: it counts in a global, and has work to do on Windows only. */
    if (dns != NULL)
        status = ares_init_options(&dns->channel, &options,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        *error = ares_strerror(status);
        free(dns);
        return NULL;
    }
    dns->tag = DNS_TAG;
    dns->loop = loop;
    dns->mark = mark;
    ares_set_socket_configure_callback(dns->channel, set_mark, dns);
    ev_init(&dns->timeout, timed_out);
    dns->timeout.data = dns;
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        ev_io_init(&dns->watches[i], socket_ready, -1, 0);
        dns->watches[i].data = dns;
    }
    return dns;
}

void dns_destroy(struct dns *dns)
{
    if (dns == NULL)
        return;
    assert(dns->tag == DNS_TAG);
    ares_destroy(dns->channel); /* and closes the sockets */
    ev_timer_stop(dns->loop, &dns->timeout);
    dns->tag = 0;
    free(dns);
}
