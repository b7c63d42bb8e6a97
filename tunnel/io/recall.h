/*
 * What a struct tunnel_memory knows, for a session that begins and from one that is over
 * (protocol §6.9). NULL instead of one: nothing is known, and nothing is kept.
 */
#ifndef TUNNEL_IO_RECALL_H
#define TUNNEL_IO_RECALL_H

#include "tunnel/io.h"
#include "tunnel/net/address.h"
#include "turbo/client.h"

/* As turbo_learned_configure and turbo_learned_note; `asked` is the address with its UDP port. */
void recall_configure(struct tunnel_memory *memory, const struct address *asked, turbo_time now,
                      struct turbo_client_config *config);
void recall_note(struct tunnel_memory *memory, const struct address *asked, turbo_time now,
                 const struct turbo_client_report *report);
/* It has answered: connections that begin meanwhile know at once. */
void recall_speaks(struct tunnel_memory *memory, const struct address *asked);

#endif
