#include "tunnel/io/descriptor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tunnel/net/socket.h"

enum { DISCARDS_MAX = 64, DISCARD_BYTES = 16 * 1024 };

bool descriptor_init(struct descriptor *d, int fd)
{
    int flags = fcntl(fd, F_GETFL);
    int type;
    socklen_t length = sizeof(type);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return false;
    *d = (struct descriptor){.fd = fd,
                             .is_socket = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0};
    return true;
}

/* A socket that is closed with bytes unread resets, and what it was still sending is lost. */
static void discard_unread(int fd)
{
    char bytes[DISCARD_BYTES];
    for (unsigned i = 0; i < DISCARDS_MAX; i++)
        if (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
            return;
}

void descriptor_close(struct descriptor d, bool reset)
{
    if (reset && d.is_socket) {
        socket_reset(d.fd);
        return;
    }
    if (d.fd >= 0 && d.is_socket)
        discard_unread(d.fd);
    socket_close(d.fd);
}

enum tunnel_result descriptor_read(struct descriptor d, void *buffer, size_t capacity, size_t *got)
{
    ssize_t n = read(d.fd, buffer, capacity);
    if (n < 0)
        return socket_is_again(errno) ? TUNNEL_WANT_READ : TUNNEL_IO;
    *got = (size_t)n;
    return n == 0 ? TUNNEL_CLOSED : TUNNEL_OK;
}

/* A signal is the whole process's affair, so one that this write raises is taken back. */
static ssize_t write_quietly(int fd, const void *data, size_t length)
{
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    ssize_t n = write(fd, data, length);
    int error = errno;
    if (n < 0 && error == EPIPE && !was_pending)
        sigtimedwait(&pipe, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return n;
}

enum tunnel_result descriptor_write(struct descriptor d, const void *data, size_t length,
                                    size_t *taken)
{
    ssize_t n =
        d.is_socket ? send(d.fd, data, length, MSG_NOSIGNAL) : write_quietly(d.fd, data, length);
    if (n < 0)
        return socket_is_again(errno) ? TUNNEL_WANT_WRITE : TUNNEL_IO;
    *taken = (size_t)n;
    return TUNNEL_OK;
}

void descriptor_watch(struct descriptor d, enum tunnel_result want, struct tunnel_watch *watch)
{
    if (d.fd < 0)
        return;
    assert(watch->count < TUNNEL_WATCH_MAX);
    watch->fds[watch->count++] = (struct pollfd){
        .fd = d.fd, .events = want == TUNNEL_WANT_WRITE ? (short)POLLOUT : (short)POLLIN};
}
