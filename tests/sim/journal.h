/*
 * What a run tells: a line for everything that happens when it is traced, and the first thing that
 * must not be.
 */
#ifndef SIM_JOURNAL_H
#define SIM_JOURNAL_H

#include "tests/sim/clock.h"

struct journal {
    const struct clock *clock;
    bool traced;
    bool classic;       /* the run without UDP */
    const char *broken; /* the clause that does not hold; NULL: all do */
    char text[256];
};

/* One line of the trace; `who` is a connection's number, or -1 for the server end. */
__attribute__((format(printf, 3, 4))) void journal_line(struct journal *journal, int who,
                                                        const char *format, ...);
/* A clause of protocol §12 does not hold. The first counts; the run stops behind this event. */
__attribute__((format(printf, 4, 5))) void journal_breach(struct journal *journal, int who,
                                                          const char *clause, const char *format,
                                                          ...);

/* Costs nothing when nothing is traced. */
#define TRACE(journal, ...)                                                                        \
    do {                                                                                           \
        if ((journal)->traced)                                                                     \
            journal_line((journal), __VA_ARGS__);                                                  \
    } while (0)

#endif
