#include <arpa/inet.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

_Noreturn void load_fail(const char *what)
{
    perror(what);
    exit(1);
}

struct sockaddr_in load_address(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

uint64_t load_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

bool load_is_over(uint64_t until)
{
    return stopped != 0 || (until != 0 && load_clock() >= until);
}

int load_udp_socket(const struct order *order, uint32_t source)
{
    enum { BUFFER = 4 << 20 };
    int size = BUFFER, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(source)}};
    struct sockaddr_in to = load_address(order->port);
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        load_fail("a UDP socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    return fd;
}

void load_request(uint8_t out[static REQUEST_BYTES], uint64_t number)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    stand_in_hello(out + HEADER_BYTES, number);
    SHA256(out + HEADER_BYTES, HELLO_BYTES, digest);
    memcpy(out, digest, ID_BYTES);
    out[0] = (out[0] & 0x3f) | 0x80;
    out[2] |= 0x80;
    memcpy(out + ID_BYTES, "\0\0\0\1", HEADER_BYTES - ID_BYTES);
}

uint64_t load_number(void)
{
    static uint64_t state;
    if (state == 0)
        state = load_clock() ^ (uint64_t)getpid() << 40;
    return stand_in_random(&state);
}

/* ---- the command line ---- */

static int wrong(void)
{
    (void)fprintf(stderr,
                  "usage: udp_load serve PORT\n"
                  "       udp_load visit turbo|classic|both PORT AT_ONCE RATE SECONDS WAIT_MS\n"
                  "       udp_load hold PORT COUNT SECONDS\n"
                  "       udp_load flood KIND PORT RATE SECONDS\n"
                  "bench/udp/run.py runs it, and its --help says more\n");
    return 2;
}

/* What is no number is 0, which no port is. */
static double number(const char *text)
{
    return strtod(text, NULL);
}

static int run(int count, char **arguments, struct order *order)
{
    const char *what = arguments[1];
    if (strcmp(what, "serve") == 0 && count == 3) {
        order->port = (uint16_t)number(arguments[2]);
        return load_serve(order);
    }
    if (strcmp(what, "hold") == 0 && count == 5) {
        order->port = (uint16_t)number(arguments[2]);
        order->at_once = (uint32_t)number(arguments[3]);
        order->seconds = number(arguments[4]);
        return load_hold(order);
    }
    if (strcmp(what, "flood") == 0 && count == 6) {
        order->port = (uint16_t)number(arguments[3]);
        order->rate = number(arguments[4]);
        order->seconds = number(arguments[5]);
        return load_flood(order, arguments[2]);
    }
    if (strcmp(what, "visit") != 0 || count != 8)
        return wrong();
    order->turbo = strcmp(arguments[2], "classic") != 0;
    order->classic = strcmp(arguments[2], "turbo") != 0;
    order->port = (uint16_t)number(arguments[3]);
    order->at_once = (uint32_t)number(arguments[4]);
    order->rate = number(arguments[5]);
    order->seconds = number(arguments[6]);
    order->wait_us = (uint32_t)(number(arguments[7]) * 1000);
    return load_visit(order);
}

int main(int count, char **arguments)
{
    struct order order = {.at_once = 1};
    struct sigaction stopping = {.sa_handler = stop}, ignoring = {.sa_handler = SIG_IGN};
    if (count < 3)
        return wrong();
    if (sigaction(SIGTERM, &stopping, NULL) < 0 || sigaction(SIGINT, &stopping, NULL) < 0 ||
        sigaction(SIGPIPE, &ignoring, NULL) < 0)
        load_fail("signals");
    return run(count, arguments, &order);
}
