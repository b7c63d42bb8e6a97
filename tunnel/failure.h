/* Filling in a tunnel_error. */
#ifndef TUNNEL_FAILURE_H
#define TUNNEL_FAILURE_H

#include "tunnel/result.h"

/* Says why, and returns `result`. `error` may be NULL. */
__attribute__((format(printf, 3, 4))) enum tunnel_result failure(struct tunnel_error *error,
                                                                 enum tunnel_result result,
                                                                 const char *format, ...);

#endif
