#include "probe_settings.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: %s --server ADDRESS:PORT --ca FILE --expect FILE [OPTION...]\n"
    "\n"
    "Asks for / again and again, each time on a new connection with a full TLS 1.3 handshake, and\n"
    "prints a CSV line for each: microseconds from connect() to connected, to TLS done and to the\n"
    "first byte of the response; a field is empty when that was not reached.\n"
    "\n"
    "  --server ADDRESS:PORT   IPv4\n"
    "  --ca FILE               the root certificate (PEM)\n"
    "  --expect FILE           what the body of the response must be, at most 64 KiB\n"
    "  --name NAME             the server's name (example.test)\n"
    "  --count N               connections (1)\n"
    "  --parallel P            at most so many at once (1)\n"
    "  --spacing MS            from one start to the next, at least (0)\n"
    "  --timeout SECONDS       for each connection (120)\n"
    "  --warm-up ADDRESS:PORT  one connection to there goes ahead and is not printed\n"
    "  --fastopen              TCP Fast Open (tls_times only)\n"
    "\n"
    "Exit codes: 0 some connection was all right, 1 none was, 2 wrong arguments.\n";

static bool read_number(uint64_t *number, const char *text, uint64_t scale, uint64_t least)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    *number = value * scale;
    return end != text && *end == '\0' && value >= least && value <= 1000000;
}

static bool read_address(struct sockaddr_in *address, const char *text)
{
    char host[INET_ADDRSTRLEN];
    const char *colon = strchr(text, ':');
    uint64_t port;
    if (colon == NULL || (size_t)(colon - text) >= sizeof host ||
        !read_number(&port, colon + 1, 1, 1) || port > UINT16_MAX)
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)port);
    return inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

static bool read_file(struct settings *settings, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    settings->expected_length = fread(settings->expected, 1, sizeof settings->expected, file);
    bool whole = ferror(file) == 0 && fgetc(file) == EOF;
    return fclose(file) == 0 && whole;
}

static bool read_size(size_t *number, const char *text)
{
    uint64_t value;
    bool good = read_number(&value, text, 1, 1);
    *number = (size_t)value;
    return good;
}

static const struct option options[] = {
    {"server", required_argument, NULL, 's'},  {"ca", required_argument, NULL, 'a'},
    {"expect", required_argument, NULL, 'e'},  {"name", required_argument, NULL, 'n'},
    {"count", required_argument, NULL, 'c'},   {"parallel", required_argument, NULL, 'p'},
    {"spacing", required_argument, NULL, 'g'}, {"timeout", required_argument, NULL, 't'},
    {"warm-up", required_argument, NULL, 'w'}, {"fastopen", no_argument, NULL, 'f'},
    {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};

static bool read_option(struct settings *settings, int option)
{
    switch (option) {
    case 's': return read_address(&settings->server, optarg);
    case 'w': return read_address(&settings->warm_up, optarg);
    case 'e': return read_file(settings, optarg);
    case 'c': return read_size(&settings->count, optarg);
    case 'p': return read_size(&settings->parallel, optarg);
    case 'g': return read_number(&settings->spacing_us, optarg, 1000, 0);
    case 't': return read_number(&settings->limit_us, optarg, 1000000, 1);
    case 'a': settings->ca_file = optarg; return true;
    case 'n': settings->name = optarg; return true;
    case 'f': settings->fastopen = true; return true;
    default: return false;
    }
}

int settings_read(struct settings *settings, int argc, char **argv)
{
    static char name[] = "example.test";
    *settings = (struct settings){
        .name = name, .count = 1, .parallel = 1, .limit_us = 120 * UINT64_C(1000000)};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (read_option(settings, option))
            continue;
        if (option == 'h') {
            printf(usage, argv[0]);
            exit(EXIT_SUCCESS);
        }
        if (option != '?')
            fprintf(stderr, "%s: this is not usable here: %s\n", argv[0], optarg);
        return 2;
    }
    if (optind == argc && settings->server.sin_port != 0 && settings->ca_file != NULL &&
        settings->expected_length > 0)
        return 0;
    fprintf(stderr, usage, argv[0]);
    return 2;
}
