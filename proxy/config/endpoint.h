/*
 * Where to listen (ADDR:PORT) and where a server is (HOST:PORT), as a user writes them; host names.
 *
 * Each returns true, or writes to `fault` what is wrong and what would be right, on one line.
 */
#ifndef PROXY_CONFIG_ENDPOINT_H
#define PROXY_CONFIG_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/config/config.h"

enum { ENDPOINT_FAULT_BYTES = 384 };

/* "192.0.2.1:443", "[2001:db8::1]:443", "*:443" (`dual_stack`, and `address` is [::]). */
bool endpoint_listen(const char *text, struct address *address, bool *dual_stack,
                     char fault[static ENDPOINT_FAULT_BYTES]);

/* "www.example:443", "192.0.2.1:443", "[2001:db8::1]:443"; `host` without brackets. */
bool endpoint_server(const char *text, char host[static CONFIG_HOST_MAX + 1], uint16_t *port,
                     char fault[static ENDPOINT_FAULT_BYTES]);

/* A port from `min` (0 or 1) on, in plain digits. `what` names it: "port". */
bool endpoint_port(const char *text, const char *what, unsigned int min, uint16_t *port,
                   char fault[static ENDPOINT_FAULT_BYTES]);

/*
 * A name DNS can carry. NULL: it is one; else what follows it in an error, as static text. One
 * whose last label is a number is a mistyped IPv4 address.
 */
const char *endpoint_name_fault(const char *name);

#endif
