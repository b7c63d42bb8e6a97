#include "proxy/sides/session_udp.h"

#include <errno.h>
#include <sys/socket.h>

#include "tunnel/net/socket.h"
#include "tunnel/net/udp.h"

enum { BATCHES_A_TURN = 4 };

void session_udp_init(struct session_udp *u, struct ev_loop *loop,
                      void (*callback)(struct ev_loop *loop, ev_io *io, int events), void *owner)
{
    u->loop = loop;
    u->fd = -1;
    ev_init(&u->io, callback);
    u->io.data = owner;
}

void session_udp_open(struct session_udp *u, const struct address *peer, int like, uint32_t mark)
{
    u->fd = socket_connect_udp(peer, like, mark);
    if (u->fd < 0)
        return;
    ev_io_set(&u->io, u->fd, EV_READ);
    ev_io_start(u->loop, &u->io);
}

void session_udp_close(struct session_udp *u)
{
    ev_io_stop(u->loop, &u->io);
    socket_close(u->fd);
    u->fd = -1;
}

/* A datagram that does not fit now is lost, as datagrams may be; other errors mean no way there. */
static bool is_loss(int error)
{
    return socket_is_again(error) || error == ENOBUFS || error == EMSGSIZE;
}

static int poll_batch(struct turbo_client *session, struct udp_datagram batch[static UDP_BATCH])
{
    int count = 0;
    while (count < UDP_BATCH &&
           (batch[count].length = turbo_client_poll_datagram(session, batch[count].data)) > 0)
        count++;
    return count;
}

/* A datagram that fails is lost; only where there is no way at all the others are not tried. */
void session_udp_send(const struct session_udp *u, struct turbo_client *session, turbo_time now)
{
    struct udp_datagram batch[UDP_BATCH];
    int count;
    while ((count = poll_batch(session, batch)) > 0) {
        for (int sent = 0; sent < count;) {
            int n = udp_send(u->fd, AF_UNSPEC, batch + sent, count - sent);
            sent += n > 0 ? n : 1;
            if (n == 0 && !is_loss(errno)) {
                turbo_client_unreachable(session, now);
                break;
            }
        }
    }
}

void session_udp_receive(const struct session_udp *u, struct turbo_client *session, turbo_time now)
{
    struct udp_datagram batch[UDP_BATCH];
    int count = u->fd < 0 ? 0 : UDP_BATCH;
    for (int i = 0; i < BATCHES_A_TURN && count == UDP_BATCH; i++) {
        count = udp_receive(u->fd, batch);
        for (int k = 0; k < count; k++)
            turbo_client_datagram(session, now, batch[k].data, batch[k].length);
    }
    if (count < 0 && !is_loss(errno))
        turbo_client_unreachable(session, now);
}
