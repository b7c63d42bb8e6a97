#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "proto/text/quote.h"
#include "proxy/config/endpoint.h"
#include "proxy/options_parts.h"

/* ---- what follows the address, behind a comma ---- */

/* By enum config_turbo. */
static const char *const turbo_names[] = {"never", "auto", "try", "always"};
enum { TURBO_NAMES = sizeof(turbo_names) / sizeof(turbo_names[0]) };

/* NULL: it is taken; else what is wrong with `value`, as static text or in `fault`. */
typedef const char *take_extra(struct endpoint_option *out, const char *value, bool listens,
                               char fault[static ENDPOINT_FAULT_BYTES]);

static const char *take_udp(struct endpoint_option *out, const char *value, bool listens,
                            char fault[static ENDPOINT_FAULT_BYTES])
{
    out->has_udp_port = true;
    return endpoint_port(value, "the UDP port", listens ? 0 : 1, &out->udp_port, fault) ? NULL
                                                                                        : fault;
}

static const char *take_turbo(struct endpoint_option *out, const char *value, bool listens,
                              char fault[static ENDPOINT_FAULT_BYTES])
{
    (void)listens;
    (void)fault;
    out->has_turbo = true;
    for (int i = 0; i < TURBO_NAMES; i++)
        if (strcmp(value, turbo_names[i]) == 0) {
            out->turbo = (enum config_turbo)i;
            return NULL;
        }
    return "turbo= is one of auto, try, always and never";
}

static const char *take_dialect(struct endpoint_option *out, const char *value, bool listens,
                                char fault[static ENDPOINT_FAULT_BYTES])
{
    (void)listens;
    (void)fault;
    out->dialect = TURBO_DIALECT_SANDWICH;
    return strcmp(value, "sandwich") == 0 ? NULL : "dialect= is sandwich, or left out";
}

static const char *take_starttls(struct endpoint_option *out, const char *value, bool listens,
                                 char fault[static ENDPOINT_FAULT_BYTES])
{
    (void)listens;
    (void)fault;
    for (enum starttls_protocol i = STARTTLS_SMTP; i < STARTTLS_COUNT; i++)
        if (strcmp(value, prelude_starttls_text(i)) == 0) {
            out->starttls = i;
            return NULL;
        }
    return "starttls= is one of smtp, imap, pop3, ldap and postgresql";
}

static const struct extra {
    const char *name, *value; /* "udp=", "PORT" */
    enum endpoint_kind kind;
    bool upstream_only;
    take_extra *take;
} extras[] = {
    {"udp=", "PORT", ENDPOINT_TURBO, false, take_udp},
    {"turbo=", "WHEN", ENDPOINT_TURBO, true, take_turbo},
    {"dialect=", "sandwich", ENDPOINT_TURBO, false, take_dialect},
    {"starttls=", "PROTOCOL", ENDPOINT_TCP, false, take_starttls},
};
enum { EXTRAS = sizeof(extras) / sizeof(extras[0]) };

static const char needs_file[] =
    "where clients say where they want to go, routes say what they may ask for, and so a file is "
    "needed: listener { protocol: TCP request: HTTP_CONNECT ... }, by --config";

/* A value without what it is a value of. */
static const char *name_of_value(const char *word)
{
    for (int i = 0; i < TURBO_NAMES; i++)
        if (strcasecmp(word, turbo_names[i]) == 0)
            return "turbo=";
    if (strcasecmp(word, "sandwich") == 0)
        return "dialect=";
    for (enum starttls_protocol i = STARTTLS_SMTP; i < STARTTLS_COUNT; i++)
        if (strcasecmp(word, prelude_starttls_text(i)) == 0)
            return "starttls=";
    return NULL;
}

static enum options_result refuse_extra(struct options_parser *parser, const char *word)
{
    const char *name = name_of_value(word);

    if (name != NULL)
        return options_refuse(parser, "%s is not known here; write %s and that, in lower case",
                              quote(word).text, name);
    if (strncasecmp(word, "request", 7) == 0)
        return options_refuse(parser, "%s", needs_file);
    for (size_t i = 0; i < EXTRAS; i++)
        if (strncasecmp(word, extras[i].name, strlen(extras[i].name) - 1) == 0)
            return options_refuse(parser, "%s is not known here; write %s%s, in lower case",
                                  quote(word).text, extras[i].name, extras[i].value);
    return options_refuse(parser, "%s is not known here; use %s", quote(word).text,
                          parser->row->syntax);
}

/* `given` has those that came before. */
static enum options_result read_extra(struct options_parser *parser, struct endpoint_option *out,
                                      const char *word, bool listens, bool given[static EXTRAS])
{
    size_t index = 0;
    char fault[ENDPOINT_FAULT_BYTES];
    const char *wrong;

    while (index < EXTRAS && strncmp(word, extras[index].name, strlen(extras[index].name)) != 0)
        index++;
    if (index == EXTRAS)
        return refuse_extra(parser, word);
    const struct extra *extra = &extras[index];
    if (extra->upstream_only && listens)
        return options_refuse(parser, "%s is for --upstream: a listener answers what it is asked",
                              quote(word).text);
    if (out->kind != extra->kind)
        return options_refuse(parser,
                              out->kind == ENDPOINT_TCP
                                  ? "%s is for turbo: only, as tcp: uses no UDP"
                                  : "%s is for tcp: only, as turbo: begins with TLS",
                              quote(word).text);
    if (given[index])
        return options_refuse(parser, "%s is there twice", extra->name);
    given[index] = true;
    wrong = extra->take(out, word + strlen(extra->name), listens, fault);
    return wrong == NULL ? OPTIONS_RUN : options_refuse(parser, "%s", wrong);
}

/* ---- the endpoint ---- */

/* "http:127.0.0.1:3128", "socks5:..." */
static bool is_request(const char *kind)
{
    static const char *const names[] = {"http:",  "https:",  "connect:",  "http_connect:",
                                        "socks:", "socks5:", "redirect:", "tproxy:"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strncasecmp(kind, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* Takes the "tcp:" or "turbo:" off `rest`. */
static enum options_result read_kind(struct options_parser *parser, enum endpoint_kind *out,
                                     char **rest)
{
    const char *kind = *rest;

    if (strncmp(kind, "tcp:", 4) == 0)
        *out = ENDPOINT_TCP;
    else if (strncmp(kind, "turbo:", 6) == 0)
        *out = ENDPOINT_TURBO;
    else if (strncasecmp(kind, "tcp:", 4) == 0 || strncasecmp(kind, "turbo:", 6) == 0)
        return options_refuse(parser, "write %s in lower case",
                              tolower((unsigned char)kind[1]) == 'c' ? "'tcp:'" : "'turbo:'");
    else if (strncmp(kind, "unix:", 5) == 0)
        return options_refuse(parser, "unix sockets are not supported; use %s",
                              parser->row->syntax);
    else if (parser->row->take == options_take_listen && is_request(kind))
        return options_refuse(parser, "%s", needs_file);
    else
        return options_refuse(parser, "begins with neither 'tcp:' nor 'turbo:'; use %s",
                              parser->row->syntax);
    (void)strsep(rest, ":");
    if (strncmp(*rest, "//", 2) == 0)
        return options_refuse(parser, "no '//' goes after '%s'; use %s",
                              *out == ENDPOINT_TCP ? "tcp:" : "turbo:", parser->row->syntax);
    if (strncmp(*rest, "unix:/", 6) == 0 || **rest == '/')
        return options_refuse(parser, "unix sockets are not supported; use %s",
                              parser->row->syntax);
    return OPTIONS_RUN;
}

/* What is not of an endpoint but beside it; the address itself is checked where a file's is. */
static enum options_result read_address(struct options_parser *parser, struct endpoint_option *out,
                                        const char *text)
{
    const char *colon = strrchr(text, ':');

    for (size_t i = 0; colon != NULL && i < EXTRAS; i++)
        if (strncmp(colon + 1, extras[i].name, strlen(extras[i].name)) == 0)
            return options_refuse(parser, "options follow a comma: ,%s%s", extras[i].name,
                                  extras[i].value);
    memcpy(out->address, text, strlen(text) + 1);
    return OPTIONS_RUN;
}

static enum options_result read_endpoint(struct options_parser *parser, struct endpoint_option *out,
                                         bool listens)
{
    char text[OPTIONS_ENDPOINT_MAX], *rest = text;
    bool given[EXTRAS] = {false};
    enum options_result result;

    *out = (struct endpoint_option){.value = parser->value};
    if (strlen(parser->value) >= sizeof(text))
        return options_refuse(parser, "longer than the %d bytes an endpoint can have",
                              OPTIONS_ENDPOINT_MAX - 1);
    memcpy(text, parser->value, strlen(parser->value) + 1);
    result = read_kind(parser, &out->kind, &rest);
    if (result == OPTIONS_RUN)
        result = read_address(parser, out, strsep(&rest, ","));
    while (result == OPTIONS_RUN && rest != NULL)
        result = read_extra(parser, out, strsep(&rest, ","), listens, given);
    return result;
}

enum options_result options_take_listen(struct options_parser *parser)
{
    struct options *out = parser->out;
    struct endpoint_option listener;
    enum options_result result = read_endpoint(parser, &listener, true);

    if (result != OPTIONS_RUN)
        return result;
    if (out->listener_count == CONFIG_LISTENERS_MAX)
        return options_refuse(parser, "at most %d are possible", CONFIG_LISTENERS_MAX);
    out->listeners[out->listener_count++] = listener;
    return OPTIONS_RUN;
}

enum options_result options_take_upstream(struct options_parser *parser)
{
    struct endpoint_option upstream;
    enum options_result result = read_endpoint(parser, &upstream, false);

    if (result != OPTIONS_RUN)
        return result;
    if (parser->out->upstream.value != NULL)
        return options_refuse(parser, "there can be one upstream only, and %s came before",
                              quote(parser->out->upstream.value).text);
    parser->out->upstream = upstream;
    return OPTIONS_RUN;
}
