/*
 * Of whom an I/O is: each of these fills in the report of its own, and says false of any other.
 */
#ifndef TUNNEL_IO_REPORT_H
#define TUNNEL_IO_REPORT_H

#include "tunnel/io.h"

bool tcp_report(const struct tunnel_io *io, struct tunnel_io_report *report);
bool turbo_report(const struct tunnel_io *io, struct tunnel_io_report *report);

#endif
