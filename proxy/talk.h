/*
 * A prelude spoken over a TCP socket: its bytes are read and written, nothing else is.
 */
#ifndef PROXY_TALK_H
#define PROXY_TALK_H

#include "proxy/prelude/prelude.h"

struct talk;

enum talk_result {
    TALK_MORE,  /* waits for the peer: watch the socket, see talk_wants_write */
    TALK_ASKED, /* the client has asked for a host: answer, and run it again */
    TALK_DONE,  /* all is said; prelude_rest may have bytes of what follows */
    TALK_OVER,  /* it leads nowhere, and the peer has been told what it is told */
    TALK_LOST,  /* the connection was reset */
};

/* Over `fd`, a connected socket that stays the caller's. `logins`: as in prelude_setting. NULL: out
 * of memory. */
struct talk *talk_start(const struct prelude_part *part, int fd, const struct prelude_login *logins,
                        size_t login_count);
/* These have come already: they are heard before what is in the socket, and are not copied. */
void talk_hear_first(struct talk *talk, const uint8_t *bytes, size_t length);
/* So many of them are left, behind prelude_rest. */
size_t talk_unheard(const struct talk *talk);
/* NULL is allowed. */
void talk_end(struct talk *talk);

/* Says and hears what can be said and heard now. */
enum talk_result talk_run(struct talk *talk);
/* TALK_MORE: is there something to be said that the socket has not taken? Else it is to be read. */
bool talk_wants_write(const struct talk *talk);
struct prelude *talk_prelude(struct talk *talk);

#endif
