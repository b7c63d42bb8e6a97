/*
 * `turbotls-proxy dns-record`: the line of a zone file by which clients know that a server speaks
 * TurboTLS (docs/protocol.md §10.2, docs/discovery.md). Nothing is opened or asked.
 */
#ifndef PROXY_DNS_RECORD_H
#define PROXY_DNS_RECORD_H

#include <stdbool.h>

#include "proxy/options.h"

/* Is this the word the command line begins with? */
bool dns_record_wanted(int argc, char *const argv[]);

/*
 * Writes the record in presentation form (RFC 9460 §2.1) to `message`, behind comments that say
 * what it does besides. OPTIONS_DONE: that, or the help; OPTIONS_INVALID: one line that says what
 * is wrong with the arguments. `message` is as that of options_parse.
 */
enum options_result dns_record(int argc, char *const argv[],
                               char message[static OPTIONS_MESSAGE_BYTES]);

#endif
