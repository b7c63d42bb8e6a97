#include "tests/unit/support/tunnel_each.h"

#include <stdio.h>
#include <stdlib.h>
#include <valgrind/valgrind.h>

bool each_is_slow(void)
{
    return RUNNING_ON_VALGRIND;
}

bool each_is_mixed(const struct each *each)
{
    return strcmp(each->client, each->server) != 0;
}

struct libraries {
    const char *client, *server;
};

static int run_with(const char *name, const struct CMUnitTest *tests, size_t count,
                    const struct libraries *libraries, struct world *world)
{
    struct each each = {libraries->client, libraries->server, world};
    char group[128];
    snprintf(group, sizeof(group), "%s: client %s, server %s", name, each.client, each.server);
    struct CMUnitTest *own = calloc(count, sizeof(*own));
    for (size_t t = 0; own != NULL && t < count; t++) {
        own[t] = tests[t];
        own[t].initial_state = &each;
    }
    int failed = own == NULL ? 1 : _cmocka_run_group_tests(group, own, count, NULL, NULL);
    free(own);
    return failed;
}

int each_run(const char *name, const struct CMUnitTest *tests, size_t count)
{
    static const struct libraries pairs[] = {
        {"IMPL_OPENSSL3", "IMPL_GNUTLS"},
        {"IMPL_GNUTLS", "IMPL_OPENSSL3"},
        {"IMPL_OPENSSL3", "IMPL_OPENSSL3"},
        {"IMPL_GNUTLS", "IMPL_GNUTLS"},
    };
    /* The first two have each library at each end once. */
    size_t pairs_used = each_is_slow() ? 2 : COUNT(pairs);
    struct world world;
    int failed = 0;
    world_create(&world);
    for (size_t i = 0; i < pairs_used; i++)
        failed += run_with(name, tests, count, &pairs[i], &world);
    world_destroy(&world);
    return failed;
}

static struct tunnel_context *must(const struct each *each, bool server,
                                   const struct world_end *end)
{
    struct world_end whole = *end;
    struct tunnel_error error;
    if (whole.implementation == NULL)
        whole.implementation = server ? each->server : each->client;
    struct tunnel_context *context = world_context(each->world, server, &whole, &error);
    if (context == NULL)
        fail_msg("%s", error.text);
    return context;
}

struct tunnel_context *each_client(const struct each *each, const struct world_end *end)
{
    return must(each, false, end);
}

struct tunnel_context *each_server(const struct each *each, const struct world_end *end)
{
    return must(each, true, end);
}

void each_refuses(const struct each *each, bool server, const struct world_end *end,
                  const char *why)
{
    struct world_end whole = *end;
    struct tunnel_error error = {.result = TUNNEL_OK};
    whole.implementation = server ? each->server : each->client;
    assert_null(world_context(each->world, server, &whole, &error));
    assert_string_equal(tunnel_result_name(error.result), "configuration");
    if (strstr(error.text, why) == NULL)
        fail_msg("\"%s\" is not in: %s", why, error.text);
}

void each_offered(struct tunnel_error *error, const char *names[static EACH_NAMES_MAX])
{
    static const char intro[] = "There are: ";
    size_t count = 0;
    char *list = strstr(error->text, intro);
    if (list == NULL)
        fail_msg("no list in: %s", error->text);
    char *save = NULL;
    for (char *name = strtok_r(list + strlen(intro), ", \n", &save);
         name != NULL && count < EACH_NAMES_MAX - 1; name = strtok_r(NULL, ", \n", &save))
        names[count++] = name;
    names[count] = NULL;
}

bool each_has(const char *const *names, const char *name)
{
    for (; *names != NULL; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}
