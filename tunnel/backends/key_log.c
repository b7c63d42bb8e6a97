#include "tunnel/backends/key_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tunnel/failure.h"

int key_log_open(const char *path, struct tunnel_error *error)
{
    enum { OWNER_ONLY = 0600 };
    /* A FIFO that nobody reads is refused, not waited for. */
    int fd =
        open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, OWNER_ONLY);
    if (fd < 0)
        failure(
            error, TUNNEL_CONFIGURATION,
            "key_log_file: \"%s\" cannot be written: %s; name a file that this user may write, or "
            "leave it out",
            path, strerror(errno));
    return fd;
}

void key_log_write(int fd, const char *line, size_t length)
{
    /* O_APPEND keeps lines whole. A full disk is no reason to end a connection. */
    while (write(fd, line, length) < 0 && errno == EINTR)
        ;
}
