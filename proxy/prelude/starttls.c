#include "proxy/prelude/prelude_parts.h"

static const struct {
    const char *text;
    const struct prelude_part *server, *client;
} protocols[STARTTLS_COUNT] = {
    [STARTTLS_NONE] = {"none", NULL, NULL},
    [STARTTLS_SMTP] = {"smtp", &prelude_smtp_server, &prelude_smtp_client},
    [STARTTLS_IMAP] = {"imap", &prelude_imap_server, &prelude_imap_client},
    [STARTTLS_POP3] = {"pop3", &prelude_pop3_server, &prelude_pop3_client},
    [STARTTLS_LDAP] = {"ldap", &prelude_ldap_server, &prelude_ldap_client},
    [STARTTLS_POSTGRESQL] = {"postgresql", &prelude_postgresql_server, &prelude_postgresql_client},
};

const struct prelude_part *prelude_starttls_server(enum starttls_protocol protocol)
{
    return protocols[protocol].server;
}

const struct prelude_part *prelude_starttls_client(enum starttls_protocol protocol)
{
    return protocols[protocol].client;
}

const char *prelude_starttls_text(enum starttls_protocol protocol)
{
    return protocols[protocol].text;
}
