/*
 * A worker as the command line makes one, with its upstream, its clients and its log in the test's
 * hands, all on one loop. Ports are the kernel's choice.
 *
 *   struct fixture *f = *state;
 *   fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
 *   struct peer *client = fixture_client(f);
 *   struct peer *server = fixture_server(f, 0);
 *   peer_say(client, "hello");
 *   UNTIL(f, peer_heard(server, "hello"));
 */
#ifndef TEST_WORKER_FIXTURE_H
#define TEST_WORKER_FIXTURE_H

#include "tests/unit/support/check.h"
#include "tests/unit/support/peer.h"

#include "proxy/config/config.h"
#include "proxy/generation.h"
#include "proxy/worker.h"

#define FIXTURE_CASE(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)

enum { FIXTURE_SERVED_MAX = 32, FIXTURE_LOG_BYTES = 256 * 1024 };

struct fixture {
    struct config *config;
    struct log log;
    struct workmates *mates; /* of several, of which it is the first; NULL: it is alone */
    struct worker *worker;
    struct ev_loop *loop;
    uint16_t server_port; /* the upstream's, listening on 127.0.0.1 */
    int server_fd;
    ev_io server_io;
    struct peer *served[FIXTURE_SERVED_MAX]; /* the connections it accepted */
    size_t served_count;
    struct peer *peers;
    struct datagrams *datagrams;
    ev_timer beat; /* so that what no watcher tells is looked at as well */
    turbo_time deadline;
    int log_fd[2];
    char text[FIXTURE_LOG_BYTES];
    size_t text_length;
    size_t files_before;
};

/* cmocka's set-up and tear-down. The latter fails when a descriptor is left open. */
int fixture_open(void **state);
int fixture_close(void **state);

/* Creates the worker; with a --listen it listens. */
void fixture_start(struct fixture *f, const char *arguments, ...)
    __attribute__((format(printf, 2, 3)));
void fixture_parse(struct fixture *f, const char *arguments, ...)
    __attribute__((format(printf, 2, 3)));
/* The same of a configuration's text; a mistake in it fails the test. */
void fixture_configure(struct fixture *f, const char *text, ...)
    __attribute__((format(printf, 2, 3)));
void fixture_run_worker(struct fixture *f);
/* Creates the worker for what was parsed or configured; it listens. */
void fixture_serve(struct fixture *f);
/* Puts another configuration in force, which must be possible. */
void fixture_reconfigure(struct fixture *f, const char *text, ...)
    __attribute__((format(printf, 2, 3)));

/* What the configuration says of a listener; a test may change it before it is used. */
struct config_listener *fixture_settings(const struct fixture *f, size_t listener);
/* The first upstream. */
struct upstream *fixture_upstream(const struct fixture *f);

/* The ports of the worker's listener. */
uint16_t fixture_port(const struct fixture *f, size_t listener);
uint16_t fixture_udp_port(const struct fixture *f, size_t listener);
/* A client of the first listener, or of any. */
struct peer *fixture_client(struct fixture *f);
struct peer *fixture_connect(struct fixture *f, const char *host, uint16_t port);
/* From another address of this host's. */
struct peer *fixture_connect_from(struct fixture *f, const char *from, uint16_t port);
/* The upstream's connection number `n` from 0, waited for. */
struct peer *fixture_server(struct fixture *f, size_t n);
/* Any connected socket, and one end of a connected pair whose other end is `*fd`. */
struct peer *fixture_adopt(struct fixture *f, int fd);
struct peer *fixture_pair(struct fixture *f, int *fd);
/* A UDP socket: connected to a port, or bound to one of its own, which goes to `*port`. */
struct datagrams *fixture_udp(struct fixture *f, const char *host, uint16_t port);
struct datagrams *fixture_udp_from(struct fixture *f, const char *from, uint16_t port);
struct datagrams *fixture_udp_server(struct fixture *f, uint16_t *port);
struct datagrams *fixture_udp_server_at(struct fixture *f, const char *host, uint16_t *port);
/* A TCP port of 127.0.0.1 that nobody has now. */
uint16_t fixture_free_port(void);
/* Another upstream, listening at 127.0.0.1; its next connection, waited for. The caller closes. */
int fixture_other_server(uint16_t *port);
struct peer *fixture_other_accepts(struct fixture *f, int server);
/* A TCP port that is bound and refuses connections. The caller closes the result. */
int fixture_refusing_port(const char *host, uint16_t *port);
/* One whose queue is full, so that the kernel drops what asks for a connection; likewise. */
int fixture_silent_port(struct fixture *f, const char *host, uint16_t *port);

/* All that the worker has logged so far. */
const char *fixture_log(struct fixture *f);
bool fixture_logged(struct fixture *f, const char *words);
/* How often. */
size_t fixture_log_count(struct fixture *f, const char *words);

/* From within the loop, soon. */
void fixture_call(struct fixture *f, void (*function)(struct worker *worker));
/* Until a drain has ended. */
void fixture_run_to_the_end(struct fixture *f);

/* The loop runs until the condition is true; the test fails when that takes too long. */
#define UNTIL(f_, condition_)                                                                      \
    do {                                                                                           \
        fixture_begin_wait(f_);                                                                    \
        while (!(condition_))                                                                      \
            fixture_turn((f_), #condition_, __FILE__, __LINE__);                                   \
    } while (0)
void fixture_begin_wait(struct fixture *f);
void fixture_turn(struct fixture *f, const char *what, const char *file, int line);
/* valgrind keeps limits of descriptors its own way: an accept beyond them loses the connection. */
bool fixture_under_valgrind(void);
/* Lets happen what would happen now. */
void fixture_let_happen(struct fixture *f);

#endif
