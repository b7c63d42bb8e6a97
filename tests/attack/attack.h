/*
 * What the attacks share: where to, how fast, until when. One process is one attack from one
 * network namespace; it says at its end, in one line of JSON, what it has done.
 */
#ifndef ATTACK_H
#define ATTACK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct place { /* in the host's byte order */
    uint32_t ip;
    uint16_t port;
};

struct order {
    struct place edge;
    uint32_t client;       /* the well-behaved clients' address */
    const char *interface; /* the wire between them and the edge */
    double rate;           /* datagrams or openings a second */
    uint64_t count;        /* so many in all, then it ends; 0: until SIGTERM */
    uint32_t at_once;      /* openings held at the same time */
    uint32_t sources;      /* spoofed addresses; 0: as many as there are */
};

/* Returns the exit code. */
typedef int attack_run(const struct order *order);

/* floods.c */
attack_run flood_hellos, flood_partial, flood_junk, flood_guesses, flood_budget, flood_large;
attack_run replay_captures;                                       /* replay.c */
attack_run forge_responses;                                       /* forge.c */
attack_run open_half, open_in_a_row, open_tombstones, open_large; /* openings.c */
attack_run measure;                                               /* meter.c */

/* SIGTERM or SIGINT came. */
bool attack_stopped(void);

struct sockaddr_in place_sockaddr(struct place place);

#endif
