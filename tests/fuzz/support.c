#include "tests/fuzz/support.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the input ---- */

uint8_t input_byte(struct input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

uint16_t input_word(struct input *in)
{
    unsigned high = input_byte(in);
    return (uint16_t)(high << 8 | input_byte(in));
}

const uint8_t *input_bytes(struct input *in, size_t length, size_t *got)
{
    const uint8_t *bytes = in->at;
    *got = length < in->left ? length : in->left;
    in->at += *got;
    in->left -= *got;
    return bytes;
}

size_t input_length(struct input *in)
{
    uint8_t byte = input_byte(in);
    return byte < 128 ? byte : (byte - 128u) * 64;
}

struct cuts input_cuts(struct input *in)
{
    struct cuts cuts = {.count = input_byte(in) & 15};
    for (size_t i = 0; i < cuts.count; i++)
        cuts.lengths[i] = input_length(in);
    return cuts;
}

size_t cuts_next(struct cuts *cuts, size_t left)
{
    if (cuts->next >= cuts->count) { /* once around: at least one byte has to go */
        cuts->next = 0;
        return cuts->count == 0 ? left : left > 0;
    }
    size_t length = cuts->lengths[cuts->next++];
    return length < left ? length : left;
}

/* ---- ClientHellos ---- */

static const struct hello_spec specs[] = {
    {.server_name = "a.example", .random = 1},
    {.server_name = "www.example.org", .alpn = "h2,http/1.1", .grease = true, .random = 2},
    {.post_quantum = true, .session_id = 32, .random = 3},
    {.encrypted = true, .early_data = true, .server_name = "b.example", .random = 4},
    {.no_extensions = true, .random = 5},
    {.size = 2 * TURBO_REQUEST_PAYLOAD_MAX, .random = 6},
    {.size = TURBO_HELLO_CHUNKS_MAX * TURBO_REQUEST_PAYLOAD_MAX, .random = 7},
    {.size = TURBO_HELLO_CHUNKS_MAX * TURBO_REQUEST_PAYLOAD_MAX + 1, .random = 8},
    {.size = TURBO_HELLO_MAX, .random = 9},
    {.size = TURBO_HELLO_MAX + 1, .random = 10},
};

static struct hello hellos[COUNT(specs) + 32];
static size_t hello_count;

static void make_hellos(void)
{
    for (size_t i = 0; i < hello_fixture_count(); i++)
        hello_fixture(i, &hellos[hello_count++]);
    for (size_t i = 0; i < COUNT(specs); i++)
        hello_make(&hellos[hello_count++], &specs[i]);
    hello_split(&hellos[hello_count++], &hellos[0], 300); /* in many records */
    assert(hello_count <= COUNT(hellos));
}

size_t fuzz_hello_count(void)
{
    return hello_count;
}

const struct hello *fuzz_hello(size_t index)
{
    return &hellos[index % hello_count];
}

/* ---- seeds ---- */

static const char *seed_directory;
static unsigned seed_count;

void seed_write_behind(const void *front, size_t front_length, const void *bytes, size_t length)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/seed-%02u", seed_directory, seed_count++);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(front, 1, front_length, file) != front_length ||
        fwrite(bytes, 1, length, file) != length || fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

void seed_write(const void *bytes, size_t length)
{
    seed_write_behind("", 0, bytes, length);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    make_hellos();
    if (*argc == 3 && strcmp((*argv)[1], "--seeds") == 0) {
        seed_directory = (*argv)[2];
        fuzz_seeds();
        exit(EXIT_SUCCESS);
    }
    return 0;
}
