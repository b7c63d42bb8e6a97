#include "tests/unit/support/fake_side.h"

#include <stdlib.h>

#include "tunnel/net/clock.h"

static struct fake *fake_of(struct side *side)
{
    struct fake *fake = (struct fake *)side;
    assert_int_equal(fake->destroyed, 0);
    return fake;
}

static ssize_t fake_read(struct side *side, uint8_t *buffer, size_t capacity)
{
    struct fake *fake = fake_of(side);
    size_t left = fake->input_length - fake->input_used;
    size_t n = left < capacity ? left : capacity;
    assert_true(capacity > 0);
    if (n == 0)
        return fake->then;
    memcpy(buffer, fake->input + fake->input_used, n);
    fake->input_used += n;
    return (ssize_t)n;
}

static size_t fake_room(const struct side *side)
{
    return ((const struct fake *)side)->room;
}

static ssize_t fake_write(struct side *side, const uint8_t *data, size_t length)
{
    struct fake *fake = fake_of(side);
    assert_int_equal(fake->finished, 0);
    if (fake->write_fails)
        return SIDE_RESET;
    size_t n = length < fake->write_max ? length : fake->write_max;
    assert_true(fake->length + n <= FAKE_OUTPUT_MAX);
    memcpy(fake->output + fake->length, data, n);
    fake->length += n;
    return (ssize_t)n;
}

static ssize_t fake_read_on(struct side *side, uint8_t *buffer, size_t capacity)
{
    struct fake *fake = fake_of(side);
    fake->read_on++;
    ssize_t n = fake_read(side, buffer, capacity);
    if (n == SIDE_RESET)
        fake->then = SIDE_END; /* as a socket, which tells of it once */
    return n;
}

static ssize_t fake_write_last(struct side *side, const uint8_t *data, size_t length)
{
    fake_of(side)->written_last++;
    return fake_write(side, data, length);
}

static void fake_finish(struct side *side)
{
    struct fake *fake = fake_of(side);
    fake->finished++;
    fake->finished_behind = fake->length;
}

static void fake_reset(struct side *side, bool unreached)
{
    struct fake *fake = fake_of(side);
    fake->resets++;
    fake->unreached = unreached;
}

static size_t fake_undelivered(const struct side *side)
{
    return ((const struct fake *)side)->undelivered;
}

static void fake_watch(struct side *side, bool readable, bool writable)
{
    struct fake *fake = fake_of(side);
    fake->readable = readable;
    fake->writable = writable;
}

static bool fake_settled(const struct side *side)
{
    return ((const struct fake *)side)->is_settled;
}

static int fake_hand_over(struct side *side, uint8_t **early, size_t *length)
{
    struct fake *fake = fake_of(side);
    int fd = fake->fd;
    *early = fake->early == NULL ? NULL : (uint8_t *)strdup(fake->early);
    *length = fake->early == NULL ? 0 : strlen(fake->early);
    fake->fd = -1;
    return fd;
}

static void fake_report(const struct side *side, struct access *access)
{
    (void)access;
    struct fake *fake = (struct fake *)(uintptr_t)side;
    fake->reported++;
}

static void fake_destroy(struct side *side)
{
    fake_of(side)->destroyed++;
}

const struct side_ops fake_socket_ops = {
    .read = fake_read,
    .room = fake_room,
    .write = fake_write,
    .finish = fake_finish,
    .reset = fake_reset,
    .undelivered = fake_undelivered,
    .watch = fake_watch,
    .report = fake_report,
    .destroy = fake_destroy,
};

const struct side_ops fake_session_ops = {
    .read = fake_read,
    .room = fake_room,
    .write = fake_write,
    .finish = fake_finish,
    .reset = fake_reset,
    .undelivered = fake_undelivered,
    .watch = fake_watch,
    .settled = fake_settled,
    .hand_over = fake_hand_over,
    .report = fake_report,
    .destroy = fake_destroy,
};

const struct side_ops fake_stream_ops = {
    .read = fake_read,
    .room = fake_room,
    .write = fake_write,
    .read_on = fake_read_on,
    .write_last = fake_write_last,
    .finish = fake_finish,
    .reset = fake_reset,
    .undelivered = fake_undelivered,
    .watch = fake_watch,
    .report = fake_report,
    .destroy = fake_destroy,
};

/* ---- set-up ---- */

static void fake_init(struct fake *fake)
{
    *fake = (struct fake){
        .base.ops = &fake_socket_ops,
        .then = SIDE_AGAIN,
        .room = SIZE_MAX,
        .write_max = SIZE_MAX,
        .fd = -1,
        .output = malloc(FAKE_OUTPUT_MAX),
    };
    assert_non_null(fake->output);
}

int fakes_open(void **state)
{
    static struct pair pair;
    void *f;
    if (fixture_open(&f) != 0)
        return -1;
    pair.f = f;
    fake_init(&pair.near);
    fake_init(&pair.far);
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", pair.f->server_port);
    *state = &pair;
    return 0;
}

int fakes_close(void **state)
{
    struct pair *p = *state;
    void *f = p->f;
    int result = fixture_close(&f);
    free(p->near.output);
    free(p->far.output);
    return result;
}

void fake_says(struct fake *fake, const char *words)
{
    fake->input = (const uint8_t *)words;
    fake->input_length = strlen(words);
    fake->input_used = 0;
}

void fakes_start(struct pair *p)
{
    struct connection connection;
    struct connection_asked asked;
    struct address client;
    address_from_literal(&client, "192.0.2.1", 1);
    connection_begin(&connection, &asked, p->f->worker->listeners[0], &client, &(struct address){0},
                     clock_now());
    connection_arrived(&connection);
    relay_start(&p->near.base, &p->far.base, &connection);
}

void fake_assert_heard(const struct fake *fake, const char *words)
{
    assert_int_equal(fake->length, strlen(words));
    assert_memory_equal(fake->output, words, fake->length);
}

void fakes_assert_over(const struct pair *p)
{
    assert_int_equal(p->near.destroyed, 1);
    assert_int_equal(p->far.destroyed, 1);
    assert_int_equal(p->f->worker->connections, 0);
    assert_null(p->f->worker->relays);
}
