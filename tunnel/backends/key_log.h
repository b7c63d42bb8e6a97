/* The file that secrets are written to on request, in the format of SSLKEYLOGFILE: a line of a
 * label, the client's random number and the secret. Threads may share one. */
#ifndef TUNNEL_BACKENDS_KEY_LOG_H
#define TUNNEL_BACKENDS_KEY_LOG_H

#include <stddef.h>

#include "tunnel/result.h"

/* A descriptor to append to, of a file that only its owner reads if it is new. -1: `error`. */
int key_log_open(const char *path, struct tunnel_error *error);
/* One line with its "\n", in one piece. */
void key_log_write(int fd, const char *line, size_t length);

#endif
