#include "proxy/config/decode_parts.h"

#include <stdio.h>
#include <string.h>

static void decode_log(struct decoder *decoder, const struct decode_at *top)
{
    static const Turbotls__V1__Log defaults = TURBOTLS__V1__LOG__INIT;
    const Turbotls__V1__Log *log = decoder->message->log;
    struct config *config = decoder->config;

    if (log == NULL)
        log = &defaults;
    decode_check(decoder, &(struct decode_at){top, &log->base, "log", 0}, NULL, 0);
    config->log_level = (enum log_level)(log->level - TURBOTLS__V1__LOG__LEVEL__ERROR);
    config->log_format =
        log->format == TURBOTLS__V1__LOG__FORMAT__JSON ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
    config->log_target = (enum log_target)(log->target - TURBOTLS__V1__LOG__TARGET__STDERR);
}

/* The host itself: who may ask for administration unless others are named. */
static struct networks own_networks(struct decoder *decoder)
{
    static const char *const texts[] = {"127.0.0.0/8", "::1"};
    enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };
    struct network *list = decode_alloc(decoder, TEXTS, sizeof(*list));

    for (size_t i = 0; list != NULL && i < TEXTS; i++)
        (void)network_parse(texts[i], &list[i]);
    return (struct networks){list, list == NULL ? 0 : TEXTS};
}

static void check_admin_port(struct decoder *decoder, const struct decode_at *at)
{
    struct config *config = decoder->config;
    struct config_listener admin = {
        .kind = ENDPOINT_TCP, .address = config->admin, .dual_stack = config->admin_dual_stack};

    for (size_t i = 0; i < config->listener_count; i++) {
        char text[CONFIG_LISTEN_TEXT_BYTES];

        if (address_family(&config->listeners[i].address) == AF_UNSPEC ||
            config_clash(&admin, &config->listeners[i]) != CONFIG_CLASH_TCP)
            continue;
        decode_error(decoder, at, "address", 0, "'%s' takes port %u already; use another",
                     config_listen_text(&config->listeners[i], text),
                     (unsigned int)address_port(&config->admin));
        return;
    }
}

static void decode_admin(struct decoder *decoder, const struct decode_at *top)
{
    const Turbotls__V1__Admin *admin = decoder->message->admin;
    struct config *config = decoder->config;
    char fault[ENDPOINT_FAULT_BYTES];

    if (admin == NULL)
        return;
    struct decode_at at = {top, &admin->base, "admin", 0};
    decode_check(decoder, &at, NULL, 0);
    if (admin->address == NULL)
        decode_missing(decoder, &at, "address", "such as \"127.0.0.1:9443\"");
    else if (!endpoint_listen(admin->address, &config->admin, &config->admin_dual_stack, fault))
        decode_error(decoder, &at, "address", 0, "%s", fault);
    else
        check_admin_port(decoder, &at);
    config->admin_from = admin->n_allow_from == 0
                             ? own_networks(decoder)
                             : decode_networks(decoder, &at, "allow_from", admin->allow_from,
                                               admin->n_allow_from, CONFIG_ADMIN_NETWORKS_MAX);
}

static void decode_process(struct decoder *decoder, const struct decode_at *top)
{
    static const Turbotls__V1__Process defaults = TURBOTLS__V1__PROCESS__INIT;
    static const struct decode_range ranges[] = {{.field = "workers", .max = CONFIG_WORKERS_MAX}};
    const Turbotls__V1__Process *process = decoder->message->process;
    struct config *config = decoder->config;

    if (process == NULL)
        process = &defaults;
    struct decode_at at = {top, &process->base, "process", 0};
    decode_check(decoder, &at, ranges, 1);
    if (process->user != NULL && process->user[0] == '\0')
        decode_error(decoder, &at, "user", 0, "is empty; name a user, or leave it out to stay");
    if (process->group != NULL && process->group[0] == '\0')
        decode_error(decoder, &at, "group", 0,
                     "is empty; name a group, or leave it out for the user's");
    if (process->group != NULL && process->user == NULL)
        decode_missing(decoder, &at, "user", "where there is a group");
    config->user = process->user == NULL ? NULL : decode_text(decoder, process->user);
    config->group = process->group == NULL ? NULL : decode_text(decoder, process->group);
    config->sandbox = process->sandbox;
    config->mark = process->mark;
    config->workers = process->workers;
}

static void decode_all(struct decoder *decoder)
{
    static const struct decode_range ranges[] = {
        {.field = "drain_timeout_seconds", .max = CONFIG_DRAIN_MAX_S}};
    struct decode_at top = {.message = &decoder->message->base};

    decode_check(decoder, &top, ranges, 1);
    decoder->config->drain_timeout_s = decoder->message->drain_timeout_seconds;
    decode_upstreams(decoder, &top);
    decode_listeners(decoder, &top);
    decode_log(decoder, &top);
    decode_admin(decoder, &top);
    decode_process(decoder, &top);
}

struct config *config_decode(const Turbotls__V1__Proxy *message, const struct config_source *source,
                             struct config_errors *errors)
{
    struct decoder decoder = {
        .message = message, .source = source, .errors = errors, .config = config_create()};

    if (decoder.config != NULL)
        decode_all(&decoder);
    if (decoder.config == NULL || decoder.no_memory) {
        errors->failed = true;
        config_error(errors, "%s%sout of memory", source->file == NULL ? "" : source->file,
                     source->file == NULL ? "" : ": ");
    }
    if (errors->total == 0)
        return decoder.config;
    config_release(decoder.config);
    return NULL;
}
