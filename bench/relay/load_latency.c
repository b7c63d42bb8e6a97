#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ends.h"
#include "load.h"

static void send_all(int fd, const uint8_t *data, size_t length)
{
    if (send(fd, data, length, MSG_NOSIGNAL) != (ssize_t)length)
        ends_fail("the connection was lost while sending");
}

static void receive_all(int fd, size_t length)
{
    uint8_t bytes[TALK_FLIGHT_BYTES];
    if (length > 0 && recv(fd, bytes, length, MSG_WAITALL) != (ssize_t)length)
        ends_fail("the connection was lost while receiving");
}

/* Connects and says hello; returns when the first byte of the flight is there. */
static int begin(const struct load_settings *settings)
{
    uint8_t hello[TALK_HELLO_BYTES];
    talk_hello(hello, &settings->talk, ends_now());
    int fd = ends_connect(&settings->to, 0);
    send_all(fd, hello, sizeof hello);
    receive_all(fd, 1);
    return fd;
}

static void finish_handshake(int fd)
{
    uint8_t answer[TALK_ANSWER_BYTES];
    talk_answer(answer);
    receive_all(fd, TALK_FLIGHT_BYTES - 1);
    send_all(fd, answer, sizeof answer);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_quantiles(uint64_t *nanoseconds, size_t count)
{
    static const unsigned percents[] = {50, 90, 99};
    qsort(nanoseconds, count, sizeof *nanoseconds, compare);
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        size_t at = count * percents[i] / 100;
        printf("p%u_us %.2f\n", percents[i], (double)nanoseconds[at] / 1e3);
    }
}

static uint64_t *times(const struct load_settings *settings)
{
    uint64_t *result = calloc(settings->count, sizeof *result);
    if (result == NULL)
        ends_fail("no memory");
    return result;
}

void latency_of_connections(const struct load_settings *settings)
{
    uint64_t *taken = times(settings);
    for (size_t i = 0; i < settings->count; i++) {
        uint64_t began = ends_now();
        int fd = begin(settings);
        taken[i] = ends_now() - began;
        finish_handshake(fd);
        shutdown(fd, SHUT_WR);
        uint8_t byte;
        if (recv(fd, &byte, 1, 0) != 0)
            ends_fail("the connection did not end as it should");
        close(fd);
    }
    print_quantiles(taken, settings->count);
    free(taken);
}

void latency_of_bytes(const struct load_settings *settings)
{
    uint64_t *taken = times(settings);
    const uint8_t byte = 0x17;
    int fd = begin(settings);
    finish_handshake(fd);
    for (size_t i = 0; i < settings->count; i++) {
        uint64_t began = ends_now();
        send_all(fd, &byte, 1);
        receive_all(fd, 1);
        taken[i] = ends_now() - began;
    }
    close(fd);
    print_quantiles(taken, settings->count);
    free(taken);
}
