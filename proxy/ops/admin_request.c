#include "proxy/ops/admin_request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/ops/exposition.h"

enum {
    HOST_MAX = 255,
    ANSWER_MAX = 64 * 1024 * 1024, /* bytes; it is as long as the configuration */
};

#define TEXT_PLAIN "text/plain; charset=utf-8"

/* ---- the answers: each writes the body and tells the status; 0: out of memory ---- */

static unsigned write_list(const struct admin_request *r, FILE *out)
{
    (void)r;
    (void)fputs("turbotls-proxy " TURBOTLS_VERSION "\n"
                "GET /metrics\nGET /healthz\nGET /readyz\nGET /status\nPOST /reload\n",
                out);
    return MHD_HTTP_OK;
}

static unsigned write_metrics(const struct admin_request *r, FILE *out)
{
    return r->answers->metrics(r->owner, out) ? MHD_HTTP_OK : 0;
}

static unsigned write_health(const struct admin_request *r, FILE *out)
{
    (void)r;
    (void)fputs("ok\n", out);
    return MHD_HTTP_OK;
}

static unsigned write_readiness(const struct admin_request *r, FILE *out)
{
    if (!r->answers->ready(r->owner, out))
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    (void)fputs("ready\n", out);
    return MHD_HTTP_OK;
}

static unsigned write_status(const struct admin_request *r, FILE *out)
{
    return r->answers->status(r->owner, out) ? MHD_HTTP_OK : 0;
}

static unsigned reload(const struct admin_request *r, FILE *out)
{
    if (!r->answers->reload(r->owner, out))
        return MHD_HTTP_UNPROCESSABLE_CONTENT;
    (void)fputs("reloaded\n", out);
    return MHD_HTTP_OK;
}

struct route {
    const char *path;
    bool changes; /* asked by POST; the others by GET and HEAD */
    const char *type;
    unsigned (*write)(const struct admin_request *request, FILE *out);
};

static const struct route routes[] = {
    {"/", false, TEXT_PLAIN, write_list},
    {"/metrics", false, EXPOSITION_CONTENT_TYPE, write_metrics},
    {"/healthz", false, TEXT_PLAIN, write_health},
    {"/readyz", false, TEXT_PLAIN, write_readiness},
    {"/status", false, "application/json", write_status},
    {"/reload", true, TEXT_PLAIN, reload},
};

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    return NULL;
}

/* ---- who is refused ---- */

struct refusal {
    unsigned status;
    const char *text, *allow; /* `allow`: the methods there are; NULL: it is not about that */
};

static const struct refusal foreigner = {
    MHD_HTTP_FORBIDDEN, "Your address may not ask here; admin.allow_from says which may.\n", NULL};
static const struct refusal wrong_host = {
    MHD_HTTP_FORBIDDEN, "Ask for an IP address or for localhost: the Host is another.\n", NULL};
static const struct refusal from_page = {
    MHD_HTTP_FORBIDDEN, "Web pages may not ask for this: the request has an Origin.\n", NULL};
static const struct refusal nothing_there = {
    MHD_HTTP_NOT_FOUND, "There is nothing of this name; GET / tells what there is.\n", NULL};
static const struct refusal not_read_only = {MHD_HTTP_METHOD_NOT_ALLOWED,
                                             "This is asked for by GET or HEAD.\n", "GET, HEAD"};
static const struct refusal not_post = {MHD_HTTP_METHOD_NOT_ALLOWED,
                                        "This changes something: ask for it by POST.\n", "POST"};
static const struct refusal too_large = {MHD_HTTP_CONTENT_TOO_LARGE,
                                         "Nothing is read from a body; send none.\n", NULL};

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* "localhost" or an IP address, IPv6 in brackets, with or without a port. */
static bool is_host_itself(const char *host)
{
    char name[HOST_MAX + 1];
    struct address ignored;
    bool bracketed = host[0] == '[';
    size_t length = bracketed ? strcspn(++host, "]") : strcspn(host, ":");
    if (length > HOST_MAX)
        return false;
    memcpy(name, host, length);
    name[length] = '\0';
    return strcasecmp(name, "localhost") == 0 || address_from_literal(&ignored, name, 0);
}

static bool announces_too_much(struct MHD_Connection *connection)
{
    const char *length = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
    errno = 0;
    return length != NULL && (strtoull(length, NULL, 10) > ADMIN_BODY_MAX || errno != 0);
}

static bool is_read_only(const char *method)
{
    return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* NULL: it is answered. */
static const struct refusal *refusal_of(const struct admin_request *r,
                                        struct MHD_Connection *connection, const char *path,
                                        const char *method)
{
    const char *host = header(connection, MHD_HTTP_HEADER_HOST);
    const struct route *route = find_route(path);
    if (r->foreign)
        return &foreigner;
    if (r->host_only && host != NULL && !is_host_itself(host))
        return &wrong_host;
    if (route == NULL)
        return &nothing_there;
    if (!route->changes && !is_read_only(method))
        return &not_read_only;
    if (route->changes && strcmp(method, MHD_HTTP_METHOD_POST) != 0)
        return &not_post;
    if (route->changes && header(connection, MHD_HTTP_HEADER_ORIGIN) != NULL)
        return &from_page;
    return announces_too_much(connection) ? &too_large : NULL;
}

/* ---- a request ---- */

static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return value == NULL || MHD_add_response_header(response, name, value) == MHD_YES;
}

/* NO, which closes the connection: out of memory. */
static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const char *type,
                               const char *allow, struct MHD_Response *response)
{
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result = MHD_NO;
    if (add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type) &&
        add_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") &&
        add_header(response, "X-Content-Type-Options", "nosniff") &&
        add_header(response, MHD_HTTP_HEADER_ALLOW, allow))
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, const struct refusal *refusal)
{
    char *text;
    memcpy(&text, &refusal->text, sizeof(text)); /* it is not changed: PERSISTENT */
    return respond(connection, refusal->status, TEXT_PLAIN, refusal->allow,
                   MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_PERSISTENT));
}

/* Where an answer is written to. open_memstream(3) would not tell that bytes were lost. */
struct body {
    char *bytes;
    size_t length, capacity;
};

/* As fopencookie wants it. 0: no memory, or no end in sight. */
static ssize_t body_write(void *cookie, const char *data, size_t length)
{
    struct body *body = cookie;
    if (length > body->capacity - body->length) {
        size_t capacity = 2 * (body->length + length);
        char *bytes = capacity > ANSWER_MAX ? NULL : realloc(body->bytes, capacity);
        if (bytes == NULL)
            return 0;
        body->bytes = bytes;
        body->capacity = capacity;
    }
    memcpy(body->bytes + body->length, data, length);
    body->length += length;
    return (ssize_t)length;
}

static bool write_answer(const struct admin_request *r, const struct route *route,
                         struct body *body, unsigned *status)
{
    FILE *out = fopencookie(body, "w", (cookie_io_functions_t){.write = body_write});
    if (out == NULL)
        return false;
    *status = route->write(r, out);
    bool written = fflush(out) == 0 && ferror(out) == 0;
    return fclose(out) == 0 && written && *status != 0 && body->length > 0;
}

static enum MHD_Result answer(const struct admin_request *r, struct MHD_Connection *connection,
                              const struct route *route)
{
    struct body body = {0};
    unsigned status = 0;
    struct MHD_Response *response = NULL;
    if (write_answer(r, route, &body, &status))
        response =
            MHD_create_response_from_buffer_with_free_callback(body.length, body.bytes, free);
    if (response == NULL)
        free(body.bytes);
    return respond(connection, status, route->type, NULL, response);
}

enum MHD_Result admin_request_handle(struct admin_request *r, struct MHD_Connection *connection,
                                     const char *path, const char *method, size_t *body_bytes,
                                     void **begun)
{
    if (*begun == NULL) {
        *begun = r;
        r->body = 0;
        const struct refusal *refusal = refusal_of(r, connection, path, method);
        return refusal != NULL ? refuse(connection, refusal) : MHD_YES;
    }
    r->body += *body_bytes;
    bool more = *body_bytes > 0;
    *body_bytes = 0;
    if (r->body > ADMIN_BODY_MAX)
        return MHD_NO; /* it did not say so before */
    return more ? MHD_YES : answer(r, connection, find_route(path));
}
