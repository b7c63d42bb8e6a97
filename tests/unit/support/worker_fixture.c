#include "tests/unit/support/worker_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/config/decode.h"
#include "proxy/config/load.h"
#include "proxy/listener.h"
#include "tests/unit/support/text.h"
#include "tunnel/net/clock.h"
#include "tunnel/net/socket.h"

enum { ARGUMENTS_MAX = 32, ARGUMENTS_BYTES = 1024, CONFIGURATION_BYTES = 8192 };

static const turbo_time WAIT_MAX = 30 * TURBO_SECOND; /* valgrind is slow */
static const double BEAT_SECONDS = 0.002;

static size_t open_files(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        return 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* ---- its life ---- */

static struct address loopback(const char *host, uint16_t port)
{
    struct address address;
    assert_true(address_from_literal(&address, host, port));
    return address;
}

int fixture_open(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    size_t files_before = open_files();
    struct fixture *f = calloc(1, sizeof(*f));
    if (f == NULL || pipe2(f->log_fd, O_NONBLOCK | O_CLOEXEC) != 0)
        return -1;
    f->files_before = files_before;
    log_init(&f->log, f->log_fd[1], LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    struct address address = loopback("127.0.0.1", 0);
    f->server_fd = socket_listen_tcp(&address);
    f->server_port = address_port(&address);
    *state = f;
    return f->server_fd < 0 ? -1 : 0;
}

static void on_beat(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct fixture *f = timer->data;
    if (clock_now() > f->deadline)
        ev_break(loop, EVBREAK_ALL);
}

static void on_accept(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop;
    (void)events;
    struct fixture *f = io->data;
    struct address client;
    int fd = socket_accept(f->server_fd, &client);
    if (fd < 0)
        return;
    assert_true(f->served_count < FIXTURE_SERVED_MAX);
    f->served[f->served_count++] = fixture_adopt(f, fd);
}

static void parse(struct fixture *f, const char *format, va_list values)
{
    char text[ARGUMENTS_BYTES], message[OPTIONS_MESSAGE_BYTES];
    char name[] = "test", *rest = text, *argument;
    char *argv[ARGUMENTS_MAX + 1] = {name};
    static struct options options;
    struct config_errors errors;
    int argc = 1;
    assert_true((size_t)vsnprintf(text, sizeof(text), format, values) < sizeof(text));
    while ((argument = strsep(&rest, " ")) != NULL && argc < ARGUMENTS_MAX)
        if (argument[0] != '\0')
            argv[argc++] = argument;
    if (options_parse(&options, argc, argv, message) != OPTIONS_RUN)
        fail_msg("%s", message);
    config_errors_init(&errors);
    config_release(f->config);
    f->config = config_load(&options, &errors);
    if (f->config == NULL)
        fail_msg("%s", errors.count > 0 ? errors.texts[0] : "out of memory");
    config_errors_free(&errors);
}

void fixture_parse(struct fixture *f, const char *arguments, ...)
{
    va_list values;
    va_start(values, arguments);
    parse(f, arguments, values);
    va_end(values);
}

static void configure(struct fixture *f, const char *format, va_list values)
{
    char text[CONFIGURATION_BYTES];
    struct reading reading;
    assert_true((size_t)vsnprintf(text, sizeof(text), format, values) < sizeof(text));
    reading_start_good(&reading, &turbotls__v1__proxy__descriptor, text);
    const struct config_source source = {.file = "f", .places = &reading.places};
    config_release(f->config);
    f->config =
        config_decode((const Turbotls__V1__Proxy *)reading.message, &source, &reading.errors);
    if (f->config == NULL)
        fail_msg("%s", reading.errors.texts[0]);
    reading_stop(&reading);
}

void fixture_configure(struct fixture *f, const char *text, ...)
{
    va_list values;
    va_start(values, text);
    configure(f, text, values);
    va_end(values);
}

void fixture_reconfigure(struct fixture *f, const char *text, ...)
{
    va_list values;
    va_start(values, text);
    configure(f, text, values);
    va_end(values);
    if (!worker_reconfigure(f->worker, f->config))
        fail_msg("%s", fixture_log(f));
}

void fixture_run_worker(struct fixture *f)
{
    f->worker = worker_create_among(f->config, &f->log, f->mates, 0);
    assert_non_null(f->worker);
    f->loop = f->worker->loop;
    ev_io_init(&f->server_io, on_accept, f->server_fd, EV_READ);
    f->server_io.data = f;
    ev_io_start(f->loop, &f->server_io);
    ev_timer_init(&f->beat, on_beat, BEAT_SECONDS, BEAT_SECONDS);
    f->beat.data = f;
    f->deadline = clock_now() + WAIT_MAX;
    ev_timer_start(f->loop, &f->beat);
}

void fixture_serve(struct fixture *f)
{
    fixture_run_worker(f);
    if (!worker_listen(f->worker))
        fail_msg("%s", fixture_log(f));
}

void fixture_start(struct fixture *f, const char *arguments, ...)
{
    va_list values;
    va_start(values, arguments);
    parse(f, arguments, values);
    va_end(values);
    fixture_serve(f);
}

int fixture_close(void **state)
{
    struct fixture *f = *state;
    while (f->peers != NULL) {
        struct peer *peer = f->peers;
        f->peers = peer->next;
        peer_free(peer);
    }
    while (f->datagrams != NULL) {
        struct datagrams *datagrams = f->datagrams;
        f->datagrams = datagrams->next;
        datagrams_free(datagrams);
    }
    if (f->worker != NULL) {
        ev_io_stop(f->loop, &f->server_io);
        ev_timer_stop(f->loop, &f->beat);
        worker_destroy(f->worker);
    }
    config_release(f->config);
    socket_close(f->server_fd);
    close(f->log_fd[0]);
    close(f->log_fd[1]);
    bool leaked = open_files() != f->files_before;
    free(f);
    if (leaked)
        print_error("a descriptor was left open\n");
    return leaked ? -1 : 0;
}

/* ---- peers ---- */

struct config_listener *fixture_settings(const struct fixture *f, size_t listener)
{
    return (struct config_listener *)(uintptr_t)&f->config->listeners[listener];
}

struct upstream *fixture_upstream(const struct fixture *f)
{
    return f->worker->generation->upstreams[0];
}

uint16_t fixture_port(const struct fixture *f, size_t listener)
{
    return address_port(listener_address(f->worker->listeners[listener]));
}

uint16_t fixture_udp_port(const struct fixture *f, size_t listener)
{
    const char *udp = strstr(listener_text(f->worker->listeners[listener]), ",udp=");
    return (uint16_t)strtoul(udp + strlen(",udp="), NULL, 10);
}

struct peer *fixture_adopt(struct fixture *f, int fd)
{
    struct peer *peer = peer_new(f->loop, fd);
    peer->next = f->peers;
    f->peers = peer;
    return peer;
}

struct peer *fixture_connect(struct fixture *f, const char *host, uint16_t port)
{
    struct address address = loopback(host, port);
    return fixture_adopt(f, socket_connect_tcp(&address, 0));
}

struct peer *fixture_client(struct fixture *f)
{
    return fixture_connect(f, "127.0.0.1", fixture_port(f, 0));
}

static int bound_to(const char *from, int type)
{
    struct address address = loopback(from, 0);
    int fd = socket(address_family(&address), type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &address.any, address.length), 0);
    return fd;
}

struct peer *fixture_connect_from(struct fixture *f, const char *from, uint16_t port)
{
    struct address to = loopback("127.0.0.1", port);
    int fd = bound_to(from, SOCK_STREAM);
    assert_true(connect(fd, &to.any, to.length) == 0 || errno == EINPROGRESS);
    return fixture_adopt(f, fd);
}

struct peer *fixture_server(struct fixture *f, size_t n)
{
    if (f->served_count <= n) /* else whoever asks again and again would wait for ever */
        UNTIL(f, f->served_count > n);
    return f->served[n];
}

struct peer *fixture_pair(struct fixture *f, int *fd)
{
    struct address address = loopback("127.0.0.1", 0), client;
    int listener = socket_listen_tcp(&address);
    assert_true(listener >= 0);
    struct peer *peer = fixture_adopt(f, socket_connect_tcp(&address, 0));
    UNTIL(f, (*fd = socket_accept(listener, &client)) >= 0);
    socket_close(listener);
    return peer;
}

static struct datagrams *keep_datagrams(struct fixture *f, int fd)
{
    struct datagrams *datagrams = datagrams_new(f->loop, fd);
    datagrams->next = f->datagrams;
    f->datagrams = datagrams;
    return datagrams;
}

struct datagrams *fixture_udp(struct fixture *f, const char *host, uint16_t port)
{
    struct address address = loopback(host, port);
    int fd = socket(address_family(&address), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &address.any, address.length), 0);
    return keep_datagrams(f, fd);
}

struct datagrams *fixture_udp_from(struct fixture *f, const char *from, uint16_t port)
{
    struct address to = loopback("127.0.0.1", port);
    int fd = bound_to(from, SOCK_DGRAM);
    assert_int_equal(connect(fd, &to.any, to.length), 0);
    return keep_datagrams(f, fd);
}

struct datagrams *fixture_udp_server_at(struct fixture *f, const char *host, uint16_t *port)
{
    struct address address = loopback(host, 0);
    int fd = socket_listen_udp(&address);
    assert_true(fd >= 0);
    *port = address_port(&address);
    return keep_datagrams(f, fd);
}

struct datagrams *fixture_udp_server(struct fixture *f, uint16_t *port)
{
    return fixture_udp_server_at(f, "127.0.0.1", port);
}

uint16_t fixture_free_port(void)
{
    uint16_t port = 0;
    close(fixture_refusing_port("127.0.0.1", &port));
    return port;
}

int fixture_other_server(uint16_t *port)
{
    struct address address = loopback("127.0.0.1", 0);
    int fd = socket_listen_tcp(&address);
    assert_true(fd >= 0);
    *port = address_port(&address);
    return fd;
}

struct peer *fixture_other_accepts(struct fixture *f, int server)
{
    struct address client;
    int fd;
    UNTIL(f, (fd = socket_accept(server, &client)) >= 0);
    return fixture_adopt(f, fd);
}

int fixture_refusing_port(const char *host, uint16_t *port)
{
    struct address address = loopback(host, *port);
    socklen_t length = sizeof(address.v6);
    int fd = socket(address_family(&address), SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &address.any, address.length), 0);
    assert_int_equal(getsockname(fd, &address.any, &length), 0);
    *port = address_port(&address);
    return fd;
}

int fixture_silent_port(struct fixture *f, const char *host, uint16_t *port)
{
    int fd = fixture_refusing_port(host, port);
    assert_int_equal(listen(fd, 0), 0);
    struct peer *filler = fixture_connect(f, host, *port);
    UNTIL(f, peer_is_up(filler));
    return fd;
}

/* ---- the log ---- */

const char *fixture_log(struct fixture *f)
{
    ssize_t n;
    do {
        n = read(f->log_fd[0], f->text + f->text_length, sizeof(f->text) - 1 - f->text_length);
        f->text_length += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    f->text[f->text_length] = '\0';
    return f->text;
}

size_t fixture_log_count(struct fixture *f, const char *words)
{
    size_t count = 0;
    for (const char *at = fixture_log(f); (at = strstr(at, words)) != NULL; at++)
        count++;
    return count;
}

bool fixture_logged(struct fixture *f, const char *words)
{
    return fixture_log_count(f, words) > 0;
}

/* ---- the loop ---- */

void fixture_begin_wait(struct fixture *f)
{
    f->deadline = clock_now() + WAIT_MAX;
}

void fixture_turn(struct fixture *f, const char *what, const char *file, int line)
{
    if (clock_now() > f->deadline) {
        print_error("this did not come about: %s\nthe log says:\n%s", what, fixture_log(f));
        _fail(file, line);
    }
    ev_run(f->loop, EVRUN_ONCE);
}

bool fixture_under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

void fixture_let_happen(struct fixture *f)
{
    for (int i = 0; i < 16; i++)
        ev_run(f->loop, EVRUN_NOWAIT);
}

struct call {
    void (*function)(struct worker *worker);
    struct worker *worker;
};

static void on_call(int events, void *data)
{
    (void)events;
    struct call *call = data;
    call->function(call->worker);
    free(call);
}

void fixture_call(struct fixture *f, void (*function)(struct worker *worker))
{
    struct call *call = malloc(sizeof(*call));
    assert_non_null(call);
    *call = (struct call){.function = function, .worker = f->worker};
    ev_once(f->loop, -1, 0, 0., on_call, call);
}

void fixture_run_to_the_end(struct fixture *f)
{
    fixture_begin_wait(f);
    worker_run(f->worker);
    if (clock_now() > f->deadline)
        fail_msg("the worker does not end; the log says:\n%s", fixture_log(f));
}
