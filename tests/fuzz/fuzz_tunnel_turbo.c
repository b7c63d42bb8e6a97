/*
 * libtunnel's TurboTLS I/Os over loopback: the client's against a server end that says anything by
 * UDP and TCP, in any order; and the listener, with what it accepts, against such client ends. The
 * C→S stream must reach TCP as it was written, behind a tombstone or not; every call ends as its
 * header says; and no descriptor is left.
 */
#include "tests/fuzz/support.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tunnel/io.h"
#include "tunnel/net/address.h"
#include "tunnel/net/socket.h"
#include "turbo/client_hello.h"
#include "turbo/opening.h"
#include "turbo/wire.h"

enum { SAID_MAX = 64 * 1024, BYTES_MAX = 8192, WAITS_MAX = 2, WAIT_MS = 6, ENDS = 4 };

enum options { LISTENER = 1, ALWAYS = 2, SANDWICH = 4, REMEMBERS = 8, RESETS = 16 };

static size_t read_all(int fd, uint8_t *buffer, size_t capacity)
{
    size_t length = 0;
    ssize_t n;
    while (length < capacity &&
           (n = recv(fd, buffer + length, capacity - length, MSG_DONTWAIT)) > 0)
        length += (size_t)n;
    return length;
}

static void say(int fd, const void *data, size_t length)
{
    (void)!send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* ---- an I/O, whosever ---- */

static void check_result(struct tunnel_io *io, enum tunnel_result result, size_t n)
{
    assert((result == TUNNEL_OK) == (n > 0));
    switch (result) {
    case TUNNEL_OK:
    case TUNNEL_WANT_READ:
    case TUNNEL_WANT_WRITE:
    case TUNNEL_CLOSED: break;
    case TUNNEL_IO:
    case TUNNEL_UNREACHED: assert(strlen(tunnel_io_error(io)) > 0); break;
    default: abort();
    }
}

static size_t io_read(struct tunnel_io *io, uint8_t *buffer, size_t capacity)
{
    size_t got;
    enum tunnel_result result = tunnel_io_read(io, buffer, capacity, &got);
    assert(result != TUNNEL_WANT_WRITE && got <= capacity);
    check_result(io, result, got);
    return got;
}

static size_t io_write(struct tunnel_io *io, const uint8_t *data, size_t length)
{
    size_t taken;
    enum tunnel_result result = tunnel_io_write(io, data, length, &taken);
    assert(result != TUNNEL_CLOSED && taken <= length);
    check_result(io, result, taken);
    return taken;
}

static void io_look(struct tunnel_io *io)
{
    struct tunnel_io_report report;
    struct tunnel_watch watch;
    assert(tunnel_io_report(io, &report) && report.outcome != NULL);
    tunnel_io_watch(io, TUNNEL_WANT_READ, &watch);
    assert(watch.count > 0 || watch.deadline_us != TUNNEL_FOR_EVER);
    tunnel_io_watch(io, TUNNEL_WANT_WRITE, &watch);
    assert(watch.count <= TUNNEL_WATCH_MAX);
}

/* ---- the client's end, tested ---- */

enum client_event {
    WRITE_HELLO,
    WRITE_REST,
    WRITE_MORE,
    READ,
    RESPONSE,
    RESPONSE_RAW,
    DATAGRAM_RAW,
    TCP_SAY,
    TCP_FIN,
    TCP_RESET,
    TCP_CLOSED, /* nobody listens any more */
    UDP_CLOSED,
    STATE,
    WAIT,
    CLIENT_EVENTS
};

struct client_run {
    struct tunnel_io *io;
    bool sandwich;
    const struct hello *hello;
    int listener, udp, tcp; /* the server end's; -1: none */
    struct address peer;    /* who asks */
    uint8_t id[SANDWICH_ID_BYTES];
    unsigned waits;
    uint8_t written[SAID_MAX];
    size_t written_length;
    uint8_t heard[SAID_MAX + TURBO_TOMBSTONE_BYTES]; /* by TCP */
    size_t heard_length;
};

static void client_write(struct client_run *r, const uint8_t *data, size_t length)
{
    size_t room = sizeof(r->written) - r->written_length;
    length = length < room ? length : room;
    if (length == 0)
        return;
    size_t taken = io_write(r->io, data, length);
    memcpy(r->written + r->written_length, data, taken);
    r->written_length += taken;
}

static void client_write_hello(struct client_run *r, size_t length)
{
    if (r->written_length >= r->hello->length)
        return;
    size_t left = r->hello->length - r->written_length;
    client_write(r, r->hello->bytes + r->written_length, length < left ? length : left);
}

/* What has come to the server end: who asks, and the stream. */
static void server_hear(struct client_run *r)
{
    uint8_t datagram[TURBO_DATAGRAM_MAX + 1];
    struct sockaddr_storage from;
    socklen_t length = sizeof(from);
    ssize_t n;
    while (r->udp >= 0 && (n = recvfrom(r->udp, datagram, sizeof(datagram), MSG_DONTWAIT,
                                        (struct sockaddr *)&from, &length)) > 0) {
        assert(n >= SANDWICH_ID_BYTES && n <= TURBO_DATAGRAM_MAX);
        memcpy(r->id, datagram, sizeof(r->id));
        address_from_sockaddr(&r->peer, (struct sockaddr *)&from, length);
    }
    struct address client;
    if (r->tcp < 0 && r->listener >= 0)
        r->tcp = socket_accept(r->listener, &client);
    if (r->tcp >= 0)
        r->heard_length +=
            read_all(r->tcp, r->heard + r->heard_length, sizeof(r->heard) - r->heard_length);
}

static void server_datagram(struct client_run *r, const uint8_t *data, size_t length)
{
    if (r->udp >= 0 && r->peer.length != 0)
        (void)!sendto(r->udp, data, length, MSG_DONTWAIT, &r->peer.any, r->peer.length);
}

static void server_respond(struct client_run *r, struct input *in, bool raw)
{
    uint8_t bytes[TURBO_DATAGRAM_MAX], payload[TURBO_DATAGRAM_MAX];
    struct turbo_datagram d = {.dialect =
                                   r->sandwich ? TURBO_DIALECT_SANDWICH : TURBO_DIALECT_PROFILE1,
                               .flags = TURBO_FLAG_PROFILE1,
                               .sequence = input_byte(in) % TURBO_CHUNKS_MAX + 1u,
                               .payload = payload};
    size_t most = r->sandwich ? SANDWICH_PAYLOAD_MAX : TURBO_RESPONSE_PAYLOAD_MAX;
    memcpy(d.id.bytes, r->id, r->sandwich ? SANDWICH_ID_BYTES : TURBO_ID_BYTES);
    if (raw)
        d.flags = input_byte(in);
    d.length = input_length(in) % (most + 1);
    check_fill(payload, 3, 0, d.length);
    if (d.length >= 5) /* a record, which Sandwich's client end waits for the end of */
        memcpy(payload,
               (uint8_t[]){22, 3, 3, (uint8_t)((d.length - 5) >> 8), (uint8_t)(d.length - 5)}, 5);
    server_datagram(r, bytes, turbo_datagram_encode(&d, bytes));
}

static void server_raw(struct client_run *r, struct input *in)
{
    uint8_t datagram[SANDWICH_ID_BYTES + UINT8_MAX];
    size_t length;
    const uint8_t *data = input_bytes(in, input_byte(in), &length);
    size_t id = r->sandwich ? SANDWICH_ID_BYTES : TURBO_ID_BYTES;
    memcpy(datagram, r->id, id);
    if (length > 0)
        memcpy(datagram + id, data, length);
    server_datagram(r, datagram, id + length);
}

static void drop(int *fd, bool reset)
{
    if (reset)
        socket_reset(*fd);
    else
        socket_close(*fd);
    *fd = -1;
}

static void client_event(struct client_run *r, enum client_event event, struct input *in)
{
    uint8_t bytes[BYTES_MAX];
    size_t length;
    switch (event) {
    case WRITE_HELLO: client_write_hello(r, input_length(in)); break;
    case WRITE_REST: client_write_hello(r, r->hello->length); break;
    case WRITE_MORE:
        length = input_length(in);
        check_fill(bytes, 1, r->written_length, length);
        client_write(r, bytes, length);
        break;
    case READ:
        length = input_length(in);
        (void)io_read(r->io, bytes, length > 0 ? length : 1);
        break;
    case RESPONSE:
    case RESPONSE_RAW: server_respond(r, in, event == RESPONSE_RAW); break;
    case DATAGRAM_RAW: server_raw(r, in); break;
    case TCP_SAY:
        length = input_length(in);
        check_fill(bytes, 2, 0, length);
        if (r->tcp >= 0)
            say(r->tcp, bytes, length);
        break;
    case TCP_FIN:
        if (r->tcp >= 0)
            shutdown(r->tcp, SHUT_WR);
        break;
    case TCP_RESET: drop(&r->tcp, true); break;
    case TCP_CLOSED: drop(&r->listener, false); break;
    case UDP_CLOSED: drop(&r->udp, false); break;
    case STATE: r->io->ops->set_state(r->io, input_byte(in) % (TUNNEL_ERROR + 1)); break;
    case WAIT:
        if (r->waits++ < WAITS_MAX)
            (void)tunnel_io_wait(r->io, input_byte(in) % 2 ? TUNNEL_WANT_READ : TUNNEL_WANT_WRITE,
                                 WAIT_MS);
        break;
    case CLIENT_EVENTS: break;
    }
}

/* One connection's: after a second one, by Sandwich's client end, it begins again. */
static void check_stream(const struct client_run *r)
{
    const uint8_t *stream = r->heard;
    size_t length = r->heard_length;
    struct turbo_tombstone tombstone;
    if (r->sandwich || length == 0)
        return;
    bool is_hello = r->written_length > 0 && stream[0] == r->written[0] &&
                    (length < 2 || r->written_length < 2 || stream[1] == r->written[1]);
    if (!is_hello) {
        assert(length >= TURBO_TOMBSTONE_BYTES && turbo_tombstone_decode(&tombstone, stream) &&
               tombstone.replay && tombstone.consumed <= TURBO_CHUNKS_MAX);
        stream += TURBO_TOMBSTONE_BYTES;
        length -= TURBO_TOMBSTONE_BYTES;
    }
    assert(length <= r->written_length && memcmp(stream, r->written, length) == 0);
}

static void run_client(uint8_t options, struct input *in)
{
    static struct client_run r;
    struct address tcp, udp;
    memset(&r, 0, sizeof(r));
    assert(address_from_literal(&tcp, "127.0.0.1", 0) &&
           address_from_literal(&udp, "127.0.0.1", 0));
    r.listener = socket_listen_tcp(&tcp);
    r.udp = socket_listen_udp(&udp);
    r.tcp = -1;
    assert(r.listener >= 0 && r.udp >= 0);
    r.sandwich = (options & SANDWICH) != 0;
    r.hello = fuzz_hello(input_byte(in));
    struct tunnel_memory *memory = (options & REMEMBERS) != 0 ? tunnel_memory_new() : NULL;
    const struct tunnel_io_dial dial = {.host = "127.0.0.1",
                                        .port = address_port(&tcp),
                                        .udp_port = address_port(&udp),
                                        .sandwich = r.sandwich,
                                        .always = (options & ALWAYS) != 0,
                                        .memory = memory};
    r.io = tunnel_io_turbo(&dial);
    assert(r.io != NULL);
    while (in->left > 0) {
        client_event(&r, input_byte(in) % CLIENT_EVENTS, in);
        server_hear(&r);
        check_stream(&r);
        io_look(r.io);
    }
    r.io->ops->close(r.io, (options & RESETS) != 0);
    server_hear(&r);
    check_stream(&r);
    drop(&r.tcp, true);
    drop(&r.listener, false);
    drop(&r.udp, false);
    tunnel_memory_free(memory);
}

/* ---- the server's end, tested ---- */

enum listener_event {
    ASK, /* the ClientHello's chunks, and empty requests */
    REQUEST_RAW,
    ASK_RAW,
    CONNECT,
    SAY_HELLO,
    SAY_TOMBSTONE,
    SAY_RAW,
    END,
    CUT,
    ACCEPT,
    SERVE_READ,
    SERVE_WRITE,
    SERVE_CLOSE,
    PAUSE,
    LISTENER_EVENTS
};

struct listener_run {
    struct tunnel_listener *listener;
    bool sandwich;
    const struct hello *hello;
    struct turbo_id id;
    struct address there;
    int udp, tcp[ENDS]; /* the client ends'; -1: none */
    struct tunnel_io *served[ENDS];
    unsigned waits;
};

static void request(struct listener_run *r, uint32_t sequence, const uint8_t *payload,
                    size_t length, uint8_t flags)
{
    uint8_t bytes[TURBO_DATAGRAM_MAX];
    struct turbo_datagram d = {.dialect =
                                   r->sandwich ? TURBO_DIALECT_SANDWICH : TURBO_DIALECT_PROFILE1,
                               .id = r->id,
                               .flags = flags,
                               .sequence = sequence,
                               .payload = payload,
                               .length = length};
    say(r->udp, bytes, turbo_datagram_encode(&d, bytes));
}

static void ask(struct listener_run *r)
{
    size_t most = r->sandwich ? SANDWICH_PAYLOAD_MAX : TURBO_REQUEST_PAYLOAD_MAX;
    uint32_t sequence = 1;
    for (size_t at = 0; at < r->hello->length && sequence < TURBO_CHUNKS_MAX; sequence++) {
        size_t n = r->hello->length - at < most ? r->hello->length - at : most;
        request(r, sequence, r->hello->bytes + at, n, 0);
        at += n;
    }
    for (uint32_t last = sequence + 4; sequence < last; sequence++)
        request(r, sequence, NULL, 0, 0);
}

static void say_tombstone(const struct listener_run *r, int fd, uint32_t consumed)
{
    uint8_t bytes[SANDWICH_TOMBSTONE_BYTES];
    struct turbo_tombstone tombstone = {.dialect = r->sandwich ? TURBO_DIALECT_SANDWICH
                                                               : TURBO_DIALECT_PROFILE1,
                                        .id = r->id,
                                        .replay = !r->sandwich,
                                        .consumed = consumed};
    if (r->sandwich)
        sandwich_tombstone_encode(&tombstone, bytes);
    else
        turbo_tombstone_encode(&tombstone, bytes);
    say(fd, bytes, r->sandwich ? SANDWICH_TOMBSTONE_BYTES : TURBO_TOMBSTONE_BYTES);
}

static void connect_once_more(struct listener_run *r, size_t i)
{
    if (r->tcp[i] < 0)
        r->tcp[i] = socket_connect_tcp(&r->there, 0);
}

static void accept_one(struct listener_run *r, size_t i)
{
    struct tunnel_io *io = NULL;
    if (r->served[i] != NULL)
        return;
    enum tunnel_result result = tunnel_listener_accept(r->listener, &io);
    assert(result == TUNNEL_OK || result == TUNNEL_WANT_READ);
    assert((result == TUNNEL_OK) == (io != NULL));
    r->served[i] = io;
}

static void serve(struct listener_run *r, size_t i, enum listener_event event, struct input *in)
{
    uint8_t bytes[BYTES_MAX];
    size_t length = input_length(in);
    if (r->served[i] == NULL)
        return;
    if (event == SERVE_READ) {
        (void)io_read(r->served[i], bytes, length > 0 ? length : 1);
    } else if (event == SERVE_WRITE && length > 0) {
        check_fill(bytes, 1, 0, length);
        (void)io_write(r->served[i], bytes, length);
    } else if (event == SERVE_CLOSE) {
        r->served[i]->ops->close(r->served[i], length % 2 != 0);
        r->served[i] = NULL;
        return;
    }
    io_look(r->served[i]);
}

static void listener_event(struct listener_run *r, enum listener_event event, struct input *in)
{
    uint8_t which = input_byte(in);
    int *tcp = &r->tcp[which % ENDS];
    const uint8_t *data;
    size_t length;
    switch (event) {
    case ASK: ask(r); break;
    case REQUEST_RAW:
        data = input_bytes(in, input_byte(in), &length);
        request(r, which, data, length, input_byte(in));
        break;
    case ASK_RAW:
        data = input_bytes(in, which, &length);
        say(r->udp, data, length);
        break;
    case CONNECT: connect_once_more(r, which % ENDS); break;
    case SAY_HELLO: say(*tcp, r->hello->bytes, r->hello->length); break;
    case SAY_TOMBSTONE: say_tombstone(r, *tcp, input_byte(in)); break;
    case SAY_RAW:
        data = input_bytes(in, input_byte(in), &length);
        say(*tcp, data, length);
        break;
    case END: shutdown(*tcp, SHUT_WR); break;
    case CUT: drop(tcp, true); break;
    case ACCEPT: accept_one(r, which % ENDS); break;
    case SERVE_READ:
    case SERVE_WRITE:
    case SERVE_CLOSE: serve(r, which % ENDS, event, in); break;
    case PAUSE:
        if (r->waits++ < WAITS_MAX)
            (void)tunnel_listener_wait(r->listener, WAIT_MS);
        break;
    case LISTENER_EVENTS: break;
    }
}

static void run_listener(uint8_t options, struct input *in)
{
    struct listener_run r = {.sandwich = (options & SANDWICH) != 0,
                             .hello = fuzz_hello(input_byte(in))};
    struct tunnel_error error;
    const struct tunnel_listen listen = {
        .host = "127.0.0.1", .sandwich = r.sandwich, .sessions_max = 8, .waiting_max = 4};
    r.listener = tunnel_listen_turbo(&listen, &error);
    assert(r.listener != NULL);
    assert(address_from_literal(&r.there, "127.0.0.1", tunnel_listener_port(r.listener)));
    turbo_id_from_hello(&r.id, check_sha256, r.hello->bytes, r.hello->length);
    if (r.sandwich)
        memset(r.id.bytes + TURBO_ID_BYTES, 0xa5, SANDWICH_ID_BYTES - TURBO_ID_BYTES);
    r.udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert(r.udp >= 0 && connect(r.udp, &r.there.any, r.there.length) == 0);
    for (size_t i = 0; i < ENDS; i++)
        r.tcp[i] = -1;
    while (in->left > 0)
        listener_event(&r, input_byte(in) % LISTENER_EVENTS, in);
    if ((options & RESETS) != 0)
        tunnel_listener_close(r.listener); /* before what it has accepted */
    for (size_t i = 0; i < ENDS; i++) {
        drop(&r.tcp[i], true);
        if (r.served[i] != NULL)
            tunnel_io_close(r.served[i]);
    }
    if ((options & RESETS) == 0)
        tunnel_listener_close(r.listener);
    socket_close(r.udp);
}

/* The lowest that is free. */
static int next_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint8_t options = input_byte(&in);
    int before = next_descriptor();
    if ((options & LISTENER) != 0)
        run_listener(options, &in);
    else
        run_client(options, &in);
    assert(next_descriptor() == before);
    return 0;
}

void fuzz_seeds(void)
{
    /* clang-format off */
    static const uint8_t usual[] = {ALWAYS, 7, WRITE_REST, RESPONSE, 0, 200, READ, 255, RESPONSE, 1, 90,
        READ, 255, STATE, 3, WRITE_MORE, 60, READ, 9, TCP_SAY, 200, READ, 255, STATE, 4, WRITE_MORE, 24,
        TCP_FIN, READ, 200, READ, 1};
    static const uint8_t resumed[] = {ALWAYS | REMEMBERS | RESETS, 1, WRITE_REST, RESPONSE, 0, 60, RESPONSE,
        2, 60, READ, 255, WAIT, 1, READ, 1, WAIT, 1, READ, 1, TCP_SAY, 255, READ, 255, WRITE_MORE, 255};
    static const uint8_t classic[] = {0, 2, READ, 1, WAIT, 0, WRITE_REST, TCP_SAY, 60, READ, 90, WRITE_MORE, 255,
        TCP_RESET, READ, 1, WRITE_MORE, 1};
    static const uint8_t refused[] = {ALWAYS, 3, TCP_CLOSED, UDP_CLOSED, WRITE_REST, READ, 1, WRITE_MORE, 3};
    static const uint8_t torn[] = {ALWAYS, 0, WRITE_REST, RESPONSE, 0, 60, READ, 255, TCP_SAY, 3, READ, 4,
        RESPONSE_RAW, 0, 0x30, 0, DATAGRAM_RAW, 4, 0x10, 0, 0, 1};
    static const uint8_t sandwich[] = {SANDWICH, 0, WRITE_REST, RESPONSE, 0, 200, READ, 255, WRITE_MORE, 90,
        RESPONSE, 1, 90, WAIT, 1, READ, 255, TCP_SAY, 60, READ, 60};
    static const uint8_t hole[] = {SANDWICH | ALWAYS, 0, WRITE_REST, RESPONSE, 1, 200, WAIT, 1, READ, 255,
        UDP_CLOSED, WRITE_MORE, 9};
    static const uint8_t joined[] = {LISTENER, 1, ASK, 0, PAUSE, 0, ACCEPT, 0, SERVE_READ, 0, 255, SERVE_WRITE, 0,
        200, CONNECT, 0, SAY_TOMBSTONE, 0, 1, SAY_HELLO, 0, SAY_RAW, 0, 3, 20, 3, 3, PAUSE, 0, SERVE_READ, 0, 255,
        SERVE_WRITE, 0, 255, END, 0, SERVE_READ, 0, 255, SERVE_CLOSE, 0, 0};
    static const uint8_t plain[] = {LISTENER | RESETS, 2, CONNECT, 1, SAY_HELLO, 1, PAUSE, 0, ACCEPT, 1, SERVE_READ,
        1, 255, SERVE_WRITE, 1, 60, CUT, 1, SERVE_READ, 1, 1, ASK, 0, REQUEST_RAW, 1, 0, 2, ACCEPT, 2};
    static const uint8_t in_sandwich[] = {LISTENER | SANDWICH, 1, CONNECT, 0, PAUSE, 0, ACCEPT, 3, ASK, 0, PAUSE, 0,
        ACCEPT, 0, SERVE_READ, 0, 255, SERVE_WRITE, 0, 200, REQUEST_RAW, 15, 4, 23, 3, 3, 0, 0, SAY_TOMBSTONE, 0, 1,
        SAY_RAW, 0, 3, 23, 3, 3, PAUSE, 0, SERVE_READ, 0, 255};
    static const uint8_t nothing[] = {LISTENER, 0, CONNECT, 0, SAY_RAW, 0, 4, 'P', 'I', 'N', 'G', ASK_RAW, 20,
        22, 3, 1, 0, 4, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, PAUSE, 0, ACCEPT, 0, SERVE_CLOSE, 0, 1};
    /* clang-format on */
    seed_write(usual, sizeof(usual));
    seed_write(resumed, sizeof(resumed));
    seed_write(classic, sizeof(classic));
    seed_write(refused, sizeof(refused));
    seed_write(torn, sizeof(torn));
    seed_write(sandwich, sizeof(sandwich));
    seed_write(hole, sizeof(hole));
    seed_write(joined, sizeof(joined));
    seed_write(plain, sizeof(plain));
    seed_write(in_sandwich, sizeof(in_sandwich));
    seed_write(nothing, sizeof(nothing));
}
