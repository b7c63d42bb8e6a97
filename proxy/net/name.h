/*
 * Host names as DNS compares them: without regard to ASCII's case, and to a dot at the end.
 */
#ifndef PROXY_NET_NAME_H
#define PROXY_NET_NAME_H

#include <stddef.h>
#include <stdint.h>

/* In lower case, without a dot at the end; what does not fit into `capacity` (> 0) is cut off. */
void name_normalize(const char *name, char *out, size_t capacity);
/* FNV-1a; the same in any case. Clients choose names: what it chooses a chain for must be bounded.
 */
uint32_t name_hash(const char *name, uint16_t port);

#endif
