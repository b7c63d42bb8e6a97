/* A listener's request, its logins, and STARTTLS. */
#include "proxy/config/decode_parts.h"

#include <string.h>

bool decode_names_hosts(const struct config_listener *listener)
{
    return listener->request == CONFIG_REQUEST_HTTP_CONNECT ||
           listener->request == CONFIG_REQUEST_SOCKS5;
}

static void check_tcp_only(struct decoder *decoder, const struct decode_at *at,
                           const Turbotls__V1__Listener *message)
{
    static const char *const what =
        "is for protocol TCP only, as TURBO begins with what is sent by UDP; add protocol: TCP";

    if (message->protocol != TURBOTLS__V1__PROTOCOL__TURBO ||
        (!message->has_protocol && decode_was_tried(decoder, at, "protocol")))
        return;
    if (message->has_request)
        decode_error(decoder, at, "request", 0, "%s", what);
    if (message->has_starttls)
        decode_error(decoder, at, "starttls", 0, "%s", what);
}

/* ---- logins ---- */

/* NULL: it is wrong, and said so; what a password is never is. */
static const char *decode_secret(struct decoder *decoder, const struct decode_at *at,
                                 const char *field, const char *text)
{
    size_t length = text == NULL ? 0 : strlen(text);

    if (text == NULL) {
        decode_missing(decoder, at, field, "1 to 255 bytes");
        return NULL;
    }
    if (length < 1 || length > CONFIG_LOGIN_BYTES_MAX)
        decode_error(decoder, at, field, 0, "has %zu bytes; use 1 to %d", length,
                     CONFIG_LOGIN_BYTES_MAX);
    return decode_text(decoder, text);
}

static void check_user(struct decoder *decoder, const struct decode_at *at,
                       const Turbotls__V1__Listener *message, size_t index)
{
    const char *user = message->login[index]->user;

    for (size_t i = 0; user != NULL && i < index; i++)
        if (message->login[i]->user != NULL && strcmp(message->login[i]->user, user) == 0) {
            decode_error(decoder, at, "user", 0, "login[%zu] is of %s too; give each user one", i,
                         quote(user).text);
            return;
        }
}

static void decode_logins(struct decoder *decoder, const struct decode_at *parent,
                          const Turbotls__V1__Listener *message, struct config_listener *out)
{
    size_t count =
        decode_count(decoder, parent, "login", message->n_login, (size_t)CONFIG_LOGINS_MAX);
    struct prelude_login *logins = decode_alloc(decoder, count, sizeof(*logins));

    out->logins = logins;
    out->login_count = logins == NULL ? 0 : count;
    for (size_t i = 0; i < out->login_count; i++) {
        const Turbotls__V1__Login *login = message->login[i];
        struct decode_at at = {parent, &login->base, "login", i};

        decode_check(decoder, &at, NULL, 0);
        logins[i].user = decode_secret(decoder, &at, "user", login->user);
        logins[i].password = decode_secret(decoder, &at, "password", login->password);
        check_user(decoder, &at, message, i);
    }
    if (count > 0 && out->request != CONFIG_REQUEST_SOCKS5 &&
        !decode_request_is_unread(decoder, parent, message))
        decode_error(decoder, parent, "login", 0,
                     "is for request: SOCKS5 only; leave it out, or use that");
}

/* ---- an open proxy ---- */

static bool is_for_all(const struct config_rule *rule, const struct network *all)
{
    const struct networks *networks = &rule->networks;

    for (size_t i = 0; i < networks->count; i++)
        if (networks->list[i].bits == all->bits &&
            memcmp(networks->list[i].prefix, all->prefix, sizeof(all->prefix)) == 0)
            return true;
    return networks->count == 0;
}

/* Whom no rule matches is allowed: is there a rule for everybody, of the family whose all `text`
 * is? */
static bool decides_for(const struct config_listener *listener, const char *text)
{
    struct network all;

    (void)network_parse(text, &all);
    for (size_t i = 0; i < listener->rule_count; i++)
        if (is_for_all(&listener->rules[i], &all))
            return true;
    return false;
}

static bool is_guarded(const struct decoder *decoder, const struct decode_at *at,
                       const struct config_listener *listener)
{
    bool has_v4 = listener->dual_stack || address_family(&listener->address) == AF_INET;
    bool has_v6 = address_family(&listener->address) == AF_INET6;

    if (listener->request == CONFIG_REQUEST_SOCKS5 &&
        (listener->login_count > 0 || decode_was_tried(decoder, at, "login")))
        return true;
    if (listener->rule_count == 0)
        return decode_was_tried(decoder, at, "access_rule");
    return (!has_v4 || decides_for(listener, "0.0.0.0/0")) &&
           (!has_v6 || decides_for(listener, "::/0"));
}

void decode_check_open_proxy(struct decoder *decoder, const struct decode_at *at,
                             const struct config_listener *listener)
{
    char text[CONFIG_LISTEN_TEXT_BYTES];

    if (!decode_names_hosts(listener) || address_family(&listener->address) == AF_UNSPEC ||
        address_is_loopback(&listener->address) || is_guarded(decoder, at, listener))
        return;
    (void)config_listen_text(listener, text);
    if (listener->rule_count > 0)
        decode_error(decoder, at, "access_rule", listener->rule_count - 1,
                     "whom no rule matches is allowed, and so '%s' is an open proxy; end with "
                     "access_rule { action: DENY }",
                     text);
    else
        decode_error(decoder, at, "request", 0,
                     "at '%s' this is an open proxy: everybody may use it; listen at 127.0.0.1 or "
                     "[::1], or say with access_rule%s who may",
                     text, listener->request == CONFIG_REQUEST_SOCKS5 ? " or login" : "");
}

/* ---- all of it ---- */

void decode_request(struct decoder *decoder, const struct decode_at *at,
                    const Turbotls__V1__Listener *message, struct config_listener *out)
{
    /* The schema's numbers are those of the enums. */
    out->request =
        message->has_request ? (enum config_request)message->request : CONFIG_REQUEST_NONE;
    out->starttls =
        message->has_starttls ? (enum starttls_protocol)message->starttls : STARTTLS_NONE;
    check_tcp_only(decoder, at, message);
    decode_logins(decoder, at, message, out);
    if (message->has_starttls && message->sniff_timeout_seconds > 0)
        decode_error(decoder, at, "sniff_timeout_seconds", 0,
                     "does not go with starttls: what the server would say first the proxy says "
                     "itself; leave one of the two out");
}

bool decode_request_is_unread(const struct decoder *decoder, const struct decode_at *at,
                              const Turbotls__V1__Listener *message)
{
    return !message->has_request && decode_was_tried(decoder, at, "request");
}
