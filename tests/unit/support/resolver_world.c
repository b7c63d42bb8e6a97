#include "tests/unit/support/resolver_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { GUARD_S = 20 };

/* ---- the server ---- */

static void note(struct resolver_world *world, const struct dns_message *message)
{
    if (message->type != world->type)
        world->other_count++;
    else if (world->question_count < WORLD_QUESTIONS_MAX)
        memcpy(world->questions[world->question_count++], message->name, sizeof(message->name));
}

int asked(const struct resolver_world *world, const char *name)
{
    int times = 0;

    for (size_t i = 0; i < world->question_count; i++)
        times += strcasecmp(world->questions[i], name) == 0;
    return times;
}

static void serve(void *owner, struct dns_message *message)
{
    struct resolver_world *world = owner;

    note(world, message);
    enum manner manner = world->answer(message);
    if (manner == IS_SILENT || (manner == LOSES_THE_FIRST && asked(world, message->name) == 1))
        return;
    if (manner == HOLDS_BACK && world->held_count < WORLD_HELD_MAX)
        world->held[world->held_count++] = *message;
    else
        dns_server_send(&world->server, message);
}

void release_held(struct resolver_world *world)
{
    for (size_t i = 0; i < world->held_count; i++)
        dns_server_send(&world->server, &world->held[i]);
    world->held_count = 0;
}

/* ---- its life ---- */

static void hangs(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events;
    fail_msg("nothing happens any more");
}

void make_resolver(struct resolver_world *world, uint32_t mark)
{
    const char *error = "";

    resolver_destroy(world->resolver);
    world->resolver = resolver_create(world->loop, mark, &error);
    assert_non_null(world->resolver);
    assert_true(resolver_set_servers(world->resolver, world->server.name));
}

struct resolver_world *resolver_world_create(uint16_t type,
                                             enum manner (*answer)(struct dns_message *message))
{
    struct resolver_world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    world->type = type;
    world->answer = answer;
    world->questions = calloc(WORLD_QUESTIONS_MAX, sizeof(world->questions[0]));
    assert_non_null(world->questions);
    world->loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(world->loop);
    ev_timer_init(&world->guard, hangs, GUARD_S, 0);
    ev_timer_start(world->loop, &world->guard);
    ev_unref(world->loop);
    dns_server_start(&world->server, world->loop, serve, world);
    make_resolver(world, 0);
    return world;
}

void resolver_world_destroy(struct resolver_world *world)
{
    resolver_destroy(world->resolver);
    dns_server_stop(&world->server, world->loop);
    ev_ref(world->loop);
    ev_timer_stop(world->loop, &world->guard);
    assert_int_equal(ev_pending_count(world->loop), 0);
    ev_loop_destroy(world->loop);
    free(world->questions);
    free(world);
}

/* ---- waiting ---- */

void run_until_answered(struct resolver_world *world, const int *calls, int count)
{
    while (*calls < count)
        ev_run(world->loop, EVRUN_ONCE);
    assert_int_equal(*calls, count);
}

void run_until_asked(struct resolver_world *world, const char *name, int times)
{
    while (asked(world, name) < times)
        ev_run(world->loop, EVRUN_ONCE);
}
