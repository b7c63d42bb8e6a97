#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "proxy/config/endpoint.h"
#include "proxy/config/quote.h"
#include "proxy/options_parts.h"

static enum options_result refuse_extra(struct options_parser *parser, const char *word)
{
    if (strncasecmp(word, "udp", 3) == 0)
        return options_refuse(parser, "%s is not known here; write udp=PORT, in lower case",
                              quote(word).text);
    if (strcasecmp(word, "always") == 0)
        return options_refuse(parser, "%s is not known here; write always, in lower case",
                              quote(word).text);
    return options_refuse(parser, "%s is not known here; use %s", quote(word).text,
                          parser->row->syntax);
}

static enum options_result read_extra(struct options_parser *parser, struct endpoint_option *out,
                                      const char *word, bool listens)
{
    bool is_udp = strncmp(word, "udp=", 4) == 0, is_always = strcmp(word, "always") == 0;
    char fault[ENDPOINT_FAULT_BYTES];

    if (!is_udp && !is_always)
        return refuse_extra(parser, word);
    if (is_always && listens)
        return options_refuse(parser,
                              "'always' is for --upstream: a listener answers what it is asked");
    if (out->kind == ENDPOINT_TCP)
        return options_refuse(parser, "%s is for turbo: only, as tcp: uses no UDP",
                              quote(word).text);
    if (is_udp ? out->has_udp_port : out->always)
        return options_refuse(parser, "%s is there twice", is_udp ? "udp=" : "'always'");
    if (is_always) {
        out->always = true;
        return OPTIONS_RUN;
    }
    out->has_udp_port = true;
    if (!endpoint_port(word + 4, "the UDP port", listens ? 0 : 1, &out->udp_port, fault))
        return options_refuse(parser, "%s", fault);
    return OPTIONS_RUN;
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

    if (colon != NULL && (strcmp(colon, ":always") == 0 || strncmp(colon, ":udp=", 5) == 0))
        return options_refuse(parser, "options follow a comma: %s",
                              colon[1] == 'a' ? ",always" : ",udp=PORT");
    memcpy(out->address, text, strlen(text) + 1);
    return OPTIONS_RUN;
}

static enum options_result read_endpoint(struct options_parser *parser, struct endpoint_option *out,
                                         bool listens)
{
    char text[OPTIONS_ENDPOINT_MAX], *rest = text;
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
        result = read_extra(parser, out, strsep(&rest, ","), listens);
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
