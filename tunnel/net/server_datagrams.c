#include "tunnel/net/server_datagrams.h"

enum { BATCHES_A_TURN = 4 };

void server_datagrams_receive(int fd, struct turbo_endpoint *endpoint, turbo_time now)
{
    struct udp_datagram batch[UDP_BATCH];
    int count = UDP_BATCH;
    for (int i = 0; i < BATCHES_A_TURN && count == UDP_BATCH; i++) {
        count = udp_receive(fd, batch);
        for (int k = 0; k < count; k++)
            turbo_endpoint_datagram(endpoint, now, &batch[k].path, batch[k].data, batch[k].length);
    }
}

/* One that cannot be sent is lost; those behind it may fare better. */
static void send_batch(int fd, int family, const struct udp_datagram *batch, int count,
                       struct udp_offload *offload)
{
    for (int sent = 0; fd >= 0 && sent < count;) {
        int n = udp_send(fd, family, batch + sent, count - sent, offload);
        sent += n > 0 ? n : 1;
    }
}

void server_datagrams_send(int fd, int family, struct turbo_endpoint *endpoint, turbo_time now,
                           struct udp_offload *offload)
{
    struct udp_datagram batch[UDP_BATCH];
    int count;
    do {
        count = 0;
        while (count < UDP_BATCH && (batch[count].length = turbo_endpoint_poll_datagram(
                                         endpoint, now, batch[count].data, &batch[count].path)) > 0)
            count++;
        send_batch(fd, family, batch, count, offload);
    } while (count == UDP_BATCH);
}
