#include "tunnel/config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tunnel/net/socket.h"

enum { DIRECTORY_SHOWN = 160 };

/* Into a block that never moves, so that no copy of a key stays behind. */
static bool fill(int fd, struct file_content *content)
{
    while (content->length <= FILE_CONTENT_MAX) {
        ssize_t n =
            read(fd, content->bytes + content->length, FILE_CONTENT_MAX + 1 - content->length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        content->length += (size_t)n;
    }
    errno = EFBIG;
    return false;
}

bool file_read(const char *path, struct file_content *content)
{
    *content = (struct file_content){.bytes = malloc(FILE_CONTENT_MAX + 2)};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (content->bytes != NULL && fd >= 0 && fill(fd, content)) {
        close(fd);
        content->bytes[content->length] = '\0';
        return true;
    }
    int error = content->bytes == NULL ? ENOMEM : errno;
    socket_close(fd);
    file_wipe(content);
    errno = error;
    return false;
}

void file_wipe(struct file_content *content)
{
    if (content->bytes != NULL)
        explicit_bzero(content->bytes, content->length);
    free(content->bytes);
    content->bytes = NULL;
}

static void put_fault(const char *name, int error, const char *advice,
                      char fault[static FILE_FAULT_BYTES])
{
    char directory[DIRECTORY_SHOWN];
    bool relative = name[0] != '/' && getcwd(directory, sizeof(directory)) != NULL;

    (void)snprintf(fault, FILE_FAULT_BYTES, "cannot be read%s%s: %s; %s", relative ? ", in " : "",
                   relative ? directory : "", strerror(error), advice);
}

void file_fault(const char *name, int error, char fault[static FILE_FAULT_BYTES])
{
    if (error == EFBIG)
        (void)snprintf(fault, FILE_FAULT_BYTES,
                       "is longer than %d bytes; name the file that is meant", FILE_CONTENT_MAX);
    else
        put_fault(name, error, "name a file that this user may read", fault);
}

bool file_is_directory(const char *name, char fault[static FILE_FAULT_BYTES])
{
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_DIRECTORY);

    if (fd < 0) {
        put_fault(name, errno, "name a directory that this user may read", fault);
        return false;
    }
    (void)close(fd);
    return true;
}
