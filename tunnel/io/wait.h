/* Waiting for what a tunnel_watch says. */
#ifndef TUNNEL_IO_WAIT_H
#define TUNNEL_IO_WAIT_H

#include "tunnel/io.h"

/* As tunnel_io_wait. */
enum tunnel_result watch_wait(struct tunnel_watch *watch, int timeout_ms);

#endif
