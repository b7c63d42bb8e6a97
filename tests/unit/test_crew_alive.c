/* Do all workers answer? One that is busy with a single event, however long, does not. */
#include "tests/unit/support/worker_fixture.h"

#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/crew.h"
#include "tunnel/net/clock.h"

enum { WORKERS = 3, MOMENT_US = 1000 };

static const turbo_time WAIT_MAX = 30 * TURBO_SECOND;

/* A message that keeps whoever gets it for as long as the test likes. */
struct stone {
    struct message message;
    sem_t swallowed, dissolved;
};

static void swallow(struct message *message, struct worker *worker)
{
    struct stone *stone = (struct stone *)message;
    (void)worker;
    sem_post(&stone->swallowed);
    sem_wait(&stone->dissolved);
}

static void wait_until_alive(struct crew *crew)
{
    for (turbo_time end = clock_now() + WAIT_MAX; !crew_is_alive(crew); usleep(MOMENT_US))
        assert_true(clock_now() < end);
}

static void one_that_does_not_answer_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct stone stone = {.message.deliver = swallow};
    sem_init(&stone.swallowed, 0, 0);
    sem_init(&stone.dissolved, 0, 0);
    fixture_parse(f, "--listen turbo:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct crew *crew = crew_create(f->config, &f->log, WORKERS);
    assert_non_null(crew);
    assert_true(crew_open(crew, NULL));
    assert_true(crew_start(crew));
    wait_until_alive(crew);
    wait_until_alive(crew);
    inbox_put(&crew_worker(crew, WORKERS - 1)->inbox, &stone.message);
    sem_wait(&stone.swallowed);
    (void)crew_is_alive(crew); /* of what was asked before: it had answered, perhaps */
    for (int i = 0; i < 10; i++) {
        usleep(MOMENT_US);
        assert_false(crew_is_alive(crew));
    }
    sem_post(&stone.dissolved);
    wait_until_alive(crew);
    wait_until_alive(crew);
    crew_drain(crew);
    crew_run(crew);
    crew_destroy(crew);
    sem_destroy(&stone.swallowed);
    sem_destroy(&stone.dissolved);
}

static void one_alone_is_alive(void **state)
{
    struct fixture *f = *state;
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream tcp:127.0.0.1:%u", f->server_port);
    struct crew *crew = crew_create(f->config, &f->log, 1);
    assert_non_null(crew);
    assert_true(crew_start(crew));
    assert_true(crew_is_alive(crew));
    assert_true(crew_is_alive(crew));
    crew_destroy(crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_CASE(one_that_does_not_answer_is_noticed),
        FIXTURE_CASE(one_alone_is_alive),
    };
    return cmocka_run_group_tests_name("crew, alive", tests, NULL, NULL);
}
