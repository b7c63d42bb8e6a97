/* CONNECT: what is a request for a host and a port, what is none, and every answer. */
#include "tests/unit/support/prelude_talk.h"

#include <stdio.h>
#include <stdlib.h>

#define CONNECT(target) "CONNECT " target " HTTP/1.1\r\n"
#define CONNECTED       "HTTP/1.1 200 Connection established\r\n\r\n"
#define CLIENT_HELLO    "\x16\x03\x01\x00\x05hello"

/* Every other answer in full: who reads one must know where it ends, and keep it nowhere. */
#define REFUSAL(status, error, more, length, body)                                                 \
    "HTTP/1.1 " status "\r\nProxy-Status: turbotls-proxy" error "\r\n" more                        \
    "Cache-Control: no-store\r\nConnection: close\r\n"                                             \
    "Content-Type: text/plain\r\nContent-Length: " length "\r\n\r\n" body

#define REQUEST_ERROR "; error=http_request_error"
#define NOT_HTTP                                                                                   \
    REFUSAL("400 Bad Request", REQUEST_ERROR, "", "72",                                            \
            "This is an HTTP proxy, and what it received is not an HTTP/1.1 request.\n")
#define BAD_TARGET                                                                                 \
    REFUSAL("400 Bad Request", REQUEST_ERROR, "", "115",                                           \
            "CONNECT takes HOST:PORT: a host name, an IPv4 address, or an IPv6 address in\n"       \
            "brackets; and a port from 1 to 65535.\n")
#define HAS_CONTENT                                                                                \
    REFUSAL("400 Bad Request", REQUEST_ERROR, "", "63",                                            \
            "A CONNECT request has no content, but this one announces some.\n")
#define LINE_TOO_LONG                                                                              \
    REFUSAL("414 URI Too Long", REQUEST_ERROR, "", "25", "The request is too long.\n")
#define HEAD_TOO_LONG                                                                              \
    REFUSAL("431 Request Header Fields Too Large", REQUEST_ERROR, "", "56",                        \
            "Request and header fields together may have 8192 bytes.\n")
#define OTHER_VERSION                                                                              \
    REFUSAL("505 HTTP Version Not Supported", "", "", "28", "This proxy speaks HTTP/1.1.\n")
#define NO_WEB_SERVER                                                                              \
    REFUSAL("405 Method Not Allowed", REQUEST_ERROR, "Allow: CONNECT\r\n", "127",                  \
            "This is a proxy and no web server. It only tunnels TLS: set it as the proxy\n"        \
            "for HTTPS. It answers to the method CONNECT alone.\n")
#define NO_PLAINTEXT                                                                               \
    REFUSAL("405 Method Not Allowed", REQUEST_ERROR, "Allow: CONNECT\r\n", "62",                   \
            "This proxy only tunnels TLS: use https:// in place of http://\n")

static void hold(const struct talk *talks, size_t count)
{
    talks_hold(&prelude_http_connect, NULL, talks, count);
}

/* ---- requests ---- */

#define CHROMIUM                                                                                   \
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "                      \
    "HeadlessChrome/156.0.0.0 Safari/537.36"
#define FIREFOX "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"

#define FOR_NAME(client, request)                                                                  \
    {                                                                                              \
        client, {PEER(request), ASKS("www.example", 443)}, .state = PRELUDE_ASKED                  \
    }
#define FOR_IPV6(client, request)                                                                  \
    {                                                                                              \
        client, {PEER(request), ASKS("2001:db8::1", 443)}, .state = PRELUDE_ASKED                  \
    }

/* What they sent when they were asked for https://www.example/ or https://[2001:db8::1]/. */
static void test_clients_are_understood(void **state)
{
    (void)state;
    static const struct talk talks[] = {
        FOR_NAME("curl 7.88, git 2.39, cargo 1.95",
                 CONNECT("www.example:443") "Host: www.example:443\r\nUser-Agent: curl/7.88.1\r\n"
                                            "Proxy-Connection: Keep-Alive\r\n\r\n"),
        FOR_IPV6("curl, with a password",
                 CONNECT("[2001:db8::1]:443") "Host: [2001:db8::1]:443\r\n"
                                              "Proxy-Authorization: Basic dTpw\r\n"
                                              "User-Agent: curl/7.88.1\r\n"
                                              "Proxy-Connection: Keep-Alive\r\n\r\n"),
        FOR_NAME("Chromium 156", CONNECT("www.example:443") "Host: www.example:443\r\n"
                                                            "Proxy-Connection: keep-alive\r\n"
                                                            "User-Agent: " CHROMIUM "\r\n\r\n"),
        FOR_IPV6("Chromium 156", CONNECT("[2001:db8::1]:443") "Host: [2001:db8::1]:443\r\n"
                                                              "Proxy-Connection: keep-alive\r\n"
                                                              "User-Agent: " CHROMIUM "\r\n\r\n"),
        FOR_NAME("Firefox 153", CONNECT("www.example:443") "User-Agent: " FIREFOX "\r\n"
                                                           "Proxy-Connection: keep-alive\r\n"
                                                           "Connection: keep-alive\r\n"
                                                           "Host: www.example:443\r\n\r\n"),
        FOR_NAME("wget 1.21", CONNECT("www.example:443") "User-Agent: Wget/1.21.3\r\n"
                                                         "Host: www.example:443\r\n\r\n"),
        FOR_NAME("apt 2.6", CONNECT("www.example:443") "Host: www.example:443\r\n"
                                                       "User-Agent: Debian APT-HTTP/1.3 "
                                                       "(2.6.1)\r\n\r\n"),
        FOR_IPV6("Java 17, HttpURLConnection",
                 CONNECT("[2001:db8::1]:443") "User-Agent: Java/17.0.21.1\r\n"
                                              "Host: [2001:db8::1]\r\n"
                                              "Accept: text/html, image/gif, image/jpeg, */*; "
                                              "q=0.2\r\nProxy-Connection: keep-alive\r\n\r\n"),
        FOR_NAME("Java 17, HttpClient", CONNECT("www.example:443") "Host: www.example:443\r\n\r\n"),
        FOR_NAME("Perl's LWP", CONNECT("www.example:443") "TE: deflate,gzip;q=0.3\r\n"
                                                          "Connection: TE, close\r\n"
                                                          "Host: www.example:443\r\n\r\n"),
        FOR_NAME("proxytunnel, that names itself by Host",
                 CONNECT("www.example:443") "Host: 127.0.0.1\r\n"
                                            "Proxy-Connection: Keep-Alive\r\n\r\n"),
        FOR_NAME("Python 3.11, socat, ncat, nc -X connect",
                 "CONNECT www.example:443 HTTP/1.0\r\n\r\n"),
        FOR_IPV6("nc -X connect", "CONNECT [2001:db8::1]:443 HTTP/1.0\r\n\r\n"),
        FOR_NAME("openssl s_client", "CONNECT www.example:443 HTTP/1.0\r\n"
                                     "Proxy-Connection: Keep-Alive\r\n\r\n"),
    };
    hold(talks, COUNT(talks));
}

static void test_targets(void **state)
{
    (void)state;
    static const struct {
        const char *target, *host;
        uint16_t port;
    } targets[] = {
        {"a:1", "a", 1},
        {"a:9090", "a", 9090},
        {"www.example:65535", "www.example", 65535},
        {"WWW.Example:443", "WWW.Example", 443},
        {"www.example.:443", "www.example.", 443},
        {"_25._tcp.mail.example:25", "_25._tcp.mail.example", 25},
        {"-odd-.example:443", "-odd-.example", 443},
        {"1e100.net:443", "1e100.net", 443},
        {"1.2.3.4.example:443", "1.2.3.4.example", 443},
        {"0x.example:443", "0x.example", 443},
        {"0xfg:443", "0xfg", 443},
        {"0abc:443", "0abc", 443},
        {"ax:443", "ax", 443},
        {"192.0.2.1:443", "192.0.2.1", 443},
        {"[2001:db8::1]:443", "2001:db8::1", 443},
        {"[::]:443", "::", 443},
        /* One address, one text: rules compare it. */
        {"[2001:DB8:0:0::0001]:443", "2001:db8::1", 443},
        {"[::ffff:192.0.2.1]:443", "192.0.2.1", 443},
        {"[::FFFF:c000:201]:443", "192.0.2.1", 443},
        /* 63 in a label. */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example:443",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example", 443},
    };

    for (size_t i = 0; i < COUNT(targets); i++) {
        char text[512];
        int length = snprintf(text, sizeof(text), "CONNECT %s HTTP/1.1\r\n\r\n", targets[i].target);
        struct talk talk = {
            .title = targets[i].target,
            .lines = {{.kind = TALK_PEER, .bytes = text, .length = (size_t)length},
                      {.kind = TALK_ASKS, .bytes = targets[i].host, .port = targets[i].port}},
            .state = PRELUDE_ASKED,
        };
        hold(&talk, 1);
    }
}

/* What is refused with `answer`, whatever the way it comes in. */
static void assert_refused(const char *request, const char *answer, enum prelude_fault fault)
{
    struct talk talk = {
        .title = request,
        .lines = {{.kind = TALK_PEER, .bytes = request, .length = strlen(request)},
                  {.kind = TALK_WE, .bytes = answer, .length = strlen(answer)}},
        .state = PRELUDE_OVER,
        .fault = fault,
    };
    hold(&talk, 1);
}

static void test_targets_that_are_none(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "www.example",             /* the port must be told */
        "www.example:",            /* this is none */
        ":443",                    /* nor is this a host */
        "www.example:0",           /* ports */
        "www.example:65536",       /* */
        "www.example:4294967739",  /* 443 in 32 bits */
        "www.example:0443",        /* octal to some */
        "www.example:+443",        /* */
        "www.example:44a",         /* */
        "www.example:443:443",     /* */
        "443",                     /* */
        "2001:db8::1:443",         /* wget's and Python 3.11's; squid goes to 0.0.7.209 */
        "[2001:db8::1]",           /* */
        "[2001:db8::1]443",        /* */
        "[2001:db8::1:443",        /* */
        "2001:db8::1]:443",        /* */
        "[[2001:db8::1]]:443",     /* */
        "[]:443",                  /* */
        "[www.example]:443",       /* */
        "[192.0.2.1]:443",         /* */
        "[v1.a:b]:443",            /* RFC 3986's form of the future */
        "[fe80::1%lo]:443",        /* scopes */
        "[fe80::1%25lo]:443",      /* */
        "[fe80::1%1]:443",         /* */
        "user@www.example:443",    /* */
        "user:word@www.example:1", /* */
        "www.example:443/",        /* */
        "www.example/x:443",       /* */
        "www.example?x:443",       /* */
        "www.example#x:443",       /* */
        "www.example\\x:443",      /* */
        "www%2eexample:443",       /* */
        "http://www.example:443",  /* */
        "http://www.example/",     /* */
        "https://www.example:443", /* */
        "/",                       /* */
        "*",                       /* */
        "*:443",                   /* */
        "*.example:443",           /* */
        ".:443",                   /* */
        ".example:443",            /* */
        "www..example:443",        /* */
        "www.example..:443",       /* */
        "127.1:443",               /* what inet_aton takes for 127.0.0.1 */
        "127.1.:443",              /* */
        "2130706433:443",          /* */
        "0x7f000001:443",          /* */
        "0X7f000001:443",          /* */
        "0X7f.0.0.0x1:443",        /* */
        "0x:443",                  /* 0, to the WHATWG */
        "127.0.0.1.:443",          /* */
        "127.0.0.01:443",          /* */
        "127.0.0.256:443",         /* */
        "www,example:443",         /* */
        "~:443",                   /* */
        "a,b:443",                 /* */
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example:443",
    };
    char text[512];

    for (size_t i = 0; i < COUNT(targets); i++) {
        (void)snprintf(text, sizeof(text), "CONNECT %s HTTP/1.1\r\n\r\n", targets[i]);
        assert_refused(text, BAD_TARGET, PRELUDE_MALFORMED);
    }
}

/* `labels` of 63 characters and one of `rest`. */
static void make_name(char *name, size_t labels, size_t rest, const char *end)
{
    for (size_t i = 0; i < labels; i++) {
        memset(name, 'a', 63);
        name[63] = '.';
        name += 64;
    }
    memset(name, 'b', rest);
    memcpy(name + rest, end, strlen(end) + 1);
}

static void test_long_names(void **state)
{
    (void)state;
    static const struct {
        size_t labels, rest;
        const char *end;
        bool good;
    } names[] = {{3, 61, "", true}, {3, 61, ".", true}, {3, 62, "", false}, {3, 62, ".", false},
                 {4, 2, "", false}, {5, 1, "", false},  {3, 63, "", false}, {4, 63, ".", false}};
    char name[512], text[600];

    for (size_t i = 0; i < COUNT(names); i++) {
        make_name(name, names[i].labels, names[i].rest, names[i].end);
        (void)snprintf(text, sizeof(text), "CONNECT %s:443 HTTP/1.1\r\n\r\n", name);
        struct talk talk = {
            .title = text,
            .lines = {{.kind = TALK_PEER, .bytes = text, .length = strlen(text)},
                      {.kind = TALK_ASKS, .bytes = name, .port = 443}},
            .state = PRELUDE_ASKED,
        };
        if (names[i].good)
            hold(&talk, 1);
        else
            assert_refused(text, BAD_TARGET, PRELUDE_MALFORMED);
    }
}

/* ---- heads ---- */

#define ASKED_FOR(request)                                                                         \
    {                                                                                              \
        request, {PEER(request), ASKS("www.example", 443)}, .state = PRELUDE_ASKED                 \
    }

static void test_heads(void **state)
{
    (void)state;
    static const struct talk talks[] = {
        ASKED_FOR("CONNECT www.example:443 HTTP/1.0\r\n\r\n"),
        ASKED_FOR("\r\n" CONNECT("www.example:443") "\r\n"),
        ASKED_FOR(CONNECT("www.example:443") "Host:\r\n\r\n"),
        ASKED_FOR(CONNECT("www.example:443") "Host: elsewhere.example\r\n\r\n"),
        ASKED_FOR(
            CONNECT("www.example:443") "!#$%&'*+-.^_`|~09azAZ:\t \"(),/:;<=>?@[]{}\\\r\n\r\n"),
        ASKED_FOR(CONNECT("www.example:443") "X: \x80\xff\r\n\r\n"),
        ASKED_FOR(CONNECT("www.example:443") "Proxy-Authorization: Basic YTpi\r\n\r\n"),
        ASKED_FOR(CONNECT("www.example:443") "Content-Length: 0\r\n\r\n"),
        ASKED_FOR(CONNECT("www.example:443") "content-length:\t0 \t\r\nContent-Length:0\r\n\r\n"),
        /* As long as Host, Content-Length and Transfer-Encoding, and none of them. */
        ASKED_FOR(CONNECT("www.example:443") "Date: a\r\nDate: b\r\n\r\n"),
        ASKED_FOR(CONNECT("www.example:443") "Content-Lenght: 5\r\nX-ransfer-Encoding: b\r\n\r\n"),
        {"a head that goes on", {PEER(CONNECT("www.example:443") "Host: a\r\n")}, MORE},
        {"an empty line", {PEER("\r\n")}, MORE},
    };
    hold(talks, COUNT(talks));
}

static void test_heads_that_are_none(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "\r\n\r\n",
        "\r\n\r\n" CONNECT("www.example:443") "\r\n",
        " " CONNECT("www.example:443") "\r\n",
        "CONNECT\r\n\r\n",
        "CONNECT www.example:443\r\n\r\n",
        "CONNECT  www.example:443 HTTP/1.1\r\n\r\n",
        "CONNECT  HTTP/1.1\r\n\r\n",
        "CONNECT \xc3.example:443 HTTP/1.1\r\n\r\n",
        "CONNECT www.example:443  HTTP/1.1\r\n\r\n",
        "CONNECT www.example:443 HTTP/1.1 \r\n\r\n",
        "CONNECT www.example:443 x HTTP/1.1\r\n\r\n",
        "CONNECT\twww.example:443\tHTTP/1.1\r\n\r\n",
        "CONNECT www.example:443\tHTTP/1.1\r\n\r\n",
        "CONNECT www.example\t:443 HTTP/1.1\r\n\r\n",
        "CONNECT www.ex\xc3\xa4mple:443 HTTP/1.1\r\n\r\n",
        "CONN(CT www.example:443 HTTP/1.1\r\n\r\n",
        "C\xc3\x96NNECT www.example:443 HTTP/1.1\r\n\r\n",
        "CONNECT www.example:443 http/1.1\r\n\r\n",
        "CONNECT www.example:443 HTTP/1\r\n\r\n",
        "CONNECT www.example:443 HTTP/11.1\r\n\r\n",
        "CONNECT www.example:443 HTTP/1.x\r\n\r\n",
        "CONNECT www.example:443 HTTP/x.1\r\n\r\n",
        "CONNECT www.example:443 HTTP/1,1\r\n\r\n",
        "CONNECT www.example:443 HTTPS1.1\r\n\r\n",
        CONNECT("www.example:443") " Host: folded\r\n\r\n",
        CONNECT("www.example:443") "Host: a\r\n folded\r\n\r\n",
        CONNECT("www.example:443") "Host: a\r\n\tfolded\r\n\r\n",
        CONNECT("www.example:443") "Host : a\r\n\r\n",
        CONNECT("www.example:443") "Host\t: a\r\n\r\n",
        CONNECT("www.example:443") "Host\r\n\r\n",
        CONNECT("www.example:443") "H\r\n\r\n",
        CONNECT("www.example:443") ": a\r\n\r\n",
        CONNECT("www.example:443") "H\xc3\xb6st: a\r\n\r\n",
        CONNECT("www.example:443") "Ho st: a\r\n\r\n",
        CONNECT("www.example:443") "Host: a\r\nX: b\r\nhOST: a\r\n\r\n",
    };

    for (size_t i = 0; i < COUNT(heads); i++)
        assert_refused(heads[i], NOT_HTTP, PRELUDE_MALFORMED);
}

/* Refused with this very byte, as nothing behind it can make it good. */
static void test_bytes_that_are_in_no_head(void **state)
{
    (void)state;
    static const struct talk talks[] = {
        {"TLS", {PEER("\x16"), WE(NOT_HTTP)}, OVER(PRELUDE_MALFORMED)},
        {"SOCKS5", {PEER("\x05"), WE(NOT_HTTP)}, OVER(PRELUDE_MALFORMED)},
        {"LF", {PEER("\n"), WE(NOT_HTTP)}, OVER(PRELUDE_MALFORMED)},
        {"CR CR", {PEER("\r\r"), WE(NOT_HTTP)}, OVER(PRELUDE_MALFORMED)},
        {"LF for CRLF",
         {PEER("CONNECT www.example:443 HTTP/1.1\n"), WE(NOT_HTTP)},
         OVER(PRELUDE_MALFORMED)},
        {"LF behind CRLF",
         {PEER(CONNECT("www.example:443") "\n"), WE(NOT_HTTP)},
         OVER(PRELUDE_MALFORMED)},
        {"CR in a line",
         {PEER("CONNECT www.example:443\r "), WE(NOT_HTTP)},
         OVER(PRELUDE_MALFORMED)},
        {"CR CR LF",
         {PEER("CONNECT www.example:443 HTTP/1.1\r\r"), WE(NOT_HTTP)},
         OVER(PRELUDE_MALFORMED)},
        {"CR in a field",
         {PEER(CONNECT("www.example:443") "X: a\rb"), WE(NOT_HTTP)},
         OVER(PRELUDE_MALFORMED)},
        {"LF in a field",
         {PEER(CONNECT("www.example:443") "X: a\n"), WE(NOT_HTTP)},
         OVER(PRELUDE_MALFORMED)},
        {"zero in the target", {PEER("CONNECT www\0"), WE(NOT_HTTP)}, OVER(PRELUDE_MALFORMED)},
        {"zero in a field",
         {PEER(CONNECT("www.example:443") "X: a\0"), WE(NOT_HTTP)},
         OVER(PRELUDE_MALFORMED)},
        {"DEL in a field",
         {PEER(CONNECT("www.example:443") "X: \x7f"), WE(NOT_HTTP)},
         OVER(PRELUDE_MALFORMED)},
        {"control in a field",
         {PEER(CONNECT("www.example:443") "X: \x1f"), WE(NOT_HTTP)},
         OVER(PRELUDE_MALFORMED)},
    };
    hold(talks, COUNT(talks));
}

static void test_content(void **state)
{
    (void)state;
    static const char *const fields[] = {
        "Content-Length: 5",
        "content-length: 1",
        "Content-Length: 00",
        "Content-Length: 0, 5",
        "Content-Length: ",
        "Content-Length: +0",
        "Content-Length: -1",
        "Content-Length: 0x0",
        "Content-Length: 0\r\nContent-Length: 1",
        "Transfer-Encoding: chunked",
        "TRANSFER-ENCODING: identity",
        "Transfer-Encoding:",
    };
    char text[512];

    for (size_t i = 0; i < COUNT(fields); i++) {
        (void)snprintf(text, sizeof(text), CONNECT("www.example:443") "%s\r\n\r\n", fields[i]);
        assert_refused(text, HAS_CONTENT, PRELUDE_MALFORMED);
    }
}

static void test_other_methods(void **state)
{
    (void)state;
    assert_refused("GET / HTTP/1.1\r\nHost: proxy\r\n\r\n", NO_WEB_SERVER, PRELUDE_REFUSED);
    assert_refused("OPTIONS * HTTP/1.1\r\n\r\n", NO_WEB_SERVER, PRELUDE_REFUSED);
    assert_refused("POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\n", NO_WEB_SERVER, PRELUDE_REFUSED);
    assert_refused("GET http://www.example/ HTTP/1.1\r\n\r\n", NO_PLAINTEXT, PRELUDE_REFUSED);
    assert_refused("connect www.example:443 HTTP/1.1\r\n\r\n", NO_PLAINTEXT, PRELUDE_REFUSED);
}

static void test_other_versions(void **state)
{
    (void)state;
    assert_refused("PRI * HTTP/2.0\r\n\r\n", OTHER_VERSION, PRELUDE_REFUSED);
    assert_refused("CONNECT www.example:443 HTTP/1.2\r\n\r\n", OTHER_VERSION, PRELUDE_REFUSED);
    assert_refused("CONNECT www.example:443 HTTP/0.9\r\n\r\n", OTHER_VERSION, PRELUDE_REFUSED);
    assert_refused("CONNECT www.example:443 HTTP/9.9\r\n\r\n", OTHER_VERSION, PRELUDE_REFUSED);
    assert_refused("CONNECT www.example:443 HTTP/2.1\r\n\r\n", OTHER_VERSION, PRELUDE_REFUSED);
}

/* ---- lengths ---- */

enum { HEAD_MAX = 8192 };

/* What is this long is not cut everywhere, as a talk is. */
static void hold_long(const char *bytes, size_t length, size_t piece, enum prelude_state expected,
                      const char *answer)
{
    static const struct prelude_setting nobody = {.name = ""};
    void *memory = malloc(prelude_bytes(&prelude_http_connect));
    const uint8_t *output;

    assert_non_null(memory);
    struct prelude *p = prelude_init(memory, &prelude_http_connect, &nobody);
    for (size_t at = 0; at < length && prelude_state(p) == PRELUDE_MORE; at += piece)
        (void)prelude_push(p, (const uint8_t *)bytes + at,
                           length - at < piece ? length - at : piece);
    assert_int_equal(prelude_state(p), expected);
    assert_int_equal(prelude_peek(p, &output), strlen(answer));
    assert_memory_equal(output, answer, strlen(answer));
    free(memory);
}

static void hold_long_every_way(const char *bytes, size_t length, enum prelude_state expected,
                                const char *answer)
{
    static const size_t pieces[] = {1, 2, 3, 1000, HEAD_MAX - 1, HEAD_MAX, HEAD_MAX + 1, SIZE_MAX};

    for (size_t i = 0; i < COUNT(pieces); i++)
        hold_long(bytes, length, pieces[i], expected, answer);
}

static void test_long_heads(void **state)
{
    (void)state;
    static const char start[] = CONNECT("www.example:443") "X: ";
    char head[HEAD_MAX + 1];

    memset(head, 'x', sizeof(head));
    memcpy(head, start, sizeof(start) - 1);
    hold_long_every_way(head, HEAD_MAX - 1, PRELUDE_MORE, "");
    hold_long_every_way(head, HEAD_MAX, PRELUDE_OVER, HEAD_TOO_LONG);
    memcpy(head + HEAD_MAX - 4, "\r\n\r\n", 4);
    hold_long_every_way(head, HEAD_MAX, PRELUDE_ASKED, "");
    memcpy(head + HEAD_MAX - 4, "x\r\n\r\n", 5);
    hold_long_every_way(head, HEAD_MAX + 1, PRELUDE_OVER, HEAD_TOO_LONG);
}

static void test_a_long_request_line(void **state)
{
    (void)state;
    char line[2 + HEAD_MAX];

    memset(line, 'x', sizeof(line));
    memcpy(line, "\r\nCONNECT ", 10);
    hold_long_every_way(line, HEAD_MAX, PRELUDE_OVER, LINE_TOO_LONG);
    hold_long_every_way(line + 2, HEAD_MAX, PRELUDE_OVER, LINE_TOO_LONG);
}

/* ---- answers ---- */

#define REQUEST CONNECT("www.example:443") "\r\n"
#define ASK     PEER(REQUEST), ASKS("www.example", 443)

static void test_answers(void **state)
{
    (void)state;
    static const struct talk talks[] = {
        {"connected", {ASK, ANSWER(PRELUDE_CONNECTED), WE(CONNECTED)}, DONE},
        {"forbidden",
         {ASK, ANSWER(PRELUDE_FORBIDDEN),
          WE(REFUSAL("403 Forbidden", "; error=http_request_denied", "", "46",
                     "This proxy does not go to that host and port.\n"))},
         OVER(PRELUDE_REFUSED)},
        {"not found",
         {ASK, ANSWER(PRELUDE_NOT_FOUND),
          WE(REFUSAL("502 Bad Gateway", "; error=dns_error", "", "32",
                     "The host's name has no address.\n"))},
         OVER(PRELUDE_REFUSED)},
        {"refused there",
         {ASK, ANSWER(PRELUDE_REFUSED_THERE),
          WE(REFUSAL("502 Bad Gateway", "; error=connection_refused", "", "43",
                     "The host takes no connection at that port.\n"))},
         OVER(PRELUDE_REFUSED)},
        {"no way",
         {ASK, ANSWER(PRELUDE_NO_WAY),
          WE(REFUSAL("502 Bad Gateway", "; error=destination_ip_unroutable", "", "29",
                     "There is no way to the host.\n"))},
         OVER(PRELUDE_REFUSED)},
        {"timed out",
         {ASK, ANSWER(PRELUDE_TIMED_OUT),
          WE(REFUSAL("504 Gateway Timeout", "; error=connection_timeout", "", "33",
                     "The host did not answer in time.\n"))},
         OVER(PRELUDE_REFUSED)},
        {"unavailable",
         {ASK, ANSWER(PRELUDE_UNAVAILABLE),
          WE(REFUSAL("503 Service Unavailable", "; error=proxy_internal_error", "", "55",
                     "The proxy cannot connect now; it may be able to later.\n"))},
         OVER(PRELUDE_REFUSED)},
    };
    hold(talks, COUNT(talks));
}

/* They are for what follows, and for nobody where nothing does. */
static void test_bytes_behind_the_head(void **state)
{
    (void)state;
    static const struct talk talks[] = {
        {"TLS at once",
         {PEER(REQUEST), ASKS("www.example", 443), PEER(CLIENT_HELLO), ANSWER(PRELUDE_CONNECTED),
          WE(CONNECTED)},
         DONE_REST(CLIENT_HELLO)},
        {"TLS behind it",
         {PEER(REQUEST CLIENT_HELLO), ASKS("www.example", 443), ANSWER(PRELUDE_CONNECTED),
          WE(CONNECTED)},
         DONE_REST(CLIENT_HELLO)},
        {"a second request",
         {PEER(REQUEST CONNECT("other.example:1") "\r\n"), ASKS("www.example", 443),
          ANSWER(PRELUDE_CONNECTED), WE(CONNECTED)},
         DONE_REST(CONNECT("other.example:1") "\r\n")},
        {"content",
         {PEER(CONNECT("www.example:443") "Content-Length: 5\r\n\r\nhello"), WE(HAS_CONTENT)},
         OVER(PRELUDE_MALFORMED)},
        {"a second request behind one that is refused",
         {PEER("GET / HTTP/1.1\r\n\r\n" REQUEST), WE(NO_WEB_SERVER)},
         OVER(PRELUDE_REFUSED)},
        {"its end", {PEER(REQUEST), ASKS("www.example", 443), END}, OVER(PRELUDE_CUT_SHORT)},
        {"its end in the head", {PEER("CONNECT www"), END}, OVER(PRELUDE_CUT_SHORT)},
    };
    hold(talks, COUNT(talks));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clients_are_understood),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_targets_that_are_none),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_heads_that_are_none),
        cmocka_unit_test(test_bytes_that_are_in_no_head),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_other_methods),
        cmocka_unit_test(test_other_versions),
        cmocka_unit_test(test_long_heads),
        cmocka_unit_test(test_a_long_request_line),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_bytes_behind_the_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
