#include "proxy/config/decode_parts.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/net/name.h"

const char *decode_name_advice(const char *name)
{
    size_t length;

    if (name[0] == '.')
        return "for every name below it begin with '*.'";
    if (strncmp(name, "*.", 2) == 0)
        name += 2;
    if (strchr(name, '*') != NULL)
        return "a '*' stands for the whole beginning, as in \"*.example.com\"";
    length = strlen(name);
    if (length > 0 && name[length - 1] == '.')
        return "leave the dot at its end out";
    if (length > DECODE_NAME_TEXT_MAX)
        return "one has 253 characters at most";
    /* A last label that is a number is told as a mistyped address: no name has one. */
    return endpoint_name_fault(name) == NULL
               ? NULL
               : "use letters, digits, '-', '_' and '.', between dots 1 to 63 of them (other "
                 "alphabets as xn--), such as \"www.example.com\" or \"*.example.com\"";
}

const char *decode_fold(const char *name, char folded[static CONFIG_HOST_MAX + 1])
{
    name_normalize(name + (name[0] == '*'), folded, CONFIG_HOST_MAX + 1);
    return folded;
}

void decode_add_name(struct decoder *decoder, struct decode_names *names, const char *name)
{
    char folded[CONFIG_HOST_MAX + 1];
    const char *copy = decode_text(decoder, decode_fold(name, folded));

    if (copy != NULL)
        names->list[names->count++] = copy;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void decode_sort_names(struct decode_names *names)
{
    size_t used = 0;

    if (names->count == 0)
        return;
    qsort(names->list, names->count, sizeof(*names->list), compare_texts);
    for (size_t i = 0; i < names->count; i++)
        if (used == 0 || strcmp(names->list[used - 1], names->list[i]) != 0)
            names->list[used++] = names->list[i];
    names->count = used;
}

/* ---- what a ClientHello asks for ---- */

static bool is_address(const char *name)
{
    struct in6_addr ip;

    name += strncmp(name, "*.", 2) == 0 ? 2 : 0;
    return inet_pton(AF_INET, name, &ip) == 1 || inet_pton(AF_INET6, name, &ip) == 1;
}

bool decode_is_server_name(const char *name)
{
    return strcmp(name, "*") != 0 && !is_address(name) && decode_name_advice(name) == NULL;
}

static void refuse_server_name(struct decoder *decoder, const struct decode_at *at, size_t index,
                               const char *name)
{
    if (name[0] != '.' && is_address(name))
        decode_error(decoder, at, "server_name", index,
                     "%s is an address, for which no ClientHello asks; use a name, or leave "
                     "server_name out",
                     quote(name).text);
    else
        decode_error(decoder, at, "server_name", index, "%s is not a server name; %s",
                     quote(name).text,
                     strcmp(name, "*") == 0 ? "leave server_name out to match every connection"
                                            : decode_name_advice(name));
}

void decode_server_names(struct decoder *decoder, const struct decode_at *at,
                         const Turbotls__V1__Route *message, struct config_route *out)
{
    size_t count = decode_count(decoder, at, "server_name", message->n_server_name,
                                (size_t)CONFIG_SERVER_NAMES_MAX);
    struct decode_names names = {.list = decode_alloc(decoder, count, sizeof(*names.list))};

    for (size_t i = 0; names.list != NULL && i < count; i++)
        if (decode_is_server_name(message->server_name[i]))
            decode_add_name(decoder, &names, message->server_name[i]);
        else
            refuse_server_name(decoder, at, i, message->server_name[i]);
    decode_sort_names(&names);
    out->server_names = names.list;
    out->server_name_count = names.count;
}
