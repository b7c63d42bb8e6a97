#include "tests/unit/support/dns_server.h"

#include <stdio.h>
#include <sys/socket.h>

#include "tunnel/net/address.h"
#include "tunnel/net/socket.h"

/* Its records are counted in the low bytes: there are few. */
enum { HEADER_BYTES = 12, ANSWERS_AT = 7, AUTHORITIES_AT = 9 };

/* ---- answers ---- */

void dns_set_rcode(struct dns_message *m, uint8_t rcode)
{
    m->bytes[3] = (uint8_t)((m->bytes[3] & 0xf0) | rcode);
}

void dns_put(struct dns_message *m, uint8_t answers, uint8_t authorities, const void *bytes,
             size_t length)
{
    assert_true(length <= sizeof(m->bytes) - m->length);
    memcpy(m->bytes + m->length, bytes, length);
    m->length += length;
    m->bytes[ANSWERS_AT] += answers;
    m->bytes[AUTHORITIES_AT] += authorities;
}

void dns_put_record(struct dns_message *m, uint16_t type, uint8_t ttl, const void *data,
                    size_t length)
{
    static const uint8_t question[] = {0xc0, HEADER_BYTES};

    dns_put_record_at(m, question, sizeof(question), type, ttl, data, length);
}

void dns_put_record_at(struct dns_message *m, const void *owner, size_t owner_length, uint16_t type,
                       uint8_t ttl, const void *data, size_t length)
{
    const uint8_t fixed[] = {(uint8_t)(type >> 8), (uint8_t)type, 0, 1, 0, 0, 0, ttl, 0,
                             (uint8_t)length};

    assert_true(length <= UINT8_MAX);
    dns_put(m, 0, 0, owner, owner_length);
    dns_put(m, 0, 0, fixed, sizeof(fixed));
    dns_put(m, 1, 0, data, length);
}

/* ---- questions ---- */

/* Cuts the message behind it. */
static void read_question(struct dns_message *m)
{
    size_t at = HEADER_BYTES, length = 0;

    for (; at + 5 <= m->length && m->bytes[at] != 0; at += m->bytes[at] + 1u) {
        assert_true(at + m->bytes[at] + 5u < m->length &&
                    length + m->bytes[at] + 2u < sizeof(m->name));
        length += (size_t)sprintf(m->name + length, "%s%.*s", length > 0 ? "." : "", m->bytes[at],
                                  (const char *)m->bytes + at + 1);
    }
    assert_true(length > 0 && at + 5 <= m->length);
    m->length = at + 5;
    m->type = (uint16_t)(m->bytes[at + 1] << 8 | m->bytes[at + 2]);
}

static void on_question(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)events;
    struct dns_server *server = io->data;
    struct dns_message m = {.length = 0};
    socklen_t peer_length = sizeof(m.peer);
    ssize_t n = recvfrom(io->fd, m.bytes, sizeof(m.bytes) / 2, MSG_DONTWAIT,
                         (struct sockaddr *)&m.peer, &peer_length);
    if (n < HEADER_BYTES)
        return;
    m.length = (size_t)n;
    read_question(&m);
    m.bytes[2] |= 0x80;                       /* a response ... */
    m.bytes[3] = 0x80;                        /* ... of a server that recurses; no error ... */
    memset(m.bytes + 6, 0, HEADER_BYTES - 6); /* ... and no records */
    server->answer(server->owner, &m);
}

/* ---- its life ---- */

void dns_server_start(struct dns_server *server, struct ev_loop *loop,
                      void (*answer)(void *owner, struct dns_message *message), void *owner)
{
    struct address address;

    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    int fd = socket_listen_udp(&address);
    assert_true(fd >= 0);
    (void)snprintf(server->name, sizeof(server->name), "127.0.0.1:%u", address_port(&address));
    server->answer = answer;
    server->owner = owner;
    ev_io_init(&server->io, on_question, fd, EV_READ);
    server->io.data = server;
    ev_io_start(loop, &server->io);
}

void dns_server_stop(struct dns_server *server, struct ev_loop *loop)
{
    ev_io_stop(loop, &server->io);
    socket_close(server->io.fd);
}

void dns_server_send(const struct dns_server *server, const struct dns_message *m)
{
    assert_int_equal(sendto(server->io.fd, m->bytes, m->length, 0,
                            (const struct sockaddr *)&m->peer, sizeof(m->peer)),
                     m->length);
}
