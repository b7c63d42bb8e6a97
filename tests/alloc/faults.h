/*
 * Memory and descriptors that run out when a test says so. The proxy's own objects are linked in
 * with their calls redirected to here (redirected.txt); c-ares and libcrypto take their memory from
 * here as well. libev is left alone: it cannot go on without memory, by design.
 *
 * Tests share a loop with the proxy: failures strike only between faults_on and faults_off.
 */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

struct fault {
    const char *name;
    bool descriptor;   /* a new descriptor, else memory */
    int error;         /* errno it fails with */
    unsigned in_a_row; /* so many fail, one after the other */
};

/* The kinds that are tried, for every n. */
enum { FAULTS = 4 };
extern const struct fault faults[FAULTS];

/* First of all in main. */
void faults_install(void);
/* From now on the n-th of its kind fails, from 1. */
void faults_plan(const struct fault *fault, unsigned n);
/* Was anything made to fail? */
bool faults_struck(void);
/* No more of it. Returns what faults_struck would have. */
bool faults_cancel(void);
void faults_on(void);
void faults_off(void);
/* Blocks that the proxy and c-ares have not freed. */
size_t faults_blocks(void);
/* Which failure was planned last, and where it struck, for who reads a failed test. */
void faults_print(void);

#endif
