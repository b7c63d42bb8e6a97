#include "tests/unit/support/tunnel_pair.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/support/check.h"

bool is_want(enum tunnel_result result)
{
    return result == TUNNEL_WANT_READ || result == TUNNEL_WANT_WRITE;
}

/* ---- meddling ---- */

static enum tunnel_result meddle_read(struct tunnel_io *io, void *buffer, size_t capacity,
                                      size_t *got)
{
    struct meddler *m = (struct meddler *)io;
    if (m->vanished)
        return TUNNEL_CLOSED;
    enum tunnel_result result = tunnel_io_read(m->inner, buffer, capacity, got);
    if (result != TUNNEL_OK)
        return result;
    if (m->spoilt > m->passed && m->spoilt <= m->passed + *got)
        ((uint8_t *)buffer)[m->spoilt - m->passed - 1] ^= 0x55;
    m->passed += *got;
    return result;
}

static enum tunnel_result meddle_write(struct tunnel_io *io, const void *data, size_t length,
                                       size_t *taken)
{
    return tunnel_io_write(((struct meddler *)io)->inner, data, length, taken);
}

static void meddle_close(struct tunnel_io *io, bool reset)
{
    struct meddler *m = (struct meddler *)io;
    m->inner->ops->close(m->inner, reset);
    free(m);
}

static const char *meddle_error(const struct tunnel_io *io)
{
    return tunnel_io_error(((const struct meddler *)io)->inner);
}

static struct meddler *meddle(struct tunnel_io *inner)
{
    static const struct tunnel_io_ops ops = {
        .read = meddle_read, .write = meddle_write, .close = meddle_close, .error = meddle_error};
    struct meddler *m = calloc(1, sizeof(*m));
    assert_non_null(m);
    m->io.ops = &ops;
    m->inner = inner;
    return m;
}

/* ---- pairs ---- */

static void open_end(struct pair_end *end, struct tunnel_context *context, struct tunnel_io *io,
                     const struct tunnel_options *options)
{
    *end = (struct pair_end){.context = context, .io = meddle(io), .result = TUNNEL_WANT_READ};
    end->tunnel = tunnel_open(context, &end->io->io, options, &end->error);
    if (end->tunnel == NULL)
        fail_msg("%s", end->error.text);
}

void pair_open_through(struct pair *pair, size_t capacity, struct tunnel_context *client,
                       struct tunnel_context *server, const struct tunnel_options *client_options,
                       const struct tunnel_options *server_options)
{
    static const struct tunnel_options usual_client = {.server_name = "server.example"};
    static const struct tunnel_options usual_server = {.server_name = NULL};
    struct tunnel_io *ios[2];
    assert_non_null(client);
    assert_non_null(server);
    assert_true(tunnel_io_memory_pair(capacity, &ios[0], &ios[1]));
    open_end(&pair->client, client, ios[0],
             client_options == NULL ? &usual_client : client_options);
    open_end(&pair->server, server, ios[1],
             server_options == NULL ? &usual_server : server_options);
}

void pair_open(struct pair *pair, struct tunnel_context *client, struct tunnel_context *server,
               const struct tunnel_options *client_options,
               const struct tunnel_options *server_options)
{
    pair_open_through(pair, PAIR_CAPACITY, client, server, client_options, server_options);
}

void pair_close(struct pair *pair)
{
    tunnel_free(pair->client.tunnel);
    tunnel_free(pair->server.tunnel);
    tunnel_context_release(pair->client.context);
    tunnel_context_release(pair->server.context);
    *pair = (struct pair){0};
}

static bool is_over(const struct pair_end *end)
{
    return end->tunnel == NULL;
}

/* Keeps the reason, and ends what has failed. */
static void note(struct pair_end *end, enum tunnel_result result)
{
    end->result = result;
    if (!tunnel_result_is_error(result))
        return;
    end->error = *tunnel_error(end->tunnel);
    tunnel_free(end->tunnel);
    end->tunnel = NULL;
}

/* One that is done reads: tickets, or that the other does not accept its certificate, which in TLS
 * 1.3 is looked at behind its handshake. */
static void hear(struct pair_end *end)
{
    uint8_t byte;
    size_t got;
    enum tunnel_result result = tunnel_read(end->tunnel, &byte, sizeof(byte), &got);
    if (tunnel_result_is_error(result))
        note(end, result);
    assert_int_equal(got, 0);
}

/* Is it still under way? */
static bool step(struct pair_end *end)
{
    if (is_over(end))
        return false;
    if (end->result == TUNNEL_OK)
        hear(end);
    else
        note(end, tunnel_handshake(end->tunnel));
    return is_want(end->result);
}

void pair_handshake(struct pair *pair)
{
    enum { TURNS_MAX = 10000 };
    bool client = true, server = true;
    for (int turns = 0; (client || server) && turns < TURNS_MAX; turns++) {
        client = step(&pair->client);
        server = step(&pair->server);
    }
    /* What the last one said. */
    step(&pair->client);
    step(&pair->server);
}

void pair_agree(struct pair *pair)
{
    pair_handshake(pair);
    if (pair->client.result != TUNNEL_OK || pair->server.result != TUNNEL_OK)
        fail_msg("client: %s: %s\nserver: %s: %s", tunnel_result_name(pair->client.result),
                 pair->client.error.text, tunnel_result_name(pair->server.result),
                 pair->server.error.text);
}

/* As much as goes. */
static size_t push(struct pair_end *from, size_t at, size_t length, size_t piece)
{
    uint8_t bytes[PAIR_CAPACITY];
    size_t taken = 0;
    if (length > piece)
        length = piece;
    if (length > sizeof(bytes))
        length = sizeof(bytes);
    if (length == 0)
        return 0;
    check_fill(bytes, 0, at, length);
    enum tunnel_result result = tunnel_write(from->tunnel, bytes, length, &taken);
    if (result != TUNNEL_OK && !is_want(result))
        fail_msg("%s: %s", tunnel_result_name(result), tunnel_error(from->tunnel)->text);
    assert_true(taken <= length && (taken > 0) == (result == TUNNEL_OK));
    return taken;
}

static size_t pull(struct pair_end *to, size_t at)
{
    uint8_t bytes[PAIR_CAPACITY], expected[PAIR_CAPACITY];
    size_t got = 0;
    enum tunnel_result result = tunnel_read(to->tunnel, bytes, sizeof(bytes), &got);
    if (result != TUNNEL_OK && !is_want(result))
        fail_msg("%s: %s", tunnel_result_name(result), tunnel_error(to->tunnel)->text);
    if (got == 0)
        return 0;
    check_fill(expected, 0, at, got);
    assert_memory_equal(bytes, expected, got);
    return got;
}

void pair_carry(struct pair_end *from, struct pair_end *to, size_t length, size_t piece)
{
    size_t sent = 0, received = 0;
    while (received < length) {
        size_t now = push(from, sent, length - sent, piece);
        sent += now;
        size_t got = pull(to, received);
        received += got;
        /* The other direction may have something to say as well: a ticket, a new key. */
        if (now == 0 && got == 0)
            pull(from, 0);
    }
    assert_int_equal(received, length);
}

void pair_settle(struct pair *pair)
{
    assert_int_equal(pull(&pair->client, 0), 0);
}
