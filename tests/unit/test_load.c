/* Configurations from files and from the command line: read, shown, and what is said of those that
 * cannot be. */
#include "tests/unit/support/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/text/text_reader.h"
#include "proxy/config/arguments.h"
#include "proxy/config/load.h"

enum { ARGUMENTS_MAX = 16, TEXT_MAX = 65536 };

static char directory[] = "/tmp/turbotls-load-XXXXXX";
static char file[64];
static struct options options;
static struct config_errors errors;

static int make_directory(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    (void)snprintf(file, sizeof(file), "%s/f", directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    config_errors_free(&errors);
    (void)unlink(file);
    return rmdir(directory);
}

static void write_file(const void *bytes, size_t length)
{
    FILE *out = fopen(file, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, length, out), length);
    assert_int_equal(fclose(out), 0);
}

static void write_text(const char *text)
{
    write_file(text, strlen(text));
}

/* What the arguments up to NULL ask for. They must outlive `options`, and are literals. */
static void parse(const char *const arguments[])
{
    static char texts[ARGUMENTS_MAX][256], message[OPTIONS_MESSAGE_BYTES];
    char *argv[ARGUMENTS_MAX + 1] = {texts[0]};
    int argc = 1;

    for (; arguments[argc - 1] != NULL; argc++) {
        (void)snprintf(texts[argc], sizeof(texts[0]), "%s", arguments[argc - 1]);
        argv[argc] = texts[argc];
    }
    config_errors_free(&errors);
    if (options_parse(&options, argc, argv, message) != OPTIONS_RUN)
        fail_msg("%s", message);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static struct config *load(void)
{
    struct config *config = config_load(&options, &errors);

    if (config == NULL)
        fail_msg("%s", errors.texts[0]);
    assert_int_equal(errors.total, 0);
    return config;
}

/* Not loaded, not printed, not found good, and for this one reason. */
static void assert_refused(const char *why)
{
    bool (*const shown[])(const struct options *, FILE *, struct config_errors *) = {config_print,
                                                                                     config_check};
    char expected[CONFIG_ERROR_MAX];

    (void)snprintf(expected, sizeof(expected), "%s%s", options.config != NULL ? file : "", why);
    config_errors_free(&errors);
    assert_null(config_load(&options, &errors));
    assert_int_equal(errors.total, 1);
    assert_string_equal(errors.texts[0], expected);
    for (size_t i = 0; i < COUNT(shown); i++) {
        FILE *out = tmpfile();

        assert_non_null(out);
        config_errors_free(&errors);
        assert_false(shown[i](&options, out, &errors));
        assert_string_equal(errors.texts[0], expected);
        assert_int_equal(ftell(out), 0);
        assert_int_equal(fclose(out), 0);
    }
}

/* What `shown` writes. Returns `text`. */
static const char *shown_text(bool (*shown)(const struct options *, FILE *, struct config_errors *),
                              char text[static TEXT_MAX])
{
    FILE *out = tmpfile();
    size_t length;

    assert_non_null(out);
    if (!shown(&options, out, &errors))
        fail_msg("%s", errors.texts[0]);
    rewind(out);
    length = fread(text, 1, TEXT_MAX - 1, out);
    text[length] = '\0';
    assert_int_equal(fclose(out), 0);
    return text;
}

#define GOOD                                                                                       \
    "# an edge\nlistener { address: '*:443' route { server_name: 'a.example' upstream: 'web' }\n"  \
    "  route { upstream: 'web' } }\n"                                                              \
    "upstream { name: 'web' server { address: '[::1]:8443' } }\n"                                  \
    "log { level: DEBUG } admin { address: '127.0.0.1:1' allow_from: '10.0.0.0/8' }\n"             \
    "drain_timeout_seconds: 0.25\n"

/* As a message: what protoc --encode would make of it. */
static size_t serialize(const char *text, uint8_t out[static TEXT_MAX])
{
    struct places places;
    ProtobufCMessage *message;
    size_t length;

    places_init(&places);
    message =
        text_read(&turbotls__v1__proxy__descriptor, "f", text, strlen(text), &places, &errors);
    assert_non_null(message);
    length = protobuf_c_message_pack(message, out);
    protobuf_c_message_free_unpacked(message, NULL);
    places_free(&places);
    return length;
}

static void a_text_is_read(void **state)
{
    struct config *config;
    (void)state;

    write_text(GOOD);
    PARSE("--config", file);
    config = load();
    assert_int_equal(config->listeners[0].route_count, 2);
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    assert_true(config->drain_timeout_s == 0.25);
    config_release(config);
}

static void a_serialized_message_is_read_and_printed_as_the_text(void **state)
{
    static char from_text[TEXT_MAX], from_message[TEXT_MAX];
    static uint8_t bytes[TEXT_MAX];
    size_t length = serialize(GOOD, bytes);
    (void)state;

    write_text("\n" GOOD);
    PARSE("--config", file);
    shown_text(config_print, from_text);
    write_file(bytes, length);
    config_release(load());
    assert_string_equal(shown_text(config_print, from_message), from_text);
    write_file(bytes, length - 1);
    assert_refused(": is neither a text nor a whole serialized message turbotls.v1.Proxy");
    length = serialize("upstream { } " GOOD, bytes);
    config_errors_free(&errors);
    write_file(bytes, length);
    assert_null(config_load(&options, &errors));
    assert_int_equal(errors.total, 2); /* no name, no server; and nobody knows where */
    for (size_t i = 0; i < errors.count; i++)
        assert_non_null(strstr(errors.texts[i], "f: upstream[0]"));
}

static void what_cannot_be_read_is_told(void **state)
{
    char *text;
    (void)state;

    PARSE("--config", file);
    (void)unlink(file);
    assert_refused(": cannot be opened: No such file or directory; name a file that this user may "
                   "read");
    assert_int_equal(mkdir(file, 0700), 0);
    assert_refused(": is a directory; name the file with the configuration");
    assert_int_equal(rmdir(file), 0);
    write_text("");
    assert_refused(": is empty; it needs a listener and an upstream at least, as --print-config "
                   "shows");
    text = malloc(CONFIG_FILE_MAX + 1);
    assert_non_null(text);
    memset(text, '\n', CONFIG_FILE_MAX + 1);
    memcpy(text, GOOD, strlen(GOOD));
    write_file(text, CONFIG_FILE_MAX + 1);
    assert_refused(": is longer than the 16 MiB that a configuration can have");
    write_file(text, CONFIG_FILE_MAX);
    config_errors_free(&errors);
    config_release(load());
    free(text);
}

static void a_mistake_has_its_place_in_the_file(void **state)
{
    (void)state;
    write_text(GOOD "process { user: \"\" }\n");
    PARSE("--config", file);
    assert_refused(":7:17: process.user: is empty; name a user, or leave it out to stay");
    write_text(GOOD "\001");
    config_errors_free(&errors);
    assert_null(config_load(&options, &errors));
    assert_non_null(strstr(errors.texts[0], "f:7:1: "));
}

static void mistakes_are_told_in_the_files_order(void **state)
{
    static const char *const places[] = {":1:18: ", ":1:21: ", ":3:24: ", ":10:1: "};
    (void)state;

    write_text("listener { name: '' adress: '*:1' }\nlistener { address: '*:443' name: 'a' }\n"
               "drain_timeout_seconds: -1\nupstream { name: 'web' server { address: 'h:1' } }\n"
               "\n\n\n\n\n9 ");
    PARSE("--config", file);
    assert_null(config_load(&options, &errors));
    assert_int_equal(errors.count, COUNT(places));
    for (size_t i = 0; i < COUNT(places); i++)
        assert_memory_equal(errors.texts[i] + strlen(file), places[i], strlen(places[i]));
}

static void what_is_typed_wins_over_the_file(void **state)
{
    char text[ADDRESS_TEXT_BYTES];
    struct config *config;
    struct address ten;
    (void)state;

    write_text(GOOD);
    PARSE("--config", file, "--log-level=error", "--log-format=json", "--log-target=syslog",
          "--drain-timeout=7", "--admin=[::1]:2", "--user=proxy", "--no-sandbox");
    config = load();
    assert_int_equal(config->log_level, LOG_LEVEL_ERROR);
    assert_int_equal(config->log_format, LOG_FORMAT_JSON);
    assert_int_equal(config->log_target, LOG_TARGET_SYSLOG);
    assert_true(config->drain_timeout_s == 7);
    assert_string_equal(address_text(&config->admin, text), "[::1]:2");
    address_from_literal(&ten, "10.9.8.7", 1);
    assert_true(networks_hold(&config->admin_from, &ten));
    assert_string_equal(config->user, "proxy");
    assert_false(config->sandbox);
    config_release(config);
    PARSE("--config", file, "--log-format=json");
    config = load();
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    config_release(config);
    PARSE("--config", file, "--admin=x");
    config_errors_free(&errors);
    assert_null(config_load(&options, &errors));
    assert_string_equal(errors.texts[0],
                        "--admin 'x': an address and a port are needed, as in *:443");
}

static void a_command_line_becomes_a_file(void **state)
{
    static char printed[TEXT_MAX], again[TEXT_MAX], checked[TEXT_MAX];
    struct config *config;
    char expected[256];
    (void)state;

    PARSE("--listen=turbo:*:443,udp=8443", "--listen=tcp:[::1]:80", "--opening-timeout=7",
          "--sniff-timeout=0.5", "--max-sessions=9", "--no-sandbox",
          "--upstream=turbo:[2001:db8::1]:1,udp=2,turbo=always", "--drain-timeout=0",
          "--admin=127.0.0.1:9", "--user=u", "--log-level=warning");
    shown_text(config_print, printed);
    assert_string_equal(shown_text(config_check, checked),
                        "command line: ok: 2 listeners, 1 upstream\n");
    write_text(printed);
    PARSE("--config", file);
    assert_string_equal(shown_text(config_print, again), printed);
    (void)snprintf(expected, sizeof(expected), "%s: ok: 2 listeners, 1 upstream\n", file);
    assert_string_equal(shown_text(config_check, checked), expected);
    config = load();
    assert_int_equal(config->listeners[0].udp_port, 8443);
    assert_int_equal(config->listeners[0].sessions_max, 9);
    assert_true(config->listeners[0].sniff_timeout_s == 0.5);
    assert_true(config->listeners[1].sniff_timeout_s == 0);
    assert_true(config->listeners[1].opening_timeout_s == 7);
    assert_int_equal(config->listeners[1].kind, ENDPOINT_TCP);
    assert_string_equal(config->upstreams[0].name, "2001-db8--1-1");
    assert_string_equal(config->upstreams[0].servers[0].host, "2001:db8::1");
    assert_int_equal(config->upstreams[0].servers[0].udp_port, 2);
    assert_true(config->upstreams[0].turbo == CONFIG_TURBO_ALWAYS);
    assert_int_equal(config->log_level, LOG_LEVEL_WARNING);
    assert_string_equal(config->user, "u");
    assert_false(config->sandbox);
    config_release(config);
}

static void starttls_of_a_command_line_becomes_a_file(void **state)
{
    static char printed[TEXT_MAX], again[TEXT_MAX];
    struct config *config;
    (void)state;

    PARSE("--listen=tcp:127.0.0.1:143,starttls=imap", "--listen=tcp:127.0.0.1:0",
          "--upstream=tcp:h:587,starttls=smtp");
    shown_text(config_print, printed);
    write_text(printed);
    PARSE("--config", file);
    assert_string_equal(shown_text(config_print, again), printed);
    config = load();
    assert_int_equal(config->listeners[0].starttls, STARTTLS_IMAP);
    assert_int_equal(config->listeners[1].starttls, STARTTLS_NONE);
    assert_int_equal(config->upstreams[0].starttls, STARTTLS_SMTP);
    config_release(config);
}

static void an_upstream_of_the_command_line_has_a_name(void **state)
{
    static const char *const cases[][2] = {
        {"tcp:www.example:443", "www.example-443"},
        {"tcp:[fe80::1%lo]:1", "fe80--1lo-1"},
        {"tcp:a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.0.1.2.3.4.5.x:443",
         "d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.0.1.2.3.4.5.x-443"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config *config;

        PARSE("--listen=tcp:*:0", "--upstream", cases[i][0]);
        config = load();
        assert_string_equal(config->upstreams[0].name, cases[i][1]);
        config_release(config);
    }
}

static void output_that_is_full_is_told(void **state)
{
    FILE *full = fopen("/dev/full", "w");
    (void)state;

    assert_non_null(full);
    PARSE("--listen=tcp:*:0", "--upstream=tcp:h:1");
    assert_false(config_print(&options, full, &errors));
    assert_true(errors.failed);
    assert_string_equal(errors.texts[0], "cannot be written: No space left on device");
    (void)fclose(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_text_is_read),
        CASE(a_serialized_message_is_read_and_printed_as_the_text),
        CASE(what_cannot_be_read_is_told),
        CASE(a_mistake_has_its_place_in_the_file),
        CASE(mistakes_are_told_in_the_files_order),
        CASE(what_is_typed_wins_over_the_file),
        CASE(a_command_line_becomes_a_file),
        CASE(starttls_of_a_command_line_becomes_a_file),
        CASE(an_upstream_of_the_command_line_has_a_name),
        CASE(output_that_is_full_is_told),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
