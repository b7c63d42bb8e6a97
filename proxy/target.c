#include "proxy/target.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/net/name.h"

struct target *target_create(const char *host, uint16_t port)
{
    struct address literal;
    if (address_from_literal(&literal, host, port))
        return target_at(&literal);
    struct target *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->is_name = true;
    t->port = port;
    name_normalize(host, t->host, sizeof(t->host));
    return t;
}

struct target *target_at(const struct address *address)
{
    struct target *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return NULL;
    t->port = address_port(address);
    t->addresses[0] = *address;
    t->address_count = 1;
    /* Of [HOST]:PORT or HOST:PORT what stands for the host. */
    char text[ADDRESS_TEXT_BYTES];
    address_text(address, text);
    bool brackets = text[0] == '[';
    size_t length = (size_t)(strrchr(text, brackets ? ']' : ':') - text) - brackets;
    memcpy(t->host, text + brackets, length);
    return t;
}

const char *target_text(const struct target *t, char text[static TARGET_TEXT_BYTES])
{
    bool literal_v6 = strchr(t->host, ':') != NULL;
    (void)snprintf(text, TARGET_TEXT_BYTES, "%s%s%s:%u", literal_v6 ? "[" : "", t->host,
                   literal_v6 ? "]" : "", t->port);
    return text;
}
