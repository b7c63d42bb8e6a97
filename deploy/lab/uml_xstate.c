/*
 * Lets User-Mode Linux run on processors with AMX. Preloaded into linux.uml by `lab`, used for
 * nothing else.
 *
 * User-Mode Linux saves and restores its processes' vector registers with ptrace(PTRACE_GETREGSET,
 * NT_X86_XSTATE) and has room for 2696 bytes. With AMX the host's register set is 11 KB. The host
 * then returns the part that was asked for, but refuses to set a part (EFAULT), and User-Mode Linux
 * dies with "ptrace set fp regs failed, errno = 14" before its first process has run. Here a set of
 * a part becomes: get all, replace the part, set all.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* More than any register set of x86-64 today (AMX: 11008 bytes). Linux.uml is one thread where it
 * calls ptrace. */
static unsigned char whole[1 << 16];

static long set_part(pid_t pid, const struct iovec *part)
{
    struct iovec all = {.iov_base = whole, .iov_len = sizeof whole};
    long result = syscall(SYS_ptrace, (long)PTRACE_GETREGSET, (long)pid, (long)NT_X86_XSTATE, &all);
    if (result < 0) {
        return result;
    }
    memcpy(whole, part->iov_base, part->iov_len < all.iov_len ? part->iov_len : all.iov_len);
    return syscall(SYS_ptrace, (long)PTRACE_SETREGSET, (long)pid, (long)NT_X86_XSTATE, &all);
}

/* The C library's ptrace: returns what a PEEK request read, where the system call stores it through
 * `data`. */
long ptrace(enum __ptrace_request request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE) {
        return set_part(pid, data);
    }
    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        long word = 0;
        if (syscall(SYS_ptrace, (long)request, (long)pid, address, &word) < 0) {
            return -1;
        }
        errno = 0;
        return word;
    }
    return syscall(SYS_ptrace, (long)request, (long)pid, address, data);
}
