#include "proxy/upstream.h"

#include <stdio.h>
#include <string.h>

#include "proxy/sides/plain.h"
#include "proxy/sides/turbo_client.h"

void upstream_init(struct upstream *u, const struct upstream_option *option)
{
    memset(u, 0, sizeof(*u));
    u->option = *option;
    bool literal_v6 = strchr(option->host, ':') != NULL;
    snprintf(u->text, sizeof(u->text), "%s:%s%s%s:%u",
             option->kind == ENDPOINT_TURBO ? "turbo" : "tcp", literal_v6 ? "[" : "", option->host,
             literal_v6 ? "]" : "", option->port);
}

struct side *upstream_open(struct upstream *u, struct worker *worker)
{
    if (u->option.kind == ENDPOINT_TURBO)
        return turbo_client_side(worker, u);
    return plain_connecting(worker, u);
}

bool upstream_has_room(const struct upstream *u, bool proven)
{
    return u->pending < (proven ? TURBO_PENDING_DEFAULT : TURBO_PENDING_UNPROVEN);
}

void upstream_failed(const struct upstream *u, struct log *log, const char *error)
{
    log_event(log, LOG_LEVEL_WARNING, "cannot connect to the upstream",
              LOG_TEXT("upstream", u->text), LOG_TEXT("error", error));
}
