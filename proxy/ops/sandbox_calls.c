/* The system calls that remain, by libseccomp. */
#include "proxy/ops/sandbox_parts.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* What the proxy, libev, c-ares, libmicrohttpd and the C library ask for; and what it takes to
 * start a successor, which enters a sandbox of its own. */
static const int allowed[] = {
    /* bytes */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(write),
    SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(lseek), SCMP_SYS(splice),
    SCMP_SYS(tee), SCMP_SYS(sendfile), SCMP_SYS(pipe), SCMP_SYS(pipe2),
    /* descriptors */
    SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    SCMP_SYS(fcntl),
    /* files, which Landlock limits */
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
    SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(umask),
    /* sockets; socket itself is below */
    SCMP_SYS(socketpair), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4),
    SCMP_SYS(connect), SCMP_SYS(shutdown), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(send), SCMP_SYS(sendto), SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg), SCMP_SYS(recv), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg),
    /* waiting */
    SCMP_SYS(epoll_create), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(eventfd), SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime),
    SCMP_SYS(signalfd), SCMP_SYS(signalfd4), SCMP_SYS(futex), SCMP_SYS(restart_syscall),
    /* time and chance */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(getrandom),
    /* memory; mmap and mprotect are below */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(membarrier),
    /* signals */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(rt_sigsuspend),
    SCMP_SYS(sigaltstack), SCMP_SYS(kill), SCMP_SYS(tkill), SCMP_SYS(tgkill),
    /* itself */
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getpgid), SCMP_SYS(getpgrp),
    SCMP_SYS(getsid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
    SCMP_SYS(getresuid), SCMP_SYS(getresgid), SCMP_SYS(getgroups), SCMP_SYS(getrlimit),
    SCMP_SYS(setrlimit), SCMP_SYS(prlimit64), SCMP_SYS(getrusage), SCMP_SYS(sysinfo),
    SCMP_SYS(uname), SCMP_SYS(getcpu), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity),
    SCMP_SYS(exit), SCMP_SYS(exit_group),
    /* a successor; clone is below */
    SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(wait4),
    SCMP_SYS(waitid), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal), SCMP_SYS(setsid),
    SCMP_SYS(arch_prctl), SCMP_SYS(set_tid_address), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(prctl), SCMP_SYS(capget), SCMP_SYS(capset), SCMP_SYS(seccomp),
    SCMP_SYS(landlock_create_ruleset), SCMP_SYS(landlock_add_rule),
    SCMP_SYS(landlock_restrict_self)};

/* Nothing that belongs to the proxy asks for these, not even to see whether it may. */
static const int deadly[] = {SCMP_SYS(ptrace),
                             SCMP_SYS(process_vm_readv),
                             SCMP_SYS(process_vm_writev),
                             SCMP_SYS(mount),
                             SCMP_SYS(umount2),
                             SCMP_SYS(pivot_root),
                             SCMP_SYS(chroot),
                             SCMP_SYS(move_mount),
                             SCMP_SYS(open_tree),
                             SCMP_SYS(fsopen),
                             SCMP_SYS(fsmount),
                             SCMP_SYS(mount_setattr),
                             SCMP_SYS(open_by_handle_at),
                             SCMP_SYS(setns),
                             SCMP_SYS(unshare),
                             SCMP_SYS(bpf),
                             SCMP_SYS(perf_event_open),
                             SCMP_SYS(userfaultfd),
                             SCMP_SYS(init_module),
                             SCMP_SYS(finit_module),
                             SCMP_SYS(delete_module),
                             SCMP_SYS(kexec_load),
                             SCMP_SYS(kexec_file_load),
                             SCMP_SYS(reboot),
                             SCMP_SYS(swapon),
                             SCMP_SYS(swapoff),
                             SCMP_SYS(acct),
                             SCMP_SYS(quotactl),
                             SCMP_SYS(iopl),
                             SCMP_SYS(ioperm),
                             SCMP_SYS(add_key),
                             SCMP_SYS(request_key),
                             SCMP_SYS(keyctl),
                             SCMP_SYS(settimeofday),
                             SCMP_SYS(clock_settime),
                             SCMP_SYS(sethostname),
                             SCMP_SYS(setdomainname),
                             SCMP_SYS(mknod),
                             SCMP_SYS(mknodat)};

enum { TYPE_MASK = 0xf }; /* SOCK_TYPE_MASK of the kernel: the others are flags */
static const int families[] = {AF_UNIX, AF_NETLINK /* getifaddrs */};
static const int internet_families[] = {AF_INET, AF_INET6};
static const unsigned long requests[] = {FIONREAD,   FIONBIO, FIOCLEX,      SIOCOUTQ,
                                         SIOCATMARK, TCGETS,  SIOCGIFINDEX, SIOCGIFNAME};

#define COUNT(array)           (sizeof(array) / sizeof((array)[0]))
#define ADD(filter, call, ...) add(filter, SCMP_SYS(call), 1, (struct scmp_arg_cmp[]){__VA_ARGS__})

/* What this machine's kernel has under another name, or not at all, is not an error. */
static bool add(scmp_filter_ctx filter, int call, unsigned count,
                const struct scmp_arg_cmp *compare)
{
    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, count, compare) == 0;
}

static bool add_lists(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < COUNT(allowed); i++)
        if (!add(filter, allowed[i], 0, NULL))
            return false;
    for (size_t i = 0; i < COUNT(deadly); i++)
        if (seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0) != 0)
            return false;
    return true;
}

static struct scmp_arg_cmp equals(unsigned argument, scmp_datum_t value)
{
    return (struct scmp_arg_cmp){.arg = argument, .op = SCMP_CMP_EQ, .datum_a = value};
}

static bool add_internet_socket(scmp_filter_ctx filter, int family, int type)
{
    const struct scmp_arg_cmp compare[] = {
        equals(0, (scmp_datum_t)family),
        SCMP_A1(SCMP_CMP_MASKED_EQ, TYPE_MASK, (scmp_datum_t)type),
    };
    return add(filter, SCMP_SYS(socket), COUNT(compare), compare);
}

static bool add_sockets(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < COUNT(families); i++)
        if (!ADD(filter, socket, equals(0, (scmp_datum_t)families[i])))
            return false;
    for (size_t i = 0; i < COUNT(internet_families); i++)
        if (!add_internet_socket(filter, internet_families[i], SOCK_STREAM) ||
            !add_internet_socket(filter, internet_families[i], SOCK_DGRAM))
            return false;
    return true;
}

static bool add_limited(scmp_filter_ctx filter)
{
    const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

    if (!add_sockets(filter))
        return false;
    for (size_t i = 0; i < COUNT(requests); i++)
        if (!ADD(filter, ioctl, equals(1, requests[i])))
            return false;
    /* Memory is either written or executed. */
    return ADD(filter, mmap, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) &&
           ADD(filter, mmap, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE, 0)) &&
           ADD(filter, mprotect, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) &&
           ADD(filter, clone, SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces, 0)) &&
           /* Its flags cannot be seen; the C library then uses clone. */
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
}

bool sandbox_limit_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result;

    if (filter == NULL) {
        errno = ENOMEM;
        return false;
    }
    /* Where they are known: a call that fails leaves a line in the kernel's log; finding a call
     * takes few steps; no mitigation is wanted that is for processes which run foreign code. */
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    result = add_lists(filter) && add_limited(filter) ? seccomp_load(filter) : -ENOTSUP;
    seccomp_release(filter);
    errno = -result;
    return result == 0;
}
