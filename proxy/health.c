#include "proxy/health.h"

#include <string.h>

#include "turbo/protocol.h"

static turbo_time duration(double seconds)
{
    return (turbo_time)(seconds * (double)TURBO_SECOND);
}

static bool is_out(const struct health *h)
{
    return h->out_until != 0;
}

bool health_is_up(const struct health *h, turbo_time now)
{
    return !is_out(h) || (now >= h->out_until && !h->on_trial);
}

bool health_try(struct health *h, turbo_time now)
{
    if (!is_out(h) || !health_is_up(h, now))
        return false;
    h->on_trial = true;
    return true;
}

static void leave_out(struct health *h, turbo_time back_off, turbo_time now)
{
    h->back_off = back_off;
    h->out_until = now + back_off;
    h->on_trial = false;
    h->failures = 0;
}

bool health_failed(struct health *h, const struct config_health *settings, bool on_trial,
                   turbo_time now)
{
    turbo_time max = duration(settings->max_back_off_s);
    turbo_time first = duration(settings->back_off_s);
    if (is_out(h)) {
        /* Also when a success of somebody else's, and new failures, have come in between. */
        if (!on_trial || !h->on_trial)
            return false;
        leave_out(h, h->back_off < max / 2 ? h->back_off * 2 : max, now);
        return true;
    }
    if (++h->failures < settings->max_failures)
        return false;
    leave_out(h, first < max ? first : max, now);
    return true;
}

bool health_succeeded(struct health *h)
{
    bool was_out = is_out(h);
    memset(h, 0, sizeof(*h));
    return was_out;
}

void health_gave_up(struct health *h, bool on_trial)
{
    if (on_trial)
        h->on_trial = false;
}
