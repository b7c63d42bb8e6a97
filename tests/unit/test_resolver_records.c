/* HTTPS records: asked for, shared, kept and forgotten; against a DNS server on the same loop. */
#include "tests/unit/support/resolver_world.h"

#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MARK = 0x7e50 };

/* What the server says behind the question. */
#define BYTES(text) text, sizeof(text) - 1
#define RECORD(ttl, length, params)                                                                \
    "\xc0\x0c\0\x41\0\1\0\0\0" ttl "\0" length "\0\1\0" params /* at the question's name */
#define SOA(minimum) /* of the root; two names, four numbers and the minimum */                    \
    "\0\0\6\0\1\0\0\0\xc8\0\x16"                                                                   \
    "\0\0"                                                                                         \
    "0123456789abcdef"                                                                             \
    "\0\0\0" minimum

static const struct zone {
    const char *name;
    const char *says;
    size_t length;
    uint8_t rcode, answers, authorities;
    enum manner manner;
} zone[] = {
    {"turbo.test", BYTES(RECORD("\xc8", "\7", "\xff\xc8\0\0")), 0, 1, 0, ANSWERS},
    {"at.test", BYTES(RECORD("\xc8", "\x09", "\xff\xc8\0\2\x20\xfb")), 0, 1, 0, ANSWERS},
    {"second.test", BYTES(RECORD("\1", "\7", "\xff\xc8\0\0")), 0, 1, 0, ANSWERS},
    {"plain.test", BYTES(RECORD("\xc8", "\3", "")), 0, 1, 0, ANSWERS},
    {"_8443._https.at.test", BYTES(RECORD("\xc8", "\7", "\xff\xc8\0\0")), 0, 1, 0, ANSWERS},
    {"none.test", BYTES(SOA("\xc8")), 0, 0, 1, ANSWERS},
    {"nowhere.test", BYTES(SOA("\xc8")), DNS_NXDOMAIN, 0, 1, ANSWERS},
    {"none-brief.test", BYTES(SOA("\1")), 0, 0, 1, ANSWERS},
    {"none-bare.test", BYTES(""), 0, 0, 0, ANSWERS},
    {"broken.test", BYTES("\xc0\xff"), 0, 1, 0, ANSWERS},
    {"fails.test", BYTES(""), DNS_SERVFAIL, 0, 0, ANSWERS},
    {"held.test", BYTES(RECORD("\xc8", "\7", "\xff\xc8\0\0")), 0, 1, 0, HOLDS_BACK},
    {"silent.test", BYTES(""), 0, 0, 0, IS_SILENT},
};

struct answer {
    int calls;
    bool known, turbo;
    uint16_t udp_port;
};

/* ---- the server ---- */

/* Names below silent.test are silent too. */
static const struct zone *find_zone(const char *name)
{
    static const char silent[] = ".silent.test";
    size_t length = strlen(name);

    for (size_t i = 0; i < COUNT(zone); i++)
        if (strcasecmp(zone[i].name, name) == 0)
            return &zone[i];
    return length > strlen(silent) && strcmp(name + length - strlen(silent), silent) == 0
               ? find_zone(silent + 1)
               : NULL;
}

static enum manner answer_question(struct dns_message *message)
{
    const struct zone *found = find_zone(message->name);

    if (found == NULL) {
        dns_set_rcode(message, DNS_NXDOMAIN);
        return ANSWERS;
    }
    dns_set_rcode(message, found->rcode);
    dns_put(message, found->answers, found->authorities, found->says, found->length);
    return found->manner;
}

/* ---- a loop, a server and a resolver that asks it ---- */

static int setup(void **state)
{
    *state = resolver_world_create(DNS_HTTPS, answer_question);
    return 0;
}

static int teardown(void **state)
{
    resolver_world_destroy(*state);
    return 0;
}

static void discovered(void *owner, bool known, bool turbo, uint16_t udp_port)
{
    struct answer *answer = owner;

    answer->calls++;
    answer->known = known;
    answer->turbo = turbo;
    answer->udp_port = udp_port;
}

static struct resolver_query *discover(struct resolver_world *world, const char *host,
                                       uint16_t port, struct answer *answer)
{
    struct resolver_query *query =
        resolver_discover(world->resolver, host, port, discovered, answer);

    assert_non_null(query);
    return query;
}

static struct answer look_up(struct resolver_world *world, const char *host, uint16_t port)
{
    struct answer answer = {.calls = 0};

    discover(world, host, port, &answer);
    assert_int_equal(answer.calls, 0); /* never from within the call */
    run_until_answered(world, &answer.calls, 1);
    return answer;
}

static void assert_turbo(struct resolver_world *world, const char *host, uint16_t port,
                         uint16_t udp_port)
{
    struct answer answer = look_up(world, host, port);

    assert_true(answer.known);
    assert_true(answer.turbo);
    assert_int_equal(answer.udp_port, udp_port);
}

static void assert_classic(struct resolver_world *world, const char *host, bool known)
{
    struct answer answer = look_up(world, host, 443);

    assert_int_equal(answer.known, known);
    assert_false(answer.turbo);
}

/* TTLs count in seconds, so here real time has to pass. */
static void wait_a_second(void)
{
    usleep((RESOLVER_TTL_MIN_S * 1000 + 10) * 1000);
}

/* ---- what must be true ---- */

static void a_record_says_who_speaks_turbo_and_is_asked_for_once(void **state)
{
    struct resolver_world *world = *state;

    for (int i = 0; i < 2; i++) {
        assert_turbo(world, "turbo.test", 443, 443);
        assert_turbo(world, "AT.test", 443, 8443);
        assert_classic(world, "plain.test", true);
    }
    assert_int_equal(world->question_count, 3);
    assert_int_equal(world->other_count, 0);
}

static void each_port_has_a_record_of_its_own(void **state)
{
    struct resolver_world *world = *state;
    struct answer answer;

    assert_turbo(world, "at.test", 8443, 8443);
    assert_int_equal(asked(world, "_8443._https.at.test"), 1);
    answer = look_up(world, "at.test", 8444);
    assert_false(answer.turbo);
    assert_int_equal(asked(world, "_8444._https.at.test"), 1);
    assert_turbo(world, "at.test", 443, 8443);
    assert_turbo(world, "at.test", 8443, 8443);
    assert_int_equal(world->question_count, 3);
    for (int i = 0; i < 600; i++) /* more than there are chains in the cache */
        (void)look_up(world, "nowhere.test", (uint16_t)(1000 + i));
    assert_int_equal(world->question_count, 603);
}

static void that_there_is_no_record_is_known_and_kept(void **state)
{
    struct resolver_world *world = *state;

    for (int i = 0; i < 2; i++) {
        assert_classic(world, "none.test", true);
        assert_classic(world, "nowhere.test", true);
        assert_classic(world, "none-bare.test", true);
    }
    assert_int_equal(world->question_count, 3);
}

static void what_could_not_be_had_is_not_known(void **state)
{
    static const char *const failing[] = {"broken.test", "fails.test"};
    struct resolver_world *world = *state;

    for (size_t i = 0; i < 2; i++) {
        int times;

        assert_classic(world, failing[i], false);
        times = asked(world, failing[i]);
        assert_true(times > 0);
        assert_classic(world, failing[i], false);
        assert_int_equal(asked(world, failing[i]), times); /* a storm asks once */
    }
}

static void an_answer_holds_as_long_as_it_says(void **state)
{
    static const char *const brief[] = {"second.test", "none-brief.test", "none-bare.test",
                                        "broken.test"};
    struct resolver_world *world = *state;

    assert_turbo(world, "turbo.test", 443, 443);
    assert_classic(world, "none.test", true);
    for (size_t i = 0; i < 4; i++)
        (void)look_up(world, brief[i], 443);
    wait_a_second();
    for (size_t i = 0; i < 4; i++) {
        (void)look_up(world, brief[i], 443);
        assert_int_equal(asked(world, brief[i]), 2);
    }
    assert_turbo(world, "turbo.test", 443, 443);
    assert_classic(world, "none.test", true);
    assert_int_equal(asked(world, "turbo.test") + asked(world, "none.test"), 2);
}

static bool recalls(struct resolver_world *world, const char *host, uint16_t port, bool expected)
{
    bool turbo = !expected;
    uint16_t udp_port = 0;

    if (!resolver_recall(world->resolver, host, port, &turbo, &udp_port))
        return false;
    assert_int_equal(turbo, expected);
    assert_int_equal(udp_port, turbo ? 8443 : 0);
    return true;
}

static void what_is_known_is_told_at_once_as_long_as_it_holds(void **state)
{
    struct resolver_world *world = *state;
    struct answer held = {.calls = 0};

    assert_false(recalls(world, "at.test", 443, true));
    assert_turbo(world, "at.test", 443, 8443);
    assert_classic(world, "none-brief.test", true);
    assert_classic(world, "broken.test", false);
    assert_true(recalls(world, "AT.test", 443, true));
    assert_false(recalls(world, "at.test", 8443, true));
    assert_true(recalls(world, "none-brief.test", 443, false));
    assert_false(recalls(world, "broken.test", 443, false));
    wait_a_second();
    assert_true(recalls(world, "at.test", 443, true));
    assert_false(recalls(world, "none-brief.test", 443, false));
    resolver_cancel(discover(world, "none-brief.test", 443, &held));
    assert_false(recalls(world, "none-brief.test", 443, false)); /* is being asked for */
    assert_int_equal(asked(world, "at.test"), 1);
}

static void who_can_have_no_record_is_not_asked_for(void **state)
{
    static const char *const hosts[] = {"192.0.2.1",  "2001:db8::1",  "localhost",
                                        "localhost.", "hidden.onion", "hidden.ONION."};
    struct resolver_world *world = *state;
    char longest[260];

    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct answer answer = {.calls = 0};

        discover(world, hosts[i], 443, &answer);
        ev_run(world->loop, EVRUN_ONCE);
        assert_int_equal(answer.calls, 1);
        assert_false(answer.known || answer.turbo);
    }
    /* Fits, but not with a prefix. */
    for (size_t i = 0; i < 253; i++)
        longest[i] = i % 64 == 63 ? '.' : 'x';
    longest[253] = '\0';
    assert_false(look_up(world, longest, 65535).known);
    assert_int_equal(world->question_count, 0);
}

static void queries_for_one_record_share_a_look_up(void **state)
{
    struct resolver_world *world = *state;
    struct answer answers[3] = {{.calls = 0}}, cancelled = {.calls = 0};
    struct resolver_query *query = discover(world, "held.test", 443, &cancelled);

    discover(world, "held.test", 443, &answers[0]);
    run_until_asked(world, "held.test", 1);
    discover(world, "HELD.test", 443, &answers[1]);
    discover(world, "held.test", 443, &answers[2]);
    resolver_cancel(query);
    release_held(world);
    for (int i = 0; i < 3; i++) {
        run_until_answered(world, &answers[i].calls, 1);
        assert_true(answers[i].turbo);
    }
    assert_int_equal(asked(world, "held.test"), 1);
    assert_int_equal(cancelled.calls, 0);
    resolver_cancel(discover(world, "held.test", 443, &cancelled));
    assert_turbo(world, "held.test", 443, 443);
    assert_int_equal(cancelled.calls, 0);
}

static void a_resolver_can_be_destroyed_while_a_cancelled_look_up_goes_on(void **state)
{
    struct resolver_world *world = *state;
    struct answer cancelled = {.calls = 0};
    struct resolver_query *query = discover(world, "silent.test", 443, &cancelled);

    run_until_asked(world, "silent.test", 1);
    resolver_cancel(query);
    resolver_destroy(world->resolver);
    world->resolver = NULL;
    assert_int_equal(cancelled.calls, 0);
}

static void count_addresses(void *owner, const struct address *addresses, size_t count,
                            const char *error)
{
    struct answer *answer = owner;
    (void)addresses;

    answer->calls++;
    answer->known = count > 0;
    assert_string_equal(error, "Too many names are being looked up");
}

static void find_addresses(void *owner, const struct address *addresses, size_t count,
                           const char *error)
{
    struct answer *answer = owner;
    (void)addresses;

    answer->calls++;
    assert_true(count > 0);
    assert_null(error);
}

/* Those of clients take what there is for them, and leave room for the configuration's. */
static void names_in_use_are_never_more_than_there_is_room_for(void **state)
{
    static struct resolver_query *queries[RESOLVER_REQUESTED_MAX];
    struct resolver_world *world = *state;
    struct answer waiting = {.calls = 0}, refused = {.calls = 0}, first = {.calls = 0};
    struct answer configured = {.calls = 0};
    char host[64];

    assert_turbo(world, "at.test", 443, 8443);
    assert_turbo(world, "turbo.test", 443, 443); /* makes room */
    discover(world, "at.test", 443, &first);     /* is in use until it is answered */
    for (int i = 0; i < RESOLVER_REQUESTED_MAX; i++) {
        (void)snprintf(host, sizeof(host), "m%d.silent.test", i);
        queries[i] = discover(world, host, 443, &waiting);
    }
    run_until_answered(world, &first.calls, 1);
    assert_int_equal(first.udp_port, 8443);
    for (int i = 0; i < RESOLVER_REQUESTED_MAX - 1; i++) /* the last one found no room */
        resolver_cancel(queries[i]);
    assert_int_equal(waiting.calls, 1);
    make_resolver(world, 0);
    waiting.calls = 0;
    assert_turbo(world, "turbo.test", 443, 443);
    for (int i = 0; i < RESOLVER_REQUESTED_MAX; i++) {
        (void)snprintf(host, sizeof(host), "n%d.silent.test", i);
        queries[i] = discover(world, host, 443, &waiting);
    }
    assert_classic(world, "turbo.test", false);
    assert_non_null(
        resolver_resolve_requested(world->resolver, "other.test", count_addresses, &refused));
    run_until_answered(world, &refused.calls, 1);
    assert_false(refused.known);
    assert_non_null(resolver_resolve(world->resolver, "localhost", find_addresses, &configured));
    run_until_answered(world, &configured.calls, 1);
    for (int i = 0; i < RESOLVER_REQUESTED_MAX; i++)
        resolver_cancel(queries[i]);
    assert_classic(world, "turbo.test", false); /* c-ares has them still */
    make_resolver(world, 0);
    assert_turbo(world, "turbo.test", 443, 443);
    assert_int_equal(waiting.calls, 0);
}

/* How many of our sockets are marked. */
static int count_marked(void)
{
    int marked = 0;

    for (int fd = 3; fd < 256; fd++) {
        uint32_t mark = 0;
        socklen_t length = sizeof(mark);

        marked += getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &length) == 0 && mark == MARK;
    }
    return marked;
}

static bool may_mark(const struct resolver_world *world)
{
    uint32_t mark = 0;

    return setsockopt(world->server.io.fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0;
}

/* Who may not mark its sockets asks nobody: unmarked questions may run in a circle. */
static void questions_leave_from_sockets_with_the_mark(void **state)
{
    struct resolver_world *world = *state;
    struct answer held = {.calls = 0};
    struct resolver_query *query;

    make_resolver(world, MARK);
    if (!may_mark(world)) {
        assert_classic(world, "turbo.test", false);
        assert_int_equal(world->question_count, 0);
        return;
    }
    discover(world, "held.test", 443, &held);
    run_until_asked(world, "held.test", 1);
    assert_int_equal(count_marked(), 1);
    release_held(world);
    run_until_answered(world, &held.calls, 1);
    assert_int_equal(count_marked(), 0);
    make_resolver(world, 0);
    assert_turbo(world, "turbo.test", 443, 443);
    query = discover(world, "silent.test", 443, &held);
    run_until_asked(world, "silent.test", 1);
    assert_int_equal(count_marked(), 0);
    resolver_cancel(query);
}

#define RESOLVER_CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RESOLVER_CASE(a_record_says_who_speaks_turbo_and_is_asked_for_once),
        RESOLVER_CASE(each_port_has_a_record_of_its_own),
        RESOLVER_CASE(that_there_is_no_record_is_known_and_kept),
        RESOLVER_CASE(what_could_not_be_had_is_not_known),
        RESOLVER_CASE(an_answer_holds_as_long_as_it_says),
        RESOLVER_CASE(what_is_known_is_told_at_once_as_long_as_it_holds),
        RESOLVER_CASE(who_can_have_no_record_is_not_asked_for),
        RESOLVER_CASE(queries_for_one_record_share_a_look_up),
        RESOLVER_CASE(a_resolver_can_be_destroyed_while_a_cancelled_look_up_goes_on),
        RESOLVER_CASE(names_in_use_are_never_more_than_there_is_room_for),
        RESOLVER_CASE(questions_leave_from_sockets_with_the_mark),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
