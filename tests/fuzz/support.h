/*
 * What every fuzz target begins with: a reader of the input, ClientHellos, and seeds.
 *
 * An input is a list of events or operations; whatever it lacks at its end reads as zeros, so every
 * input means something. A target states what must be true with assert().
 *
 * `fuzz_x --seeds DIRECTORY` writes the corpus that the fuzzer starts with.
 */
#ifndef FUZZ_SUPPORT_H
#define FUZZ_SUPPORT_H

#ifdef NDEBUG
#error "a fuzzer without assertions finds nothing"
#endif

#include <assert.h>
#include <string.h>

#include "tests/unit/support/check.h"
#include "tests/unit/support/hello.h"
#include "turbo/turbo.h"

/* libFuzzer's. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- the input ---- */

struct input {
    const uint8_t *at;
    size_t left;
};

uint8_t input_byte(struct input *in);
/* Big-endian. */
uint16_t input_word(struct input *in);
/* At most `length` bytes; tells how many in `got`. */
const uint8_t *input_bytes(struct input *in, size_t length, size_t *got);
/* A byte as a length: small ones exactly, large ones in steps; at most 8128. */
size_t input_length(struct input *in);

/* How a stream is cut into segments: up to 15 lengths, over and over. */
struct cuts {
    uint8_t count, next;
    size_t lengths[15];
};

/* Takes the count and the lengths from the front of the input. */
struct cuts input_cuts(struct input *in);
/* The next segment of the `left` bytes that remain; may be empty, but never forever. */
size_t cuts_next(struct cuts *cuts, size_t left);

/* ---- ClientHellos ---- */

/* Real programs' first, then ones built to order, of sizes that matter. */
size_t fuzz_hello_count(void);
const struct hello *fuzz_hello(size_t index); /* modulo the count */

/* ---- seeds ---- */

/* Defined by each target: calls seed_write for each of its seeds. */
void fuzz_seeds(void);
void seed_write(const void *bytes, size_t length);
/* The same with `front` before it. */
void seed_write_behind(const void *front, size_t front_length, const void *bytes, size_t length);

#endif
