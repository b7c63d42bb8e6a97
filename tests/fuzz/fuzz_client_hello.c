/*
 * A ClientHello in any cut: the same verdict, the same fields, the same number of bytes taken, and
 * fields that may be printed.
 */
#include "tests/fuzz/support.h"

#include <ctype.h>
#include <stdlib.h>

#include "turbo/client_hello.h"

enum { DRIBBLED_MAX = 3000 }; /* longer ones in their own cut only, for speed */

/* Feeds the stream as `cuts` has it; returns how many bytes were taken. */
static size_t feed(struct turbo_client_hello *hello, struct cuts cuts, const uint8_t *stream,
                   size_t length)
{
    size_t used = 0;
    turbo_client_hello_init(hello);
    while (used < length && hello->state == TURBO_HELLO_MORE) {
        size_t n = cuts_next(&cuts, length - used);
        size_t took = turbo_client_hello_push(hello, stream + used, n);
        assert(took <= n);
        assert(took == n || hello->state != TURBO_HELLO_MORE);
        used += took;
        assert(hello->length == used);
    }
    assert(turbo_client_hello_push(hello, stream + used, 0) == 0);
    return used;
}

static void check_fields(const struct turbo_client_hello *hello)
{
    const char *end = memchr(hello->server_name, '\0', sizeof(hello->server_name));
    assert(end != NULL);
    for (const char *c = hello->server_name; c < end; c++)
        assert(isalnum((unsigned char)*c) || strchr("-._", *c) != NULL);
    size_t at = 0, length = 0, names = 0;
    const uint8_t *name;
    while ((name = turbo_client_hello_alpn(hello, &at, &length)) != NULL) {
        assert(name > hello->alpn && name + length <= hello->alpn + hello->alpn_length);
        names++;
    }
    assert(at == hello->alpn_length && names <= sizeof(hello->alpn));
    if (hello->state == TURBO_HELLO_COMPLETE)
        assert(hello->length <= TURBO_HELLO_MAX && hello->length > 5 + 4 + 34);
}

static void check_same(const struct turbo_client_hello *a, const struct turbo_client_hello *b)
{
    assert(a->state == b->state);
    assert(a->length == b->length);
    assert(strcmp(a->server_name, b->server_name) == 0);
    assert(a->alpn_length == b->alpn_length && memcmp(a->alpn, b->alpn, a->alpn_length) == 0);
    assert(a->early_data == b->early_data && a->encrypted == b->encrypted);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct cuts cuts = input_cuts(&in), whole = {.count = 0}, bytes = {.count = 1, .lengths = {1}};
    struct turbo_client_hello once, cut, dribbled;
    size_t used = feed(&once, whole, in.at, in.left);
    check_fields(&once);
    assert(feed(&cut, cuts, in.at, in.left) == used);
    check_same(&cut, &once);
    if (in.left <= DRIBBLED_MAX) {
        assert(feed(&dribbled, bytes, in.at, in.left) == used);
        check_same(&dribbled, &once);
    }
    if (used == 0 || once.state == TURBO_HELLO_MORE)
        return 0;
    /* The verdict needed the last byte: without it, it was open. And in a block of its own, where
     * a byte read behind it is seen. */
    uint8_t *copy = malloc(used);
    assert(copy != NULL);
    memcpy(copy, in.at, used);
    feed(&cut, whole, copy, used);
    check_same(&cut, &once);
    if (once.state != TURBO_HELLO_TOO_LARGE) {
        assert(feed(&cut, whole, copy, used - 1) == used - 1);
        assert(cut.state == TURBO_HELLO_MORE);
    }
    free(copy);
    return 0;
}

void fuzz_seeds(void)
{
    static const uint8_t fronts[][4] = {{0}, {1, 1}, {3, 5, 0, 200}, {2, 43, 1}};
    for (size_t i = 0; i < fuzz_hello_count(); i++) {
        const uint8_t *front = fronts[i % COUNT(fronts)];
        seed_write_behind(front, 1u + front[0], fuzz_hello(i)->bytes, fuzz_hello(i)->length);
    }
    seed_write_behind("\0", 1, "GET / HTTP/1.1\r\n", 16);
}
