#include "tests/alloc/faults.h"

#include <ares.h>
#include <errno.h>
#include <execinfo.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "turbotls/v1/proxy.pb-c.h"

enum { FRAMES_MAX = 24 };

const struct fault faults[FAULTS] = {
    {"allocation", .error = ENOMEM, .in_a_row = 1},
    {"descriptor (EMFILE)", .descriptor = true, .error = EMFILE, .in_a_row = 1},
    {"descriptor (ENOBUFS)", .descriptor = true, .error = ENOBUFS, .in_a_row = 1},
    {"allocation and the three after it", .error = ENOMEM, .in_a_row = 4},
};

static struct {
    const struct fault *fault; /* NULL: none is planned */
    unsigned n, count;
    bool on, cancelled, struck;
    size_t blocks;
    void *frames[FRAMES_MAX]; /* where it struck first */
    int frame_count;
} state;

/* ---- plans ---- */

void faults_plan(const struct fault *fault, unsigned n)
{
    state.fault = fault;
    state.n = n;
    state.count = 0;
    state.cancelled = fault == NULL;
    state.struck = false;
    state.frame_count = 0;
}

bool faults_struck(void)
{
    return state.struck;
}

bool faults_cancel(void)
{
    bool struck = state.struck;
    state.cancelled = true;
    state.struck = false;
    return struck;
}

void faults_on(void)
{
    state.on = true;
}

void faults_off(void)
{
    state.on = false;
}

size_t faults_blocks(void)
{
    return state.blocks;
}

static bool strikes(bool descriptor)
{
    if (!state.on || state.cancelled || state.fault->descriptor != descriptor)
        return false;
    state.count++;
    if (state.count < state.n || state.count >= state.n + state.fault->in_a_row)
        return false;
    if (!state.struck)
        state.frame_count = backtrace(state.frames, FRAMES_MAX);
    state.struck = true;
    errno = state.fault->error;
    return true;
}

/* The sanitizers know lines, where they are linked in. */
void __sanitizer_symbolize_pc(void *at, const char *format, char *out, size_t capacity)
    __attribute__((weak));

void faults_print(void)
{
    if (state.fault == NULL)
        return;
    (void)fprintf(stderr, "%s number %u failed%s\n", state.fault->name, state.n,
                  state.frame_count > 0 ? ", here:" : "? It was never reached");
    if (__sanitizer_symbolize_pc == NULL) {
        backtrace_symbols_fd(state.frames, state.frame_count, STDERR_FILENO);
        return;
    }
    for (int i = 0; i < state.frame_count; i++) {
        char text[1024] = "";
        __sanitizer_symbolize_pc(state.frames[i], "  %f %s:%l", text, sizeof(text));
        (void)fprintf(stderr, "%s\n", text);
    }
}

/* ---- what the proxy calls ---- */

void *fault_malloc(size_t bytes);
void *fault_calloc(size_t count, size_t bytes);
void *fault_realloc(void *block, size_t bytes);
char *fault_strdup(const char *text);
void fault_free(void *block);
FILE *fault_open_memstream(char **text, size_t *length);
void *fault_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
int fault_munmap(void *block, size_t bytes);
int fault_socket(int family, int type, int protocol);
int fault_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
int fault_pipe2(int ends[2], int flags);
int fault_socketpair(int family, int type, int protocol, int ends[2]);
int fault_epoll_create1(int flags);
int fault_timerfd_create(int clock, int flags);
int fault_eventfd(unsigned value, int flags);

static void *counted(void *block)
{
    state.blocks += block != NULL;
    return block;
}

void *fault_malloc(size_t bytes)
{
    return strikes(false) ? NULL : counted(malloc(bytes));
}

void *fault_calloc(size_t count, size_t bytes)
{
    return strikes(false) ? NULL : counted(calloc(count, bytes));
}

void *fault_realloc(void *block, size_t bytes)
{
    if (strikes(false))
        return NULL;
    return block == NULL ? counted(malloc(bytes)) : realloc(block, bytes);
}

char *fault_strdup(const char *text)
{
    return strikes(false) ? NULL : counted(strdup(text));
}

/* What it gives is freed by who asked. */
FILE *fault_open_memstream(char **text, size_t *length)
{
    return strikes(false) ? NULL : counted(open_memstream(text, length));
}

void fault_free(void *block)
{
    state.blocks -= block != NULL;
    free(block);
}

void *fault_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (strikes(false))
        return MAP_FAILED;
    void *block = mmap(at, bytes, protection, flags, fd, offset);
    state.blocks += block != MAP_FAILED;
    return block;
}

int fault_munmap(void *block, size_t bytes)
{
    state.blocks--;
    return munmap(block, bytes);
}

int fault_socket(int family, int type, int protocol)
{
    return strikes(true) ? -1 : socket(family, type, protocol);
}

int fault_accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    return strikes(true) ? -1 : accept4(fd, address, length, flags);
}

int fault_pipe2(int ends[2], int flags)
{
    return strikes(true) ? -1 : pipe2(ends, flags);
}

int fault_socketpair(int family, int type, int protocol, int ends[2])
{
    return strikes(true) ? -1 : socketpair(family, type, protocol, ends);
}

int fault_epoll_create1(int flags)
{
    return strikes(true) ? -1 : epoll_create1(flags);
}

int fault_timerfd_create(int clock, int flags)
{
    return strikes(true) ? -1 : timerfd_create(clock, flags);
}

int fault_eventfd(unsigned value, int flags)
{
    return strikes(true) ? -1 : eventfd(value, flags);
}

/* ---- what the libraries call ---- */

/* Not counted: it keeps things for the next time. */
static void *crypto_malloc(size_t bytes, const char *file, int line)
{
    (void)file, (void)line;
    return strikes(false) ? NULL : malloc(bytes);
}

static void *crypto_realloc(void *block, size_t bytes, const char *file, int line)
{
    (void)file, (void)line;
    return strikes(false) ? NULL : realloc(block, bytes);
}

static void crypto_free(void *block, const char *file, int line)
{
    (void)file, (void)line;
    free(block);
}

/* Messages that the proxy makes itself and lets libprotobuf-c free, and the other way about. */
void fault_message_free(ProtobufCMessage *message, ProtobufCAllocator *allocator);
void fault_proxy_free(Turbotls__V1__Proxy *message, ProtobufCAllocator *unused);
Turbotls__V1__Proxy *fault_proxy_unpack(ProtobufCAllocator *unused, size_t length,
                                        const uint8_t *bytes);

static void *message_malloc(void *unused, size_t bytes)
{
    (void)unused;
    return fault_malloc(bytes);
}

static void message_free(void *unused, void *block)
{
    (void)unused;
    fault_free(block);
}

static ProtobufCAllocator message_allocator = {message_malloc, message_free, NULL};

/* An allocator of ours takes its memory from here by itself. */
void fault_message_free(ProtobufCMessage *message, ProtobufCAllocator *allocator)
{
    protobuf_c_message_free_unpacked(message, allocator != NULL ? allocator : &message_allocator);
}

void fault_proxy_free(Turbotls__V1__Proxy *message, ProtobufCAllocator *unused)
{
    (void)unused;
    turbotls__v1__proxy__free_unpacked(message, &message_allocator);
}

Turbotls__V1__Proxy *fault_proxy_unpack(ProtobufCAllocator *unused, size_t length,
                                        const uint8_t *bytes)
{
    (void)unused;
    return turbotls__v1__proxy__unpack(&message_allocator, length, bytes);
}

void faults_install(void)
{
    if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1 ||
        ares_library_init_mem(ARES_LIB_INIT_ALL, fault_malloc, fault_free, fault_realloc) != 0) {
        (void)fprintf(stderr, "libcrypto or c-ares does not take an allocator\n");
        exit(EXIT_FAILURE);
    }
}
