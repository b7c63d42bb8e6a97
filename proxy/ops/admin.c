#include "proxy/ops/admin.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/ops/admin_request.h"
#include "tunnel/net/socket.h"

enum {
    ADMIN_TAG = 0x41646d69, /* "Admi" */
    FOREIGN_MAX = 8,        /* connections that are only told that they may not ask */
    ACCEPTS_A_TURN = 16,
    MEMORY_BYTES = 16 * 1024, /* of a connection */
    SILENCE_SECONDS = 10,
};

static const double RETRY_SECONDS = 0.5; /* are there descriptors again? */

struct seat {
    struct MHD_Connection *connection; /* NULL: free */
    uint64_t number;                   /* the order in which they came */
    bool leaving;                      /* to make room */
    struct admin_request request;
};

struct admin {
    uint32_t tag;
    struct ev_loop *loop;
    int fd;
    struct MHD_Daemon *daemon;
    struct network *from; /* ours */
    size_t from_count;
    bool host_only;
    bool accepting;
    const struct admin_answers *answers;
    void *owner;
    struct seat seats[ADMIN_CONNECTIONS_MAX];
    size_t seated;
    uint64_t came;
    ev_io listening, readable;
    ev_timer timeout, retry;
};

/* ---- who may ask ---- */

static bool may_ask(const struct admin *a, const struct address *client)
{
    const struct networks from = {.list = a->from, .count = a->from_count};
    return networks_hold(&from, client);
}

static bool is_foreign(const struct admin *a, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    struct address client;
    if (info == NULL || info->client_addr == NULL)
        return true;
    address_from_sockaddr(&client, info->client_addr,
                          info->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                                   : sizeof(struct sockaddr_in));
    return !may_ask(a, &client);
}

static size_t count_foreign(const struct admin *a)
{
    size_t count = 0;
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++)
        count += a->seats[i].connection != NULL && a->seats[i].request.foreign;
    return count;
}

/* 127.0.0.0/8 and ::1: these bits are whole bytes. */
enum { OWN_COUNT = 2, BITS_A_BYTE = 8 };
static void own_networks(struct network own[static OWN_COUNT])
{
    (void)network_parse("127.0.0.0/8", &own[0]);
    (void)network_parse("::1", &own[1]);
}

/* Nobody but the host itself? */
static bool are_own(const struct network *list, size_t count)
{
    struct network own[OWN_COUNT];
    own_networks(own);
    for (size_t i = 0; i < count; i++) {
        bool is_own = false;
        for (size_t k = 0; k < OWN_COUNT; k++)
            is_own =
                is_own || (list[i].bits >= own[k].bits &&
                           memcmp(list[i].prefix, own[k].prefix, own[k].bits / BITS_A_BYTE) == 0);
        if (!is_own)
            return false;
    }
    return true;
}

bool admin_set_from(struct admin *a, const struct networks *from)
{
    size_t count = from->count > 0 ? from->count : OWN_COUNT;
    struct network *list = calloc(count, sizeof(*list));
    if (list == NULL)
        return false;
    if (from->count > 0)
        memcpy(list, from->list, count * sizeof(*list));
    else
        own_networks(list);
    free(a->from);
    a->from = list;
    a->from_count = count;
    a->host_only = are_own(list, count);
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        struct seat *seat = &a->seats[i];
        if (seat->connection == NULL)
            continue;
        seat->request.foreign = is_foreign(a, seat->connection);
        seat->request.host_only = a->host_only;
    }
    return true;
}

/* ---- connections ---- */

static void take_seat(struct admin *a, struct MHD_Connection *connection, void **context)
{
    struct seat *seat = a->seats;
    while (seat->connection != NULL)
        seat++; /* there is one: libmicrohttpd has the same limit */
    *seat = (struct seat){
        .connection = connection,
        .number = ++a->came,
        .request = {.answers = a->answers,
                    .owner = a->owner,
                    .foreign = is_foreign(a, connection),
                    .host_only = a->host_only},
    };
    *context = seat;
    a->seated++;
}

static void on_connection(void *owner, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct admin *a = owner;
    assert(a->tag == ADMIN_TAG);
    struct seat *seat = *context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        take_seat(a, connection, context);
    } else if (seat != NULL) {
        seat->connection = NULL;
        a->seated--;
    }
}

static enum MHD_Result on_request(void *owner, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_bytes, void **begun)
{
    (void)owner;
    (void)version;
    (void)body;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct seat *seat = info->socket_context;
    return admin_request_handle(&seat->request, connection, path, method, body_bytes, begun);
}

/* Whoever connects and says nothing must not keep others out: the one that came first goes. */
static void make_room(struct admin *a)
{
    struct seat *oldest = NULL;
    for (size_t i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        struct seat *seat = &a->seats[i];
        if (seat->connection == NULL || seat->leaving)
            return; /* there is, or will be soon */
        if (oldest == NULL || seat->number < oldest->number)
            oldest = seat;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(oldest->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    shutdown(info->connect_fd, SHUT_RDWR); /* libmicrohttpd finds it closed */
    oldest->leaving = true;
}

/* ---- the loop ---- */

static void watch_listening(struct admin *a)
{
    if (a->accepting && a->seated < ADMIN_CONNECTIONS_MAX && !ev_is_active(&a->retry))
        ev_io_start(a->loop, &a->listening);
    else
        ev_io_stop(a->loop, &a->listening);
}

/* All that libmicrohttpd can do now; it says when it wants to be asked again at the latest. */
static void run(struct admin *a)
{
    MHD_UNSIGNED_LONG_LONG milliseconds;
    MHD_run(a->daemon);
    ev_timer_stop(a->loop, &a->timeout);
    if (MHD_get_timeout(a->daemon, &milliseconds) == MHD_YES) {
        ev_timer_set(&a->timeout, (double)milliseconds / 1e3, 0.);
        ev_timer_start(a->loop, &a->timeout);
    }
    watch_listening(a);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct admin *a = io->data;
    assert(a->tag == ADMIN_TAG);
    run(a);
}

static void on_timeout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct admin *a = timer->data;
    assert(a->tag == ADMIN_TAG);
    run(a);
}

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct admin *a = timer->data;
    assert(a->tag == ADMIN_TAG);
    watch_listening(a);
}

/* False: no more for now. libmicrohttpd would accept by itself, but spin without descriptors. */
static bool accept_one(struct admin *a)
{
    struct address client;
    int fd = socket_accept(a->fd, &client);
    if (fd < 0 && socket_exhausted(errno)) {
        ev_timer_set(&a->retry, RETRY_SECONDS, 0.);
        ev_timer_start(a->loop, &a->retry);
        return false;
    }
    if (fd < 0)
        return errno == ECONNABORTED || errno == EINTR;
    if (!may_ask(a, &client) && count_foreign(a) >= FOREIGN_MAX)
        socket_reset(fd);
    else
        MHD_add_connection(a->daemon, fd, &client.any, client.length); /* closes it otherwise */
    make_room(a);
    return true;
}

static void on_listening(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct admin *a = io->data;
    assert(a->tag == ADMIN_TAG);
    for (int i = 0; i < ACCEPTS_A_TURN && a->seated < ADMIN_CONNECTIONS_MAX; i++)
        if (!accept_one(a))
            break;
    run(a);
}

/* ---- its life ---- */

static bool start_daemon(struct admin *a)
{
    a->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request, a,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, a, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)ADMIN_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        a->daemon == NULL ? NULL : MHD_get_daemon_info(a->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL)
        return false;
    ev_io_set(&a->readable, info->epoll_fd, EV_READ);
    ev_io_start(a->loop, &a->readable);
    return true;
}

static struct admin *fail(struct admin *a, const char *why, const char **error)
{
    *error = why;
    admin_destroy(a);
    return NULL;
}

struct admin *admin_create(struct ev_loop *loop, int fd, const struct networks *from,
                           const struct admin_answers *answers, void *owner, const char **error)
{
    struct admin *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        socket_close(fd);
        *error = "out of memory";
        return NULL;
    }
    a->tag = ADMIN_TAG;
    a->loop = loop;
    a->fd = fd;
    a->answers = answers;
    a->owner = owner;
    ev_io_init(&a->listening, on_listening, fd, EV_READ);
    ev_init(&a->readable, on_readable);
    ev_init(&a->timeout, on_timeout);
    ev_init(&a->retry, on_retry);
    a->listening.data = a->readable.data = a->timeout.data = a->retry.data = a;
    if (!admin_set_from(a, from))
        return fail(a, "out of memory", error);
    if (!start_daemon(a))
        return fail(a, "libmicrohttpd does not start: no memory or no descriptors", error);
    return a;
}

void admin_start(struct admin *a)
{
    a->accepting = true;
    watch_listening(a);
}

int admin_fd(const struct admin *a)
{
    return a->fd;
}

void admin_destroy(struct admin *a)
{
    if (a == NULL)
        return;
    ev_io_stop(a->loop, &a->listening);
    ev_io_stop(a->loop, &a->readable);
    ev_timer_stop(a->loop, &a->timeout);
    ev_timer_stop(a->loop, &a->retry);
    if (a->daemon != NULL)
        MHD_stop_daemon(a->daemon);
    socket_close(a->fd);
    free(a->from);
    a->tag = 0;
    free(a);
}
