#include "proxy/config/config.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One piece of a configuration's memory; they are freed together. */
struct config_memory {
    struct config_memory *next;
    max_align_t bytes[];
};

static const char *const kind_names[] = {"tcp", "turbo"};

struct config *config_create(void)
{
    struct config *config = calloc(1, sizeof(*config));

    if (config != NULL)
        atomic_init(&config->references, 1);
    return config;
}

void *config_alloc(struct config *config, size_t bytes)
{
    struct config_memory *memory;

    if (bytes > SIZE_MAX - sizeof(*memory))
        return NULL;
    memory = calloc(1, sizeof(*memory) + bytes);
    if (memory == NULL)
        return NULL;
    memory->next = config->memory;
    config->memory = memory;
    return memory->bytes;
}

const char *config_text(struct config *config, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = config_alloc(config, bytes);

    return copy == NULL ? NULL : memcpy(copy, text, bytes);
}

struct config *config_hold(struct config *config)
{
    atomic_fetch_add_explicit(&config->references, 1, memory_order_relaxed);
    return config;
}

void config_release(struct config *config)
{
    if (config == NULL ||
        atomic_fetch_sub_explicit(&config->references, 1, memory_order_acq_rel) > 1)
        return;
    for (struct config_memory *memory = config->memory, *next; memory != NULL; memory = next) {
        next = memory->next;
        free(memory);
    }
    free(config);
}

bool config_same_listener(const struct config_listener *a, const struct config_listener *b)
{
    if (a->kind != b->kind || a->dual_stack != b->dual_stack ||
        !address_equal(&a->address, &b->address) ||
        (a->request == CONFIG_REQUEST_TPROXY) != (b->request == CONFIG_REQUEST_TPROXY))
        return false;
    return a->kind == ENDPOINT_TCP ||
           (a->same_udp_port == b->same_udp_port && a->udp_port == b->udp_port);
}

static bool is_wildcard(const struct address *address)
{
    struct address any;

    address_wildcard(&any, address_family(address), address_port(address));
    return address_equal(address, &any);
}

/* Some address is taken by both, whatever the ports. */
static bool addresses_overlap(const struct config_listener *a, const struct config_listener *b)
{
    struct address moved = b->address;

    address_set_port(&moved, address_port(&a->address));
    if (a->dual_stack || b->dual_stack || address_equal(&a->address, &moved))
        return true;
    return address_family(&a->address) == address_family(&moved) &&
           (is_wildcard(&a->address) || is_wildcard(&moved));
}

enum config_clash config_clash(const struct config_listener *a, const struct config_listener *b)
{
    uint16_t port = address_port(&a->address);

    if (!addresses_overlap(a, b))
        return CONFIG_CLASH_NONE;
    if (port != 0 && port == address_port(&b->address))
        return CONFIG_CLASH_TCP;
    return a->udp_port != 0 && a->udp_port == b->udp_port ? CONFIG_CLASH_UDP : CONFIG_CLASH_NONE;
}

const char *config_listen_text(const struct config_listener *listener,
                               char text[static CONFIG_LISTEN_TEXT_BYTES])
{
    char address[ADDRESS_TEXT_BYTES], udp[16] = "";

    if (listener->kind == ENDPOINT_TURBO && !listener->same_udp_port)
        (void)snprintf(udp, sizeof(udp), ",udp=%u", (unsigned int)listener->udp_port);
    if (listener->dual_stack)
        (void)snprintf(address, sizeof(address), "*:%u",
                       (unsigned int)address_port(&listener->address));
    else
        address_text(&listener->address, address);
    (void)snprintf(text, CONFIG_LISTEN_TEXT_BYTES, "%s:%s%s", kind_names[listener->kind], address,
                   udp);
    return text;
}
