/* One connection of turbotls-server: echo, or answers to GET. */
#include <stdlib.h>
#include <string.h>

#include "server.h"

enum { ROUNDS_A_STEP = 64, US_A_MS = 1000 };

struct connection *connection_begin(const struct server *server, struct tunnel_io *io)
{
    struct connection *c = calloc(1, sizeof(*c));
    struct tunnel_options options = {.timeout_ms = 0};
    struct tunnel_error error;

    if (c != NULL)
        c->tunnel = tunnel_open(server->context, io, &options, &error);
    if (c == NULL || c->tunnel == NULL) {
        tunnel_io_close(io);
        free(c);
        return NULL;
    }
    c->server = server;
    c->begun_us = c->moved_us = now_us();
    c->want = TUNNEL_WANT_READ;
    c->body.fd = -1;
    if (server->greeting != NULL) {
        c->out = (const uint8_t *)server->greeting;
        c->out_length = strlen(server->greeting);
    }
    return c;
}

static void end(struct connection *c, enum tunnel_result result)
{
    c->result = result;
    c->over = true;
}

/* Returns whether the call was done with; else it waits, or is over. */
static bool done(struct connection *c, enum tunnel_result result)
{
    if (result == TUNNEL_WANT_READ || result == TUNNEL_WANT_WRITE)
        c->want = result;
    else if (tunnel_result_is_error(result))
        end(c, result);
    return result == TUNNEL_OK || result == TUNNEL_CLOSED;
}

/* ---- each returns whether it could go on at once ---- */

static bool shake_hands(struct connection *c)
{
    if (!done(c, tunnel_handshake(c->tunnel)))
        return false;
    agreed_take(&c->agreed, c->tunnel);
    c->handshake_us = now_us() - c->begun_us;
    c->agreed_upon = true;
    return true;
}

static bool send_some(struct connection *c)
{
    size_t taken = 0;
    enum tunnel_result result = tunnel_write(c->tunnel, c->out, c->out_length, &taken);

    c->out += taken;
    c->out_length -= taken;
    c->sent += taken;
    return done(c, result);
}

static bool say_goodbye(struct connection *c)
{
    c->saying_goodbye = true;
    if (!done(c, tunnel_close(c->tunnel)))
        return false;
    end(c, TUNNEL_OK);
    return false;
}

static bool refill(struct connection *c)
{
    ssize_t got = source_take(&c->body, c->buffer, sizeof(c->buffer));

    if (got < 0) { /* what was promised cannot be kept */
        end(c, TUNNEL_INTERNAL);
        return false;
    }
    c->out = c->buffer;
    c->out_length = (size_t)got;
    if (c->body.left == 0)
        source_close(&c->body);
    return true;
}

static void answer(struct connection *c, size_t length)
{
    static const char too_long[] = "HTTP/1.1 431 Request Header Fields Too Large\r\n"
                                   "Content-Length: 0\r\nConnection: close\r\n\r\n";
    char request[CONNECTION_BUFFER];
    bool keep;

    c->out = (const uint8_t *)too_long;
    c->out_length = sizeof(too_long) - 1;
    c->last = true;
    if (length == 0)
        return;
    memcpy(request, c->buffer, length);
    request[length - 1] = '\0';
    c->out_length = http_answer(c->server, request, c->head, &c->body, &keep);
    c->out = (const uint8_t *)c->head;
    c->last = !keep;
}

/* A body takes the buffer, so what came behind the request is not looked at: nobody is asked for
 * pipelining. */
static void look_for_request(struct connection *c)
{
    size_t length = 0;
    enum http_request found = http_find(c->buffer, c->got, &length);

    if (found == HTTP_MORE)
        return;
    answer(c, found == HTTP_WHOLE ? length : 0);
    c->last = c->last || c->got > length;
    c->got = 0;
}

static bool receive(struct connection *c)
{
    bool echo = c->server->directory_fd < 0 && c->server->body == NULL;
    enum tunnel_result result;
    size_t got;

    result = tunnel_read(c->tunnel, c->buffer + c->got, sizeof(c->buffer) - c->got, &got);
    c->received += got;
    if (!done(c, result))
        return false;
    if (result == TUNNEL_CLOSED) {
        c->last = true;
    } else if (echo) {
        c->out = c->buffer;
        c->out_length = got;
    } else {
        c->got += got;
        look_for_request(c);
    }
    return true;
}

static bool go_on(struct connection *c)
{
    if (!c->agreed_upon)
        return shake_hands(c);
    if (c->saying_goodbye)
        return say_goodbye(c);
    if (c->out_length > 0)
        return send_some(c);
    if (c->body.left > 0)
        return refill(c);
    return c->last ? say_goodbye(c) : receive(c);
}

bool connection_step(struct connection *c)
{
    for (int i = 0; i < ROUNDS_A_STEP; i++) {
        if (!go_on(c))
            return false;
        c->moved_us = now_us();
    }
    return true;
}

void connection_time_out(struct connection *c)
{
    end(c, TUNNEL_TIMEOUT);
}

/* ---- at its end ---- */

static void tell(const struct connection *c, const struct tunnel_io_report *report)
{
    json_t *object = json_object();

    json_put_text(object, "result", tunnel_result_name(c->result));
    json_put_text(object, "error", c->result == TUNNEL_OK ? NULL : tunnel_error(c->tunnel)->text);
    json_put_report(object, report);
    json_put_agreed(object, &c->agreed);
    (void)json_object_set_new(object, "sent", json_integer((json_int_t)c->sent));
    (void)json_object_set_new(object, "received", json_integer((json_int_t)c->received));
    (void)json_object_set_new(object, "handshake_ms",
                              c->handshake_us == 0 ? json_null()
                                                   : json_real((double)c->handshake_us / US_A_MS));
    (void)json_object_set_new(object, "duration_ms",
                              json_real((double)(now_us() - c->begun_us) / US_A_MS));
    json_print(object);
}

void connection_end(struct connection *c)
{
    struct tunnel_io_report report = {.outcome = NULL};

    (void)tunnel_io_report(tunnel_io(c->tunnel), &report);
    if (c->server->json)
        tell(c, &report);
    else if (c->result != TUNNEL_OK && !c->server->quiet)
        say(SERVER_NAME, "%s: %s: %s", report.peer, tunnel_result_name(c->result),
            c->result == TUNNEL_TIMEOUT ? "nothing happened for too long"
                                        : tunnel_error(c->tunnel)->text);
    else if (!c->server->quiet)
        say(SERVER_NAME, "%s, %s: %s, %s%s; %llu bytes received, %llu sent", report.peer,
            report.outcome == NULL ? "?" : report.outcome, c->agreed.version, c->agreed.cipher,
            c->agreed.resumed ? ", resumed" : "", (unsigned long long)c->received,
            (unsigned long long)c->sent);
    source_close(&c->body);
    tunnel_free(c->tunnel);
    free(c);
}
