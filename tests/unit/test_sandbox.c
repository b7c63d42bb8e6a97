/*
 * What a process can still do once it is in the sandbox, and what it cannot. Instrumented builds
 * have none: the release build's program is a test of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/ops/log.h"
#include "proxy/ops/privileges.h"
#include "proxy/ops/sandbox.h"
#include "support/child.h"

static char directory[] = "/tmp/test_sandbox.XXXXXX";
static char config_file[64], elsewhere[64];

static unsigned enter(void)
{
    struct log log;

    log_init(&log, STDERR_FILENO, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    return sandbox_enter(
        &(struct sandbox_needs){.config_file = config_file, .privileges = PRIVILEGE_INTERCEPT},
        &log);
}

static unsigned parts; /* that this machine and this build have */

static void write_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "# \n", 3), 3);
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(directory));
    (void)snprintf(config_file, sizeof(config_file), "%s/proxy.txtpb", directory);
    (void)snprintf(elsewhere, sizeof(elsewhere), "%s.else", directory);
    write_file(config_file);
    write_file(elsewhere);
    parts = child_ask(enter);
    print_message("parts: %s%s%s\n", parts & SANDBOX_CAPABILITIES ? "capabilities " : "",
                  parts & SANDBOX_FILES ? "files " : "", parts & SANDBOX_CALLS ? "calls" : "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(config_file) == 0 && unlink(elsewhere) == 0 && rmdir(directory) == 0 ? 0 : -1;
}

static void need(unsigned part)
{
    if ((parts & part) == 0)
        skip();
}

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0644);

    if (fd < 0)
        CHILD_CHECK(errno == EACCES || errno == EPERM);
    else
        close(fd);
    return fd >= 0;
}

/* ---- files ---- */

static void use_files(void)
{
    char path[128];

    enter();
    CHILD_CHECK(opens(config_file, O_RDONLY));
    CHILD_CHECK(opens("/etc/passwd", O_RDONLY));
    CHILD_CHECK(opens("/dev/null", O_RDWR));
    CHILD_CHECK(!opens(config_file, O_WRONLY));
    CHILD_CHECK(!opens(elsewhere, O_RDONLY));
    CHILD_CHECK(!opens("/proc/1/environ", O_RDONLY));
    CHILD_CHECK(!opens("/usr", O_RDONLY | O_DIRECTORY));
    (void)snprintf(path, sizeof(path), "%s/new", directory);
    CHILD_CHECK(!opens(path, O_WRONLY | O_CREAT));
    CHILD_CHECK(unlink(config_file) != 0);
    CHILD_CHECK(rename(config_file, path) != 0);
    CHILD_CHECK(mkdir(path, 0755) != 0);
    CHILD_CHECK(access("/bin/sh", X_OK) == 0);
    (void)execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
    CHILD_CHECK(errno == EACCES);
}

static void only_configuration_and_names_can_be_read_and_nothing_written(void **state)
{
    (void)state;
    need(SANDBOX_FILES);
    child_run(use_files);
}

/* As an editor does: another file gets its name. */
static void edit(int go)
{
    char path[128], byte = '!';

    (void)snprintf(path, sizeof(path), "%s/proxy.new", directory);
    CHILD_CHECK(read(go, &byte, 1) == 1);
    CHILD_CHECK(opens(path, O_WRONLY | O_CREAT) && rename(path, config_file) == 0);
    CHILD_CHECK(write(go, &byte, 1) == 1);
    _exit(0);
}

static void read_edited(void)
{
    int ends[2];
    char byte = '!';

    CHILD_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    pid_t editor = fork();
    if (editor == 0)
        edit(ends[1]);
    enter();
    CHILD_CHECK(write(ends[0], &byte, 1) == 1 && read(ends[0], &byte, 1) == 1);
    CHILD_CHECK(waitpid(editor, NULL, 0) == editor);
    CHILD_CHECK(opens(config_file, O_RDONLY));
}

static void a_new_configuration_can_be_read(void **state)
{
    (void)state;
    need(SANDBOX_FILES);
    child_run(read_edited);
}

static char link_directory[64], linked_file[96];

static void read_by_link(void)
{
    struct log log;

    log_init(&log, STDERR_FILENO, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
    sandbox_enter(&(struct sandbox_needs){.config_file = linked_file}, &log);
    CHILD_CHECK(opens(linked_file, O_RDONLY));
    CHILD_CHECK(opens(config_file, O_RDONLY));
}

static void it_may_be_a_link_that_leads_elsewhere(void **state)
{
    (void)state;
    need(SANDBOX_FILES);
    (void)snprintf(link_directory, sizeof(link_directory), "%s.link", directory);
    (void)snprintf(linked_file, sizeof(linked_file), "%s/proxy.txtpb", link_directory);
    assert_int_equal(mkdir(link_directory, 0755), 0);
    assert_int_equal(symlink(config_file, linked_file), 0);
    child_run(read_by_link);
    assert_int_equal(unlink(linked_file), 0);
    assert_int_equal(rmdir(link_directory), 0);
}

static void run_successors(void)
{
    enter();
    CHILD_CHECK(child_execute("enter"));
    CHILD_CHECK(child_execute("enter"));
}

static void a_successor_can_be_executed_and_enters_its_own(void **state)
{
    (void)state;
    need(SANDBOX_FILES | SANDBOX_CALLS);
    child_run(run_successors);
}

/* ---- system calls ---- */

static bool makes_socket(int family, int type)
{
    int fd = socket(family, type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        CHILD_CHECK(errno == EPERM || errno == EAFNOSUPPORT);
    else
        close(fd);
    return fd >= 0;
}

static bool maps(int protection)
{
    void *memory = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return memory != MAP_FAILED && munmap(memory, 4096) == 0;
}

static void use_calls(void)
{
    int mark, ends[2];

    enter();
    CHILD_CHECK(makes_socket(AF_INET, SOCK_STREAM) && makes_socket(AF_INET, SOCK_DGRAM));
    CHILD_CHECK(makes_socket(AF_UNIX, SOCK_DGRAM) && makes_socket(AF_NETLINK, SOCK_RAW));
    CHILD_CHECK(!makes_socket(AF_PACKET, SOCK_DGRAM) && !makes_socket(AF_VSOCK, SOCK_STREAM));
    CHILD_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    CHILD_CHECK(ioctl(ends[0], FIONREAD, &mark) == 0);
    CHILD_CHECK(ioctl(ends[0], TIOCSTI, "x") != 0 && errno == EPERM);
    CHILD_CHECK(maps(PROT_READ | PROT_WRITE) && maps(PROT_READ | PROT_EXEC));
    CHILD_CHECK(!maps(PROT_READ | PROT_WRITE | PROT_EXEC) && errno == EPERM);
    CHILD_CHECK(syscall(SYS_io_uring_setup, 1, NULL) != 0 && errno == EPERM);
    CHILD_CHECK(syscall(SYS_memfd_create, "x", 0) != 0 && errno == EPERM);
    CHILD_CHECK(syscall(SYS_symlink, "a", "b") != 0 && errno == EPERM);
    CHILD_CHECK(epoll_create1(EPOLL_CLOEXEC) >= 0);
}

static void what_the_proxy_needs_works_and_what_it_does_not_fails(void **state)
{
    (void)state;
    need(SANDBOX_CALLS);
    child_run(use_calls);
}

static void trace(void)
{
    enter();
    (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void leave(void)
{
    enter();
    (void)syscall(SYS_unshare, 0);
}

static bool marks(void)
{
    return child_may_set(SOCK_DGRAM, SOL_SOCKET, SO_MARK);
}

/* With CAP_NET_RAW, which enter() keeps. */
static void mark_but_not_sniff(void)
{
    bool may_mark = marks();

    enter();
    CHILD_CHECK(marks() == may_mark);
    CHILD_CHECK(!makes_socket(AF_INET, SOCK_RAW) && !makes_socket(AF_INET6, SOCK_RAW));
    CHILD_CHECK(!makes_socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK));
    CHILD_CHECK(makes_socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK));
}

static void sockets_can_be_marked_but_not_be_raw(void **state)
{
    (void)state;
    need(SANDBOX_CALLS);
    child_run(mark_but_not_sniff);
}

static void what_only_an_intruder_needs_ends_the_process(void **state)
{
    (void)state;
    need(SANDBOX_CALLS);
    child_run_killed(trace, SIGSYS);
    child_run_killed(leave, SIGSYS);
}

static void look_up_names(void)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;

    enter();
    CHILD_CHECK(getaddrinfo("localhost", "443", &hints, &found) == 0);
    freeaddrinfo(found);
}

static void names_can_be_looked_up(void **state)
{
    (void)state;
    child_run(look_up_names);
}

static void lose_capabilities(void)
{
    enter();
    CHILD_CHECK(setuid(1) != 0);
    CHILD_CHECK(chown(config_file, 1, 1) != 0);
}

static void root_is_not_root_any_more(void **state)
{
    (void)state;
    need(SANDBOX_CAPABILITIES);
    if (geteuid() != 0)
        skip();
    child_run(lose_capabilities);
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_configuration_and_names_can_be_read_and_nothing_written),
        cmocka_unit_test(a_new_configuration_can_be_read),
        cmocka_unit_test(it_may_be_a_link_that_leads_elsewhere),
        cmocka_unit_test(a_successor_can_be_executed_and_enters_its_own),
        cmocka_unit_test(what_the_proxy_needs_works_and_what_it_does_not_fails),
        cmocka_unit_test(sockets_can_be_marked_but_not_be_raw),
        cmocka_unit_test(what_only_an_intruder_needs_ends_the_process),
        cmocka_unit_test(names_can_be_looked_up),
        cmocka_unit_test(root_is_not_root_any_more),
    };

    (void)argv;
    if (argc == 2)
        _exit(enter() == 0 ? 1 : 0);
    return cmocka_run_group_tests(tests, setup, teardown);
}
