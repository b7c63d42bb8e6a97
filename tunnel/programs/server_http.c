/* HTTP/1.1's GET and HEAD, as far as tests and measurements need them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "server.h"

enum { REQUEST_MAX = 8192 };

enum http_request http_find(const uint8_t *bytes, size_t got, size_t *length)
{
    const uint8_t *end = memmem(bytes, got, "\r\n\r\n", 4);

    if (end == NULL)
        return got >= REQUEST_MAX ? HTTP_TOO_LONG : HTTP_MORE;
    *length = (size_t)(end - bytes) + 4;
    return HTTP_WHOLE;
}

/* ---- what is asked for ---- */

/* 0: it is none, or the byte zero. */
static char decode_byte(const char *digits)
{
    static const char all[] = "0123456789abcdef0123456789ABCDEF";
    const char *high = digits[0] == '\0' ? NULL : strchr(all, digits[0]);
    const char *low = high == NULL || digits[1] == '\0' ? NULL : strchr(all, digits[1]);

    if (low == NULL)
        return '\0';
    return (char)(unsigned char)((high - all) % 16 * 16 + (low - all) % 16);
}

/* "%41" and the like, in place; what is behind "?" is cut. False: it is no path. */
static bool decode_path(char *path)
{
    char *out = path;

    for (char *at = path; *at != '\0' && *at != '?'; at++) {
        char byte = *at;
        if (byte == '%')
            byte = decode_byte(at + 1);
        if (byte == '\0')
            return false;
        at += *at == '%' ? 2 : 0;
        *out++ = byte;
    }
    *out = '\0';
    return path[0] == '/';
}

/* Nothing outside of the directory, whatever links there are. */
static int open_beneath(int directory, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
}

/* False: there is no such file. */
static bool open_file(const struct server *server, const char *path, struct source *body)
{
    struct stat status;
    size_t length = strlen(path);
    char name[1024];

    if (length + sizeof("index.html") > sizeof(name))
        return false;
    (void)snprintf(name, sizeof(name), "%s%s", path + 1,
                   path[length - 1] == '/' ? "index.html" : "");
    body->fd = open_beneath(server->directory_fd, name);
    if (body->fd >= 0 && fstat(body->fd, &status) == 0 && S_ISREG(status.st_mode)) {
        body->left = (uint64_t)status.st_size;
        return true;
    }
    source_close(body);
    return false;
}

static bool find_body(const struct server *server, const char *path, struct source *body)
{
    if (server->directory_fd >= 0)
        return open_file(server, path, body);
    body->bytes = server->body;
    body->left = server->body_length;
    return true;
}

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".txt", "text/plain; charset=utf-8"},
        {".css", "text/css"},
        {".js", "text/javascript"},
        {".json", "application/json"},
        {".png", "image/png"},
        {".svg", "image/svg+xml"},
    };
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(dot, types[i][0]) == 0)
            return types[i][1];
    return path[strlen(path) - 1] == '/' ? types[0][1] : "application/octet-stream";
}

/* What follows would be taken for the next request, whoever has sent it. */
static bool has_body(const char *headers)
{
    return strcasestr(headers, "\nContent-Length") != NULL ||
           strcasestr(headers, "\nTransfer-Encoding") != NULL;
}

/* "Connection: close", or HTTP/1.0, whose connections end anyway. */
static bool is_kept(const char *version, const char *headers)
{
    return strcmp(version, "HTTP/1.1") == 0 && strcasestr(headers, "\nConnection: close") == NULL &&
           !has_body(headers);
}

/* ---- answers ---- */

static size_t put_head(char head[static HEAD_BYTES], const char *status, const char *type,
                       uint64_t length, bool keep)
{
    return (size_t)snprintf(head, HEAD_BYTES,
                            "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %llu\r\n"
                            "Connection: %s\r\n\r\n",
                            status, type, (unsigned long long)length,
                            keep ? "keep-alive" : "close");
}

static size_t refuse(char head[static HEAD_BYTES], const char *status, bool head_only, bool keep)
{
    char line[64];
    int length = snprintf(line, sizeof(line), "%s\n", status);
    size_t used = put_head(head, status, "text/plain", (uint64_t)length, keep);

    if (head_only)
        return used;
    return used + (size_t)snprintf(head + used, HEAD_BYTES - used, "%s", line);
}

size_t http_answer(const struct server *server, char *request, char head[static HEAD_BYTES],
                   struct source *body, bool *keep)
{
    char *rest = NULL, *headers = strstr(request, "\r\n"), *method, *path, *version;
    bool head_only;

    *keep = false;
    *body = (struct source){.fd = -1};
    if (headers == NULL)
        return refuse(head, "400 Bad Request", false, false);
    *headers++ = '\0'; /* behind the first line */
    method = strtok_r(request, " ", &rest);
    path = strtok_r(NULL, " ", &rest);
    version = strtok_r(NULL, " ", &rest);
    if (method == NULL || path == NULL || version == NULL || !decode_path(path))
        return refuse(head, "400 Bad Request", false, false);
    head_only = strcmp(method, "HEAD") == 0;
    if (!head_only && strcmp(method, "GET") != 0)
        return refuse(head, "405 Method Not Allowed", false, false);
    *keep = is_kept(version, headers);
    if (!find_body(server, path, body))
        return refuse(head, "404 Not Found", head_only, *keep);
    size_t used = put_head(head, "200 OK", type_of(path), body->left, *keep);
    if (head_only)
        source_close(body);
    return used;
}

void source_close(struct source *source)
{
    if (source->fd >= 0)
        (void)close(source->fd);
    *source = (struct source){.fd = -1};
}

ssize_t source_take(struct source *source, uint8_t *out, size_t capacity)
{
    size_t length = source->left < capacity ? (size_t)source->left : capacity;
    ssize_t got = (ssize_t)length;

    if (length == 0)
        return 0;
    if (source->bytes != NULL) {
        memcpy(out, source->bytes, length);
        source->bytes += length;
    } else {
        do
            got = read(source->fd, out, length);
        while (got < 0 && errno == EINTR);
    }
    if (got <= 0)
        return -1;
    source->left -= (uint64_t)got;
    return got;
}
