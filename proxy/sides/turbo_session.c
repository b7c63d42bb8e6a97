#include "proxy/sides/turbo_session.h"

#include "proxy/config/config.h"
#include "proxy/ops/blocks.h"
#include "proxy/server.h"
#include "tunnel/net/crypto.h"

struct turbo_client *turbo_session_new(const struct turbo_session_call *call, turbo_time now)
{
    struct turbo_client_config config;
    turbo_client_config_init(&config, crypto_sha256);
    config.always = call->settings->turbo == CONFIG_TURBO_ALWAYS;
    config.dialect = call->settings->dialect;
    config.attempt = call->attempt;
    if (config.dialect == TURBO_DIALECT_SANDWICH &&
        !crypto_random(config.id.bytes, sizeof(config.id.bytes)))
        return NULL;
    void *memory =
        call->room != NULL ? call->room : blocks_take(call->blocks, turbo_client_bytes());
    if (memory == NULL)
        return NULL;
    if (call->unknown)
        config.unknown = true;
    else
        turbo_learned_configure(call->learned, now, &config);
    return turbo_client_init(memory, &config, call->syn_at);
}

void turbo_session_free(struct turbo_client *session, struct blocks *blocks, struct server *server,
                        struct turbo_learned *learned, turbo_time now)
{
    if (session == NULL)
        return;
    struct turbo_client_report report = turbo_client_report(session);
    turbo_learned_note(learned, now, &report);
    server_note_flight(server, &report);
    if (blocks != NULL)
        blocks_give(blocks, session);
}
