#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/options_parts.h"

static enum options_result read_choice(struct options_parser *parser, const char *const names[],
                                       struct number_option *out, const char *advice)
{
    for (uint32_t i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], parser->value) == 0) {
            *out = (struct number_option){true, i};
            return OPTIONS_RUN;
        }
    return options_refuse(parser, "%s", advice);
}

enum options_result options_take_log_level(struct options_parser *parser)
{
    static const char *const names[] = {"error", "warning", "info", "debug", NULL};

    return read_choice(parser, names, &parser->out->log_level,
                       "not a level; use error, warning, info or debug");
}

enum options_result options_take_log_format(struct options_parser *parser)
{
    static const char *const names[] = {"text", "json", NULL};

    return read_choice(parser, names, &parser->out->log_format, "not a format; use text or json");
}

enum options_result options_take_log_target(struct options_parser *parser)
{
    static const char *const names[] = {"stderr", "syslog", "journal", NULL};

    return read_choice(parser, names, &parser->out->log_target,
                       "not a target; use stderr, syslog or journal");
}

static enum options_result read_seconds(struct options_parser *parser, int max,
                                        struct seconds_option *out)
{
    char *end;
    double number = strtod(parser->value, &end);

    /* strtod alone would also take "inf", "0x1p3" and "-1". */
    if (end == parser->value || *end != '\0' || number > max ||
        parser->value[strspn(parser->value, "0123456789.")] != '\0')
        return options_refuse(parser,
                              "not a number of seconds from 0 to %d in plain digits without a "
                              "unit, such as 30 or 0.3",
                              max);
    *out = (struct seconds_option){true, number};
    return OPTIONS_RUN;
}

enum options_result options_take_drain_timeout(struct options_parser *parser)
{
    return read_seconds(parser, CONFIG_DRAIN_MAX_S, &parser->out->drain_timeout);
}

enum options_result options_take_sniff_timeout(struct options_parser *parser)
{
    return read_seconds(parser, CONFIG_SNIFF_MAX_S, &parser->out->sniff_timeout);
}

enum options_result options_take_opening_timeout(struct options_parser *parser)
{
    enum options_result result =
        read_seconds(parser, CONFIG_OPENING_MAX_S, &parser->out->opening_timeout);

    if (result == OPTIONS_RUN && parser->out->opening_timeout.value <= 0)
        return options_refuse(parser, "without a limit silent clients would stay for ever; use "
                                      "seconds above 0, such as 60");
    return result;
}

static enum options_result read_count(struct options_parser *parser, uint32_t max,
                                      struct number_option *out)
{
    char *end;
    unsigned long number = strtoul(parser->value, &end, 10);

    /* strtoul alone would also take " 7" and "-7". */
    if (!isdigit((unsigned char)parser->value[0]) || *end != '\0' || number < 1 || number > max)
        return options_refuse(parser, "not a number from 1 to %u", (unsigned int)max);
    *out = (struct number_option){true, (uint32_t)number};
    return OPTIONS_RUN;
}

enum options_result options_take_max_sessions(struct options_parser *parser)
{
    return read_count(parser, CONFIG_SESSIONS_MAX, &parser->out->max_sessions);
}

enum options_result options_take_session_rate(struct options_parser *parser)
{
    return read_count(parser, CONFIG_RATE_MAX, &parser->out->session_rate);
}

enum options_result options_take_source_rate(struct options_parser *parser)
{
    return read_count(parser, CONFIG_RATE_MAX, &parser->out->source_rate);
}

enum options_result options_take_workers(struct options_parser *parser)
{
    return read_count(parser, CONFIG_WORKERS_MAX, &parser->out->workers);
}

enum options_result options_take_config(struct options_parser *parser)
{
    if (parser->value[0] == '\0')
        return options_refuse(parser, "not a file; name one, such as edge.txtpb");
    parser->out->config = parser->value;
    return OPTIONS_RUN;
}

static enum options_result take_mode(struct options_parser *parser, enum options_mode mode)
{
    if (parser->out->mode != OPTIONS_SERVE && parser->out->mode != mode)
        return options_refuse(parser, "--check and --print-config do not go together; the latter "
                                      "checks as well");
    parser->out->mode = mode;
    return OPTIONS_RUN;
}

enum options_result options_take_check(struct options_parser *parser)
{
    return take_mode(parser, OPTIONS_CHECK);
}

enum options_result options_take_print_config(struct options_parser *parser)
{
    return take_mode(parser, OPTIONS_PRINT);
}

enum options_result options_take_admin(struct options_parser *parser)
{
    parser->out->admin = parser->value;
    return OPTIONS_RUN;
}

enum options_result options_take_user(struct options_parser *parser)
{
    parser->out->user = parser->value;
    return OPTIONS_RUN;
}

enum options_result options_take_no_sandbox(struct options_parser *parser)
{
    parser->out->no_sandbox = true;
    return OPTIONS_RUN;
}
