#include "tests/unit/support/names.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "proxy/net/resolver.h"
#include "proxy/net/socket.h"

enum { MESSAGE_MAX = 512, HEADER_BYTES = 12, TYPE_A = 1, ANSWERS = 2 };

/* Appends an A record for the question's name; returns the message's new length. */
static size_t put_address(uint8_t *message, size_t length, const char *text)
{
    static const uint8_t fixed[] = {0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 200, 0, 4};
    memcpy(message + length, fixed, sizeof(fixed));
    assert_int_equal(inet_pton(AF_INET, text, message + length + sizeof(fixed)), 1);
    return length + sizeof(fixed) + 4;
}

static void on_question(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct names *names = io->data;
    uint8_t message[2 * MESSAGE_MAX];
    struct sockaddr_storage from;
    socklen_t from_length = sizeof(from);
    ssize_t n =
        recvfrom(names->fd, message, MESSAGE_MAX, 0, (struct sockaddr *)&from, &from_length);
    if (n <= HEADER_BYTES)
        return;
    size_t length = HEADER_BYTES + strnlen((char *)message + HEADER_BYTES, MESSAGE_MAX / 2) + 5;
    bool ipv4 = message[length - 3] == TYPE_A;
    message[2] |= 0x80;                       /* a response */
    message[3] = 0x80;                        /* of a server that recurses, no error */
    memset(message + 6, 0, HEADER_BYTES - 6); /* answers and what follows them: none */
    message[7] = ipv4 ? ANSWERS : 0;
    if (ipv4) {
        length = put_address(message, length, NAMES_FIRST);
        length = put_address(message, length, NAMES_SECOND);
    }
    (void)sendto(names->fd, message, length, 0, (struct sockaddr *)&from, from_length);
}

void names_start(struct names *names, struct fixture *f)
{
    char server[64];
    struct address address;
    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    names->loop = f->loop;
    names->fd = socket_listen_udp(&address);
    assert_true(names->fd >= 0);
    ev_io_init(&names->io, on_question, names->fd, EV_READ);
    names->io.data = names;
    ev_io_start(names->loop, &names->io);
    (void)snprintf(server, sizeof(server), "127.0.0.1:%u", address_port(&address));
    assert_true(resolver_set_servers(f->worker->resolver, server));
}

void names_stop(struct names *names)
{
    ev_io_stop(names->loop, &names->io);
    socket_close(names->fd);
}
