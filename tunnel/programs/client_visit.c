/* One connection from its beginning to its end. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

/* What fits into any pipe that can be written to. */
enum { CHUNK = 4096, US_A_SECOND = 1000000 };

struct talk {
    const struct client *client;
    struct visit *visit;
    struct tunnel *tunnel;
    const uint8_t *say; /* what is to be said */
    size_t left;
    uint8_t typed[CHUNK]; /* from standard input */
    bool stdin_open, stdin_ready;
    bool read_over, said_close, moved;
    bool want_read, want_write; /* what the tunnel waits for */
    uint64_t moved_us;          /* when something happened last */
};

static bool is_want(enum tunnel_result result)
{
    return result == TUNNEL_WANT_READ || result == TUNNEL_WANT_WRITE;
}

/* Takes note of what to wait for, or that something happened. Returns whether it is an error. */
static bool note(struct talk *k, enum tunnel_result result)
{
    k->want_read = k->want_read || result == TUNNEL_WANT_READ;
    k->want_write = k->want_write || result == TUNNEL_WANT_WRITE;
    k->moved = k->moved || !is_want(result);
    return tunnel_result_is_error(result);
}

/* Nothing more is waited for. */
static bool has_all(const struct talk *k)
{
    return k->client->expects && k->visit->received >= k->client->expected;
}

static enum tunnel_result fail(struct visit *v, enum tunnel_result result, const char *text)
{
    (void)snprintf(v->text, sizeof(v->text), "%s", text);
    return result;
}

/* ---- waiting ---- */

/* False: too long, or interrupted; said in the visit. */
static bool pause_talk(struct talk *k)
{
    const struct client *c = k->client;
    struct waits waits = {.until_us = k->moved_us + (uint64_t)c->timeout_s * US_A_SECOND};
    uint64_t last_us = waits.until_us;
    struct tunnel_watch watch;
    size_t typed;

    waits_add(&waits, c->signals, POLLIN);
    if (k->want_read) {
        tunnel_watch(k->tunnel, TUNNEL_WANT_READ, &watch);
        waits_add_watch(&waits, &watch);
    }
    if (k->want_write) {
        tunnel_watch(k->tunnel, TUNNEL_WANT_WRITE, &watch);
        waits_add_watch(&waits, &watch);
    }
    typed = waits.count;
    if (k->stdin_open && k->left == 0 && tunnel_state(k->tunnel) == TUNNEL_HANDSHAKE_DONE)
        waits_add(&waits, STDIN_FILENO, POLLIN);
    waits_wait(&waits);
    k->stdin_ready = waits.count > typed && waits.fds[typed].revents != 0;
    return k->stdin_ready || now_us() < last_us;
}

/* Nothing can be done without waiting. */
static enum tunnel_result wait_or_say(struct talk *k)
{
    char text[128];

    if (is_signalled(k->client->signals)) {
        k->visit->interrupted = true;
        return fail(k->visit, TUNNEL_IO, "interrupted");
    }
    if (k->moved)
        k->moved_us = now_us();
    else if (!pause_talk(k)) {
        (void)snprintf(text, sizeof(text),
                       "nothing happened for %u s; is it the right port? Give it longer with "
                       "--timeout",
                       (unsigned)k->client->timeout_s);
        return fail(k->visit, TUNNEL_TIMEOUT, text);
    }
    k->moved = k->want_read = k->want_write = false;
    return TUNNEL_OK;
}

/* ---- saying ---- */

static void read_typed(struct talk *k)
{
    ssize_t got = read(STDIN_FILENO, k->typed, sizeof(k->typed));

    k->stdin_ready = false;
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    k->moved = true;
    k->stdin_open = got > 0;
    k->say = k->typed;
    k->left = got > 0 ? (size_t)got : 0;
}

/* Is there nothing more to be said? An HTTP server may take a close_notify for a goodbye. */
static bool is_done_saying(const struct talk *k)
{
    if (k->read_over)
        return true;
    if (k->left > 0 || k->stdin_open)
        return false;
    return k->client->expects ? has_all(k) : !k->client->get;
}

static enum tunnel_result speak(struct talk *k)
{
    enum tunnel_result result;
    size_t taken = 0;

    if (k->said_close)
        return TUNNEL_OK;
    if (is_done_saying(k)) {
        result = tunnel_close(k->tunnel);
        k->said_close = result == TUNNEL_OK;
        return note(k, result) ? result : TUNNEL_OK;
    }
    if (k->left == 0 && k->stdin_ready)
        read_typed(k);
    if (k->left == 0)
        return TUNNEL_OK;
    result = tunnel_write(k->tunnel, k->say, k->left, &taken);
    k->say += taken;
    k->left -= taken;
    k->visit->sent += taken;
    return note(k, result) ? result : TUNNEL_OK;
}

/* ---- hearing ---- */

/* To the end, or until a signal comes; `length` is at most CHUNK. */
static enum tunnel_result put_out(struct talk *k, const uint8_t *bytes, size_t length)
{
    const struct client *c = k->client;

    while (length > 0 && c->out >= 0) {
        struct waits waits = {.until_us = TUNNEL_FOR_EVER};
        waits_add(&waits, c->signals, POLLIN);
        waits_add(&waits, c->out, POLLOUT);
        waits_wait(&waits);
        if (is_signalled(c->signals))
            return TUNNEL_OK; /* told before the next wait */
        ssize_t put = write(c->out, bytes, length);
        if (put < 0 && errno != EINTR && errno != EAGAIN)
            return fail(k->visit, TUNNEL_INTERNAL,
                        "the output cannot be written: nobody reads it, "
                        "or its disk is full");
        bytes += put > 0 ? (size_t)put : 0;
        length -= put > 0 ? (size_t)put : 0;
    }
    return TUNNEL_OK;
}

static enum tunnel_result hear(struct talk *k)
{
    uint8_t bytes[CHUNK];
    enum tunnel_result result;
    size_t got;

    if (k->read_over || has_all(k))
        return TUNNEL_OK;
    result = tunnel_read(k->tunnel, bytes, sizeof(bytes), &got);
    if (note(k, result))
        return result;
    k->read_over = result == TUNNEL_CLOSED;
    if (result != TUNNEL_OK)
        return TUNNEL_OK;
    if (k->visit->received == 0)
        k->visit->first_byte_us = now_us() - k->visit->begun_us;
    k->visit->received += got;
    return put_out(k, bytes, got);
}

/* ---- all of it ---- */

static enum tunnel_result shake_hands(struct talk *k)
{
    enum tunnel_result result;

    for (;;) {
        result = tunnel_handshake(k->tunnel);
        if (note(k, result) || !is_want(result))
            break;
        result = wait_or_say(k);
        if (result != TUNNEL_OK)
            return result;
    }
    if (result != TUNNEL_OK)
        return result;
    k->visit->handshake_us = now_us() - k->visit->begun_us;
    agreed_take(&k->visit->agreed, k->tunnel);
    return TUNNEL_OK;
}

static bool is_over(const struct talk *k)
{
    return k->said_close && (k->read_over || has_all(k));
}

static enum tunnel_result check_end(struct talk *k)
{
    char text[128];

    if (!k->client->expects || has_all(k))
        return TUNNEL_OK;
    (void)snprintf(text, sizeof(text), "the server closed after %llu of %u expected bytes",
                   (unsigned long long)k->visit->received, (unsigned)k->client->expected);
    return fail(k->visit, TUNNEL_PROTOCOL, text);
}

static enum tunnel_result converse(struct talk *k)
{
    enum tunnel_result result = shake_hands(k);

    while (result == TUNNEL_OK && !is_over(k)) {
        result = speak(k);
        if (result == TUNNEL_OK)
            result = hear(k);
        if (result == TUNNEL_OK && !is_over(k))
            result = wait_or_say(k);
    }
    return result == TUNNEL_OK ? check_end(k) : result;
}

static struct tunnel_io *dial(const struct client *c)
{
    struct tunnel_io_dial dial = {
        .host = c->place.host,
        .port = c->place.port,
        .timeout_ms = (int)c->timeout_s * 1000,
        .udp_port = (uint16_t)c->udp_port,
        .sandwich = c->sandwich,
        .always = c->always,
        .memory = c->memory,
    };

    return c->turbo ? tunnel_io_turbo(&dial) : tunnel_io_tcp(&dial);
}

static struct tunnel *open_tunnel(const struct client *c, const struct ticket *ticket,
                                  struct visit *v)
{
    struct tunnel_options options = {
        .server_name = c->server_name,
        .names = c->name_count > 0 ? c->names : NULL,
        .resumption = ticket->bytes,
        .resumption_length = ticket->length,
    };
    struct tunnel_error error = {.result = TUNNEL_OK};
    struct tunnel_io *io = dial(c);
    struct tunnel *tunnel;

    if (io == NULL) {
        v->result = errno == EINVAL ? TUNNEL_CONFIGURATION : TUNNEL_MEMORY;
        (void)fail(v, v->result,
                   errno == EINVAL ? "is no host's name; write HOST:PORT" : strerror(errno));
        return NULL;
    }
    tunnel = tunnel_open(c->context, io, &options, &error);
    if (tunnel != NULL)
        return tunnel;
    tunnel_io_close(io);
    v->result = fail(v, error.result, error.text);
    return NULL;
}

void ticket_free(struct ticket *ticket)
{
    tunnel_resumption_free(ticket->bytes, ticket->length);
    *ticket = (struct ticket){0};
}

void visit_make(const struct client *c, struct ticket *ticket, struct visit *v)
{
    struct talk k = {.client = c,
                     .visit = v,
                     .say = c->payload,
                     .left = c->payload_length,
                     .stdin_open = c->from_stdin};
    struct ticket next = {0};

    memset(v, 0, sizeof(*v));
    v->begun_us = k.moved_us = now_us();
    k.tunnel = open_tunnel(c, ticket, v);
    if (k.tunnel == NULL)
        return;
    v->result = converse(&k);
    if (v->result != TUNNEL_OK && v->text[0] == '\0')
        (void)fail(v, v->result, tunnel_error(k.tunnel)->text);
    v->done_us = now_us() - v->begun_us;
    (void)tunnel_io_report(tunnel_io(k.tunnel), &v->report);
    if (c->resume > 0)
        next.bytes = tunnel_resumption(k.tunnel, &next.length);
    if (next.bytes != NULL) {
        ticket_free(ticket);
        *ticket = next;
    }
    tunnel_free(k.tunnel);
}
