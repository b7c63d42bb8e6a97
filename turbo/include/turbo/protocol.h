/*
 * Every constant of the protocol: layout, limits, timeouts. Nowhere else is a number written out.
 * Sizes in bytes, times in microseconds. docs/protocol.md §8 lists the same values.
 */
#ifndef TURBO_PROTOCOL_H
#define TURBO_PROTOCOL_H

/* Layout: id (12) | flags (1) | sequence (3, big-endian) | payload. Protocol §3. */
#define TURBO_ID_BYTES             12
#define TURBO_HEADER_BYTES         16
#define TURBO_DATAGRAM_MAX         1200
#define TURBO_REQUEST_PAYLOAD_MAX  1184 /* a whole datagram less its header */
#define TURBO_RESPONSE_PAYLOAD_MAX 1182 /* two less: parity carries a length (protocol §9) */
#define TURBO_PARITY_PAYLOAD_MIN   2    /* the XOR of the lengths; the most is a request's */
#define TURBO_TOMBSTONE_BYTES      16

/* The Sandwich dialect: id (16) | index (1) | payload; tombstone: id (16) | last (1). §11. */
#define SANDWICH_ID_BYTES        16
#define SANDWICH_HEADER_BYTES    17
#define SANDWICH_TOMBSTONE_BYTES 17
#define SANDWICH_PAYLOAD_MAX     1024
#define SANDWICH_DATAGRAM_MAX    1041

/* Flags, client to server. */
#define TURBO_FLAG_REPLAY 0x01 /* tombstone: the whole C→S stream follows */
#define TURBO_FLAG_ABORT  0x02 /* datagram: the client has given up */
/* Flags, server to client. */
#define TURBO_FLAG_PROFILE1 0x10 /* always set; tells this profile from a draft server */
#define TURBO_FLAG_REFUSED  0x20 /* no session here: empty, sequence 0 */
#define TURBO_FLAG_PARITY   0x40 /* protocol §9 */

/* Limits. */
#define TURBO_CHUNKS_MAX         64    /* per direction */
#define TURBO_STREAM_KEPT_MAX    65536 /* S→C bytes kept until TCP joins */
#define TURBO_HELLO_MAX          16384 /* a ClientHello with its record headers */
#define TURBO_HELLO_CHUNKS_MAX   8     /* larger ones go the classic way */
#define TURBO_REQUEST_CHUNKS_MAX 16    /* C→S chunks with bytes a server keeps */
#define TURBO_REQUESTS_MAX       16    /* sent at once */
#define TURBO_REQUEST_BYTES_MAX  14720 /* sent at once; RFC 6928's initial window */
#define TURBO_REQUESTS_SPARE     3     /* more requests than chunks expected */
#define TURBO_HELLO_COPIES       3     /* each ClientHello chunk is sent at least this often */
#define TURBO_REQUESTS_UNPROVEN  6     /* until this address has ever answered (protocol §10) */
#define TURBO_BUDGET_FACTOR      3     /* response bytes per request byte; RFC 9000 §8.1 */
#define TURBO_PATHS_MAX          4     /* client addresses one session answers */
#define TURBO_ORPHANS_MAX        64    /* datagrams waiting for their chunk 1 */
#define TURBO_CLIENT_HELD_MAX    32768 /* C→S bytes a client end holds until TCP takes them */

#define SANDWICH_FIRST_FLIGHT      14   /* requests of a client's first flight, at least */
#define SANDWICH_SPARE             4    /* requests more than responses expected, at least */
#define SANDWICH_REPEATS           1    /* of requests, before a response counts as lost */
#define SANDWICH_RESTARTS_MAX      2    /* sessions anew, for a response that was lost */
#define SANDWICH_ACCEPTED_MAX      1024 /* TCP connections remembered, to match datagrams with */
#define SANDWICH_ACCEPTED_SESSIONS 4    /* … and each proves its address for so many sessions */

#define TURBO_LEARNED_FLIGHTS 8 /* an upstream's last flights remembered */
#define TURBO_SILENT_IN_ROW   2 /* connections without any UDP: then a pause */
#define TURBO_SILENT_PROVEN   4 /* the same, where UDP has worked since the last pause */
#define TURBO_PARTIAL_IN_ROW  4 /* connections with a part of the flight: then a pause */

/* First contact: what a flight is expected to need before anything was learned (protocol §4). */
#define TURBO_EXPECTED_CHUNKS 4
#define TURBO_EXPECTED_BYTES  4608

/* Defaults of an endpoint's limits; its user may change them. */
#define TURBO_SESSIONS_DEFAULT 1024
#define TURBO_PENDING_DEFAULT  128    /* connections to one TLS server that no TCP has joined yet */
#define TURBO_PENDING_UNPROVEN 64     /* those of them whose source may be forged */
#define TURBO_ENDED_DEFAULT    262144 /* ids remembered as ended */
#define TURBO_MEMORY_DEFAULT   67108864 /* bytes of all sessions: 64 MiB */
/*
 * New sessions a second; as many may come at once. Globally, from one IPv4 address or IPv6 /64,
 * and from one IPv6 /48. At the first the table of ended ids never fills.
 */
#define TURBO_RATE_DEFAULT        1000
#define TURBO_SOURCE_RATE_DEFAULT 250
#define TURBO_SITE_RATE_DEFAULT   500
#define TURBO_REFUSAL_RATE        1000 /* REFUSED a second; beyond it there is silence */

/* Timeouts. */
#define TURBO_MILLISECOND 1000ull
#define TURBO_SECOND      1000000ull

#define TURBO_PENDING_TIME  (10 * TURBO_SECOND)   /* a session that has sent no response */
#define TURBO_ANSWERED_TIME (30 * TURBO_SECOND)   /* one that has, waiting for TCP */
#define TURBO_ENDED_TIME    (30 * TURBO_SECOND)   /* an ended id is remembered */
#define TURBO_PROVEN_TIME   (3600 * TURBO_SECOND) /* a source has opened a TCP connection */
#define TURBO_ORPHAN_TIME   (1 * TURBO_SECOND)    /* a chunk without its chunk 1 */
#define TURBO_HOLD_TIME     500ull                /* a partial chunk waits for more bytes */
/*
 * No S→C byte for this long: parity, and permits to spare repeat chunks. Longer than an RSA
 * signature takes: a TLS server may send what comes before it first, and the permits must last for
 * what comes after; shorter than any wait of a client end. Where the flight seems complete: less.
 */
#define TURBO_QUIET_TIME       (3 * TURBO_MILLISECOND)
#define TURBO_QUIET_TIME_ENDED (1 * TURBO_MILLISECOND)

#define TURBO_WAIT_MIN         (5 * TURBO_MILLISECOND)  /* TCP up, app silent: then open anyway */
#define TURBO_WAIT_MAX         (50 * TURBO_MILLISECOND) /* in all, restarts included */
#define TURBO_WAIT_RTT_DIVISOR 8                        /* first contact: RTT / 8 */
/* TCP is not up after 1.5 round trips, but so much later than one at least: connect again. */
#define TURBO_SYN_SLACK      (10 * TURBO_MILLISECOND)
#define TURBO_MEASURE_TIME   (2 * TURBO_SECOND)  /* the flight is measured, after the opening */
#define TURBO_PAUSE_MIN      (30 * TURBO_SECOND) /* no UDP; doubled each time it still fails */
#define TURBO_PAUSE_MAX      (600 * TURBO_SECOND)
#define TURBO_ADDRESS_TIME   (10 * TURBO_SECOND) /* for all addresses but the last */
#define TURBO_FRESH_SYN_TIME (10 * TURBO_SECOND) /* the kernel's retries have become too rare */
#define TURBO_CONNECT_TIME   (60 * TURBO_SECOND)
#define TURBO_OPENING_TIME   (60 * TURBO_SECOND)
/* A client end's requests are repeated after two round trips, so long at least; then doubling. */
#define SANDWICH_REPEAT_MIN     (200 * TURBO_MILLISECOND)
#define SANDWICH_REPEAT_TIME    (10 * TURBO_SECOND)      /* after the opening; until TCP is heard */
#define SANDWICH_HOLE_MIN       (50 * TURBO_MILLISECOND) /* a response is missing: 1.5 round trips */
#define SANDWICH_SILENCE_TIME   (10 * TURBO_SECOND)      /* nothing new comes: it fails */
#define SANDWICH_ACCEPTED_TIME  (10 * TURBO_SECOND)      /* a TCP connection proves its address */
#define SANDWICH_HANDSHAKE_TIME (5 * TURBO_SECOND)       /* TCP's bytes wait for UDP's */
#define TURBO_HANDOVER_TIME     (5 * TURBO_SECOND) /* pending sessions may join while draining */

#endif
