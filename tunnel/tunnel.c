#include "tunnel/tunnel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tunnel/context.h"
#include "tunnel/early.h"
#include "tunnel/failure.h"
#include "tunnel/net/address.h"
#include "tunnel/net/clock.h"

struct tunnel {
    struct tunnel_context *context;
    const struct backend *backend;
    struct backend_session *session;
    struct tunnel_io *io; /* NULL: given back */
    enum tunnel_state state;
    enum tunnel_result over;     /* nothing but this comes any more; OK: it is not over */
    enum tunnel_result read_end; /* CLOSED or RAGGED_EOF; OK: the peer may say more */
    bool said_close;
    int timeout_ms;
    turbo_time give_up;   /* when the call under way has waited for long enough */
    const uint8_t *early; /* read before the I/O's */
    size_t early_length;
    enum tunnel_result failed; /* what the I/O has failed with; OK: it has not */
    struct tunnel_error error;
};

/* ---- towards the I/O ---- */

static void tell_state(struct tunnel *t)
{
    if (t->io != NULL && t->io->ops->set_state != NULL)
        t->io->ops->set_state(t->io, t->state);
}

static void enter(struct tunnel *t, enum tunnel_state state)
{
    t->state = state;
    tell_state(t);
}

static enum tunnel_result moved(struct tunnel *t, enum tunnel_result result)
{
    if (tunnel_result_is_error(result))
        t->failed = result;
    if (result == TUNNEL_OK && t->state == TUNNEL_CONNECTION_IN_PROGRESS)
        t->state = TUNNEL_HANDSHAKE_IN_PROGRESS;
    return result;
}

static enum tunnel_result read_early(struct tunnel *t, void *buffer, size_t capacity, size_t *got)
{
    *got = t->early_length < capacity ? t->early_length : capacity;
    memcpy(buffer, t->early, *got);
    t->early += *got;
    t->early_length -= *got;
    return TUNNEL_OK;
}

static enum tunnel_result transport_read(void *owner, void *buffer, size_t capacity, size_t *got)
{
    struct tunnel *t = owner;
    tell_state(t);
    if (t->early_length > 0 && capacity > 0)
        return moved(t, read_early(t, buffer, capacity, got));
    return moved(t, tunnel_io_read(t->io, buffer, capacity, got));
}

static enum tunnel_result transport_write(void *owner, const void *data, size_t length,
                                          size_t *taken)
{
    struct tunnel *t = owner;
    tell_state(t);
    return moved(t, tunnel_io_write(t->io, data, length, taken));
}

void early_give(struct tunnel *t, const void *bytes, size_t length)
{
    t->early = bytes;
    t->early_length = length;
}

/* ---- opening ---- */

static bool is_address(const char *text)
{
    struct address unused;
    return address_from_literal(&unused, text, 0);
}

static bool check_options(const struct tunnel_context *context,
                          const struct tunnel_options *options, struct tunnel_error *error)
{
    bool named = options->server_name != NULL || options->names != NULL;
    if (tunnel_context_is_server(context)) {
        if (options->server_name != NULL)
            failure(error, TUNNEL_CONFIGURATION,
                    "server_name: a server does not ask for a name; leave it out");
        else if (options->names != NULL && !context_verifies(context))
            failure(error, TUNNEL_CONFIGURATION,
                    "names: this context asks no client for a certificate; set "
                    "server.tls.client_authentication, or leave them out");
        else
            return true;
        return false;
    }
    if (options->names != NULL && options->names[0] == NULL)
        failure(error, TUNNEL_CONFIGURATION,
                "names: is empty, so no certificate could match; leave it out for server_name");
    else if (context_verifies(context) && !named && !options->empty_verifier)
        failure(error, TUNNEL_CONFIGURATION,
                "whom is the server's certificate for? Set server_name or names; empty_verifier "
                "if any certificate that is trusted will do");
    else if (options->names != NULL && options->empty_verifier)
        failure(error, TUNNEL_CONFIGURATION,
                "names and empty_verifier contradict each other; leave out one of them");
    else
        return true;
    return false;
}

static struct backend_session *new_session(struct tunnel *t, const struct tunnel_options *options,
                                           struct tunnel_error *error)
{
    const char *const only_name[] = {options->server_name, NULL};
    const char *const *names = options->names != NULL ? options->names : only_name;
    bool sni = options->server_name != NULL && !is_address(options->server_name);
    struct backend_peer peer = {
        .server_name = sni ? options->server_name : NULL,
        .names = names[0] == NULL || options->empty_verifier ? NULL : names,
        .verify = context_verifies(t->context),
        .expected_alpn = options->expected_alpn,
        .resumption = options->resumption,
        .resumption_length = options->resumption_length,
    };
    struct backend_transport transport = {transport_read, transport_write, t};
    return t->backend->session_create(context_of_backend(t->context), &peer, &transport, error);
}

struct tunnel *tunnel_open(struct tunnel_context *context, struct tunnel_io *io,
                           const struct tunnel_options *options, struct tunnel_error *error)
{
    if (!check_options(context, options, error))
        return NULL;
    struct tunnel *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        failure(error, TUNNEL_MEMORY, "out of memory");
        return NULL;
    }
    t->context = tunnel_context_hold(context);
    t->backend = context_backend(context);
    t->timeout_ms = options->timeout_ms;
    t->session = new_session(t, options, error);
    if (t->session == NULL) {
        tunnel_context_release(t->context);
        free(t);
        return NULL;
    }
    t->io = io;
    return t;
}

struct tunnel *tunnel_open_from_text(struct tunnel_context *context, struct tunnel_io *io,
                                     const char *text, struct tunnel_error *error)
{
    struct tunnel_options *options = settings_options_read(text, error);
    if (options == NULL)
        return NULL;
    struct tunnel *t = tunnel_open(context, io, options, error);
    settings_options_free(options);
    return t;
}

/* Alerts of a handshake that has failed, and close_notify, are still delivered. */
void tunnel_free(struct tunnel *t)
{
    if (t == NULL)
        return;
    bool cut_off = t->over == TUNNEL_OK && !t->said_close && t->state != TUNNEL_NOT_CONNECTED;
    t->backend->session_destroy(t->session);
    if (t->state != TUNNEL_ERROR)
        enter(t, TUNNEL_DISCONNECTED);
    if (t->io != NULL)
        t->io->ops->close(t->io, cut_off);
    tunnel_context_release(t->context);
    free(t);
}

void tunnel_set_timeout(struct tunnel *t, int timeout_ms)
{
    t->timeout_ms = timeout_ms;
}

/* ---- calls ---- */

/* For good. Where the I/O was it, the library has no words of its own. */
static enum tunnel_result end(struct tunnel *t, enum tunnel_result result)
{
    if (result == t->failed)
        failure(&t->error, result, "%s", tunnel_io_error(t->io));
    t->over = t->error.result = result;
    enter(t, TUNNEL_ERROR);
    return result;
}

static enum tunnel_result misuse(struct tunnel *t, const char *why)
{
    return failure(&t->error, TUNNEL_MISUSE, "%s", why);
}

static bool is_want(enum tunnel_result result)
{
    return result == TUNNEL_WANT_READ || result == TUNNEL_WANT_WRITE;
}

/* A peer that is cut off may still be told something; a call at the wrong moment harms nobody. */
static bool is_for_good(enum tunnel_result result)
{
    return tunnel_result_is_error(result) && result != TUNNEL_RAGGED_EOF && result != TUNNEL_MISUSE;
}

/* The time of a call as a whole: a peer that sends byte after byte does not prolong it. */
static void start_waiting(struct tunnel *t)
{
    if (t->timeout_ms > 0)
        t->give_up = clock_now() + (turbo_time)t->timeout_ms * (turbo_time)TURBO_MILLISECOND;
}

static int milliseconds_left(const struct tunnel *t)
{
    turbo_time now = clock_now();
    if (t->timeout_ms < 0)
        return -1;
    return now >= t->give_up
               ? 0
               : (int)((t->give_up - now + TURBO_MILLISECOND - 1) / TURBO_MILLISECOND);
}

/* Until the I/O is ready. Not OK: what the call ends with, though not the tunnel. */
static enum tunnel_result wait_for(struct tunnel *t, enum tunnel_result want)
{
    enum tunnel_result waited = tunnel_wait(t, want, milliseconds_left(t));
    switch (waited) {
    case TUNNEL_OK: return waited;
    case TUNNEL_TIMEOUT:
        return failure(&t->error, waited, "it was not done within %d ms", t->timeout_ms);
    case TUNNEL_MISUSE:
        return misuse(t, "this I/O has nothing to wait for: set timeout_ms to 0, and let the other "
                         "end act");
    default: return failure(&t->error, waited, "cannot wait: %s", strerror(errno));
    }
}

/* Is it worth trying once more? Else `*result` is what the call ends with. */
static bool again(struct tunnel *t, enum tunnel_result *result)
{
    if (is_for_good(*result))
        end(t, *result);
    if (!is_want(*result) || t->timeout_ms == 0)
        return false;
    enum tunnel_result waited = wait_for(t, *result);
    if (waited != TUNNEL_OK)
        *result = waited;
    return waited == TUNNEL_OK;
}

/* Not begun, or nothing is left to be said: then `*result`. */
static bool is_usable(struct tunnel *t, enum tunnel_result *result)
{
    if (t->io == NULL)
        *result = misuse(t, "the tunnel was unwrapped; its I/O is plain again");
    else
        *result = t->over;
    return *result == TUNNEL_OK;
}

enum tunnel_result tunnel_handshake(struct tunnel *t)
{
    enum tunnel_result result;
    if (!is_usable(t, &result) || t->state >= TUNNEL_HANDSHAKE_DONE)
        return result;
    if (t->state == TUNNEL_NOT_CONNECTED)
        enter(t, TUNNEL_CONNECTION_IN_PROGRESS);
    start_waiting(t);
    do
        result = t->backend->handshake(t->session, &t->error);
    while (again(t, &result));
    if (result == TUNNEL_OK)
        enter(t, TUNNEL_HANDSHAKE_DONE);
    else if (result == TUNNEL_RAGGED_EOF)
        return end(t, result);
    return result;
}

enum tunnel_result tunnel_read(struct tunnel *t, void *buffer, size_t capacity, size_t *got)
{
    *got = 0;
    enum tunnel_result result = tunnel_handshake(t);
    if (result != TUNNEL_OK)
        return result;
    if (t->read_end != TUNNEL_OK)
        return t->read_end;
    if (capacity == 0)
        return misuse(t, "a buffer of no bytes cannot be read into");
    start_waiting(t);
    do
        result = t->backend->read(t->session, buffer, capacity, got, &t->error);
    while (again(t, &result));
    if (result == TUNNEL_CLOSED || result == TUNNEL_RAGGED_EOF)
        t->read_end = result;
    return result;
}

enum tunnel_result tunnel_write(struct tunnel *t, const void *data, size_t length, size_t *taken)
{
    *taken = 0;
    enum tunnel_result result = tunnel_handshake(t);
    if (result != TUNNEL_OK || length == 0)
        return result;
    if (t->state == TUNNEL_BEING_SHUT_DOWN)
        return misuse(t, "nothing can be written behind tunnel_close");
    start_waiting(t);
    do
        result = t->backend->write(t->session, data, length, taken, &t->error);
    while (again(t, &result));
    return result;
}

enum tunnel_result tunnel_write_all(struct tunnel *t, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    if (t->timeout_ms == 0)
        return misuse(t, "tunnel_write_all may have to wait: set timeout_ms");
    while (length > 0) {
        size_t taken;
        enum tunnel_result result = tunnel_write(t, bytes, length, &taken);
        if (result != TUNNEL_OK)
            return result;
        bytes += taken;
        length -= taken;
    }
    return TUNNEL_OK;
}

enum tunnel_result tunnel_close(struct tunnel *t)
{
    enum tunnel_result result = tunnel_handshake(t);
    if (result != TUNNEL_OK || t->said_close)
        return result;
    if (t->state == TUNNEL_HANDSHAKE_DONE)
        enter(t, TUNNEL_BEING_SHUT_DOWN);
    start_waiting(t);
    do
        result = t->backend->close(t->session, &t->error);
    while (again(t, &result));
    if (result == TUNNEL_OK)
        t->said_close = true;
    return result;
}

/* What the peer says before its close_notify has no reader any more. One that goes on and on does
 * not keep whoever may not wait. */
static enum tunnel_result drop_rest(struct tunnel *t)
{
    enum { PIECE_BYTES = 4096, PIECES_MAX = 256 };
    uint8_t bytes[PIECE_BYTES];
    size_t got;
    enum tunnel_result result = TUNNEL_OK;
    for (unsigned i = 0; result == TUNNEL_OK && (i < PIECES_MAX || t->timeout_ms != 0); i++)
        result = tunnel_read(t, bytes, sizeof(bytes), &got);
    return result == TUNNEL_OK ? TUNNEL_WANT_READ : result;
}

enum tunnel_result tunnel_unwrap(struct tunnel *t, struct tunnel_io **io)
{
    enum tunnel_result result = tunnel_close(t);
    if (result != TUNNEL_OK)
        return result;
    result = drop_rest(t);
    if (result == TUNNEL_RAGGED_EOF)
        return failure(&t->error, result,
                       "the peer vanished without close_notify: there is nothing to give back");
    if (result != TUNNEL_CLOSED)
        return result;
    enter(t, TUNNEL_DISCONNECTED);
    *io = t->io;
    t->io = NULL;
    return TUNNEL_OK;
}

/* ---- waiting ---- */

void tunnel_watch(struct tunnel *t, enum tunnel_result want, struct tunnel_watch *watch)
{
    if (t->io != NULL)
        tunnel_io_watch(t->io, want, watch);
    else
        *watch = (struct tunnel_watch){.deadline_us = TUNNEL_FOR_EVER};
}

enum tunnel_result tunnel_wait(struct tunnel *t, enum tunnel_result want, int timeout_ms)
{
    return t->io == NULL ? TUNNEL_MISUSE : tunnel_io_wait(t->io, want, timeout_ms);
}

size_t tunnel_pending(const struct tunnel *t)
{
    return t->over == TUNNEL_OK ? t->backend->pending(t->session) : 0;
}

/* ---- what is known ---- */

enum tunnel_state tunnel_state(const struct tunnel *t)
{
    return t->state;
}

const struct tunnel_error *tunnel_error(const struct tunnel *t)
{
    return &t->error;
}

struct tunnel_context *tunnel_context(const struct tunnel *t)
{
    return t->context;
}

struct tunnel_io *tunnel_io(const struct tunnel *t)
{
    return t->io;
}

void tunnel_info(struct tunnel *t, struct tunnel_info *info)
{
    memset(info, 0, sizeof(*info));
    if (t->state == TUNNEL_HANDSHAKE_DONE || t->state == TUNNEL_BEING_SHUT_DOWN ||
        t->state == TUNNEL_DISCONNECTED)
        t->backend->info(t->session, info);
}

uint8_t *tunnel_resumption(struct tunnel *t, size_t *length)
{
    *length = 0;
    if (t->state < TUNNEL_HANDSHAKE_DONE || t->over != TUNNEL_OK)
        return NULL;
    return t->backend->resumption(t->session, length);
}

void tunnel_resumption_free(uint8_t *resumption, size_t length)
{
    if (resumption != NULL)
        explicit_bzero(resumption, length);
    free(resumption);
}
