#include "tunnel/io/report.h"

#include <string.h>

#include "tunnel/io/accepted.h"

bool tunnel_io_report(const struct tunnel_io *io, struct tunnel_io_report *report)
{
    memset(report, 0, sizeof(*report));
    return tcp_report(io, report) || turbo_report(io, report) || accepted_report(io, report);
}
