#include "proxy/config/arguments.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/text/quote.h"

/*
 * Room for a message, and for the one entry of a list that leads to it. What is in `message` is
 * freed with it, also when building it fails half-way.
 */
static void *new_message(const void *initial, size_t bytes)
{
    void *message = malloc(bytes);

    return message == NULL ? NULL : memcpy(message, initial, bytes);
}

static bool set_text(char **field, const char *text)
{
    free(*field);
    *field = strdup(text);
    return *field != NULL;
}

/* A name for logs and metrics: "127.0.0.1-8443". */
static bool set_upstream_name(char **field, const char *address)
{
    char name[CONFIG_NAME_MAX + 1];
    size_t length = strlen(address), used = 0;

    /* The port is at the end. */
    for (size_t i = length > CONFIG_NAME_MAX ? length - CONFIG_NAME_MAX : 0; i < length; i++) {
        bool is_mark = strchr("-_.", address[i]) != NULL && used > 0;

        if (isalnum((unsigned char)address[i]) || is_mark)
            name[used++] = address[i];
        else if (address[i] == ':' && used > 0)
            name[used++] = '-';
    }
    name[used] = '\0';
    return set_text(field, used > 0 ? name : "upstream");
}

static bool set_upstream(Turbotls__V1__Proxy *message, const struct endpoint_option *option)
{
    static const Turbotls__V1__Upstream upstream_initial = TURBOTLS__V1__UPSTREAM__INIT;
    static const Turbotls__V1__Server server_initial = TURBOTLS__V1__SERVER__INIT;
    Turbotls__V1__Upstream *upstream;
    Turbotls__V1__Server *server;

    message->upstream = calloc(1, sizeof(Turbotls__V1__Upstream *));
    upstream =
        message->upstream == NULL ? NULL : new_message(&upstream_initial, sizeof(upstream_initial));
    if (upstream == NULL)
        return false;
    message->upstream[message->n_upstream++] = upstream;
    upstream->server = calloc(1, sizeof(Turbotls__V1__Server *));
    server = upstream->server == NULL ? NULL : new_message(&server_initial, sizeof(server_initial));
    if (server == NULL)
        return false;
    upstream->server[upstream->n_server++] = server;
    if (option->kind == ENDPOINT_TURBO) {
        upstream->has_protocol = true;
        upstream->protocol = TURBOTLS__V1__PROTOCOL__TURBO;
    }
    if ((upstream->has_turbo = option->has_turbo))
        upstream->turbo = TURBOTLS__V1__UPSTREAM__TURBO__NEVER + option->turbo;
    if ((upstream->has_dialect = option->dialect != TURBO_DIALECT_PROFILE1))
        upstream->dialect =
            (Turbotls__V1__Dialect)(TURBOTLS__V1__DIALECT__PROFILE1 + option->dialect);
    if ((upstream->has_starttls = option->starttls != STARTTLS_NONE))
        upstream->starttls = (Turbotls__V1__Starttls)option->starttls;
    server->has_udp_port = option->has_udp_port;
    server->udp_port = option->udp_port;
    return set_text(&server->address, option->address) &&
           set_upstream_name(&upstream->name, option->address);
}

static bool set_turbo(Turbotls__V1__Listener *listener, const struct options *options,
                      const struct endpoint_option *option)
{
    listener->has_udp_port = option->has_udp_port;
    listener->udp_port = option->udp_port;
    if ((listener->has_max_sessions = options->max_sessions.given))
        listener->max_sessions = options->max_sessions.value;
    if ((listener->has_session_rate = options->session_rate.given))
        listener->session_rate = options->session_rate.value;
    if ((listener->has_source_rate = options->source_rate.given))
        listener->source_rate = options->source_rate.value;
    if ((listener->has_sniff_timeout_seconds = options->sniff_timeout.given))
        listener->sniff_timeout_seconds = options->sniff_timeout.value;
    if (option->dialect == TURBO_DIALECT_PROFILE1)
        return true;
    listener->dialect = calloc(1, sizeof(*listener->dialect));
    if (listener->dialect != NULL)
        listener->dialect[listener->n_dialect++] = TURBOTLS__V1__DIALECT__SANDWICH;
    return listener->dialect != NULL;
}

static bool add_listener(Turbotls__V1__Proxy *message, const struct options *options,
                         const struct endpoint_option *option)
{
    static const Turbotls__V1__Listener initial = TURBOTLS__V1__LISTENER__INIT;
    Turbotls__V1__Listener *listener = new_message(&initial, sizeof(initial));

    if (listener == NULL)
        return false;
    message->listener[message->n_listener++] = listener;
    listener->has_protocol = true;
    listener->protocol = option->kind == ENDPOINT_TURBO ? TURBOTLS__V1__PROTOCOL__TURBO
                                                        : TURBOTLS__V1__PROTOCOL__TCP;
    if (option->kind == ENDPOINT_TURBO && !set_turbo(listener, options, option))
        return false;
    if ((listener->has_starttls = option->starttls != STARTTLS_NONE))
        listener->starttls = (Turbotls__V1__Starttls)option->starttls;
    if ((listener->has_opening_timeout_seconds = options->opening_timeout.given))
        listener->opening_timeout_seconds = options->opening_timeout.value;
    return set_text(&listener->address, option->address);
}

Turbotls__V1__Proxy *arguments_message(const struct options *options)
{
    static const Turbotls__V1__Proxy initial = TURBOTLS__V1__PROXY__INIT;
    Turbotls__V1__Proxy *message = new_message(&initial, sizeof(initial));
    bool good;

    if (message == NULL)
        return NULL;
    message->listener = calloc(options->listener_count + 1, sizeof(Turbotls__V1__Listener *));
    good = message->listener != NULL && set_upstream(message, &options->upstream);
    for (size_t i = 0; good && i < options->listener_count; i++)
        good = add_listener(message, options, &options->listeners[i]);
    if (good)
        return message;
    turbotls__v1__proxy__free_unpacked(message, NULL);
    return NULL; /* NOLINT(clang-analyzer-unix.Malloc): it is freed */
}

static bool override_log(const struct options *options, Turbotls__V1__Proxy *message)
{
    static const Turbotls__V1__Log initial = TURBOTLS__V1__LOG__INIT;
    Turbotls__V1__Log *log;

    if (!options->log_level.given && !options->log_format.given && !options->log_target.given)
        return true;
    if (message->log == NULL)
        message->log = new_message(&initial, sizeof(initial));
    log = message->log;
    if (log == NULL)
        return false;
    if (options->log_level.given) {
        log->has_level = true;
        log->level = TURBOTLS__V1__LOG__LEVEL__ERROR + options->log_level.value;
    }
    if (options->log_format.given) {
        log->has_format = true;
        log->format = TURBOTLS__V1__LOG__FORMAT__TEXT + options->log_format.value;
    }
    if (options->log_target.given) {
        log->has_target = true;
        log->target = TURBOTLS__V1__LOG__TARGET__STDERR + options->log_target.value;
    }
    return true;
}

static bool override_admin(const struct options *options, Turbotls__V1__Proxy *message)
{
    static const Turbotls__V1__Admin initial = TURBOTLS__V1__ADMIN__INIT;

    if (options->admin == NULL)
        return true;
    if (message->admin == NULL)
        message->admin = new_message(&initial, sizeof(initial));
    return message->admin != NULL && set_text(&message->admin->address, options->admin);
}

static bool override_process(const struct options *options, Turbotls__V1__Proxy *message)
{
    static const Turbotls__V1__Process initial = TURBOTLS__V1__PROCESS__INIT;

    if (options->user == NULL && !options->no_sandbox && !options->workers.given)
        return true;
    if (message->process == NULL)
        message->process = new_message(&initial, sizeof(initial));
    if (message->process == NULL)
        return false;
    if (options->no_sandbox) {
        message->process->has_sandbox = true;
        message->process->sandbox = false;
    }
    if (options->workers.given) {
        message->process->has_workers = true;
        message->process->workers = options->workers.value;
    }
    return options->user == NULL || set_text(&message->process->user, options->user);
}

bool arguments_override(const struct options *options, Turbotls__V1__Proxy *message)
{
    if (options->drain_timeout.given) {
        message->has_drain_timeout_seconds = true;
        message->drain_timeout_seconds = options->drain_timeout.value;
    }
    return override_log(options, message) && override_admin(options, message) &&
           override_process(options, message);
}

bool arguments_typed(const void *context, const char *outermost, size_t index, const char *field,
                     char label[static CONFIG_ERROR_MAX])
{
    const struct options *options = context;
    const char *option = outermost, *value = NULL;

    if (strcmp(outermost, "admin") == 0 && strcmp(field, "address") == 0) {
        value = options->admin;
    } else if (strcmp(outermost, "process") == 0 && strcmp(field, "user") == 0) {
        option = "user";
        value = options->user;
    } else if (options->config == NULL && strcmp(outermost, "listener") == 0) {
        option = "listen";
        value = index < options->listener_count ? options->listeners[index].value : NULL;
    } else if (options->config == NULL && strcmp(outermost, "upstream") == 0) {
        value = options->upstream.value;
    }
    if (value == NULL)
        return false;
    (void)snprintf(label, CONFIG_ERROR_MAX, "--%s %s", option, quote(value).text);
    return true;
}
