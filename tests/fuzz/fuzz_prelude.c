/*
 * What is spoken before TLS, every protocol in either part: however the bytes are cut, the same is
 * said and the same comes of it; memory, output and input are bounded; nothing comes before a
 * go-ahead that the part waits for; and nobody puts words into our mouth.
 *
 * An input: the part, flags, the answer to a request, cuts, and what the peer says.
 */
#include "tests/fuzz/support.h"

#include <stdlib.h>
#include <strings.h>

#include "proxy/prelude/prelude_parts.h"

enum { SIPS = 1, ENDS = 2, LOGINS = 4, GOES_ON = 8 };

enum role { REQUESTS = 2, ROLES = REQUESTS + 2 * (STARTTLS_COUNT - 1) };

/* More than any part may say, and may be told, before it is over. */
enum { OUTPUT_ROOM = 64 * 1024, INPUTS_MAX = 256 };

struct scene {
    unsigned role;
    const struct prelude_part *part;
    struct prelude_setting setting;
    unsigned flags;
    enum prelude_answer answer;
    const uint8_t *data;
    size_t length;
};

struct run {
    struct prelude *prelude;
    struct cuts cuts;
    size_t taken, told;
    uint8_t output[OUTPUT_ROOM];
};

static bool is_client(unsigned role)
{
    return role >= REQUESTS && (role - REQUESTS) % 2 == 1;
}

static enum starttls_protocol protocol_of(unsigned role)
{
    return role < REQUESTS ? STARTTLS_NONE : 1 + (role - REQUESTS) / 2;
}

static const struct prelude_part *part_of(unsigned role)
{
    if (role < REQUESTS)
        return role == 0 ? &prelude_http_connect : &prelude_socks5;
    enum starttls_protocol protocol = protocol_of(role);
    return is_client(role) ? prelude_starttls_client(protocol) : prelude_starttls_server(protocol);
}

/* ---- running one ---- */

static struct prelude *begin(const struct scene *s)
{
    void *memory = malloc(prelude_bytes(s->part));
    assert(memory != NULL && prelude_bytes(s->part) <= 16 * 1024);
    memset(memory, 0xa5, prelude_bytes(s->part));
    return prelude_init(memory, s->part, &s->setting);
}

static size_t push(struct prelude *p, const uint8_t *data, size_t length)
{
    if (length == 0)
        return 0;
    uint8_t *piece = malloc(length);
    assert(piece != NULL);
    memcpy(piece, data, length);
    size_t taken = prelude_push(p, piece, length);
    free(piece);
    assert(taken <= length);
    return taken;
}

static bool consume(const struct scene *s, struct run *r)
{
    const uint8_t *data;
    size_t n = prelude_peek(r->prelude, &data);

    assert(n <= PRELUDE_OUTPUT_MAX);
    if (n == 0)
        return false;
    if ((s->flags & SIPS) != 0)
        n = 1;
    assert(n <= OUTPUT_ROOM - r->told);
    memcpy(r->output + r->told, data, n);
    r->told += n;
    prelude_consume(r->prelude, n);
    return true;
}

static bool answer(const struct scene *s, struct run *r)
{
    if (prelude_state(r->prelude) != PRELUDE_ASKED)
        return false;
    assert(prelude_host(r->prelude)[0] != '\0');
    assert(strlen(prelude_host(r->prelude)) <= PRELUDE_HOST_MAX);
    prelude_answer(r->prelude, s->answer);
    assert(prelude_state(r->prelude) == PRELUDE_DONE || prelude_state(r->prelude) == PRELUDE_OVER);
    return true;
}

/* A piece in, what is said to it out. `whole`: all there is, and nothing out before it is in. */
static bool step(const struct scene *s, struct run *r, bool whole)
{
    size_t left = s->length - r->taken;
    size_t piece = whole ? left : cuts_next(&r->cuts, left);
    size_t taken = push(r->prelude, s->data + r->taken, piece == 0 && left > 0 ? 1 : piece);
    bool moved = taken > 0;

    r->taken += taken;
    if (whole && moved)
        return true;
    while (consume(s, r)) {
        moved = true;
        if (whole)
            break;
    }
    return answer(s, r) || moved;
}

static void run(const struct scene *s, struct run *r, bool whole)
{
    r->prelude = begin(s);
    r->taken = r->told = 0;
    while (step(s, r, whole))
        continue;
    if ((s->flags & ENDS) != 0)
        prelude_push_end(r->prelude);
}

/* ---- what must be true ---- */

static bool is_strict(const struct scene *s, const struct run *r)
{
    return !s->part->may_go_on && prelude_direct_alpn(r->prelude) == NULL;
}

static void check_state(const struct scene *s, const struct run *r)
{
    enum prelude_state state = prelude_state(r->prelude);
    const char *said = prelude_said(r->prelude);
    const uint8_t *rest;
    size_t n = prelude_rest(r->prelude, &rest);

    assert((state == PRELUDE_OVER) == (prelude_fault(r->prelude) != PRELUDE_NO_FAULT));
    assert(state != PRELUDE_DONE || !is_strict(s, r) || n == 0);
    assert(state != PRELUDE_DONE || n <= r->taken);
    assert(state != PRELUDE_DONE || n == 0 || memcmp(rest, s->data + r->taken - n, n) == 0);
    assert(strlen(said) <= PRELUDE_SAID_MAX);
    for (; *said != '\0'; said++)
        assert(*said >= ' ' && *said <= '~');
}

/* What is over, or done, takes nothing more; but nothing may come before a go-ahead. */
static void check_after(const struct scene *s, struct run *r)
{
    enum prelude_state state = prelude_state(r->prelude);

    if (state == PRELUDE_MORE)
        return;
    assert(push(r->prelude, (const uint8_t *)"x", 1) == 0);
    if (state != PRELUDE_DONE || !is_strict(s, r)) {
        assert(prelude_state(r->prelude) == state);
        return;
    }
    assert(prelude_state(r->prelude) == PRELUDE_OVER);
    assert(prelude_fault(r->prelude) == PRELUDE_INJECTED);
    const uint8_t *data;
    assert(prelude_peek(r->prelude, &data) == 0);
}

/* Who came with more than the command is told less; else nothing is another by the cuts. */
static void check_same(const struct run *whole, const struct run *cut)
{
    assert(prelude_state(whole->prelude) == prelude_state(cut->prelude));
    assert(prelude_fault(whole->prelude) == prelude_fault(cut->prelude));
    assert(strcmp(prelude_said(whole->prelude), prelude_said(cut->prelude)) == 0);
    assert(prelude_direct_alpn(whole->prelude) == prelude_direct_alpn(cut->prelude));
    assert(strcmp(prelude_host(whole->prelude), prelude_host(cut->prelude)) == 0);
    assert(prelude_port(whole->prelude) == prelude_port(cut->prelude));
    if (prelude_fault(whole->prelude) == PRELUDE_INJECTED)
        assert(whole->told <= cut->told);
    else
        assert(whole->told == cut->told);
    assert(memcmp(whole->output, cut->output, whole->told) == 0);
    if (prelude_state(whole->prelude) != PRELUDE_DONE)
        return;
    const uint8_t *rest;
    assert(whole->taken - prelude_rest(whole->prelude, &rest) ==
           cut->taken - prelude_rest(cut->prelude, &rest));
}

/* Who did not wait is not told to go on, as one is of whom byte comes after byte. */
static void check_not_told(const struct scene *s, const struct run *whole, struct run *bytewise)
{
    if (prelude_fault(whole->prelude) != PRELUDE_INJECTED || is_client(s->role))
        return;
    bytewise->cuts = (struct cuts){.count = 1, .lengths = {1}};
    run(s, bytewise, false);
    assert(prelude_fault(bytewise->prelude) == PRELUDE_INJECTED);
    assert(whole->told < bytewise->told);
    free(bytewise->prelude);
}

/* Who goes on and on is sent away. */
static void check_endless(const struct scene *s, struct run *r)
{
    size_t most = INPUTS_MAX * s->part->input_max;

    size_t taken = 0, at = 0;

    while (s->length > 0 && prelude_state(r->prelude) == PRELUDE_MORE) {
        size_t n = push(r->prelude, s->data + at, s->length - at);
        at = (at + n) % s->length;
        taken += n;
        assert(taken <= most);
        (void)consume(s, r);
    }
}

/* ---- what must be true of lines ---- */

static bool is_of_lines(unsigned role)
{
    enum starttls_protocol protocol = protocol_of(role);

    return protocol == STARTTLS_SMTP || protocol == STARTTLS_IMAP || protocol == STARTTLS_POP3;
}

/* CR and LF only together, and no zero byte. */
static void check_line_ends(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        assert(bytes[i] != '\0');
        assert(bytes[i] != '\n' || (i > 0 && bytes[i - 1] == '\r'));
        assert(bytes[i] != '\r' || (i + 1 < length && bytes[i + 1] == '\n'));
    }
    assert(length == 0 || bytes[length - 1] == '\n');
}

static bool begins(const uint8_t *bytes, size_t length, const char *text)
{
    return length >= strlen(text) && strncasecmp((const char *)bytes, text, strlen(text)) == 0;
}

/* The last line taken is the command, or the go-ahead. */
static void check_last_line(const struct scene *s, const struct run *r)
{
    static const char *const commands[] = {
        [STARTTLS_SMTP] = "STARTTLS", [STARTTLS_IMAP] = "STARTTLS", [STARTTLS_POP3] = "STLS"};
    static const char *const go_aheads[] = {
        [STARTTLS_SMTP] = "220", [STARTTLS_IMAP] = "a OK", [STARTTLS_POP3] = "+OK"};
    enum starttls_protocol protocol = protocol_of(s->role);
    size_t at = r->taken - 2;

    while (at > 0 && s->data[at - 1] != '\n')
        at--;
    const uint8_t *line = s->data + at;
    size_t length = r->taken - 2 - at;
    if (is_client(s->role)) {
        assert(begins(line, length, go_aheads[protocol]));
        return;
    }
    while (protocol == STARTTLS_IMAP && length > 0 && *line != ' ')
        line++, length--;
    if (protocol == STARTTLS_IMAP)
        line++, length--;
    assert(begins(line, length, commands[protocol]));
    for (size_t i = strlen(commands[protocol]); i < length; i++)
        assert(line[i] == ' ' || line[i] == '\t');
}

static void check_lines(const struct scene *s, const struct run *r)
{
    static const char *const asked[] = {[STARTTLS_SMTP] = "EHLO [192.0.2.1]\r\nSTARTTLS\r\n",
                                        [STARTTLS_IMAP] = "a STARTTLS\r\n",
                                        [STARTTLS_POP3] = "STLS\r\n"};

    check_line_ends(r->output, r->told);
    for (size_t i = 0; i < r->told; i++)
        assert(strchr("\r\n", r->output[i]) != NULL ||
               (r->output[i] >= ' ' && r->output[i] <= '~'));
    if (is_client(s->role)) {
        const char *all = asked[protocol_of(s->role)];
        assert(r->told <= strlen(all) && memcmp(r->output, all, r->told) == 0);
        assert(prelude_state(r->prelude) != PRELUDE_DONE || r->told == strlen(all));
    }
    if (prelude_state(r->prelude) == PRELUDE_DONE) {
        check_line_ends(s->data, r->taken);
        check_last_line(s, r);
    }
}

/* ---- the target ---- */

static const struct prelude_login logins[] = {{"user", "password"}, {"x", "y"}};

static struct scene take_scene(struct input *in)
{
    struct scene s = {.role = input_byte(in) % ROLES,
                      .setting = {.name = "[192.0.2.1]"},
                      .flags = input_byte(in),
                      .answer = (enum prelude_answer)(input_byte(in) % (PRELUDE_UNAVAILABLE + 1u))};

    s.part = part_of(s.role);
    if ((s.flags & LOGINS) != 0) {
        s.setting.logins = logins;
        s.setting.login_count = COUNT(logins);
    }
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, cut, bytewise;
    struct input in = {.at = data, .left = size};
    struct scene s = take_scene(&in);

    cut.cuts = input_cuts(&in);
    s.data = in.at;
    s.length = in.left;
    run(&s, &whole, true);
    run(&s, &cut, false);
    check_state(&s, &whole);
    check_state(&s, &cut);
    check_same(&whole, &cut);
    check_not_told(&s, &whole, &bytewise);
    if (is_of_lines(s.role)) {
        check_lines(&s, &whole);
        check_lines(&s, &cut);
    }
    if ((s.flags & GOES_ON) != 0)
        check_endless(&s, &cut);
    check_after(&s, &whole);
    free(whole.prelude);
    free(cut.prelude);
    return 0;
}

/* ---- seeds ---- */

static void seed(unsigned role, const char *text, size_t length)
{
    const uint8_t cuts[] = {(uint8_t)role, GOES_ON, 0, 3, 1, 7, 2};
    const uint8_t whole[] = {(uint8_t)role, ENDS | SIPS | LOGINS, 0, 0};

    seed_write_behind(cuts, sizeof(cuts), text, length);
    seed_write_behind(whole, sizeof(whole), text, length);
}

#define SEED(role, text) seed(role, text, sizeof(text) - 1)

static unsigned server_of(enum starttls_protocol protocol)
{
    return REQUESTS + 2 * ((unsigned)protocol - 1);
}

static unsigned client_of(enum starttls_protocol protocol)
{
    return server_of(protocol) + 1;
}

static void seed_lines(void)
{
    char tag[1500];

    memset(tag, 't', sizeof(tag));
    memcpy(tag + sizeof(tag) - 7, " NOOP\r\n", 7);
    seed(server_of(STARTTLS_IMAP), tag, sizeof(tag));
    SEED(server_of(STARTTLS_SMTP), "EHLO x\r\nNOOP\r\nHELO x\r\nRSET\r\nMAIL FROM:<>\r\nQUIT\r\n");
    SEED(server_of(STARTTLS_SMTP), "EHLO x\r\nSTARTTLS x\r\nSTARTTLS\r\n");
    SEED(server_of(STARTTLS_SMTP), "STARTTLS\r\nMAIL FROM:<>\r\n");
    SEED(client_of(STARTTLS_SMTP),
         "220-a\r\n220 b\r\n250-a\r\n250-STARTTLS\r\n250 b\r\n220 go\r\n");
    SEED(client_of(STARTTLS_SMTP), "220 a\r\n250-a\r\n250 STARTTLS\r\n220 go\r\n250 x\r\n");
    SEED(client_of(STARTTLS_SMTP), "220 a\r\n250-a\r\n250 HELP\r\n");
    SEED(server_of(STARTTLS_IMAP), "a CAPABILITY\r\nb LOGIN a b\r\nc NOOP\r\nd LOGOUT\r\n");
    SEED(server_of(STARTTLS_IMAP), "a LOGIN {5+}\r\nb STARTTLS\r\n");
    SEED(server_of(STARTTLS_IMAP), "a ID NIL\r\nb STARTTLS x\r\nb STARTTLS\r\n");
    SEED(client_of(STARTTLS_IMAP),
         "* OK [CAPABILITY IMAP4rev1 STARTTLS] x\r\n* NO y\r\na OK go\r\n");
    SEED(client_of(STARTTLS_IMAP), "* OK x\r\na NO y\r\n");
    SEED(client_of(STARTTLS_IMAP), "* PREAUTH x\r\n");
    SEED(server_of(STARTTLS_POP3), "CAPA\r\nUSER x\r\nSTLS x\r\nSTLS\r\n");
    SEED(server_of(STARTTLS_POP3), "NOOP\r\nQUIT\r\n");
    SEED(client_of(STARTTLS_POP3), "+OK x\r\n+OK y\r\n");
    SEED(client_of(STARTTLS_POP3), "+OK x\r\n-ERR y\r\n");
}

static void seed_messages(void)
{
    static const char extended[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
                                   "1.3.6.1.4.1.1466.20037";

    SEED(server_of(STARTTLS_LDAP), extended);
    SEED(server_of(STARTTLS_LDAP), "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0");
    SEED(server_of(STARTTLS_LDAP), "\x30\x05\x02\x01\x02\x42\0");
    SEED(client_of(STARTTLS_LDAP), "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\0\x04\0\x04\0");
    SEED(client_of(STARTTLS_LDAP),
         "\x30\x84\0\0\0\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\0\x04\0");
    SEED(server_of(STARTTLS_POSTGRESQL), "\0\0\0\x08\x04\xd2\x16\x2f");
    SEED(server_of(STARTTLS_POSTGRESQL), "\0\0\0\x08\x04\xd2\x16\x30\0\0\0\x08\x04\xd2\x16\x2f");
    SEED(server_of(STARTTLS_POSTGRESQL), "\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1\0\0\0\2");
    SEED(server_of(STARTTLS_POSTGRESQL), "\0\0\0\x0f\0\3\0\0user\0x\0\0");
    SEED(server_of(STARTTLS_POSTGRESQL), "\x16\x03\x01\0\x05\x01\0\0\1\0");
    SEED(client_of(STARTTLS_POSTGRESQL), "S");
    SEED(client_of(STARTTLS_POSTGRESQL), "N");
    SEED(client_of(STARTTLS_POSTGRESQL), "E\0\0\0\x0bSERROR\0\0");
}

static void seed_requests(void)
{
    SEED(0,
         "CONNECT www.example.org:443 HTTP/1.1\r\nHost: www.example.org:443\r\n\r\n\x16\x03\x01");
    SEED(0, "CONNECT [2001:db8::1]:443 HTTP/1.0\r\n\r\n");
    SEED(0, "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n");
    SEED(1, "\x05\x01\0\x05\x01\0\x03\x05www.x\x01\xbb\x16\x03\x01");
    SEED(1, "\x05\x02\0\x02\x01\x04user\x08password\x05\x01\0\x01\xc0\0\x02\x01\x01\xbb");
    SEED(1, "\x05\x01\0\x05\x01\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x01\xbb");
    SEED(1, "\x05\x01\0\x05\x03\0\x01\xc0\0\x02\x01\x01\xbb");
}

void fuzz_seeds(void)
{
    seed_lines();
    seed_messages();
    seed_requests();
}
