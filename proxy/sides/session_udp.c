#include "proxy/sides/session_udp.h"

#include "tunnel/net/client_datagrams.h"
#include "tunnel/net/socket.h"

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

void session_udp_send(const struct session_udp *u, struct turbo_client *session, turbo_time now)
{
    client_datagrams_send(u->fd, session, now);
}

void session_udp_receive(const struct session_udp *u, struct turbo_client *session, turbo_time now)
{
    client_datagrams_receive(u->fd, session, now);
}
