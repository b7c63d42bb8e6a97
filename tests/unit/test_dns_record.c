/* The line of a zone file: what is printed for which arguments, and which are refused, and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/dns_record.h"

enum { ARGUMENTS_MAX = 16 };

static char message[OPTIONS_MESSAGE_BYTES];
static char program[] = "turbotls-proxy", word[] = "dns-record", option[] = "--config";

/* `line` is what follows "dns-record", with single spaces. */
static enum options_result run(const char *line)
{
    static char text[1024];
    char *argv[ARGUMENTS_MAX + 1] = {program, word}, *rest = NULL;
    int argc = 2;

    assert_true(strlen(line) < sizeof(text));
    memcpy(text, line, strlen(line) + 1);
    for (char *part = strtok_r(text, " ", &rest); part != NULL; part = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < ARGUMENTS_MAX);
        argv[argc++] = part;
    }
    memset(message, 0x55, sizeof(message));
    return dns_record(argc, argv, message);
}

/* The line of the record, behind comments. */
static void assert_record(const char *arguments, const char *expected)
{
    const char *at = message;
    size_t length;

    assert_int_equal(run(arguments), OPTIONS_DONE);
    while (*at == ';')
        at = strchr(at, '\n') + 1;
    length = strlen(at);
    assert_true(length > 0 && at[length - 1] == '\n');
    message[at - message + (ptrdiff_t)length - 1] = '\0';
    assert_string_equal(at, expected);
}

static void assert_refused(const char *arguments, const char *why)
{
    assert_int_equal(run(arguments), OPTIONS_INVALID);
    if (strstr(message, why) == NULL)
        fail_msg("%s: \"%s\" says nothing of \"%s\"", arguments, message, why);
    assert_null(strchr(message, '\n'));
    assert_ptr_equal(strstr(message, "dns-record: "), message);
}

static void the_record_is_the_hosts_own_at_port_443(void **state)
{
    (void)state;
    assert_record("--udp-port 443", "@ 3600 IN HTTPS 1 . key65480");
    assert_record("--udp-port 443 --port 443 --name @", "@ 3600 IN HTTPS 1 . key65480");
    assert_record("--udp-port=443 --name=www.example", "www.example. 3600 IN HTTPS 1 . key65480");
    assert_record("--udp-port 443 --name www.example.", "www.example. 3600 IN HTTPS 1 . key65480");
    assert_record("--udp-port 8443 --ttl 0 --priority 65535 --alpn h2,http/1.1",
                  "@ 0 IN HTTPS 65535 . alpn=\"h2,http/1.1\" key65480=\"\\032\\251\"");
}

static void at_other_ports_it_has_a_name_of_its_own_and_leads_to_the_host(void **state)
{
    (void)state;
    assert_record("--port 8443 --udp-port 8443", "_8443._https 3600 IN HTTPS 1 @ key65480");
    assert_record(
        "--port 993 --udp-port 8443 --name mail.example",
        "_993._https.mail.example. 3600 IN HTTPS 1 mail.example. key65480=\"\\032\\251\"");
}

static void the_udp_port_is_two_bytes_in_decimal(void **state)
{
    (void)state;
    assert_record("--udp-port 1024", "@ 3600 IN HTTPS 1 . key65480=\"\\004\\000\"");
    assert_record("--udp-port 65535", "@ 3600 IN HTTPS 1 . key65480=\"\\255\\255\"");
    assert_record("--port 7 --udp-port 7 --name a.example",
                  "_7._https.a.example. 3600 IN HTTPS 1 a.example. key65480");
    assert_record("--port 7 --udp-port 8192 --name a.example.",
                  "_7._https.a.example. 3600 IN HTTPS 1 a.example. key65480=\"\\032\\000\"");
}

static void comments_tell_what_else_the_record_does(void **state)
{
    (void)state;
    assert_int_equal(run("--udp-port 443"), OPTIONS_DONE);
    assert_non_null(strstr(message, "key65480 into that one"));
    assert_non_null(strstr(message, "http:// links"));
    assert_non_null(strstr(message, "HTTP/1.1 only"));
    assert_int_equal(run("--udp-port 443 --alpn h2"), OPTIONS_DONE);
    assert_null(strstr(message, "HTTP/1.1 only"));
    assert_int_equal(run("--udp-port 8443 --port 8443"), OPTIONS_DONE);
    assert_null(strstr(message, "http:// links"));
}

static void what_no_client_would_believe_is_refused(void **state)
{
    (void)state;
    assert_refused("", "--udp-port is missing");
    assert_refused("--name www.example", "--udp-port is missing");
    assert_refused("--udp-port 444", "use the TCP port (443), or 1024 to 65535");
    assert_refused("--udp-port 1023", "1024 to 65535");
    assert_refused("--udp-port 443 --port 8443", "use the TCP port (8443)");
    assert_refused("--udp-port 443 --alpn h2,h3", "QUIC");
    assert_refused("--udp-port 443 --alpn h3,h2", "QUIC");
    assert_record("--udp-port 8443 --alpn h3,h2",
                  "@ 3600 IN HTTPS 1 . alpn=\"h3,h2\" key65480=\"\\032\\251\"");
    assert_record("--udp-port 443 --alpn h33,xh3", "@ 3600 IN HTTPS 1 . alpn=\"h33,xh3\" key65480");
}

static void arguments_that_are_none_are_refused(void **state)
{
    (void)state;
    assert_refused("--udp-port 0", "--udp-port '0': not a port; use a number from 1 to 65535");
    assert_refused("--udp-port 65536", "1 to 65535");
    assert_refused("--udp-port 44x", "not a port");
    assert_refused("--udp-port=", "not a port");
    assert_refused("--udp-port -1", "not a port");
    assert_refused("--udp-port 99999999999999999999", "not a port");
    assert_refused("--port 0 --udp-port 443", "--port '0'");
    assert_refused("--udp-port 443 --priority 0", "1 to 65535");
    assert_refused("--udp-port 443 --ttl 2147483648", "0 to 2147483647");
    assert_refused("--udp-port 443 --alpn ,h2", "a name is missing");
    assert_refused("--udp-port 443 --alpn h2,", "a name is missing");
    assert_refused("--udp-port 443 --alpn h2,,h1", "a name is missing");
    assert_refused("--udp-port 443 --alpn h\"2", "not a list of protocols");
    assert_refused("--udp-port 443 --alpn h\\2", "not a list of protocols");
    assert_refused("--udp-port 443 --alpn h\xc3\xa4", "not a list of protocols");
    assert_refused("--udp-port 443 --name 192.0.2.1", "is an address");
    assert_refused("--udp-port 443 --name ::1", "is an address");
    assert_refused("--udp-port 443 --name a..b", "1 to 63 characters");
    assert_refused("--udp-port 443 --name a;b", "not a host name");
    assert_refused("--udp-port", "--udp-port needs a value: PORT");
    assert_refused("--udp-port --name", "--udp-port needs a value: PORT");
    assert_refused("--help=yes", "--help takes no value");
    assert_refused("--udp", "'--udp' is not an option of it");
    assert_refused("443", "'443' is not an option of it");
}

static void names_and_lists_are_no_longer_than_they_can_be(void **state)
{
    static const char label[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.";
    char line[600] = "--udp-port 8443 --name ", port[700];
    char *end = line + strlen(line);
    (void)state;

    for (int i = 0; i < 4; i++)
        end = stpcpy(end, label);
    end[-3] = '\0'; /* 253 characters */
    assert_int_equal(run(line), OPTIONS_DONE);
    (void)stpcpy(stpcpy(port, line), " --port 8443");
    assert_refused(port, "longer than a name can be");
    strcpy(end - 3, "a");
    assert_refused(line, "longer than a host name can be");

    end = stpcpy(line, "--udp-port 443 --alpn ");
    memset(end, 'x', 255);
    end[255] = '\0';
    assert_int_equal(run(line), OPTIONS_DONE);
    strcpy(end + 255, "x");
    assert_refused(line, "longer than 255");
}

static void help_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(run("--help"), OPTIONS_DONE);
    assert_non_null(strstr(message, "Usage: turbotls-proxy dns-record"));
    assert_non_null(strstr(message, "--priority NUMBER"));
    assert_int_equal(run("-h"), OPTIONS_DONE);
}

static void the_command_line_begins_with_the_word(void **state)
{
    char *wanted[] = {program, word, NULL};
    char *other[] = {program, option, word, NULL};
    (void)state;

    assert_true(dns_record_wanted(2, wanted));
    assert_false(dns_record_wanted(1, wanted));
    assert_false(dns_record_wanted(3, other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_record_is_the_hosts_own_at_port_443),
        cmocka_unit_test(at_other_ports_it_has_a_name_of_its_own_and_leads_to_the_host),
        cmocka_unit_test(the_udp_port_is_two_bytes_in_decimal),
        cmocka_unit_test(comments_tell_what_else_the_record_does),
        cmocka_unit_test(what_no_client_would_believe_is_refused),
        cmocka_unit_test(arguments_that_are_none_are_refused),
        cmocka_unit_test(names_and_lists_are_no_longer_than_they_can_be),
        cmocka_unit_test(help_is_asked_for),
        cmocka_unit_test(the_command_line_begins_with_the_word),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
