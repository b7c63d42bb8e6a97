/*
 * What a tunnel speaks over: anything that takes and gives bytes.
 *
 *   tunnel ──write──▶ ┌────┐ ──▶ memory, pipe, socket, TCP, TurboTLS, your own
 *          ◀──read─── │ io │ ◀──
 *          set_state▶ └────┘
 *
 * None of the functions of an I/O blocks. What to wait for it tells by `watch`; tunnel_io_wait
 * does so with ppoll(2), an event loop puts the same descriptors among its own.
 */
#ifndef TUNNEL_IO_H
#define TUNNEL_IO_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "tunnel/result.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tunnel_io;

/* How far the tunnel above is: told before every read and write, and when it ends. */
enum tunnel_state {
    TUNNEL_NOT_CONNECTED,
    TUNNEL_CONNECTION_IN_PROGRESS,
    TUNNEL_HANDSHAKE_IN_PROGRESS,
    TUNNEL_HANDSHAKE_DONE,
    TUNNEL_BEING_SHUT_DOWN,
    TUNNEL_DISCONNECTED,
    TUNNEL_ERROR,
};

/* "not connected", …: Sandwich's names. */
const char *tunnel_state_name(enum tunnel_state state);

#define TUNNEL_FOR_EVER UINT64_MAX
enum { TUNNEL_WATCH_MAX = 8 };

/* What to wait for before the same call is made again. */
struct tunnel_watch {
    struct pollfd fds[TUNNEL_WATCH_MAX];
    size_t count;
    /* Or until then, on CLOCK_MONOTONIC; TUNNEL_FOR_EVER: no matter how long. */
    uint64_t deadline_us;
};

/* Your own I/O: a structure that begins with a struct tunnel_io, whose `ops` point to a table of
 * yours. */
struct tunnel_io_ops {
    /*
     * Up to `capacity` (> 0) bytes. OK: `*got` > 0 of them; WANT_READ (rarely WANT_WRITE): none
     * yet; CLOSED: no more will come; IO, UNREACHED, TIMEOUT, …: it is over, and tunnel_io_error
     * says why.
     */
    enum tunnel_result (*read)(struct tunnel_io *io, void *buffer, size_t capacity, size_t *got);
    /* OK: `*taken` > 0 of `length` (> 0) bytes were taken; WANT_WRITE (rarely WANT_READ): none yet;
     * else it is over. */
    enum tunnel_result (*write)(struct tunnel_io *io, const void *data, size_t length,
                                size_t *taken);
    /* Ends it and frees `io`. What was written is still delivered, unless `reset`: then the peer is
     * told that it was not in order. */
    void (*close)(struct tunnel_io *io, bool reset);
    /* NULL: of no interest. */
    void (*set_state)(struct tunnel_io *io, enum tunnel_state state);
    /* Adds what `want` (WANT_READ or WANT_WRITE) depends on to an empty `watch`. NULL: nothing to
     * wait for, as in memory. */
    void (*watch)(struct tunnel_io *io, enum tunnel_result want, struct tunnel_watch *watch);
    /* The last failure in words, or NULL. May be NULL. */
    const char *(*error)(const struct tunnel_io *io);
};

struct tunnel_io {
    const struct tunnel_io_ops *ops;
};

/* ---- using one directly, as before STARTTLS ---- */

/* As the I/O's own. Reading into no bytes is MISUSE, writing none OK; OK with nothing done, which
 * no I/O may say, is IO. */
enum tunnel_result tunnel_io_read(struct tunnel_io *io, void *buffer, size_t capacity, size_t *got);
enum tunnel_result tunnel_io_write(struct tunnel_io *io, const void *data, size_t length,
                                   size_t *taken);
/* NULL is allowed. */
void tunnel_io_close(struct tunnel_io *io);
/* Empties `watch`, then asks the I/O. */
void tunnel_io_watch(struct tunnel_io *io, enum tunnel_result want, struct tunnel_watch *watch);
/*
 * Waits until `want` may have become possible. `timeout_ms` < 0: for ever. OK; TIMEOUT; MISUSE: the
 * I/O has nothing to wait for (memory: the other end must act); IO: ppoll failed.
 */
enum tunnel_result tunnel_io_wait(struct tunnel_io *io, enum tunnel_result want, int timeout_ms);
/* All of it, waiting where need be. `timeout_ms` is for each wait. */
enum tunnel_result tunnel_io_write_all(struct tunnel_io *io, const void *data, size_t length,
                                       int timeout_ms);
const char *tunnel_io_error(const struct tunnel_io *io); /* never NULL */

/* ---- those provided; each is closed by its tunnel, or by tunnel_io_close ---- */

/*
 * Two ends in memory: what is written to one is read from the other, at most `capacity` bytes on
 * their way in each direction. For two tunnels in one process, or, with the second end in your own
 * hands, PEP 543's wrapped buffers: write what came from the peer into it, and send what is read
 * from it. Both ends belong to one thread. False: no memory.
 */
bool tunnel_io_memory_pair(size_t capacity, struct tunnel_io **a, struct tunnel_io **b);

/* A connected stream socket, terminal or pipe end; for two pipes `write_fd` is the other one, else
 * the same number. Makes them non-blocking, and owns them from then on. NULL: no memory, or not a
 * descriptor (errno); they stay the caller's. */
struct tunnel_io *tunnel_io_fd(int read_fd, int write_fd);

/*
 * What is learned of TurboTLS servers, address by address: that they speak it, how far away they
 * are, how much they send, or that UDP does not get through (docs/protocol.md §6.9). Later
 * connections ask for what is needed, and do not ask in vain. 256 addresses; the one that has not
 * been used for the longest is forgotten. Threads may share it.
 */
struct tunnel_memory;
struct tunnel_memory *tunnel_memory_new(void); /* NULL: no memory */
/* Once every I/O that was dialled with it is closed. NULL is allowed. */
void tunnel_memory_free(struct tunnel_memory *memory);

struct tunnel_io_dial { /* nothing of it is needed after the call, but `memory` */
    const char *host;   /* a name, or an address without brackets; "fe80::1%eth0" */
    uint16_t port;
    int timeout_ms; /* until TCP is up, with looking up the name; 0: 60 s */
    /* Who resolves names: "192.0.2.53,[2001:db8::53]:5353". NULL: as /etc/resolv.conf says. */
    const char *name_servers;
    /* TurboTLS only. */
    uint16_t udp_port; /* 0: the same */
    bool sandwich; /* the server speaks Sandwich's dialect, and no other (docs/protocol.md §11) */
    bool always;   /* UDP also where TCP is up at once, as on loopback: for tests */
    struct tunnel_memory *memory; /* NULL: every connection is the first one */
};

/* Resolves and connects while it is read and written. Addresses are raced (RFC 8305). NULL, with
 * errno: no memory, or `host` is no name (EINVAL). */
struct tunnel_io *tunnel_io_tcp(const struct tunnel_io_dial *dial);
/*
 * The first flights go by UDP while TCP connects (docs/protocol.md): one round trip less. Where UDP
 * does not get through, or the server knows nothing of it, it is plain TLS over TCP.
 *
 * What was written before TCP is up leaves once it is, which takes calls: read, write, or another
 * write until it is taken. From TUNNEL_BEING_SHUT_DOWN on, nothing is taken before all earlier
 * bytes have gone to TCP: after tunnel_close nothing is left behind. What is left when it is closed
 * is lost, and the server is told (a reset).
 */
struct tunnel_io *tunnel_io_turbo(const struct tunnel_io_dial *dial);

/* How a connection was made, so far: for people and measurements. Times in microseconds since it
 * began; 0: not (yet). */
struct tunnel_io_report {
    char peer[80];         /* "192.0.2.1:443"; "": not connected */
    uint64_t resolved_us;  /* the name was known */
    uint64_t first_udp_us; /* the first response came by UDP */
    uint64_t tcp_us;       /* TCP was up */
    const char *outcome; /* "turbo", "resumed-on-tcp", "classic", …; "tcp" for those without UDP */
    const char *reason;  /* why not turbo; NULL */
};

/* Of tunnel_io_tcp, tunnel_io_turbo and what listeners accept. False: it is none of these. */
bool tunnel_io_report(const struct tunnel_io *io, struct tunnel_io_report *report);

/* ---- listeners ---- */

struct tunnel_listener;

struct tunnel_listen {
    const char *host; /* an address, or NULL: all of them, IPv4 and IPv6 */
    uint16_t port;    /* 0: any; see tunnel_listener_port */
    /* TurboTLS only. */
    uint16_t udp_port;     /* 0: the same */
    bool sandwich;         /* clients of Sandwich's dialect are welcome, too */
    uint32_t sessions_max; /* that have begun by UDP and not come by TCP yet; 0: 1024 */
    uint32_t waiting_max;  /* TCP connections that have not said what they are; 0: 1024 */
};

struct tunnel_listener *tunnel_listen_tcp(const struct tunnel_listen *settings,
                                          struct tunnel_error *error);
/*
 * One UDP and one TCP port for TurboTLS and plain TLS. Sessions that begin by UDP and the TCP
 * connections that join them are put together here. It is driven by whoever uses it or what it
 * has accepted: threads may have one I/O each, and each must not be used by two at once.
 */
struct tunnel_listener *tunnel_listen_turbo(const struct tunnel_listen *settings,
                                            struct tunnel_error *error);
/* The next connection: OK and `*io`; WANT_READ: none yet; IO: out of descriptors or memory for now,
 * with errno. */
enum tunnel_result tunnel_listener_accept(struct tunnel_listener *listener, struct tunnel_io **io);
void tunnel_listener_watch(struct tunnel_listener *listener, struct tunnel_watch *watch);
/* Waits for a connection; as tunnel_io_wait. */
enum tunnel_result tunnel_listener_wait(struct tunnel_listener *listener, int timeout_ms);
uint16_t tunnel_listener_port(const struct tunnel_listener *listener);
/* What it has accepted lives on, and what has begun by UDP there ends. NULL is allowed. */
void tunnel_listener_close(struct tunnel_listener *listener);

#ifdef __cplusplus
}
#endif

#endif
