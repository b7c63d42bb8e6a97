/* LDAP until StartTLS (RFC 4511; "§" is of it). */
#include "proxy/prelude/ber.h"
#include "proxy/prelude/prelude_parts.h"

#include <assert.h>
#include <stdio.h>

enum { MESSAGE_BYTES_MAX = 4096, SHORT_LENGTH_MAX = 127 };

/* protocolOp's (§4.2 ff.) */
enum operation {
    BIND_REQUEST = 0x60,
    BIND_RESPONSE = 0x61,
    UNBIND_REQUEST = 0x42,
    SEARCH_REQUEST = 0x63,
    SEARCH_RESULT_DONE = 0x65,
    MODIFY_REQUEST = 0x66,
    MODIFY_RESPONSE = 0x67,
    ADD_REQUEST = 0x68,
    ADD_RESPONSE = 0x69,
    DEL_REQUEST = 0x4a,
    DEL_RESPONSE = 0x6b,
    MODIFY_DN_REQUEST = 0x6c,
    MODIFY_DN_RESPONSE = 0x6d,
    COMPARE_REQUEST = 0x6e,
    COMPARE_RESPONSE = 0x6f,
    ABANDON_REQUEST = 0x50,
    EXTENDED_REQUEST = 0x77,
    EXTENDED_RESPONSE = 0x78,
};

/* Within those, and behind them. */
enum { CONTROLS = 0xa0 };                                                          /* §4.1.1 */
enum { REFERRAL = 0xa3 };                                                          /* §4.1.9 */
enum { REQUEST_NAME = 0x80, REQUEST_VALUE, RESPONSE_NAME = 0x8a, RESPONSE_VALUE }; /* §4.12 */

enum result_code { SUCCESS = 0, PROTOCOL_ERROR = 2, CONFIDENTIALITY_REQUIRED = 13 }; /* §4.1.9 */

static const char starttls_name[] = "1.3.6.1.4.1.1466.20037";      /* §4.14 */
static const char disconnection_name[] = "1.3.6.1.4.1.1466.20036"; /* §4.4.1 */

/* ---- reading ---- */

struct message {
    uint32_t id;
    uint8_t operation;
    struct reader body;
};

/* The message at the front: the content of its SEQUENCE, and how long it is itself. One that is too
 * long is not waited for. */
static enum ber_result find_message(const uint8_t *data, size_t length, struct reader *content,
                                    size_t *taken)
{
    struct reader in = reader_of(data, length);
    uint8_t tag;
    size_t announced = 0;

    if (data[0] != BER_SEQUENCE)
        return BER_BAD;
    enum ber_result result = ber_front(&in, &tag, &announced);
    if (result != BER_DONE)
        return result;
    if (announced > MESSAGE_BYTES_MAX - (length - in.left))
        return BER_BAD;
    if (announced > in.left)
        return BER_MORE;
    *taken = length - in.left + announced;
    *content = reader_of(in.at, announced);
    return BER_DONE;
}

static bool parse_message(struct reader in, struct message *out)
{
    out->id = ber_number(&in, BER_INTEGER);
    out->operation = ber_next(&in);
    out->body = ber_element(&in, out->operation);
    if (ber_next(&in) == CONTROLS)
        (void)ber_element(&in, CONTROLS);
    return in.ok && in.left == 0;
}

/* DONE: `message` is there and makes sense. MORE, BAD: `taken` is how much to take. */
static enum ber_result read_message(const uint8_t *data, size_t length, struct message *message,
                                    size_t *taken)
{
    struct reader content;
    enum ber_result result = find_message(data, length, &content, taken);

    if (result == BER_DONE && !parse_message(content, message))
        result = BER_BAD;
    if (result != BER_DONE)
        *taken = result == BER_MORE ? 0 : length;
    return result;
}

static bool is_text(struct reader content, const char *text)
{
    return content.left == strlen(text) && memcmp(content.at, text, content.left) == 0;
}

/* ---- as the server: writing ---- */

/* Everything we say is short, so lengths are of one octet. */
static void write_element(struct writer *out, uint8_t tag, const void *content, size_t length)
{
    assert(length <= SHORT_LENGTH_MAX);
    writer_number(out, tag, 1);
    writer_number(out, (uint32_t)length, 1);
    writer_bytes(out, content, length);
}

/* Not negative, so the first bit is 0; in as few octets as that takes. */
static void write_number(struct writer *out, uint8_t tag, uint32_t number)
{
    size_t octets = 1;

    while (octets < sizeof(number) && number >> (8 * octets - 1) != 0)
        octets++;
    writer_number(out, tag, 1);
    writer_number(out, (uint32_t)octets, 1);
    writer_number(out, number, octets);
}

/* An LDAPResult (§4.1.9); `name`, which may be NULL, is an ExtendedResponse's. */
static void respond(struct prelude *p, uint32_t id, uint8_t operation, enum result_code code,
                    const char *diagnostic, const char *name)
{
    uint8_t result[SHORT_LENGTH_MAX], content[SHORT_LENGTH_MAX], text[2 + SHORT_LENGTH_MAX];
    struct writer in_result = writer_of(result, sizeof(result));
    struct writer in_content = writer_of(content, sizeof(content));
    struct writer out = writer_of(text, sizeof(text));

    write_number(&in_result, BER_ENUMERATED, code);
    write_element(&in_result, BER_OCTETS, "", 0); /* matchedDN */
    write_element(&in_result, BER_OCTETS, diagnostic, strlen(diagnostic));
    if (name != NULL)
        write_element(&in_result, RESPONSE_NAME, name, strlen(name));
    write_number(&in_content, BER_INTEGER, id);
    write_element(&in_content, operation, result, sizeof(result) - in_result.left);
    write_element(&out, BER_SEQUENCE, content, sizeof(content) - in_content.left);
    assert(in_result.ok && in_content.ok && out.ok);
    prelude_put(p, text, sizeof(text) - out.left);
}

/* A notice of disconnection (§4.4.1). */
static void hang_up(struct prelude *p, const char *why)
{
    respond(p, 0, EXTENDED_RESPONSE, PROTOCOL_ERROR, why, disconnection_name);
    prelude_over(p, PRELUDE_MALFORMED);
}

/* ---- as the server ---- */

/* 0: `request` is none, or has none. */
static uint8_t response_to(uint8_t request)
{
    switch (request) {
    case BIND_REQUEST: return BIND_RESPONSE;
    case SEARCH_REQUEST: return SEARCH_RESULT_DONE;
    case MODIFY_REQUEST: return MODIFY_RESPONSE;
    case ADD_REQUEST: return ADD_RESPONSE;
    case DEL_REQUEST: return DEL_RESPONSE;
    case MODIFY_DN_REQUEST: return MODIFY_DN_RESPONSE;
    case COMPARE_REQUEST: return COMPARE_RESPONSE;
    case EXTENDED_REQUEST: return EXTENDED_RESPONSE;
    default: return 0;
    }
}

static void require_tls(struct prelude *p, const struct message *message)
{
    respond(p, message->id, response_to(message->operation), CONFIDENTIALITY_REQUIRED,
            "StartTLS must come first", NULL);
}

static void extend(struct prelude *p, const struct message *message)
{
    struct reader body = message->body;
    struct reader name = ber_element(&body, REQUEST_NAME);
    bool has_value = ber_next(&body) == REQUEST_VALUE;

    if (has_value)
        (void)ber_element(&body, REQUEST_VALUE);
    if (!body.ok || body.left > 0) {
        hang_up(p, "this is no extended request");
    } else if (!is_text(name, starttls_name)) {
        require_tls(p, message);
    } else if (has_value) { /* §4.14.1 */
        respond(p, message->id, EXTENDED_RESPONSE, PROTOCOL_ERROR, "StartTLS takes no value", NULL);
    } else {
        respond(p, message->id, EXTENDED_RESPONSE, SUCCESS, "", starttls_name);
        prelude_done(p);
    }
}

static void obey(struct prelude *p, const struct message *message)
{
    if (message->id == 0)
        hang_up(p, "a request has no message ID 0");
    else if (++p->commands > PRELUDE_COMMANDS_MAX)
        hang_up(p, "too many requests before StartTLS");
    else if (message->operation == UNBIND_REQUEST)
        prelude_over(p, PRELUDE_LEFT);
    else if (message->operation == EXTENDED_REQUEST)
        extend(p, message);
    else if (response_to(message->operation) != 0)
        require_tls(p, message);
    else if (message->operation != ABANDON_REQUEST) /* which nothing answers */
        hang_up(p, "this is no request");
}

static size_t take_request(struct prelude *p, const uint8_t *data, size_t length)
{
    struct message message;
    size_t taken;

    switch (read_message(data, length, &message, &taken)) {
    case BER_MORE: break;
    case BER_BAD: hang_up(p, "this is no LDAP message, or too long"); break;
    case BER_DONE: obey(p, &message); break;
    }
    return taken;
}

const struct prelude_part prelude_ldap_server = {.input_max = MESSAGE_BYTES_MAX,
                                                 .take = take_request};

/* ---- as the client ---- */

enum { OUR_ID = 1 };

static void request(struct prelude *p)
{
    /* An ExtendedRequest of a requestName alone. */
    static const uint8_t head[] = {BER_SEQUENCE,     0x1d, BER_INTEGER,  1,   OUR_ID,
                                   EXTENDED_REQUEST, 0x18, REQUEST_NAME, 0x16};

    prelude_put(p, head, sizeof(head));
    prelude_put(p, starttls_name, strlen(starttls_name));
}

/* ExtendedResponse's (§4.12). */
struct result {
    uint32_t code;
    struct reader diagnostic;
    bool named;
    struct reader name;
};

static bool parse_result(struct reader in, struct result *out)
{
    out->code = ber_number(&in, BER_ENUMERATED);
    (void)ber_element(&in, BER_OCTETS); /* matchedDN */
    out->diagnostic = ber_element(&in, BER_OCTETS);
    if (ber_next(&in) == REFERRAL)
        (void)ber_element(&in, REFERRAL);
    out->named = ber_next(&in) == RESPONSE_NAME;
    if (out->named)
        out->name = ber_element(&in, RESPONSE_NAME);
    if (ber_next(&in) == RESPONSE_VALUE)
        (void)ber_element(&in, RESPONSE_VALUE);
    return in.ok && in.left == 0;
}

static void refuse(struct prelude *p, const struct result *result)
{
    char code[PRELUDE_SAID_MAX];

    (void)snprintf(code, sizeof(code), "(result code %u)", (unsigned int)result->code);
    if (result->diagnostic.left > 0)
        prelude_note(p, result->diagnostic.at, result->diagnostic.left);
    else
        prelude_note(p, code, strlen(code));
    prelude_over(p, PRELUDE_REFUSED);
}

static void hear(struct prelude *p, const struct message *message)
{
    struct result result;
    bool parsed = message->operation == EXTENDED_RESPONSE && parse_result(message->body, &result);
    bool ours = parsed && message->id == OUR_ID;

    if (ours && result.code == SUCCESS && (!result.named || is_text(result.name, starttls_name)))
        prelude_done(p);
    else if (parsed && (message->id == 0 || (ours && result.code != SUCCESS)))
        refuse(p, &result); /* 0: of its own accord, to disconnect (§4.4) */
    else
        prelude_over(p, PRELUDE_MALFORMED);
}

static size_t take_response(struct prelude *p, const uint8_t *data, size_t length)
{
    struct message message;
    size_t taken;

    switch (read_message(data, length, &message, &taken)) {
    case BER_MORE: break;
    case BER_BAD: prelude_over(p, PRELUDE_MALFORMED); break;
    case BER_DONE: hear(p, &message); break;
    }
    return taken;
}

const struct prelude_part prelude_ldap_client = {
    .input_max = MESSAGE_BYTES_MAX, .start = request, .take = take_response};
