#include "tests/unit/support/pool.h"

#include <sys/socket.h>
#include <unistd.h>

#include "proxy/generation.h"
#include "tunnel/net/socket.h"

struct config_upstream *pool_settings(const struct fixture *f)
{
    return (struct config_upstream *)(uintptr_t)&f->config->upstreams[0];
}

struct server *pool_server(const struct fixture *f, size_t server)
{
    return fixture_upstream(f)->servers[server];
}

static void put_servers(struct fixture *f, const struct pool *pool)
{
    struct config_server *servers = config_alloc(f->config, POOL_SERVERS_MAX * sizeof(*servers));
    struct config_upstream *settings = pool_settings(f);
    assert_non_null(servers);
    settings->servers = servers;
    settings->server_count = 0;
    for (size_t i = 0; i < POOL_SERVERS_MAX && pool->hosts[i] != NULL;
         i++, settings->server_count++)
        servers[i] = (struct config_server){.host = pool->hosts[i],
                                            .port = f->server_port,
                                            .udp_port = f->server_port,
                                            .weight = pool->weights[i] == 0 ? 1 : pool->weights[i]};
    settings->health.back_off_s = pool->back_off_s == 0. ? 0.05 : pool->back_off_s;
    settings->health.max_back_off_s = 60.;
    settings->health.check_interval_s = pool->check_interval_s;
}

void pool_run(struct fixture *f, struct pool *pool, const char *protocol)
{
    fixture_parse(f, "--listen tcp:127.0.0.1:0 --upstream %s:127.0.0.1:%u", protocol,
                  f->server_port);
    put_servers(f, pool);
    fixture_run_worker(f);
    for (size_t i = 0; i < POOL_SERVERS_MAX; i++) {
        uint16_t port = f->server_port;
        pool->fds[i] = -1;
        if (pool->refuse[i])
            pool->fds[i] = fixture_refusing_port(pool->hosts[i], &port);
        else if (pool->silent[i])
            pool->fds[i] = fixture_silent_port(f, pool->hosts[i], &port);
    }
}

void pool_start(struct fixture *f, struct pool *pool, const char *protocol)
{
    pool_run(f, pool, protocol);
    assert_true(worker_listen(f->worker));
}

int pool_revive(struct fixture *f, struct pool *pool, size_t server)
{
    struct address address;
    close(pool->fds[server]);
    pool->fds[server] = -1;
    assert_true(address_from_literal(&address, pool->hosts[server], f->server_port));
    int fd = socket_listen_tcp(&address);
    assert_true(fd >= 0);
    return fd;
}

void pool_stop(struct pool *pool)
{
    for (size_t i = 0; i < POOL_SERVERS_MAX; i++)
        socket_close(pool->fds[i]);
}
