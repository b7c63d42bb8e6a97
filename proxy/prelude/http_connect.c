/*
 * CONNECT (RFC 9110 §9.3.6), of HTTP/1.1 and 1.0 (RFC 9112): one request, read strictly, so that
 * nobody in front of us can have read it in another way.
 */
#include "proxy/prelude/prelude_parts.h"

#include <string.h>
#include <strings.h>

enum { HEAD_BYTES_MAX = 8192 };

/* ---- answers ---- */

struct refusal {
    const char *status;
    const char *more;  /* header lines */
    const char *error; /* RFC 9209 §2.3; with what leads up to it */
    const char *body;
    enum prelude_fault fault;
};

#define REQUEST_ERROR "; error=http_request_error"

static const struct refusal not_http = {
    .status = "400 Bad Request",
    .error = REQUEST_ERROR,
    .body = "This is an HTTP proxy, and what it received is not an HTTP/1.1 request.\n",
    .fault = PRELUDE_MALFORMED,
};

static const struct refusal bad_target = {
    .status = "400 Bad Request",
    .error = REQUEST_ERROR,
    .body = "CONNECT takes HOST:PORT: a host name, an IPv4 address, or an IPv6 address in\n"
            "brackets; and a port from 1 to 65535.\n",
    .fault = PRELUDE_MALFORMED,
};

static const struct refusal has_content = {
    .status = "400 Bad Request",
    .error = REQUEST_ERROR,
    .body = "A CONNECT request has no content, but this one announces some.\n",
    .fault = PRELUDE_MALFORMED,
};

static const struct refusal line_too_long = {
    .status = "414 URI Too Long",
    .error = REQUEST_ERROR,
    .body = "The request is too long.\n",
    .fault = PRELUDE_MALFORMED,
};

static const struct refusal head_too_long = {
    .status = "431 Request Header Fields Too Large",
    .error = REQUEST_ERROR,
    .body = "Request and header fields together may have 8192 bytes.\n",
    .fault = PRELUDE_MALFORMED,
};

static const struct refusal other_version = {
    .status = "505 HTTP Version Not Supported",
    .error = "",
    .body = "This proxy speaks HTTP/1.1.\n",
    .fault = PRELUDE_REFUSED,
};

/* A browser that was pointed here as at a web server. */
static const struct refusal no_web_server = {
    .status = "405 Method Not Allowed",
    .more = "Allow: CONNECT\r\n",
    .error = REQUEST_ERROR,
    .body = "This is a proxy and no web server. It only tunnels TLS: set it as the proxy\n"
            "for HTTPS. It answers to the method CONNECT alone.\n",
    .fault = PRELUDE_REFUSED,
};

/* A browser that has us as its proxy for http:// as well. */
static const struct refusal no_plaintext = {
    .status = "405 Method Not Allowed",
    .more = "Allow: CONNECT\r\n",
    .error = REQUEST_ERROR,
    .body = "This proxy only tunnels TLS: use https:// in place of http://\n",
    .fault = PRELUDE_REFUSED,
};

static const struct refusal unanswered[] = {
    [PRELUDE_FORBIDDEN] = {.status = "403 Forbidden",
                           .error = "; error=http_request_denied",
                           .body = "This proxy does not go to that host and port.\n"},
    [PRELUDE_NOT_FOUND] = {.status = "502 Bad Gateway",
                           .error = "; error=dns_error",
                           .body = "The host's name has no address.\n"},
    [PRELUDE_REFUSED_THERE] = {.status = "502 Bad Gateway",
                               .error = "; error=connection_refused",
                               .body = "The host takes no connection at that port.\n"},
    [PRELUDE_NO_WAY] = {.status = "502 Bad Gateway",
                        .error = "; error=destination_ip_unroutable",
                        .body = "There is no way to the host.\n"},
    [PRELUDE_TIMED_OUT] = {.status = "504 Gateway Timeout",
                           .error = "; error=connection_timeout",
                           .body = "The host did not answer in time.\n"},
    [PRELUDE_UNAVAILABLE] = {.status = "503 Service Unavailable",
                             .error = "; error=proxy_internal_error",
                             .body = "The proxy cannot connect now; it may be able to later.\n"},
};

/* 405, 414 and others may be cached unless that is forbidden (RFC 9110 §15.1). */
static void say(struct prelude *p, const struct refusal *refusal)
{
    prelude_print(p,
                  "HTTP/1.1 %s\r\nProxy-Status: turbotls-proxy%s\r\n%s"
                  "Cache-Control: no-store\r\nConnection: close\r\n"
                  "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s",
                  refusal->status, refusal->error, refusal->more != NULL ? refusal->more : "",
                  strlen(refusal->body), refusal->body);
}

static void answer(struct prelude *p, enum prelude_answer answer)
{
    if (answer == PRELUDE_CONNECTED) {
        prelude_print(p, "HTTP/1.1 200 Connection established\r\n\r\n");
        prelude_done(p);
        return;
    }
    say(p, &unanswered[answer]);
    prelude_over(p, PRELUDE_REFUSED);
}

static void overlong(struct prelude *p)
{
    const size_t empty_line = 2; /* may be in front */

    if (memchr(p->input + empty_line, '\n', p->input_length - empty_line) == NULL)
        say(p, &line_too_long);
    else
        say(p, &head_too_long);
}

/* ---- words: pieces of the head ---- */

struct word {
    const char *at;
    size_t length;
};

static bool equals(struct word word, const char *text)
{
    return word.length == strlen(text) && memcmp(word.at, text, word.length) == 0;
}

static bool equals_in_any_case(struct word word, const char *text)
{
    return word.length == strlen(text) && strncasecmp(word.at, text, word.length) == 0;
}

/* RFC 9110 §5.6.2. */
static bool is_token(struct word word)
{
    static const char tchars[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (size_t i = 0; i < word.length; i++) {
        if (memchr(tchars, word.at[i], sizeof(tchars) - 1) == NULL)
            return false;
    }
    return word.length > 0;
}

/* Takes what stands before the first `stop` out of `rest`, and the `stop`. */
static bool take_word(struct word *rest, char stop, struct word *out)
{
    const char *end = memchr(rest->at, stop, rest->length);

    if (end == NULL)
        return false;
    *out = (struct word){rest->at, (size_t)(end - rest->at)};
    rest->length -= out->length + 1;
    rest->at = end + 1;
    return true;
}

/* A line without its CRLF; each LF is known to be behind a CR. */
static bool take_line(struct word *head, struct word *out)
{
    if (!take_word(head, '\n', out))
        return false;
    out->length--;
    return true;
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t';
}

static struct word trim(struct word word)
{
    while (word.length > 0 && is_blank(word.at[0])) {
        word.at++;
        word.length--;
    }
    while (word.length > 0 && is_blank(word.at[word.length - 1]))
        word.length--;
    return word;
}

/* ---- the request line ---- */

/* 0: it is no port. */
static uint16_t read_port(struct word word)
{
    uint32_t port = 0;

    if (word.length == 0 || word.length > 5 || word.at[0] == '0')
        return 0;
    for (size_t i = 0; i < word.length; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return 0;
        port = port * 10 + (uint32_t)(word.at[i] - '0');
    }
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* The authority-form (RFC 9112 §3.2.3). */
static bool ask(struct prelude *p, struct word target)
{
    const char *colon = memrchr(target.at, ':', target.length);

    if (colon == NULL)
        return false;
    struct word host = {target.at, (size_t)(colon - target.at)};
    uint16_t port = read_port((struct word){colon + 1, target.length - host.length - 1});
    bool bracketed = host.length >= 2 && host.at[0] == '[' && host.at[host.length - 1] == ']';

    if (bracketed)
        host = (struct word){host.at + 1, host.length - 2};
    /* The colon tells an IPv6 address from everything else. Without brackets, as a few clients have
     * it, others stop at its first colon. */
    if ((memchr(host.at, ':', host.length) != NULL) != bracketed)
        return false;
    return prelude_ask(p, host.at, host.length, port);
}

static bool is_version(struct word word)
{
    return word.length == strlen("HTTP/1.1") && memcmp(word.at, "HTTP/", 5) == 0 &&
           word.at[5] >= '0' && word.at[5] <= '9' && word.at[6] == '.' && word.at[7] >= '0' &&
           word.at[7] <= '9';
}

static bool is_printable(struct word word)
{
    for (size_t i = 0; i < word.length; i++) {
        if (word.at[i] <= ' ' || word.at[i] > '~')
            return false;
    }
    return word.length > 0;
}

/* NULL: the request is for `*target`. The rest of `line` is the version. */
static const struct refusal *check_request(struct word line, struct word *target)
{
    struct word method;

    if (!take_word(&line, ' ', &method) || !is_token(method) || !take_word(&line, ' ', target) ||
        !is_printable(*target) || !is_version(line))
        return &not_http;
    if (!equals(line, "HTTP/1.1") && !equals(line, "HTTP/1.0"))
        return &other_version;
    if (equals(method, "CONNECT"))
        return NULL;
    return target->at[0] == '/' || equals(*target, "*") ? &no_web_server : &no_plaintext;
}

/* ---- header fields ---- */

/* RFC 9112 §5, without §5.2's folded lines. What they say does not matter, but where the request
 * ends must not be in doubt, nor which host it is for (RFC 9112 §3.2: one Host at most). */
static const struct refusal *check_field(struct word line, unsigned int *hosts)
{
    struct word name;

    if (!take_word(&line, ':', &name) || !is_token(name))
        return &not_http;
    if (equals_in_any_case(name, "Host") && ++*hosts > 1)
        return &not_http;
    if (equals_in_any_case(name, "Transfer-Encoding"))
        return &has_content;
    if (equals_in_any_case(name, "Content-Length") && !equals(trim(line), "0"))
        return &has_content;
    return NULL;
}

static const struct refusal *check_fields(struct word head)
{
    const struct refusal *refusal = NULL;
    unsigned int hosts = 0;
    struct word line;

    while (refusal == NULL && take_line(&head, &line) && line.length > 0)
        refusal = check_field(line, &hosts);
    return refusal;
}

/* ---- the head ---- */

enum scan_result { SCAN_MORE, SCAN_BAD, SCAN_DONE };

/* Other than a line's end, and the tab, which is a blank. */
static bool is_control(uint8_t byte)
{
    return (byte < ' ' && byte != '\t' && byte != '\r' && byte != '\n') || byte == 0x7f;
}

/*
 * Looks for the empty line, from where it left off. Line ends are CRLF and nothing else, as a CR or
 * LF alone is a line's end to some and to others not; other control characters are in no request.
 */
static enum scan_result scan(struct prelude *p, const uint8_t *data, size_t length,
                             size_t *head_length)
{
    for (size_t i = p->step; i < length; i++) {
        bool after_cr = i > 0 && data[i - 1] == '\r';
        if (after_cr != (data[i] == '\n'))
            return SCAN_BAD;
        if (is_control(data[i]))
            return SCAN_BAD;
        if (data[i] == '\n' && i >= 3 && data[i - 2] == '\n') {
            *head_length = i + 1;
            return SCAN_DONE;
        }
    }
    p->step = (uint32_t)length;
    return SCAN_MORE;
}

/* NULL: it asks for a host and a port. */
static const struct refusal *read_head(struct prelude *p, struct word head)
{
    const struct refusal *refusal;
    struct word line = {0}, target;

    /* One empty line may precede it (RFC 9112 §2.2). */
    if (!take_line(&head, &line) || (line.length == 0 && !take_line(&head, &line)))
        return &not_http;
    refusal = check_request(line, &target);
    if (refusal == NULL)
        refusal = check_fields(head);
    if (refusal == NULL && !ask(p, target))
        refusal = &bad_target;
    return refusal;
}

static size_t take(struct prelude *p, const uint8_t *data, size_t length)
{
    const struct refusal *refusal = &not_http;
    size_t head_length = length;

    switch (scan(p, data, length, &head_length)) {
    case SCAN_MORE: return 0;
    case SCAN_BAD: break;
    case SCAN_DONE: refusal = read_head(p, (struct word){(const char *)data, head_length}); break;
    }
    if (refusal != NULL) {
        say(p, refusal);
        prelude_over(p, refusal->fault);
    }
    return head_length;
}

const struct prelude_part prelude_http_connect = {
    .input_max = HEAD_BYTES_MAX,
    .may_go_on = true,
    .take = take,
    .answer = answer,
    .overlong = overlong,
};
