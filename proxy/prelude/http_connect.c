#include "proxy/prelude/prelude_parts.h"

static size_t take(struct prelude *p, const uint8_t *data, size_t length)
{
    (void)data;
    prelude_over(p, PRELUDE_MALFORMED);
    return length;
}

const struct prelude_part prelude_http_connect = {
    .name = "http_connect", .input_max = PRELUDE_LINE_MAX, .may_go_on = true, .take = take};
