/*
 * Sockets and time as the programs of this folder use them. What fails here ends the program with
 * a message: there is nothing to measure then.
 */
#ifndef BENCH_RELAY_ENDS_H
#define BENCH_RELAY_ENDS_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* Prints the message, and what errno says where it is not 0; exit code 1. */
_Noreturn void ends_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "127.0.0.1:8443". */
struct sockaddr_in ends_address(const char *text);
/* A whole number from 1 to `max`. */
uint64_t ends_number(const char *option, const char *text, uint64_t max);
/* Non-blocking, with the largest backlog. */
int ends_listen(const struct sockaddr_in *address);
/* A TCP socket that is being connected, without Nagle's algorithm; `flags`: SOCK_NONBLOCK or 0. */
int ends_connect(const struct sockaddr_in *address, int flags);
/* For an accepted socket: without Nagle's algorithm. */
void ends_no_delay(int fd);
/* Opens an epoll, and allows as many files as the hard limit does. */
int ends_epoll(void);
/* `operation`: EPOLL_CTL_ADD or EPOLL_CTL_MOD. */
void ends_watch(int epoll, int operation, int fd, uint32_t events, void *data);
/* Nanoseconds. */
uint64_t ends_now(void);

#endif
