#include "proxy/ops/log_daemon.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tunnel/net/clock.h"

enum { LOOK_AGAIN_US = 1000 * 1000 };

void log_daemon_init(struct log_daemon *daemon, const char *path)
{
    *daemon = (struct log_daemon){.path = path, .fd = -1};
}

void log_daemon_close(struct log_daemon *daemon)
{
    if (daemon->fd >= 0)
        close(daemon->fd);
    daemon->fd = -1;
}

static bool look(struct log_daemon *daemon)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t now = clock_now();

    if (daemon->looked != 0 && now - daemon->looked < LOOK_AGAIN_US)
        return false;
    daemon->looked = now;
    if (strlen(daemon->path) >= sizeof(address.sun_path))
        return false;
    memcpy(address.sun_path, daemon->path, strlen(daemon->path) + 1);
    daemon->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (daemon->fd < 0)
        return false;
    if (connect(daemon->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return true;
    log_daemon_close(daemon);
    return false;
}

/* Of unix(7), send(2): what means that it is us who have to wait, or to be shorter. */
static bool is_passing(int error)
{
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM || error == EMSGSIZE;
}

enum log_daemon_result log_daemon_send(struct log_daemon *daemon, const void *bytes, size_t length)
{
    bool fresh = daemon->fd < 0;
    ssize_t sent;

    if (fresh && !look(daemon))
        return LOG_DAEMON_GONE;
    do
        sent = send(daemon->fd, bytes, length, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return LOG_DAEMON_SENT;
    if (is_passing(errno))
        return LOG_DAEMON_BUSY;
    log_daemon_close(daemon);
    return fresh ? LOG_DAEMON_GONE : log_daemon_send(daemon, bytes, length);
}
