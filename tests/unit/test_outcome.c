/* The words of logs and metrics: every value has one of its own, and they do not change. */
#include "tests/unit/support/check.h"

#include "turbo/outcome.h"

static void outcomes_have_the_words_that_users_know(void **state)
{
    (void)state;
    assert_string_equal(turbo_outcome_text(TURBO_OUTCOME_NONE), "none");
    assert_string_equal(turbo_outcome_text(TURBO_OUTCOME_TURBO), "turbo");
    assert_string_equal(turbo_outcome_text(TURBO_OUTCOME_RESUMED), "resumed-on-tcp");
    assert_string_equal(turbo_outcome_text(TURBO_OUTCOME_CLASSIC), "classic");
    assert_string_equal(turbo_outcome_text(TURBO_OUTCOME_FAILED), "failed");
    assert_string_equal(turbo_outcome_text(TURBO_OUTCOME_OPAQUE), "opaque");
}

static void reasons_have_the_words_that_users_know(void **state)
{
    static const struct {
        enum turbo_reason reason;
        const char *text;
    } cases[] = {{TURBO_REASON_NONE, "-"},
                 {TURBO_REASON_TCP_FIRST, "tcp-first"},
                 {TURBO_REASON_NO_RESPONSE, "no-response"},
                 {TURBO_REASON_REFUSED, "refused"},
                 {TURBO_REASON_UDP_PAUSED, "udp-paused"},
                 {TURBO_REASON_UNREACHABLE, "udp-unreachable"},
                 {TURBO_REASON_DRAFT_SERVER, "draft-server"},
                 {TURBO_REASON_HELLO_TOO_LARGE, "hello-too-large"},
                 {TURBO_REASON_HELLO_CUT_SHORT, "hello-cut-short"},
                 {TURBO_REASON_NOT_TLS, "not-tls"},
                 {TURBO_REASON_SERVER_FIRST, "server-first"},
                 {TURBO_REASON_ADOPTED, "adopted"},
                 {TURBO_REASON_CLIENT_CLASSIC, "client-classic"},
                 {TURBO_REASON_UNKNOWN_SESSION, "unknown-session"},
                 {TURBO_REASON_PLAIN_UPSTREAM, "plain-upstream"},
                 {TURBO_REASON_UPSTREAM_UNREACHED, "upstream-unreached"},
                 {TURBO_REASON_CLIENT_SILENT, "client-silent"},
                 {TURBO_REASON_CROWDED_OUT, "crowded-out"},
                 {TURBO_REASON_OPENING_TIMEOUT, "opening-timeout"},
                 {TURBO_REASON_DENIED, "denied"},
                 {TURBO_REASON_NO_ROUTE, "no-route"},
                 {TURBO_REASON_PROXY_HEADER, "proxy-header"},
                 {TURBO_REASON_LISTENER_FULL, "listener-full"},
                 {TURBO_REASON_HANDSHAKE_TIMEOUT, "handshake-timeout"},
                 {TURBO_REASON_IDLE, "idle"},
                 {TURBO_REASON_NOT_KNOWN, "not-known"},
                 {TURBO_REASON_BAD_REQUEST, "bad-request"},
                 {TURBO_REASON_NO_LOGIN, "no-login"},
                 {TURBO_REASON_FORBIDDEN, "forbidden"},
                 {TURBO_REASON_NAME_NOT_FOUND, "name-not-found"},
                 {TURBO_REASON_NOT_REDIRECTED, "not-redirected"},
                 {TURBO_REASON_NO_TLS, "no-tls"},
                 {TURBO_REASON_INJECTED, "injected"},
                 {TURBO_REASON_STARTTLS_REFUSED, "starttls-refused"},
                 {TURBO_REASON_SERVER_ENDED, "server-ended"},
                 {TURBO_REASON_EARLY_DATA, "early-data"},
                 {TURBO_REASON_FLIGHT_TOO_LARGE, "flight-too-large"},
                 {TURBO_REASON_DATAGRAM_LOST, "datagram-lost"},
                 {TURBO_REASON_UDP_ELSEWHERE, "udp-elsewhere"}};
    (void)state;
    assert_int_equal(COUNT(cases), TURBO_REASON_COUNT);
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(cases[i].reason, i); /* none is left out */
        assert_string_equal(turbo_reason_text(cases[i].reason), cases[i].text);
    }
}

/* One word each: they are fields of a line. */
static void a_word_has_no_space_and_no_quote(void **state)
{
    (void)state;
    for (int i = 0; i < TURBO_REASON_COUNT; i++) {
        assert_null(strpbrk(turbo_outcome_text((enum turbo_outcome)(i % 6)), " \"=\n"));
        assert_null(strpbrk(turbo_reason_text((enum turbo_reason)i), " \"=\n"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(outcomes_have_the_words_that_users_know),
        CASE(reasons_have_the_words_that_users_know),
        CASE(a_word_has_no_space_and_no_quote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
