/*
 * Reading and writing a non-blocking stream descriptor, in a tunnel's words.
 */
#ifndef TUNNEL_IO_DESCRIPTOR_H
#define TUNNEL_IO_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "tunnel/io.h"

struct descriptor {
    int fd;         /* -1: none */
    bool is_socket; /* else a pipe, terminal or file */
};

/* False, with errno: it is no descriptor. It is made non-blocking. */
bool descriptor_init(struct descriptor *descriptor, int fd);

/*
 * As tunnel_io_ops.read and .write; IO leaves the reason in errno. Writing where nobody reads any
 * more is IO with EPIPE and raises no SIGPIPE.
 */
enum tunnel_result descriptor_read(struct descriptor descriptor, void *buffer, size_t capacity,
                                   size_t *got);
enum tunnel_result descriptor_write(struct descriptor descriptor, const void *data, size_t length,
                                    size_t *taken);

/* Adds it to what is waited for: POLLIN for WANT_READ, POLLOUT for WANT_WRITE. None: nothing. */
void descriptor_watch(struct descriptor descriptor, enum tunnel_result want,
                      struct tunnel_watch *watch);

/* What was written is still delivered, unless `reset`: then a socket's peer is told so. None:
 * nothing. */
void descriptor_close(struct descriptor descriptor, bool reset);

#endif
