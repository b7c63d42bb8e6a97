/* A second SYN beside one that seems to be lost: protocol §6.8. */
/* Included, since which of the two it is that fails is its own affair. */
#include "proxy/net/dial.c"

#include "tests/unit/support/caller.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void start(struct fixture *f)
{
    fixture_start(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
}

/* A first one has left, and got lost: the queue was full. */
static int lose_a_syn(struct fixture *f, struct caller *c)
{
    uint16_t port = 0;
    start(f);
    int silent = fixture_silent_port(f, "127.0.0.1", &port);
    caller_dial(f, c, "127.0.0.1", port);
    dial_again(c->dial); /* nothing has been tried yet */
    assert_int_equal(c->dial->attempts[1].fd, -1);
    UNTIL(f, c->starts == 1);
    return silent;
}

/* There is room in the queue again. */
static void make_room(struct fixture *f, int silent)
{
    int fd = accept(silent, NULL, NULL);
    assert_true(fd >= 0);
    fixture_adopt(f, fd);
}

static void the_second_syn_connects_where_the_first_was_lost(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    int silent = lose_a_syn(f, &c);
    make_room(f, silent);
    dial_again(c.dial);
    int second = c.dial->attempts[1].fd;
    assert_true(second >= 0);
    dial_again(c.dial); /* there are two already */
    assert_int_equal(c.dial->attempts[1].fd, second);
    UNTIL(f, c.ups == 1);
    assert_int_equal(c.fd, second);
    assert_int_equal(c.starts, 1); /* it is the same attempt */
    socket_close(c.fd);
    close(silent);
}

static void of_two_that_come_up_one_is_used_and_the_other_closed(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    start(f);
    caller_dial(f, &c, "127.0.0.1", f->server_port);
    c.dials_again = true;
    UNTIL(f, c.ups == 1);
    peer_say(fixture_adopt(f, c.fd), "hello");
    struct peer *servers[] = {fixture_server(f, 0), fixture_server(f, 1)};
    UNTIL(f, peer_heard(servers[0], "hello") || peer_heard(servers[1], "hello"));
    struct peer *other = peer_heard(servers[0], "hello") ? servers[1] : servers[0];
    UNTIL(f, other->ended || peer_was_reset(other));
    assert_int_equal(c.ups + c.failures, 1);
}

/* As it would have without a second one: a host that refuses need not be asked twice. */
static void when_the_first_fails_the_address_has_failed(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    int silent = lose_a_syn(f, &c);
    dial_again(c.dial);
    attempt_failed(c.dial, &c.dial->attempts[0], ECONNREFUSED);
    assert_int_equal(c.failures, 1);
    assert_string_equal(c.error, "Connection refused");
    close(silent);
}

static void when_the_second_fails_the_first_may_come_up(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    int silent = lose_a_syn(f, &c);
    dial_again(c.dial);
    int first = c.dial->attempts[0].fd;
    attempt_failed(c.dial, &c.dial->attempts[1], ECONNREFUSED);
    make_room(f, silent); /* its SYN is repeated after a second */
    UNTIL(f, c.ups + c.failures == 1);
    assert_int_equal(c.fd, first);
    socket_close(c.fd);
    close(silent);
}

static void now_and_then_a_fresh_syn_takes_the_second_ones_place(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    int silent = lose_a_syn(f, &c);
    dial_again(c.dial);
    struct sockaddr_storage before, after;
    socklen_t length = sizeof(before);
    assert_int_equal(getsockname(c.dial->attempts[1].fd, (struct sockaddr *)&before, &length), 0);
    on_fresh(f->loop, &c.dial->fresh, EV_TIMER);
    length = sizeof(after);
    assert_int_equal(getsockname(c.dial->attempts[1].fd, (struct sockaddr *)&after, &length), 0);
    assert_memory_not_equal(&before, &after, length);
    make_room(f, silent);
    UNTIL(f, c.ups == 1);
    socket_close(c.fd);
    close(silent);
}

static void the_time_is_over_for_both(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    int silent = lose_a_syn(f, &c);
    dial_again(c.dial);
    on_timeout(f->loop, &c.dial->timer, EV_TIMER);
    assert_int_equal(c.failures, 1);
    assert_string_equal(c.error, "Connection timed out");
    close(silent);
}

static void without_a_descriptor_the_first_goes_on_alone(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    struct rlimit limit;
    int silent = lose_a_syn(f, &c);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    dial_again(c.dial);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(c.dial->attempts[1].fd, -1);
    assert_int_equal(c.failures, 0);
    make_room(f, silent);
    UNTIL(f, c.ups == 1);
    socket_close(c.fd);
    close(silent);
}

static void without_a_spare_descriptor_the_first_goes_on_alone(void **state)
{
    struct fixture *f = *state;
    struct caller c;
    struct dial_spares spares = {.used = 1, .max = 1};
    int silent = lose_a_syn(f, &c);
    c.dial->spares = &spares;
    dial_again(c.dial);
    assert_int_equal(c.dial->attempts[1].fd, -1);
    spares.used = 0; /* another's has ended */
    dial_again(c.dial);
    assert_int_equal(spares.used, 1);
    on_fresh(f->loop, &c.dial->fresh, EV_TIMER);
    assert_true(c.dial->attempts[1].fd >= 0);
    assert_int_equal(spares.used, 1);
    make_room(f, silent);
    UNTIL(f, c.ups == 1);
    assert_int_equal(spares.used, 0);
    socket_close(c.fd);
    close(silent);
}

static void giving_up_ends_both(void **state) /* the fixture counts descriptors */
{
    struct fixture *f = *state;
    struct caller c;
    int silent = lose_a_syn(f, &c);
    dial_again(c.dial);
    dial_cancel(c.dial);
    make_room(f, silent);
    fixture_let_happen(f);
    assert_int_equal(c.ups + c.failures, 0);
    close(silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(the_second_syn_connects_where_the_first_was_lost),
        FIXTURE_CASE(of_two_that_come_up_one_is_used_and_the_other_closed),
        FIXTURE_CASE(when_the_first_fails_the_address_has_failed),
        FIXTURE_CASE(when_the_second_fails_the_first_may_come_up),
        FIXTURE_CASE(now_and_then_a_fresh_syn_takes_the_second_ones_place),
        FIXTURE_CASE(the_time_is_over_for_both),
        FIXTURE_CASE(without_a_descriptor_the_first_goes_on_alone),
        FIXTURE_CASE(without_a_spare_descriptor_the_first_goes_on_alone),
        FIXTURE_CASE(giving_up_ends_both),
    };
    return cmocka_run_group_tests_name("dial again", tests, NULL, NULL);
}
