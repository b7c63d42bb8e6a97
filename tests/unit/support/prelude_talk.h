/*
 * Dialogues with a prelude, written down line by line and held in every way they can come:
 *
 *   static const struct talk talks[] = {
 *       {"a request", {PEER("GET x\r\n"), WE("no\r\n"), PEER("BYE\r\n")}, OVER(PRELUDE_LEFT)},
 *   };
 *   talks_hold(&part, &setting, talks, COUNT(talks));
 *
 * Each is held with the peer's bytes whole, byte by byte, in pieces, and cut at every place; line
 * by line, and with all that the peer will say there from the start; with the output taken as soon
 * as there is some, after all that the peer says at once, and byte by byte. What is said, and what
 * comes of it, must be the same each time. Memory and pieces are in blocks of exactly their size.
 */
#ifndef TEST_PRELUDE_TALK_H
#define TEST_PRELUDE_TALK_H

#include "tests/unit/support/check.h"

#include "proxy/prelude/prelude.h"

enum { TALK_LINES_MAX = 48, TALK_BYTES_MAX = 64 * 1024 };

enum talk_kind { TALK_NOTHING, TALK_PEER, TALK_WE, TALK_ASKS, TALK_ANSWER, TALK_END };

struct talk_line {
    enum talk_kind kind;
    const char *bytes; /* PEER, WE; ASKS: the host */
    size_t length;
    uint16_t port;              /* ASKS */
    enum prelude_answer answer; /* ANSWER */
};

/* Of string literals, which may have zero bytes in them. */
#define PEER(text)                                                                                 \
    {                                                                                              \
        .kind = TALK_PEER, .bytes = (text), .length = sizeof(text) - 1                             \
    }
#define WE(text)                                                                                   \
    {                                                                                              \
        .kind = TALK_WE, .bytes = (text), .length = sizeof(text) - 1                               \
    }
/* The same of bytes made at run time. */
#define PEER_BYTES(text, size)                                                                     \
    {                                                                                              \
        .kind = TALK_PEER, .bytes = (text), .length = (size)                                       \
    }
#define WE_BYTES(text, size)                                                                       \
    {                                                                                              \
        .kind = TALK_WE, .bytes = (text), .length = (size)                                         \
    }
/* What was asked for by now; and how that is answered. */
#define ASKS(host, to)                                                                             \
    {                                                                                              \
        .kind = TALK_ASKS, .bytes = (host), .port = (to)                                           \
    }
#define ANSWER(what)                                                                               \
    {                                                                                              \
        .kind = TALK_ANSWER, .answer = (what)                                                      \
    }
/* The peer's stream ends. */
#define END                                                                                        \
    {                                                                                              \
        .kind = TALK_END                                                                           \
    }

/* What comes of it, for a `struct talk`. */
#define MORE            .state = PRELUDE_MORE
#define DONE            .state = PRELUDE_DONE
#define DONE_REST(text) .state = PRELUDE_DONE, .rest = (text), .rest_length = sizeof(text) - 1
#define OVER(fault_)    .state = PRELUDE_OVER, .fault = (fault_)

struct talk {
    const char *title;
    struct talk_line lines[TALK_LINES_MAX];
    enum prelude_state state;
    enum prelude_fault fault;
    const char *noted; /* what prelude_said tells; NULL: nothing */
    /* DONE: what follows the prelude, taken or not. */
    const char *rest;
    size_t rest_length;
    /* Only line by line: it would be another dialogue if the peer did not wait. */
    bool waits;
};

/* Bytes for them: `line` over and over; `begin`, x as often as there is room for it, and `end`. */
void talk_repeat(char *bytes, size_t size, const char *line);
void talk_stretch(char *bytes, size_t size, const char *begin, const char *end);

/* `setting` may be NULL: of one who is called [192.0.2.1]. Fails naming the talk and the way. */
void talks_hold(const struct prelude_part *part, const struct prelude_setting *setting,
                const struct talk *talks, size_t count);

#endif
