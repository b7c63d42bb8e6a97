/*
 * One TCP connection: bytes in order, late where segments were lost.
 *
 * How long a byte is on its way depends on its place in the stream alone: the plan's draw says for
 * each block of a stream how often its segment is lost, whoever sends it and whenever. A run with
 * UDP and one without thus meet the same losses (protocol §12.6), and whatever is written earlier
 * arrives no later: any lateness is the protocol's own. What stands in front of a stream (a
 * tombstone), or came by UDP instead, shifts the places; see tcp_shift.
 *
 * A reset overtakes what is on its way; what had arrived may still be read, as with Linux.
 */
#ifndef SIM_TCP_H
#define SIM_TCP_H

#include "tests/sim/journal.h"
#include "tests/sim/plan.h"

enum tcp_side { TCP_CLIENT, TCP_SERVER };

enum { TCP_FLOW_BYTES = 256 * 1024 };

#define TCP_WINDOW_ANY UINT32_MAX

/* What tcp_read and tcp_write return beside a number of bytes. */
enum { TCP_END = 0, TCP_AGAIN = -1, TCP_RESET = -2 };

struct tcp_flow {
    size_t written, arrived, acknowledged, read;
    int64_t shift; /* byte i is number i + shift of the stream */
    turbo_time last;
    bool fin_written, fin_arrived;
    uint8_t bytes[TCP_FLOW_BYTES];
};

enum tcp_state { TCP_CONNECTING, TCP_UP, TCP_FAILED };

struct tcp;

/* Where connections go: calls to the server end. No `listens`: nothing is there at all. */
struct tcp_listener {
    void *owner;
    bool (*listens)(void *owner);
    void (*accept)(void *owner, struct tcp *tcp);
};

/* The first SYN's connection, the second one's, and a fresh one every 10 s (protocol §6.8). */
enum { TCP_ADDRESSES = 2, TCP_ATTEMPTS = 8 };

struct tcp {
    struct clock *clock;
    struct journal *journal;
    const struct tcp_plan *plan;
    const struct tcp_listener *listener;
    int who;
    unsigned address, attempt;
    enum tcp_state state;
    bool closed[2]; /* this side has reset or left it */
    bool reset[2];  /* a reset has arrived at this side */
    void (*wake[2])(void *owner);
    void *owner[2];
    struct tcp_flow flows[2]; /* by the side that writes */
};

/* The SYN leaves. `address` and `attempt` have draws of their own for SYNs. `wake` is told when it
 * is up or failed.
 */
void tcp_connect(struct tcp *tcp, struct clock *clock, struct journal *journal,
                 const struct tcp_plan *plan, const struct tcp_listener *listener, int who,

                 unsigned address, unsigned attempt);
void tcp_own(struct tcp *tcp, enum tcp_side side, void (*wake)(void *owner), void *owner);

/* Byte 0 of what `side` writes is number `shift` of its stream. */
void tcp_shift(struct tcp *tcp, enum tcp_side side, int64_t shift);
/* How many were taken, or TCP_RESET. */
long tcp_write(struct tcp *tcp, enum tcp_side side, const uint8_t *data, size_t length);
/* The next bytes, as many as one read brings; they count as read. */
long tcp_read(struct tcp *tcp, enum tcp_side side, const uint8_t **data, size_t capacity);
/* The last `length` bytes that were read are to be read again. */
void tcp_unread(struct tcp *tcp, enum tcp_side side, size_t length);
/* Would a read say anything but TCP_AGAIN? Would it be TCP_RESET? */
bool tcp_readable(const struct tcp *tcp, enum tcp_side side);
bool tcp_is_reset(const struct tcp *tcp, enum tcp_side side);
/* Has all that `side` wrote arrived? */
bool tcp_delivered(const struct tcp *tcp, enum tcp_side side);
void tcp_finish(struct tcp *tcp, enum tcp_side side);
/* RST; nobody is woken on this side any more. Also leaves a connection that is not up. */
void tcp_abort(struct tcp *tcp, enum tcp_side side);
/* Both streams have ended: nobody is woken on this side any more. */
void tcp_leave(struct tcp *tcp, enum tcp_side side);

#endif
