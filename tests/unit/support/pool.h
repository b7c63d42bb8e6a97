/*
 * An upstream of several servers, in the fixture's configuration: some that serve, some that
 * refuse, with a health that a test can wait for.
 *
 *   pool_start(f, "tcp", &(struct pool){.hosts = {"127.0.0.7", "127.0.0.1"}, .refuse = {true}});
 *
 * All of them have the fixture's server_port; 127.0.0.1 is the fixture's own server.
 */
#ifndef TEST_POOL_H
#define TEST_POOL_H

#include "tests/unit/support/worker_fixture.h"

#include "proxy/upstream.h"

enum { POOL_SERVERS_MAX = 4 };

struct pool {
    const char *hosts[POOL_SERVERS_MAX]; /* up to the first NULL */
    uint32_t weights[POOL_SERVERS_MAX];  /* 0: 1 */
    bool refuse[POOL_SERVERS_MAX];
    bool silent[POOL_SERVERS_MAX]; /* a full queue */
    double back_off_s;             /* 0: 0.05 */
    double check_interval_s;
    int fds[POOL_SERVERS_MAX]; /* of those that refuse or are silent; else -1 */
};

/* Protocol "tcp" or "turbo"; a plain listener. `pool_run` alone does not listen. */
void pool_run(struct fixture *f, struct pool *pool, const char *protocol);
void pool_start(struct fixture *f, struct pool *pool, const char *protocol);
/* One that refused or was silent serves now: returns a listening socket, the caller's to close. */
int pool_revive(struct fixture *f, struct pool *pool, size_t server);
void pool_stop(struct pool *pool);

/* What the configuration says; a test may change it before it is used. */
struct config_upstream *pool_settings(const struct fixture *f);
struct server *pool_server(const struct fixture *f, size_t server);

#endif
