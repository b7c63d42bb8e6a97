#include "ends.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

void ends_fail(const char *format, ...)
{
    int error = errno;
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    if (error != 0)
        (void)fprintf(stderr, ": %s", strerror(error));
    (void)fputc('\n', stderr);
    exit(1);
}

uint64_t ends_number(const char *option, const char *text, uint64_t max)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != '\0' || value == 0 || value > max) {
        errno = 0;
        ends_fail("%s wants a number from 1 to %llu, got \"%s\"", option, (unsigned long long)max,
                  text);
    }
    return value;
}

struct sockaddr_in ends_address(const char *text)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN] = {0};
    const char *colon = strrchr(text, ':');
    if (colon != NULL && (size_t)(colon - text) < sizeof host)
        memcpy(host, text, (size_t)(colon - text));
    if (colon == NULL || inet_pton(AF_INET, host, &address.sin_addr) != 1)
        ends_fail("\"%s\" is no address and port such as 127.0.0.1:8443", text);
    address.sin_port = htons((uint16_t)ends_number("the port", colon + 1, UINT16_MAX));
    return address;
}

void ends_no_delay(int fd)
{
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int ends_listen(const struct sockaddr_in *address)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)address, sizeof *address) != 0 || listen(fd, 65535) != 0)
        ends_fail("cannot listen at port %u", ntohs(address->sin_port));
    return fd;
}

int ends_connect(const struct sockaddr_in *address, int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        ends_fail("no socket is to be had");
    ends_no_delay(fd);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno != EINPROGRESS)
        ends_fail("cannot connect to port %u", ntohs(address->sin_port));
    return fd;
}

int ends_epoll(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        ends_fail("no epoll is to be had");
    return epoll;
}

void ends_watch(int epoll, int operation, int fd, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};
    if (epoll_ctl(epoll, operation, fd, &event) != 0)
        ends_fail("epoll does not take a descriptor");
}

uint64_t ends_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}
