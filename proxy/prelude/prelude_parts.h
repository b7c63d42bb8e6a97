/*
 * Within proxy/prelude/ only: what each protocol sees of a prelude.
 */
#ifndef PROXY_PRELUDE_PRELUDE_PARTS_H
#define PROXY_PRELUDE_PRELUDE_PARTS_H

#include "proxy/prelude/prelude.h"

enum {
    PRELUDE_OUTPUT_MAX = 1024,
    PRELUDE_LINE_MAX = 2048,   /* RFC 5321 §4.5.3.1 asks for 512 of SMTP, with extensions more */
    PRELUDE_COMMANDS_MAX = 32, /* before TLS; who goes on is sent away */
    PRELUDE_REPLIES_MAX = 128, /* lines of a server's, its greeting with them */
};

struct prelude_part {
    size_t input_max; /* the longest unit: a command, reply or message */
    bool may_go_on;   /* bytes behind the last unit belong to what follows; else: injected */
    /* At the beginning. NULL: waits for the peer. */
    void (*start)(struct prelude *prelude);
    /*
     * The input begins at `data`: takes one unit out, and returns its length; 0: it is not complete
     * (when the input is full, or has ended, that is for the core to deal with). Called while the
     * state is MORE and there is no output.
     */
    size_t (*take)(struct prelude *prelude, const uint8_t *data, size_t length);
    /* NULL: nothing can be asked for. */
    void (*answer)(struct prelude *prelude, enum prelude_answer answer);
    /* What is told to a peer whose unit is too long, or who has said too much; NULL: nothing. */
    void (*overlong)(struct prelude *prelude);
};

struct prelude {
    const struct prelude_part *part;
    struct prelude_setting setting;
    enum prelude_state state;
    enum prelude_fault fault;
    uint32_t step;       /* the part's own: where in its dialogue it is; 0 at first */
    uint32_t commands;   /* the part's own: lines or messages, counted */
    uint32_t reply_code; /* SMTP's: of the reply that has begun; 0: none has */
    bool offered;        /* and whether it told of STARTTLS */
    char host[PRELUDE_HOST_MAX + 1];
    uint16_t port;
    const char *direct_alpn; /* NULL: TLS has not begun at once */
    char said[PRELUDE_SAID_MAX + 1];
    uint8_t output[PRELUDE_OUTPUT_MAX];
    size_t output_length, output_used;
    size_t input_length; /* less what has been taken */
    uint8_t input[];     /* input_max */
};

/* ---- for the parts ---- */

/* Adds to the output. What does not fit is a mistake in the part: asserts, and is not said. */
void prelude_put(struct prelude *prelude, const void *data, size_t length);
__attribute__((format(printf, 2, 3))) void prelude_print(struct prelude *prelude,
                                                         const char *format, ...);
/* TLS, or what was asked for, comes next. */
void prelude_done(struct prelude *prelude);
void prelude_over(struct prelude *prelude, enum prelude_fault fault);
/* Keeps what the peer said, made printable, for the log. */
void prelude_note(struct prelude *prelude, const void *said, size_t length);
/*
 * ASKED for this host and port (requested.c). False, and nothing has changed: it is no address (of
 * IPv6: without brackets and scope) and no name that DNS can carry, or the port is 0.
 */
bool prelude_ask(struct prelude *prelude, const void *host, size_t length, uint16_t port);
bool prelude_ask_address(struct prelude *prelude, const struct address *address);

/* ---- the starttls parts ---- */

extern const struct prelude_part prelude_smtp_server, prelude_smtp_client;
extern const struct prelude_part prelude_imap_server, prelude_imap_client;
extern const struct prelude_part prelude_pop3_server, prelude_pop3_client;
extern const struct prelude_part prelude_ldap_server, prelude_ldap_client;
extern const struct prelude_part prelude_postgresql_server, prelude_postgresql_client;

#endif
