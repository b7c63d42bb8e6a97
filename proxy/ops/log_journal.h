/*
 * An entry for systemd's journal, as its native protocol has it
 * (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/): fields, each a name, and a value that may hold any
 * byte since its length is said.
 */
#ifndef PROXY_OPS_LOG_JOURNAL_H
#define PROXY_OPS_LOG_JOURNAL_H

#include "proxy/ops/log.h"

enum { LOG_ENTRY_MAX = 3 * LOG_LINE_MAX };

struct log_entry {
    unsigned char bytes[LOG_ENTRY_MAX];
    size_t length;
};

void log_entry_start(struct log_entry *entry);
/* Left out if it does not fit any more. The name is written in upper case. */
void log_entry_put(struct log_entry *entry, const char *name, const char *value, size_t length);
void log_entry_put_field(struct log_entry *entry, const struct log_field *field);

#endif
