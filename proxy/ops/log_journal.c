#include "proxy/ops/log_journal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LENGTH_BYTES = 8 };

void log_entry_start(struct log_entry *entry)
{
    entry->length = 0;
}

static void put_name(struct log_entry *entry, const char *name)
{
    for (; *name != '\0'; name++)
        entry->bytes[entry->length++] = (unsigned char)toupper((unsigned char)*name);
    entry->bytes[entry->length++] = '\n';
}

void log_entry_put(struct log_entry *entry, const char *name, const char *value, size_t length)
{
    size_t room = sizeof(entry->bytes) - entry->length;

    if (strlen(name) + 1 + LENGTH_BYTES + length + 1 > room)
        return;
    put_name(entry, name);
    for (int i = 0; i < LENGTH_BYTES; i++) /* little-endian */
        entry->bytes[entry->length++] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(entry->bytes + entry->length, value, length);
    entry->length += length;
    entry->bytes[entry->length++] = '\n';
}

void log_entry_put_field(struct log_entry *entry, const struct log_field *field)
{
    char scratch[128];
    const char *text = field->text;

    if (field->type == LOG_FIELD_ERRNO)
        text = strerror_r(field->error, scratch, sizeof(scratch));
    if (field->type == LOG_FIELD_UNSIGNED) {
        (void)snprintf(scratch, sizeof(scratch), "%" PRIu64, field->number);
        text = scratch;
    }
    if (text != NULL)
        log_entry_put(entry, field->name, text, strlen(text));
}
