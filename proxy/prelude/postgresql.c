/*
 * PostgreSQL until TLS (protocol 3.0, "SSL Session Encryption"): a request of eight bytes, answered
 * with one; or TLS at once, as clients since version 17 can do it.
 */
#include "proxy/prelude/prelude_parts.h"

#include "turbo/cursor.h"

enum { CODE_CANCEL = 80877102, CODE_SSL = 80877103, CODE_GSSENC = 80877104 };
enum { MAJOR_VERSION = 3 }; /* the upper half of a StartupMessage's code */

/* A message: its length, itself included; a code; and what belongs to that. A server takes as long
 * ones (MAX_STARTUP_PACKET_LENGTH). */
enum { NUMBER_BYTES = 4, REQUEST_BYTES = 2 * NUMBER_BYTES, MESSAGE_BYTES_MAX = 10000 };

enum { TLS_HANDSHAKE = 0x16 }; /* a record's first byte; so long a message would be too long */

/* ---- as the server ---- */

enum server_step { FIRST, GSSENC_REFUSED };

/* An ErrorResponse. Its fields: severity, also in English, SQLSTATE
 * (invalid_authorization_specification) and message. */
static void refuse_plaintext(struct prelude *p)
{
    static const char fields[] = "SFATAL\0"
                                 "VFATAL\0"
                                 "C28000\0"
                                 "Mthis port takes encrypted connections only; "
                                 "use sslmode=require or higher\0";
    uint8_t head[1 + NUMBER_BYTES];
    struct writer out = writer_of(head, sizeof(head));

    writer_number(&out, 'E', 1);
    writer_number(&out, NUMBER_BYTES + sizeof(fields), NUMBER_BYTES);
    prelude_put(p, head, sizeof(head));
    prelude_put(p, fields, sizeof(fields));
    prelude_over(p, PRELUDE_LEFT);
}

static void obey(struct prelude *p, uint32_t code, size_t length)
{
    if (code == CODE_SSL && length == REQUEST_BYTES) {
        prelude_put(p, "S", 1);
        prelude_done(p);
    } else if (code == CODE_GSSENC && length == REQUEST_BYTES && p->step == FIRST) {
        prelude_put(p, "N", 1);
        p->step = GSSENC_REFUSED;
    } else if (code == CODE_CANCEL && length > REQUEST_BYTES) {
        /* Is never answered. Clients before version 17 send it in plaintext, whatever the
         * connection it is about; so it is lost. */
        prelude_over(p, PRELUDE_LEFT);
    } else if (code >> 16 == MAJOR_VERSION) {
        refuse_plaintext(p);
    } else {
        prelude_over(p, PRELUDE_MALFORMED);
    }
}

static size_t take_message(struct prelude *p, const uint8_t *data, size_t length)
{
    struct reader in = reader_of(data, length);

    if (p->step == FIRST && data[0] == TLS_HANDSHAKE) {
        p->direct_alpn = "postgresql";
        prelude_done(p);
        return 0;
    }
    uint32_t announced = reader_number(&in, NUMBER_BYTES);
    if (!in.ok)
        return 0;
    if (announced < REQUEST_BYTES || announced > MESSAGE_BYTES_MAX) {
        prelude_over(p, PRELUDE_MALFORMED);
        return length;
    }
    if (announced > length)
        return 0;
    obey(p, reader_number(&in, NUMBER_BYTES), announced);
    return announced;
}

const struct prelude_part prelude_postgresql_server = {.input_max = MESSAGE_BYTES_MAX,
                                                       .take = take_message};

/* ---- as the client ---- */

static void request(struct prelude *p)
{
    uint8_t text[REQUEST_BYTES];
    struct writer out = writer_of(text, sizeof(text));

    writer_number(&out, REQUEST_BYTES, NUMBER_BYTES);
    writer_number(&out, CODE_SSL, NUMBER_BYTES);
    prelude_put(p, text, sizeof(text));
}

static void refuse(struct prelude *p, const char *why)
{
    prelude_note(p, why, strlen(why));
    prelude_over(p, PRELUDE_REFUSED);
}

/* What an error says is not read: anybody can have written it (CVE-2024-10977). */
static size_t take_answer(struct prelude *p, const uint8_t *data, size_t length)
{
    (void)length;
    switch (data[0]) {
    case 'S': prelude_done(p); break;
    case 'N': refuse(p, "(server does not do TLS)"); break;
    case 'E': refuse(p, "(server error)"); break;
    default: prelude_over(p, PRELUDE_MALFORMED);
    }
    return 1;
}

const struct prelude_part prelude_postgresql_client = {
    .input_max = 1, .start = request, .take = take_answer};
