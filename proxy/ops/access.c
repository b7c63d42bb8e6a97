#include "proxy/ops/access.h"

#include <stdlib.h>
#include <string.h>

void access_init(struct access *a, const struct address *client, const char *listener,
                 const char *upstream, turbo_time now)
{
    memset(a, 0, sizeof(*a));
    a->client = *client;
    a->listener = listener;
    a->upstream = upstream;
    a->started = now;
}

void access_add_route(struct access *a, const char *route, const char *upstream)
{
    a->route = route;
    a->upstream = upstream;
}

void access_add_server(struct access *a, const char *server)
{
    free(a->server);
    a->server = strdup(server);
}

void access_add_requested(struct access *a, const char *requested)
{
    free(a->requested);
    a->requested = strdup(requested);
}

void access_count_c2s(struct access *a, turbo_time now, size_t bytes)
{
    if (a->first_request == 0)
        a->first_request = now;
    else if (a->first_answer == 0 && a->first_response != 0)
        a->first_answer = now;
    a->bytes_c2s += bytes;
}

void access_count_s2c(struct access *a, turbo_time now, size_t bytes)
{
    if (a->first_response == 0)
        a->first_response = now;
    a->bytes_s2c += bytes;
}

void access_add_hello(struct access *a, const struct turbo_client_hello *hello)
{
    if (a->server_name == NULL && hello->server_name[0] != '\0')
        a->server_name = strdup(hello->server_name);
}

void access_add_dialect(struct access *a, enum turbo_dialect dialect)
{
    a->dialect = dialect == TURBO_DIALECT_SANDWICH ? "sandwich" : NULL;
}

void access_add_rtt(struct access *a, uint64_t rtt_us)
{
    if (a->rtt_us == 0 && a->outcome != TURBO_OUTCOME_FAILED)
        a->rtt_us = rtt_us;
}

void access_add_outcome(struct access *a, enum turbo_outcome outcome, enum turbo_reason reason)
{
    if (a->outcome != TURBO_OUTCOME_NONE || outcome == TURBO_OUTCOME_NONE)
        return;
    a->outcome = outcome;
    a->reason = reason;
}

void access_cut(struct access *a, enum turbo_reason reason)
{
    a->cut = reason;
}

void access_fail(struct access *a, enum turbo_reason reason)
{
    a->outcome = TURBO_OUTCOME_FAILED;
    a->reason = reason;
}

static uint64_t since_request(const struct access *a, turbo_time at)
{
    return at == 0 || a->first_request == 0 || at < a->first_request ? 0 : at - a->first_request;
}

uint64_t access_first_response_us(const struct access *a)
{
    return since_request(a, a->first_response);
}

uint64_t access_first_answer_us(const struct access *a)
{
    return since_request(a, a->first_answer);
}

void access_end(struct access *a, struct log *log, turbo_time now)
{
    char client[ADDRESS_TEXT_BYTES];
    access_add_outcome(a, a->listener_outcome, a->listener_reason);
    if (a->cut != TURBO_REASON_NONE)
        a->reason = a->cut;
    const char *reason = a->reason == TURBO_REASON_NONE ? NULL : turbo_reason_text(a->reason);
    log_event(log, LOG_LEVEL_INFO, "connection",
              LOG_TEXT("client", address_text(&a->client, client)),
              LOG_TEXT("listener", a->listener), LOG_TEXT("route", a->route),
              LOG_TEXT("upstream", a->upstream), LOG_TEXT("requested", a->requested),
              LOG_TEXT("server", a->server), LOG_TEXT("server_name", a->server_name),
              LOG_TEXT("outcome", turbo_outcome_text(a->outcome)), LOG_TEXT("reason", reason),
              LOG_TEXT("dialect", a->dialect), LOG_NUMBER("rtt_us", a->rtt_us),
              LOG_NUMBER("first_response_us", access_first_response_us(a)),
              LOG_NUMBER("first_answer_us", access_first_answer_us(a)),
              LOG_NUMBER("bytes_c2s", a->bytes_c2s), LOG_NUMBER("bytes_s2c", a->bytes_s2c),
              LOG_NUMBER("duration_us", now - a->started));
    access_free(a);
}

void access_free(struct access *a)
{
    free(a->server);
    free(a->server_name);
    free(a->requested);
    a->server = a->server_name = a->requested = NULL;
}
