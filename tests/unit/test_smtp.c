/* SMTP until STARTTLS, as the server and as the client. */
#include "tests/unit/support/prelude_talk.h"

static void clients_are_led_to_starttls(void **state)
{
    static const struct talk talks[] = {
        {"as clients do",
         {WE("220 [192.0.2.1] ESMTP ready\r\n"), PEER("EHLO client.example\r\n"),
          WE("250-[192.0.2.1]\r\n250 STARTTLS\r\n"), PEER("STARTTLS\r\n"),
          WE("220 Ready to start TLS\r\n")},
         DONE},
    };
    (void)state;

    talks_hold(prelude_starttls_server(STARTTLS_SMTP), NULL, talks, COUNT(talks));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(clients_are_led_to_starttls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
