/* PostgreSQL until TLS, as the server and as the client. */
#include "tests/unit/support/prelude_talk.h"

#define SSL_REQUEST    "\0\0\0\x08\x04\xd2\x16\x2f"
#define GSSENC_REQUEST "\0\0\0\x08\x04\xd2\x16\x30"
#define CLIENT_HELLO   "\x16\x03\x01\x00\x05hello"
/* psql 15's. */
#define STARTUP "\0\0\0\x31\0\x03\0\0user\0u\0database\0d\0application_name\0psql\0\0"
#define ENCRYPTED_ONLY                                                                             \
    "E\0\0\0\x65SFATAL\0VFATAL\0C28000\0Mthis port takes encrypted connections only; "             \
    "use sslmode=require or higher\0\0"

static void hold_server(const struct talk *talks, size_t count)
{
    talks_hold(prelude_starttls_server(STARTTLS_POSTGRESQL), NULL, talks, count);
}

static void clients_are_led_to_tls(void **state)
{
    static const struct talk talks[] = {
        {"sslmode=require", {PEER(SSL_REQUEST), WE("S")}, DONE},
        {"gssencmode=prefer", {PEER(GSSENC_REQUEST), WE("N"), PEER(SSL_REQUEST), WE("S")}, DONE},
        {"half", {PEER("\0\0\0\x08\x04\xd2\x16")}, MORE},
        {"the end", {PEER("\0\0\0\x08\x04\xd2\x16"), END}, OVER(PRELUDE_CUT_SHORT)},
        {"the end behind GSSENC", {PEER(GSSENC_REQUEST), WE("N"), END}, OVER(PRELUDE_CUT_SHORT)},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void nothing_but_tls_is_taken(void **state)
{
    static const struct talk talks[] = {
        {"sslmode=disable", {PEER(STARTUP), WE(ENCRYPTED_ONLY)}, OVER(PRELUDE_LEFT)},
        {"sslmode=prefer, that has been told N",
         {PEER(GSSENC_REQUEST), WE("N"), PEER(STARTUP), WE(ENCRYPTED_ONLY)},
         OVER(PRELUDE_LEFT)},
        {"protocol 3.2, and nothing else",
         {PEER("\0\0\0\x08\0\x03\0\x02"), WE(ENCRYPTED_ONLY)},
         OVER(PRELUDE_LEFT)},
        {"CancelRequest",
         {PEER("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02")},
         OVER(PRELUDE_LEFT)},
        {"CancelRequest with a longer key",
         {PEER("\0\0\0\x14\x04\xd2\x16\x2e\0\0\0\x01longer key")},
         OVER(PRELUDE_LEFT)},
        {"GSSENC again",
         {PEER(GSSENC_REQUEST), WE("N"), PEER(GSSENC_REQUEST)},
         OVER(PRELUDE_MALFORMED)},
        {"TLS that has been told N",
         {PEER(GSSENC_REQUEST), WE("N"), PEER(CLIENT_HELLO)},
         OVER(PRELUDE_MALFORMED)},
        {"longer SSLRequest", {PEER("\0\0\0\x09\x04\xd2\x16\x2fx")}, OVER(PRELUDE_MALFORMED)},
        {"longer GSSENCRequest", {PEER("\0\0\0\x09\x04\xd2\x16\x30x")}, OVER(PRELUDE_MALFORMED)},
        {"CancelRequest of nothing", {PEER("\0\0\0\x08\x04\xd2\x16\x2e")}, OVER(PRELUDE_MALFORMED)},
        {"protocol 2", {PEER("\0\0\0\x09\0\x02\0\0x")}, OVER(PRELUDE_MALFORMED)},
        {"protocol 4", {PEER("\0\0\0\x09\0\x04\0\0x")}, OVER(PRELUDE_MALFORMED)},
        {"unknown request", {PEER("\0\0\0\x08\x04\xd2\x16\x31")}, OVER(PRELUDE_MALFORMED)},
        /* Lengths are not waited for. */
        {"length 0", {PEER("\0\0\0\0")}, OVER(PRELUDE_MALFORMED)},
        {"length 7", {PEER("\0\0\0\x07")}, OVER(PRELUDE_MALFORMED)},
        {"length 10001", {PEER("\0\0\x27\x11")}, OVER(PRELUDE_MALFORMED)},
        {"length 2^32 - 1", {PEER("\xff\xff\xff\xff")}, OVER(PRELUDE_MALFORMED)},
        {"HTTP", {PEER("GET / HTTP/1.1\r\n\r\n")}, OVER(PRELUDE_MALFORMED)},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void the_longest_message_is_heard_out(void **state)
{
    static char message[10000] = "\0\0\x27\x10\0\x03\0\0";
    struct talk talk = {
        .title = "10000 bytes",
        .lines = {PEER_BYTES(message, sizeof(message)), WE(ENCRYPTED_ONLY)},
        OVER(PRELUDE_LEFT),
    };
    (void)state;

    hold_server(&talk, 1);
    talk.lines[0].length--;
    talk.lines[1].kind = TALK_NOTHING;
    talk.state = PRELUDE_MORE;
    talk.fault = PRELUDE_NO_FAULT;
    hold_server(&talk, 1);
}

/* CVE-2021-23214. */
static void bytes_behind_the_request_are_injected(void **state)
{
    static const struct talk talks[] = {
        {"a query", {PEER(SSL_REQUEST "Q\0\0\0\x05\0")}, OVER(PRELUDE_INJECTED)},
        {"TLS, without waiting", {PEER(SSL_REQUEST CLIENT_HELLO)}, OVER(PRELUDE_INJECTED)},
        {"the same again", {PEER(SSL_REQUEST SSL_REQUEST)}, OVER(PRELUDE_INJECTED)},
        {"a byte behind what came behind another",
         {PEER(GSSENC_REQUEST), WE("N"), PEER(SSL_REQUEST "x")},
         OVER(PRELUDE_INJECTED)},
    };
    (void)state;

    hold_server(talks, COUNT(talks));
}

static void tls_may_begin_at_once(void **state)
{
    static const struct talk talks[] = {
        {"direct", {PEER(CLIENT_HELLO)}, DONE_REST(CLIENT_HELLO)},
        {"its first byte", {PEER("\x16")}, DONE_REST("\x16")},
    };
    const struct prelude_part *part = prelude_starttls_server(STARTTLS_POSTGRESQL);
    static const struct prelude_setting nobody = {.name = ""};
    _Alignas(max_align_t) uint8_t memory[16 * 1024];
    const uint8_t *data;
    (void)state;

    hold_server(talks, COUNT(talks));

    assert_true(prelude_bytes(part) <= sizeof(memory));
    struct prelude *p = prelude_init(memory, part, &nobody);
    assert_null(prelude_direct_alpn(p));
    assert_int_equal(prelude_push(p, (const uint8_t *)"\x16\x03", 2), 2);
    assert_int_equal(prelude_state(p), PRELUDE_DONE);
    assert_string_equal(prelude_direct_alpn(p), "postgresql");
    assert_int_equal(prelude_rest(p, &data), 2);

    p = prelude_init(memory, part, &nobody);
    assert_int_equal(prelude_push(p, (const uint8_t *)SSL_REQUEST, 8), 8);
    assert_int_equal(prelude_state(p), PRELUDE_DONE);
    assert_null(prelude_direct_alpn(p));
}

static void servers_are_asked(void **state)
{
    static const struct talk talks[] = {
        {"nothing yet", {WE(SSL_REQUEST)}, MORE},
        {"yes", {WE(SSL_REQUEST), PEER("S")}, DONE},
        {"no",
         {WE(SSL_REQUEST), PEER("N")},
         OVER(PRELUDE_REFUSED),
         .noted = "(server does not do TLS)"},
        {"an error",
         {WE(SSL_REQUEST), PEER("E\0\0\0\x13SFATAL\0Mat once\0\0")},
         OVER(PRELUDE_REFUSED),
         .noted = "(server error)"},
        {"an old server's error",
         {WE(SSL_REQUEST), PEER("EFATAL: unsupported\n\0")},
         OVER(PRELUDE_REFUSED),
         .noted = "(server error)"},
        {"yes, of GSSENC", {WE(SSL_REQUEST), PEER("G")}, OVER(PRELUDE_MALFORMED)},
        {"TLS", {WE(SSL_REQUEST), PEER(CLIENT_HELLO)}, OVER(PRELUDE_MALFORMED)},
        {"lower case", {WE(SSL_REQUEST), PEER("s")}, OVER(PRELUDE_MALFORMED)},
        {"zero", {WE(SSL_REQUEST), PEER("\0")}, OVER(PRELUDE_MALFORMED)},
        {"the end", {WE(SSL_REQUEST), END}, OVER(PRELUDE_CUT_SHORT)},
    };
    /* CVE-2021-23222. */
    static const struct talk injected[] = {
        {"another byte", {WE(SSL_REQUEST), PEER("SS")}, OVER(PRELUDE_INJECTED)},
        {"an answer to what is not asked yet",
         {WE(SSL_REQUEST), PEER("SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")},
         OVER(PRELUDE_INJECTED)},
    };
    (void)state;

    talks_hold(prelude_starttls_client(STARTTLS_POSTGRESQL), NULL, talks, COUNT(talks));
    talks_hold(prelude_starttls_client(STARTTLS_POSTGRESQL), NULL, injected, COUNT(injected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(clients_are_led_to_tls),
        CASE(nothing_but_tls_is_taken),
        CASE(the_longest_message_is_heard_out),
        CASE(bytes_behind_the_request_are_injected),
        CASE(tls_may_begin_at_once),
        CASE(servers_are_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
