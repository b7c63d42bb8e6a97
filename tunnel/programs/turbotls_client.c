/* turbotls-client: a TLS and TurboTLS client for the command line. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

enum { PARALLEL_MAX = 256, MODE = 0666 };

/* What the threads share. */
struct run {
    const struct client *client;
    atomic_uint next; /* of the connections */
    atomic_int code;  /* the first that is not EXIT_GOOD */
};

/* False: no more of it. */
static bool one(struct run *run, struct ticket *ticket)
{
    struct visit visit;
    enum exit_code code;
    int good = EXIT_GOOD;

    visit_make(run->client, ticket, &visit);
    visit_tell(run->client, &visit);
    code = visit.interrupted ? EXIT_INTERRUPTED : exit_code_of(visit.result);
    (void)atomic_compare_exchange_strong(&run->code, &good, (int)code);
    return !visit.interrupted && code != EXIT_USAGE;
}

static void *work(void *context)
{
    struct run *run = context;
    bool more = true;

    while (more && atomic_fetch_add(&run->next, 1) < run->client->count) {
        struct ticket ticket = {0};
        for (uint32_t i = 0; more && i <= run->client->resume; i++)
            more = one(run, &ticket);
        ticket_free(&ticket);
    }
    return NULL;
}

/* With as many threads as there can be, be it none but this one. */
static enum exit_code run_all(const struct client *client)
{
    struct run run = {.client = client};
    pthread_t threads[PARALLEL_MAX];
    uint32_t started = 0;

    atomic_init(&run.next, 0);
    atomic_init(&run.code, EXIT_GOOD);
    while (started + 1 < client->parallel && started + 1 < client->count &&
           pthread_create(&threads[started], NULL, work, &run) == 0)
        started++;
    (void)work(&run);
    while (started > 0)
        (void)pthread_join(threads[--started], NULL);
    return (enum exit_code)atomic_load(&run.code);
}

static bool open_output(struct client *c)
{
    if (c->output == NULL)
        c->out = c->json ? -1 : STDOUT_FILENO;
    else
        c->out = open(c->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, MODE);
    if (c->output == NULL || c->out >= 0)
        return true;
    say(CLIENT_NAME, "--output %s: cannot be written: %s; name another file", c->output,
        strerror(errno));
    return false;
}

static enum exit_code run_client(struct client *c)
{
    struct tunnel_error error;

    c->signals = signals_as_descriptor();
    c->memory = tunnel_memory_new();
    if (c->signals < 0 || c->memory == NULL) {
        say(CLIENT_NAME, "%s", strerror(errno));
        return EXIT_OTHER;
    }
    c->context = tls_context(&c->tls, false, &error);
    if (c->context == NULL) {
        say(CLIENT_NAME, "%s", error.text);
        return exit_code_of(error.result);
    }
    return open_output(c) ? run_all(c) : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct client client;
    enum exit_code code;

    if (client_options(&client, argc, argv, &code))
        code = run_client(&client);
    tunnel_context_release(client.context);
    tunnel_memory_free(client.memory);
    free(client.payload);
    if (client.signals >= 0)
        (void)close(client.signals);
    return (int)code;
}
