#include "proxy/talk.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tunnel/net/socket.h"

enum {
    READ_BYTES = 4096,
    NAME_BYTES = ADDRESS_TEXT_BYTES + 8, /* "[IPv6:" and an address and "]" */
};

struct talk {
    int fd;
    char name[NAME_BYTES];
    struct prelude *prelude;
    const uint8_t *ahead; /* of what is in the socket: not heard yet */
    size_t ahead_length;
};

/* An address literal (RFC 5321 §4.1.3). */
static void put_name(struct talk *t)
{
    struct address local;
    char text[INET6_ADDRSTRLEN] = "0.0.0.0";
    socket_local_address(t->fd, &local);
    bool is_v6 = address_family(&local) == AF_INET6;
    if (is_v6)
        inet_ntop(AF_INET6, &local.v6.sin6_addr, text, sizeof(text));
    else if (address_family(&local) == AF_INET)
        inet_ntop(AF_INET, &local.v4.sin_addr, text, sizeof(text));
    (void)snprintf(t->name, sizeof(t->name), "[%s%s]", is_v6 ? "IPv6:" : "", text);
}

struct talk *talk_start(const struct prelude_part *part, int fd, const struct prelude_login *logins,
                        size_t login_count)
{
    struct talk *t = calloc(1, sizeof(*t));
    void *memory = malloc(prelude_bytes(part));
    if (t == NULL || memory == NULL) {
        free(t);
        free(memory);
        return NULL;
    }
    t->fd = fd;
    put_name(t);
    struct prelude_setting setting = {
        .name = t->name, .logins = logins, .login_count = login_count};
    t->prelude = prelude_init(memory, part, &setting);
    return t;
}

void talk_hear_first(struct talk *t, const uint8_t *bytes, size_t length)
{
    t->ahead = bytes;
    t->ahead_length = length;
}

size_t talk_unheard(const struct talk *t)
{
    return t->ahead_length;
}

void talk_end(struct talk *t)
{
    if (t == NULL)
        return;
    free(t->prelude);
    free(t);
}

struct prelude *talk_prelude(struct talk *t)
{
    return t->prelude;
}

bool talk_wants_write(const struct talk *t)
{
    const uint8_t *data;
    return prelude_peek(t->prelude, &data) > 0;
}

/*
 * To be called whenever it may have come to its end, before anything more is sent: what is there
 * then was sent without waiting for the last word before TLS (see prelude_push).
 */
static void look_for_injected(struct talk *t)
{
    uint8_t byte = 0;
    if (prelude_state(t->prelude) == PRELUDE_DONE &&
        (t->ahead_length > 0 || recv(t->fd, &byte, 1, MSG_PEEK) > 0))
        prelude_push(t->prelude, &byte, 1);
}

/* One of them, or MORE: there may be more to hear. */
static enum talk_result say(struct talk *t)
{
    const uint8_t *data;
    size_t length;
    if (talk_wants_write(t)) /* the socket may have been full for a while */
        look_for_injected(t);
    while ((length = prelude_peek(t->prelude, &data)) > 0) {
        ssize_t n = send(t->fd, data, length, MSG_NOSIGNAL);
        if (n < 0)
            return socket_is_again(errno) ? TALK_MORE : TALK_LOST;
        bool goes_on = prelude_state(t->prelude) == PRELUDE_MORE;
        prelude_consume(t->prelude, (size_t)n);
        if (goes_on || talk_wants_write(t))
            look_for_injected(t);
    }
    switch (prelude_state(t->prelude)) {
    case PRELUDE_MORE: break;
    case PRELUDE_ASKED: return TALK_ASKED;
    case PRELUDE_DONE: return TALK_DONE;
    case PRELUDE_OVER: return TALK_OVER;
    }
    return TALK_MORE;
}

/* False: there are none. */
static bool hear_ahead(struct talk *t)
{
    if (t->ahead_length == 0)
        return false;
    size_t taken = prelude_push(t->prelude, t->ahead, t->ahead_length);
    t->ahead += taken;
    t->ahead_length -= taken;
    return true;
}

/* False: there is nothing to hear now, or the connection is lost. */
static bool hear(struct talk *t, bool *lost)
{
    uint8_t bytes[READ_BYTES];
    if (hear_ahead(t)) {
        look_for_injected(t);
        return true;
    }
    size_t room = prelude_room(t->prelude);
    ssize_t n = recv(t->fd, bytes, room < sizeof(bytes) ? room : sizeof(bytes), 0);
    *lost = n < 0 && !socket_is_again(errno);
    if (n < 0)
        return false;
    if (n == 0)
        prelude_push_end(t->prelude);
    else
        prelude_push(t->prelude, bytes, (size_t)n);
    look_for_injected(t);
    return true;
}

enum talk_result talk_run(struct talk *t)
{
    bool lost = false;
    enum talk_result result;
    do
        result = say(t);
    while (result == TALK_MORE && !talk_wants_write(t) && hear(t, &lost));
    return lost ? TALK_LOST : result;
}
