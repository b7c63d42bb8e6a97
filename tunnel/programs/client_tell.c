/* What is told of a connection. */
#include <inttypes.h>
#include <stdio.h>

#include "client.h"

enum { US_A_MS = 1000, LINE_BYTES = 1024 };

struct stamp {
    const char *name, *words;
    uint64_t us;
};

enum { STAMPS = 6 };

static void stamps_of(const struct visit *v, struct stamp out[static STAMPS])
{
    const struct stamp stamps[STAMPS] = {
        {"resolved", "name resolved", v->report.resolved_us},
        {"first_udp", "first answer by UDP", v->report.first_udp_us},
        {"tcp", "TCP up", v->report.tcp_us},
        {"handshake", "handshake done", v->handshake_us},
        {"first_byte", "first byte", v->first_byte_us},
        {"done", "over", v->done_us},
    };

    for (size_t i = 0; i < STAMPS; i++)
        out[i] = stamps[i];
}

static double ms(uint64_t us)
{
    return (double)us / US_A_MS;
}

static void tell_json(const struct client *c, const struct visit *v)
{
    json_t *object = json_object(), *timing = json_object();
    struct stamp stamps[STAMPS];

    json_put_text(object, "host", c->place.host);
    (void)json_object_set_new(object, "port", json_integer(c->place.port));
    json_put_text(object, "result", tunnel_result_name(v->result));
    json_put_text(object, "error", v->text);
    json_put_report(object, &v->report);
    json_put_agreed(object, &v->agreed);
    (void)json_object_set_new(object, "sent", json_integer((json_int_t)v->sent));
    (void)json_object_set_new(object, "received", json_integer((json_int_t)v->received));
    stamps_of(v, stamps);
    for (size_t i = 0; i < STAMPS; i++)
        (void)json_object_set_new(timing, stamps[i].name,
                                  stamps[i].us == 0 ? json_null() : json_real(ms(stamps[i].us)));
    (void)json_object_set_new(object, "timing_ms", timing);
    json_print(object);
}

static void tell_timing(const struct visit *v)
{
    char line[LINE_BYTES];
    struct stamp stamps[STAMPS];
    size_t used = 0;

    stamps_of(v, stamps);
    line[0] = '\0';
    for (size_t i = 0; i < STAMPS; i++)
        if (stamps[i].us > 0)
            used += (size_t)snprintf(line + used, sizeof(line) - used, "%s%s %.2f ms",
                                     used == 0 ? "" : ", ", stamps[i].words, ms(stamps[i].us));
    say(CLIENT_NAME, "%s", line);
}

static void tell_success(const struct visit *v)
{
    const struct agreed *a = &v->agreed;
    const char *reason = v->report.reason;

    say(CLIENT_NAME, "%s, %s%s%s%s: %s, %s%s%s%s%s%s", v->report.peer,
        v->report.outcome == NULL ? "?" : v->report.outcome, reason == NULL ? "" : " (",
        reason == NULL ? "" : reason, reason == NULL ? "" : ")", a->version, a->cipher,
        a->group[0] == '\0' ? "" : ", ", a->group, a->alpn[0] == '\0' ? "" : ", ALPN ", a->alpn,
        a->resumed ? ", resumed" : "");
}

/* The library's words are the configuration's; what they are on the command line. */
static const char *as_option(const struct client *c, enum tunnel_result result)
{
    if (c->tls.config != NULL)
        return "";
    switch (result) {
    case TUNNEL_SELF_SIGNED:
    case TUNNEL_UNKNOWN_CA:
    case TUNNEL_UNTRUSTED_ROOT: return " (trusted_cas: --ca FILE)";
    case TUNNEL_CERTIFICATE_REFUSED: return " (identity: --cert FILE --key FILE)";
    default: return "";
    }
}

void visit_tell(const struct client *c, const struct visit *v)
{
    if (c->json)
        tell_json(c, v);
    else if (v->agreed.version[0] != '\0' && !c->quiet)
        tell_success(v);
    if (c->timing && !c->json)
        tell_timing(v);
    if (v->result != TUNNEL_OK && !c->json)
        say(CLIENT_NAME, "%s:%u: %s: %s%s", c->place.host, (unsigned)c->place.port,
            tunnel_result_name(v->result), v->text, as_option(c, v->result));
}
