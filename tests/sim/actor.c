#include "tests/sim/actor.h"

#include <string.h>

/* ---- stages ---- */

static void follow(struct actor *a);

static void say(void *owner, uint64_t round)
{
    struct actor *a = owner;
    if (a->gone || round != a->round)
        return;
    size_t n = a->script->stages[a->stage++].send;
    a->produced += n;
    a->thinking = false;
    TRACE(a->journal, a->who, "%s says %zu bytes, %zu in all", a->name, n, a->produced);
    follow(a);
    a->wake(a->owner);
}

/* Goes on to the next stage when its bytes have come. */
static void follow(struct actor *a)
{
    const struct script *s = a->script;
    if (a->gone || a->thinking || a->stage == s->count || a->received < s->stages[a->stage].after)
        return;
    a->thinking = true;
    a->reached[a->stage] = a->clock->now;
    clock_after(a->clock, s->stages[a->stage].think, say, a, a->round);
}

static void give_up(struct actor *a, const char *why)
{
    if (a->gone)
        return;
    TRACE(a->journal, a->who, "%s resets the connection: %s", a->name, why);
    a->gone = a->aborted = true;
}

static void abort_in_time(void *owner, uint64_t round)
{
    struct actor *a = owner;
    if (a->gone || round != a->round || actor_content(a))
        return;
    give_up(a, "it has had enough");
    a->wake(a->owner);
}

static void begin_to_read(void *owner, uint64_t round)
{
    struct actor *a = owner;
    if (!a->gone && round == a->round)
        a->wake(a->owner);
}

/* ---- its life ---- */

void actor_init(struct actor *a, struct clock *clock, struct journal *journal, int who,
                const char *name)
{
    unsigned round = a->round;
    *a = (struct actor){
        .clock = clock, .journal = journal, .who = who, .name = name, .round = round + 1};
}

void actor_start(struct actor *a, const struct script *script, const uint8_t *says,
                 const uint8_t *hears, size_t hears_total)
{
    a->script = script;
    a->says = says;
    a->hears = hears;
    a->hears_total = hears_total;
    a->reads_from = a->clock->now + script->reads_from;
    if (script->reads_from != 0)
        clock_at(a->clock, a->reads_from, begin_to_read, a, a->round);
    if (script->abort_at != 0)
        clock_after(a->clock, script->abort_at, abort_in_time, a, a->round);
    follow(a);
}

size_t actor_offer(const struct actor *a, const uint8_t **data)
{
    *data = a->says + a->taken;
    return a->gone ? 0 : a->produced - a->taken;
}

void actor_taken(struct actor *a, size_t length)
{
    a->taken += length;
}

bool actor_reads(const struct actor *a)
{
    return a->clock->now >= a->reads_from;
}

enum turbo_end actor_end(const struct actor *a)
{
    if (a->aborted)
        return TURBO_END_RESET;
    bool over =
        a->taken == a->script->total && (a->script->end_at_once || a->told == TURBO_END_FIN);
    return over && !a->gone ? TURBO_END_FIN : TURBO_END_NONE;
}

void actor_receive(struct actor *a, const uint8_t *data, size_t length)
{
    if (a->gone || length == 0)
        return;
    TRACE(a->journal, a->who, "%s gets %zu bytes, %zu in all", a->name, length,
          a->received + length);
    if (a->told != TURBO_END_NONE)
        journal_breach(a->journal, a->who, "12.1", "%s gets bytes behind the end", a->name);
    if (a->received + length > a->hears_total ||
        memcmp(data, a->hears + a->received, length) != 0) {
        a->garbled = true;
        if (!a->hostile)
            journal_breach(a->journal, a->who, "12.1", "%s gets other bytes than were sent, at %zu",
                           a->name, a->received);
        give_up(a, "these are not the bytes");
        return;
    }
    a->received += length;
    if (a->received == a->hears_total)
        a->done_at = a->clock->now;
    if (a->script->abort_after != 0 && a->received >= a->script->abort_after)
        give_up(a, "that was enough");
    follow(a);
}

void actor_told(struct actor *a, enum turbo_end end)
{
    bool behind_fin = a->told == TURBO_END_FIN && (end == TURBO_END_FIN || actor_content(a));
    if (a->gone || behind_fin)
        return;
    TRACE(a->journal, a->who, "%s is told %s", a->name, end == TURBO_END_FIN ? "FIN" : "RST");
    if (end == TURBO_END_FIN && a->received < a->hears_total && !a->hostile)
        journal_breach(a->journal, a->who, "12.1",
                       "%s is told an orderly end after %zu of %zu bytes", a->name, a->received,
                       a->hears_total);
    a->gone = end == TURBO_END_RESET;
    a->told = end;
}

bool actor_content(const struct actor *a)
{
    return !a->gone && a->script != NULL && a->received == a->hears_total &&
           a->taken == a->script->total && a->told == TURBO_END_FIN;
}
