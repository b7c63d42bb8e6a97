/*
 * SOCKS5 (RFC 1928), with user names and passwords (RFC 1929) where there are any to check; only
 * CONNECT.
 */
#include "proxy/prelude/prelude_parts.h"

#include <assert.h>
#include <string.h>

#include "turbo/cursor.h"

enum { VERSION = 5, LOGIN_VERSION = 1, SOCKS4_VERSION = 4 };
enum { METHOD_NONE = 0, METHOD_LOGIN = 2, METHOD_NO_ACCEPTABLE = 0xff }; /* RFC 1928 §3 */
enum { LOGIN_RIGHT = 0, LOGIN_WRONG = 1 };                               /* RFC 1929 §2 */
enum { COMMAND_CONNECT = 1 };
enum { TYPE_IPV4 = 1, TYPE_NAME = 3, TYPE_IPV6 = 4 };
enum { IPV4_BYTES = 4, IPV6_BYTES = 16 };

enum step { STEP_GREETING, STEP_LOGIN, STEP_REQUEST };

/* RFC 1928 §6. */
enum reply {
    REPLY_SUCCEEDED,
    REPLY_GENERAL_FAILURE,
    REPLY_NOT_ALLOWED,
    REPLY_NETWORK_UNREACHABLE,
    REPLY_HOST_UNREACHABLE,
    REPLY_CONNECTION_REFUSED,
    REPLY_TTL_EXPIRED,
    REPLY_COMMAND_NOT_SUPPORTED,
    REPLY_TYPE_NOT_SUPPORTED,
};

/* Room for the longest message, a user name and a password (RFC 1929 §2), and for a ClientHello
 * from clients that wait for nothing. */
enum {
    TEXT_BYTES_MAX = 255,
    MESSAGE_BYTES_MAX = 1 + 2 * (1 + TEXT_BYTES_MAX),
    INPUT_BYTES_MAX = 4096,
};
static_assert(INPUT_BYTES_MAX >= MESSAGE_BYTES_MAX, "the longest message must fit");

/* A length in one byte, and so many bytes. NULL: they are not all there. */
static const uint8_t *read_counted(struct reader *in, size_t *length)
{
    *length = reader_number(in, 1);
    return reader_bytes(in, *length);
}

/* ---- the greeting ---- */

/* Something else than SOCKS5 is told so in its own words, where it has any. */
static void refuse_other(struct prelude *p, uint8_t first)
{
    static const uint8_t socks4_rejected[8] = {0, 91};

    if (first == SOCKS4_VERSION)
        prelude_put(p, socks4_rejected, sizeof(socks4_rejected));
    else if (first >= 'A' && first <= 'Z')
        prelude_print(p, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
                         "Content-Type: text/plain\r\n\r\nThis port speaks SOCKS5, not HTTP.\n");
    prelude_over(p, PRELUDE_MALFORMED);
}

static void choose_method(struct prelude *p, const uint8_t *methods, size_t count)
{
    bool login = p->setting.login_count > 0;
    uint8_t wanted = login ? METHOD_LOGIN : METHOD_NONE;

    if (memchr(methods, wanted, count) == NULL) {
        prelude_put(p, (uint8_t[]){VERSION, METHOD_NO_ACCEPTABLE}, 2);
        prelude_over(p, login ? PRELUDE_NO_LOGIN : PRELUDE_REFUSED);
        return;
    }
    prelude_put(p, (uint8_t[]){VERSION, wanted}, 2);
    p->step = login ? STEP_LOGIN : STEP_REQUEST;
}

static void take_greeting(struct prelude *p, struct reader *in)
{
    uint8_t version = (uint8_t)reader_number(in, 1);
    size_t count;

    if (version != VERSION) {
        refuse_other(p, version);
        return;
    }
    const uint8_t *methods = read_counted(in, &count);
    if (methods != NULL)
        choose_method(p, methods, count);
}

/* ---- the login ---- */

/*
 * 0: they are equal. Takes as long for any text of ours, so that time does not tell how much of it
 * was right: no early end, and no step that depends on what is compared.
 */
static size_t differences(const char *ours, const uint8_t *theirs, size_t length)
{
    volatile size_t different = 0;
    size_t ours_length = 0;

    for (size_t i = 0; i < TEXT_BYTES_MAX; i++) {
        size_t not_at_end = *ours != '\0';
        different |= (uint8_t)*ours ^ (i < length ? theirs[i] : 0U);
        ours += not_at_end;
        ours_length += not_at_end;
    }
    /* Longer ones than can be said do not match. */
    different |= (uint8_t)*ours;
    return different | (ours_length ^ length);
}

static bool is_right(const struct prelude *p, const uint8_t *user, size_t user_length,
                     const uint8_t *password, size_t password_length)
{
    volatile size_t right = 0;

    for (size_t i = 0; i < p->setting.login_count; i++) {
        const struct prelude_login *login = &p->setting.logins[i];
        right |= (size_t)((differences(login->user, user, user_length) |
                           differences(login->password, password, password_length)) == 0);
    }
    return right != 0;
}

static void take_login(struct prelude *p, struct reader *in)
{
    size_t user_length, password_length;

    if (reader_number(in, 1) != LOGIN_VERSION) {
        prelude_over(p, PRELUDE_MALFORMED);
        return;
    }
    const uint8_t *user = read_counted(in, &user_length);
    const uint8_t *password = read_counted(in, &password_length);
    if (!in->ok)
        return;
    bool right = is_right(p, user, user_length, password, password_length);
    prelude_put(p, (uint8_t[]){LOGIN_VERSION, right ? LOGIN_RIGHT : LOGIN_WRONG}, 2);
    if (right)
        p->step = STEP_REQUEST;
    else
        prelude_over(p, PRELUDE_NO_LOGIN);
}

/* ---- the request ---- */

/* BND.ADDR and BND.PORT stay zero: where there is no TCP yet nobody knows them, and for CONNECT
 * nobody needs them. */
static void reply(struct prelude *p, enum reply code)
{
    const uint8_t text[4 + IPV4_BYTES + 2] = {VERSION, (uint8_t)code, 0, TYPE_IPV4};

    prelude_put(p, text, sizeof(text));
}

static void refuse(struct prelude *p, enum reply code, enum prelude_fault fault)
{
    reply(p, code);
    prelude_over(p, fault);
}

/* What a request is for. */
struct target {
    uint8_t command, type;
    const uint8_t *host; /* as `type` has it */
    size_t host_length;
    uint16_t port;
};

static bool ask(struct prelude *p, const struct target *target)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(target->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(target->port)};
    struct address address;

    switch (target->type) {
    case TYPE_IPV4:
        memcpy(&v4.sin_addr, target->host, IPV4_BYTES);
        address_from_sockaddr(&address, (const struct sockaddr *)&v4, sizeof(v4));
        return prelude_ask_address(p, &address);
    case TYPE_IPV6:
        memcpy(&v6.sin6_addr, target->host, IPV6_BYTES);
        address_from_sockaddr(&address, (const struct sockaddr *)&v6, sizeof(v6));
        return prelude_ask_address(p, &address);
    default: /* a name; some clients have addresses in text there */
        return prelude_ask(p, target->host, target->host_length, target->port);
    }
}

static void read_host(struct reader *in, struct target *target)
{
    switch (target->type) {
    case TYPE_IPV4: target->host_length = IPV4_BYTES; break;
    case TYPE_IPV6: target->host_length = IPV6_BYTES; break;
    default: target->host_length = reader_number(in, 1);
    }
    target->host = reader_bytes(in, target->host_length);
    target->port = (uint16_t)reader_number(in, 2);
}

static void take_request(struct prelude *p, struct reader *in)
{
    struct target target;

    if (reader_number(in, 1) != VERSION) {
        prelude_over(p, PRELUDE_MALFORMED);
        return;
    }
    target.command = (uint8_t)reader_number(in, 1);
    uint8_t reserved = (uint8_t)reader_number(in, 1);
    target.type = (uint8_t)reader_number(in, 1);
    if (!in->ok)
        return;
    if (target.type != TYPE_IPV4 && target.type != TYPE_NAME && target.type != TYPE_IPV6) {
        refuse(p, REPLY_TYPE_NOT_SUPPORTED, PRELUDE_REFUSED);
        return;
    }
    read_host(in, &target);
    if (!in->ok)
        return;
    if (target.command != COMMAND_CONNECT)
        refuse(p, REPLY_COMMAND_NOT_SUPPORTED, PRELUDE_REFUSED);
    else if (reserved != 0 || !ask(p, &target))
        refuse(p, REPLY_GENERAL_FAILURE, PRELUDE_MALFORMED);
}

static void answer(struct prelude *p, enum prelude_answer answer)
{
    static const enum reply codes[] = {
        [PRELUDE_CONNECTED] = REPLY_SUCCEEDED,
        [PRELUDE_FORBIDDEN] = REPLY_NOT_ALLOWED,
        [PRELUDE_NOT_FOUND] = REPLY_HOST_UNREACHABLE,
        [PRELUDE_REFUSED_THERE] = REPLY_CONNECTION_REFUSED,
        [PRELUDE_NO_WAY] = REPLY_NETWORK_UNREACHABLE,
        [PRELUDE_TIMED_OUT] = REPLY_HOST_UNREACHABLE,
        [PRELUDE_UNAVAILABLE] = REPLY_GENERAL_FAILURE,
    };

    if (answer != PRELUDE_CONNECTED) {
        refuse(p, codes[answer], PRELUDE_REFUSED);
        return;
    }
    reply(p, REPLY_SUCCEEDED);
    prelude_done(p);
}

static size_t take(struct prelude *p, const uint8_t *data, size_t length)
{
    struct reader in = reader_of(data, length);

    switch ((enum step)p->step) {
    case STEP_GREETING: take_greeting(p, &in); break;
    case STEP_LOGIN: take_login(p, &in); break;
    case STEP_REQUEST: take_request(p, &in); break;
    }
    return in.ok ? length - in.left : 0;
}

const struct prelude_part prelude_socks5 = {
    .input_max = INPUT_BYTES_MAX,
    .may_go_on = true,
    .take = take,
    .answer = answer,
};
