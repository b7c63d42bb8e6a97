#include "tests/unit/support/zone.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "proxy/net/resolver.h"
#include "proxy/net/socket.h"
#include "proxy/net/svcb.h"

enum { HEADER_BYTES = 12, NAME_BYTES = 256, NXDOMAIN = 3, TTL_S = 200 };

/* ---- answers ---- */

struct message {
    size_t length;
    uint8_t bytes[ZONE_MESSAGE_MAX];
};

static void put(struct message *m, size_t number, size_t bytes)
{
    assert_true(m->length + bytes <= sizeof(m->bytes));
    while (bytes-- > 0)
        m->bytes[m->length++] = (uint8_t)(number >> 8 * bytes);
}

/* At the question's name. */
static void put_record(struct message *m, unsigned type, size_t length)
{
    put(m, 0xc000 | HEADER_BYTES, 2);
    put(m, type, 2);
    put(m, 1, 2);
    put(m, TTL_S, 4);
    put(m, length, 2);
    m->bytes[7]++;
}

static void put_addresses(struct message *m, unsigned type, const char *addresses)
{
    char text[NAME_BYTES], *rest = text, *one;
    uint8_t ip[16];
    size_t length = type == ZONE_A ? 4 : 16;

    (void)snprintf(text, sizeof(text), "%s", addresses != NULL ? addresses : "");
    while ((one = strsep(&rest, " ")) != NULL)
        if (inet_pton(type == ZONE_A ? AF_INET : AF_INET6, one, ip) == 1) {
            put_record(m, type, length);
            for (size_t i = 0; i < length; i++)
                put(m, ip[i], 1);
        }
}

/* Priority 1, at the name itself. */
static void put_https(struct message *m, const struct zone_name *name)
{
    put_record(m, ZONE_HTTPS, name->udp_port == 0 ? 3 : 9);
    put(m, 1, 2);
    put(m, 0, 1);
    if (name->udp_port == 0)
        return;
    put(m, SVCB_KEY_TURBO, 2);
    put(m, 2, 2);
    put(m, name->udp_port, 2);
}

/* Its type; cuts the message behind it. */
static unsigned read_question(struct message *m, char name[static NAME_BYTES])
{
    size_t at = HEADER_BYTES, length = 0;

    for (; m->bytes[at] != 0; at += m->bytes[at] + 1u) {
        assert_true(at + m->bytes[at] + 5u < m->length && length + m->bytes[at] + 2u < NAME_BYTES);
        length += (size_t)sprintf(name + length, "%s%.*s", length > 0 ? "." : "", m->bytes[at],
                                  (const char *)m->bytes + at + 1);
    }
    m->length = at + 5;
    return (unsigned)m->bytes[at + 1] << 8 | m->bytes[at + 2];
}

static unsigned answer(const struct zone *z, struct message *m)
{
    char text[NAME_BYTES] = "";
    unsigned type = read_question(m, text);
    const struct zone_name *name = NULL;

    for (size_t i = 0; i < z->count; i++)
        if (strcasecmp(z->names[i].name, text) == 0)
            name = &z->names[i];
    m->bytes[2] |= 0x80; /* a response */
    m->bytes[3] = (uint8_t)(0x80 | (name == NULL ? NXDOMAIN : 0));
    memset(m->bytes + 6, 0, HEADER_BYTES - 6);
    if (name != NULL && (type == ZONE_A || type == ZONE_AAAA))
        put_addresses(m, type, name->addresses);
    if (name != NULL && type == ZONE_HTTPS && name->has_record)
        put_https(m, name);
    return type;
}

static void on_question(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)events;
    struct zone *z = io->data;
    struct message m = {.length = 0};
    struct sockaddr_storage from;
    socklen_t from_length = sizeof(from);
    ssize_t n =
        recvfrom(z->fd, m.bytes, sizeof(m.bytes) / 2, 0, (struct sockaddr *)&from, &from_length);
    if (n <= HEADER_BYTES)
        return;
    m.length = (size_t)n;
    z->asked++;
    if (answer(z, &m) != z->holds) {
        (void)sendto(z->fd, m.bytes, m.length, 0, (struct sockaddr *)&from, from_length);
        return;
    }
    assert_true(z->held_count < ZONE_HELD_MAX);
    z->held[z->held_count].to = from;
    z->held[z->held_count].to_length = from_length;
    z->held[z->held_count].length = m.length;
    memcpy(z->held[z->held_count++].bytes, m.bytes, m.length);
}

/* ---- its life ---- */

void zone_start(struct zone *z, struct fixture *f)
{
    char server[64];
    struct address address;
    memset(z, 0, sizeof(*z));
    assert_true(address_from_literal(&address, "127.0.0.1", 0));
    z->loop = f->loop;
    z->fd = socket_listen_udp(&address);
    assert_true(z->fd >= 0);
    ev_io_init(&z->io, on_question, z->fd, EV_READ);
    z->io.data = z;
    ev_io_start(z->loop, &z->io);
    (void)snprintf(server, sizeof(server), "127.0.0.1:%u", address_port(&address));
    assert_true(resolver_set_servers(f->worker->resolver, server));
}

void zone_stop(struct zone *z)
{
    ev_io_stop(z->loop, &z->io);
    socket_close(z->fd);
}

void zone_add(struct zone *z, const struct zone_name *name)
{
    assert_true(z->count < ZONE_NAMES_MAX);
    z->names[z->count++] = *name;
}

void zone_release(struct zone *z)
{
    z->holds = 0;
    for (size_t i = 0; i < z->held_count; i++)
        (void)sendto(z->fd, z->held[i].bytes, z->held[i].length, 0,
                     (const struct sockaddr *)&z->held[i].to, z->held[i].to_length);
    z->held_count = 0;
}
