/*
 * attack KIND --edge ADDRESS:PORT [--client ADDRESS] [--interface NAME] [--rate N] [--count N]
 *             [--at-once N] [--sources N] [--wait]
 *
 * Attacks an edge until it is told to end, or --count is reached. For network namespaces made for
 * it: most kinds send with source addresses that are not theirs. With --wait it says that it is
 * ready and begins when it is given a line.
 */
#include "attack.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kind {
    const char *name;
    attack_run *run;
    const char *what;
} kinds[] = {
    {"hellos", flood_hellos, "ClientHellos from spoofed addresses"},
    {"partial-hellos", flood_partial, "the same, but each is only begun"},
    {"junk", flood_junk, "random datagrams"},
    {"guesses", flood_guesses, "session ids guessed and reused"},
    {"budget", flood_budget, "budget earned from one address, asked for by another"},
    {"large-udp", flood_large, "ClientHellos of 64 KiB in datagrams"},
    {"replay", replay_captures, "others' requests again"},
    {"forge", forge_responses, "responses the edge never sent; runs beside the edge"},
    {"half-open", open_half, "openings that are begun and held"},
    {"in-a-row", open_in_a_row, "openings that are begun and given up, one after another"},
    {"tombstones", open_tombstones, "tombstones and adoptions for others' sessions"},
    {"large", open_large, "ClientHellos of 64 KiB, and of nearly 16"},
    {"meter", measure, "no attack: bytes to and from each address"},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

bool attack_stopped(void)
{
    return stopped != 0;
}

struct sockaddr_in place_sockaddr(struct place place)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(place.port),
                                .sin_addr = {.s_addr = htonl(place.ip)}};
}

static int usage(void)
{
    (void)fprintf(
        stderr, "usage: attack KIND --edge ADDRESS:PORT [--client ADDRESS] "
                "[--interface NAME] [--rate N] [--count N] [--at-once N] [--sources N] [--wait]\n");
    for (size_t i = 0; i < KINDS; i++)
        (void)fprintf(stderr, "  %-14s %s\n", kinds[i].name, kinds[i].what);
    return 2;
}

static bool read_address(const char *text, uint32_t *ip)
{
    struct in_addr address;
    if (inet_pton(AF_INET, text, &address) != 1)
        return false;
    *ip = ntohl(address.s_addr);
    return true;
}

static bool read_place(const char *text, struct place *place)
{
    char copy[32];
    (void)snprintf(copy, sizeof(copy), "%s", text);
    char *colon = strchr(copy, ':');
    if (colon == NULL)
        return false;
    *colon = '\0';
    place->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    return read_address(copy, &place->ip) && place->port != 0;
}

static void wait_for_a_line(void)
{
    (void)printf("ready\n");
    (void)fflush(stdout);
    (void)getchar();
}

static bool read_options(struct order *order, bool *wait, int argc, char **argv)
{
    static const struct option options[] = {{"edge", required_argument, NULL, 'e'},
                                            {"client", required_argument, NULL, 'c'},
                                            {"interface", required_argument, NULL, 'i'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"at-once", required_argument, NULL, 'a'},
                                            {"sources", required_argument, NULL, 's'},
                                            {"wait", no_argument, NULL, 'w'},
                                            {NULL, 0, NULL, 0}};
    bool good = true;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'e': good &= read_place(optarg, &order->edge); break;
        case 'c': good &= read_address(optarg, &order->client); break;
        case 'i': order->interface = optarg; break;
        case 'r': order->rate = strtod(optarg, NULL); break;
        case 'n': order->count = strtoull(optarg, NULL, 10); break;
        case 'a': order->at_once = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 's': order->sources = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'w': *wait = true; break;
        default: good = false;
        }
    }
    return good && order->edge.port != 0 && order->rate > 0 && order->at_once > 0;
}

int main(int argc, char **argv)
{
    struct order order = {.interface = "eth0", .rate = 1000, .at_once = 64};
    bool wait = false;
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGINT, &action, NULL);
    if (argc < 2 || !read_options(&order, &wait, argc - 1, argv + 1))
        return usage();
    if (wait)
        wait_for_a_line();
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            return kinds[i].run(&order);
    return usage();
}
