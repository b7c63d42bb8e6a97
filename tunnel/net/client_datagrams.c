#include "tunnel/net/client_datagrams.h"

#include <errno.h>
#include <sys/socket.h>

#include "tunnel/net/socket.h"
#include "tunnel/net/udp.h"

enum { BATCHES_A_TURN = 4 };

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

/* Each by itself: they are there to make up for one another. A datagram that fails is lost; only
 * where there is no way at all the others are not tried. */
void client_datagrams_send(int fd, struct turbo_client *session, turbo_time now)
{
    struct udp_datagram batch[UDP_BATCH];
    int count;
    while ((count = poll_batch(session, batch)) > 0) {
        for (int sent = 0; sent < count;) {
            int n = udp_send(fd, AF_UNSPEC, batch + sent, count - sent, NULL);
            sent += n > 0 ? n : 1;
            if (n == 0 && !is_loss(errno)) {
                turbo_client_unreachable(session, now);
                break;
            }
        }
    }
}

void client_datagrams_receive(int fd, struct turbo_client *session, turbo_time now)
{
    struct udp_datagram batch[UDP_BATCH];
    int count = fd < 0 ? 0 : UDP_BATCH;
    for (int i = 0; i < BATCHES_A_TURN && count == UDP_BATCH; i++) {
        count = udp_receive(fd, batch);
        for (int k = 0; k < count; k++)
            turbo_client_datagram(session, now, batch[k].data, batch[k].length);
    }
    if (count < 0 && !is_loss(errno))
        turbo_client_unreachable(session, now);
}
