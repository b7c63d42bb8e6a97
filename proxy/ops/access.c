#include "proxy/ops/access.h"

#include <stdlib.h>
#include <string.h>

void access_init(struct access *a, const struct address *client, turbo_time now)
{
    *a = (struct access){.client = *client, .started = now};
}

void access_add_requested(struct access *a, const char *requested)
{
    free(a->requested);
    a->requested = strdup(requested);
}

static uint32_t to_32(uint64_t us)
{
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* What comes within one turn of the loop has come, too. */
static uint32_t since_request(const struct access *a, turbo_time now)
{
    return to_32(now > a->first_request ? now - a->first_request : 1);
}

void access_count_c2s(struct access *a, turbo_time now, size_t bytes)
{
    if (a->first_request == 0)
        a->first_request = now;
    else if (a->first_answer_us == 0 && a->bytes_s2c > 0)
        a->first_answer_us = since_request(a, now);
    a->bytes_c2s += bytes;
}

void access_count_s2c(struct access *a, turbo_time now, size_t bytes)
{
    if (a->bytes_s2c == 0 && a->first_request != 0)
        a->first_response_us = since_request(a, now);
    a->bytes_s2c += bytes;
}

void access_add_hello(struct access *a, const struct turbo_client_hello *hello,
                      const struct log *log)
{
    if (a->server_name == NULL && hello->server_name[0] != '\0' && log_wants(log, LOG_LEVEL_INFO))
        a->server_name = strdup(hello->server_name);
}

void access_add_dialect(struct access *a, enum turbo_dialect dialect)
{
    a->sandwich = dialect == TURBO_DIALECT_SANDWICH;
}

void access_add_rtt(struct access *a, uint64_t rtt_us)
{
    if (a->rtt_us == 0 && a->outcome != TURBO_OUTCOME_FAILED)
        a->rtt_us = to_32(rtt_us);
}

bool access_wants_rtt(const struct access *a, const struct log *log)
{
    return a->rtt_us == 0 && (a->outcome == TURBO_OUTCOME_TURBO || log_wants(log, LOG_LEVEL_INFO));
}

void access_add_outcome(struct access *a, enum turbo_outcome outcome, enum turbo_reason reason)
{
    if (a->outcome != TURBO_OUTCOME_NONE || outcome == TURBO_OUTCOME_NONE)
        return;
    a->outcome = (uint8_t)outcome;
    a->reason = (uint8_t)reason;
}

void access_cut(struct access *a, enum turbo_reason reason)
{
    a->cut = (uint8_t)reason;
}

void access_fail(struct access *a, enum turbo_reason reason)
{
    a->outcome = TURBO_OUTCOME_FAILED;
    a->reason = (uint8_t)reason;
}

static void write_line(const struct access *a, const struct access_names *names, struct log *log,
                       turbo_time now)
{
    char client[ADDRESS_TEXT_BYTES];
    const char *reason = a->reason == TURBO_REASON_NONE ? NULL : turbo_reason_text(a->reason);
    log_event(
        log, LOG_LEVEL_INFO, "connection", LOG_TEXT("client", address_text(&a->client, client)),
        LOG_TEXT("listener", names->listener), LOG_TEXT("route", names->route),
        LOG_TEXT("upstream", names->upstream), LOG_TEXT("requested", a->requested),
        LOG_TEXT("server", names->server), LOG_TEXT("server_name", a->server_name),
        LOG_TEXT("outcome", turbo_outcome_text(a->outcome)), LOG_TEXT("reason", reason),
        LOG_TEXT("dialect", a->sandwich ? "sandwich" : NULL), LOG_NUMBER("rtt_us", a->rtt_us),
        LOG_NUMBER("first_response_us", a->first_response_us),
        LOG_NUMBER("first_answer_us", a->first_answer_us), LOG_NUMBER("bytes_c2s", a->bytes_c2s),
        LOG_NUMBER("bytes_s2c", a->bytes_s2c), LOG_NUMBER("duration_us", now - a->started));
}

void access_end(struct access *a, const struct access_names *names, struct log *log, turbo_time now)
{
    access_add_outcome(a, a->listener_outcome, a->listener_reason);
    if (a->cut != TURBO_REASON_NONE)
        a->reason = a->cut;
    if (log_wants(log, LOG_LEVEL_INFO))
        write_line(a, names, log, now);
    access_free(a);
}

void access_free(struct access *a)
{
    free(a->server_name);
    free(a->requested);
    a->server_name = a->requested = NULL;
}
