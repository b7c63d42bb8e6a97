/* From root to a user for good, with the one capability that is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "proxy/ops/privileges.h"
#include "support/child.h"

#define PORTS (1ull << CAP_NET_BIND_SERVICE)
#define ADMIN (1ull << CAP_NET_ADMIN)
#define RAW   (1ull << CAP_NET_RAW)

static const char user[] = "nobody", other_user[] = "daemon", other_group[] = "daemon";

/* Can a port below 1024 be bound? */
static bool may_bind(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(777), .sin_addr.s_addr = htonl(0x7f00004d)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    CHILD_CHECK(fd >= 0);
    CHILD_CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
    bool bound = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    CHILD_CHECK(bound || errno == EACCES);
    close(fd);
    return bound;
}

/* Can a listener be made one for TPROXY? */
static bool may_intercept(void)
{
    return child_may_set(SOCK_STREAM, IPPROTO_IP, IP_TRANSPARENT);
}

/* "CapEff" and its like in /proc/self/status */
static unsigned long long capabilities(const char *name)
{
    char line[256];
    unsigned long long set = 0;
    FILE *status = fopen("/proc/self/status", "r");

    CHILD_CHECK(status != NULL);
    while (fgets(line, sizeof(line), status) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            set = strtoull(line + strlen(name) + 1, NULL, 16);
    (void)fclose(status);
    return set;
}

static void check_capabilities(unsigned long long kept)
{
    CHILD_CHECK(capabilities("CapEff") == kept);
    CHILD_CHECK(capabilities("CapPrm") == kept);
    CHILD_CHECK(capabilities("CapBnd") == kept);
    CHILD_CHECK(capabilities("CapAmb") == kept);
    CHILD_CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    CHILD_CHECK(may_bind() == ((kept & PORTS) != 0));
    CHILD_CHECK(may_intercept() == ((kept & (RAW | ADMIN)) != 0));
}

static void check_is(const char *name, gid_t gid)
{
    const struct passwd *entry = getpwnam(name);
    uid_t uids[3];
    gid_t gids[3];

    CHILD_CHECK(entry != NULL);
    CHILD_CHECK(getresuid(&uids[0], &uids[1], &uids[2]) == 0);
    CHILD_CHECK(getresgid(&gids[0], &gids[1], &gids[2]) == 0);
    for (int i = 0; i < 3; i++)
        CHILD_CHECK(uids[i] == entry->pw_uid && gids[i] == gid);
    CHILD_CHECK(setresuid(0, 0, 0) != 0 && setuid(0) != 0);
    CHILD_CHECK(setgroups(0, NULL) != 0);
}

static bool drop(const char *to_user, const char *to_group, unsigned keep, char error[static 256])
{
    error[0] = '\0';
    return privileges_drop(to_user, to_group, keep, error, 256);
}

static void must_drop(const char *to_user, const char *to_group, unsigned keep)
{
    char error[256];

    if (!drop(to_user, to_group, keep, error))
        (void)fprintf(stderr, "%s\n", error);
    CHILD_CHECK(error[0] == '\0');
}

static void only_root(void)
{
    if (geteuid() != 0)
        skip();
}

/* ---- from root ---- */

static void become_user(void)
{
    gid_t group;

    must_drop(user, NULL, PRIVILEGE_PORTS);
    check_is(user, getpwnam(user)->pw_gid);
    CHILD_CHECK(getgroups(1, &group) <= 1); /* root's are gone */
    check_capabilities(PORTS);
    CHILD_CHECK(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1);
    CHILD_CHECK(child_execute("may-bind"));
}

static void the_user_keeps_its_ports_and_so_does_its_successor(void **state)
{
    (void)state;
    only_root();
    child_run(become_user);
}

static void become_user_without_ports(void)
{
    must_drop(user, other_group, 0);
    check_is(user, getgrnam(other_group)->gr_gid);
    check_capabilities(0);
    CHILD_CHECK(child_execute("may-not-bind"));
}

static void nothing_is_kept_unless_asked_for(void **state)
{
    (void)state;
    only_root();
    child_run(become_user_without_ports);
}

static void change_group(void)
{
    must_drop(NULL, other_group, PRIVILEGE_PORTS);
    CHILD_CHECK(getuid() == 0);
    CHILD_CHECK(getegid() == getgrnam(other_group)->gr_gid);
    check_capabilities(PORTS);
}

static void a_group_can_change_alone(void **state)
{
    (void)state;
    only_root();
    child_run(change_group);
}

static void limit_root(void)
{
    CHILD_CHECK(privileges_limit(PRIVILEGE_PORTS));
    check_capabilities(PORTS);
    CHILD_CHECK(setresuid(1, 1, 1) != 0);
    CHILD_CHECK(child_execute("may-bind")); /* root is not given it all back */
    CHILD_CHECK(privileges_limit(0));
    CHILD_CHECK(capabilities("CapPrm") == 0 && !may_bind());
}

static void root_can_stay_and_be_harmless(void **state)
{
    (void)state;
    only_root();
    child_run(limit_root);
}

/* Any kernel of Debian 12 or later takes CAP_NET_RAW for a mark. */
static void become_interceptor(void)
{
    must_drop(user, NULL, PRIVILEGE_PORTS | PRIVILEGE_INTERCEPT);
    check_capabilities(PORTS | RAW);
    CHILD_CHECK(child_execute("may-intercept"));
    must_drop(user, NULL, PRIVILEGE_PORTS | PRIVILEGE_INTERCEPT);
    check_capabilities(PORTS | RAW);
    CHILD_CHECK(privileges_limit(PRIVILEGE_INTERCEPT));
    CHILD_CHECK(capabilities("CapPrm") == RAW && capabilities("CapAmb") == RAW);
}

static void who_intercepts_keeps_one_more_capability_and_so_does_its_successor(void **state)
{
    (void)state;
    only_root();
    child_run(become_interceptor);
}

static const char *release;

/* In place of libc's: the kernel that a test pretends. */
int uname(struct utsname *name)
{
    if (release == NULL)
        return (int)syscall(SYS_uname, name);
    *name = (struct utsname){0};
    (void)snprintf(name->release, sizeof(name->release), "%s", release);
    return 0;
}

static unsigned long long kept_by(const char *kernel)
{
    release = kernel;
    CHILD_CHECK(privileges_limit(PRIVILEGE_INTERCEPT));
    return capabilities("CapPrm");
}

static void limit_by_old_kernel(void)
{
    CHILD_CHECK(kept_by("5.16.20-generic") == ADMIN);
    CHILD_CHECK(kept_by("6.1.0-18-amd64") == ADMIN); /* the only one that there is now */
}

static void limit_by_older_kernel(void)
{
    CHILD_CHECK(kept_by("4.19") == ADMIN);
}

static void limit_by_new_kernel(void)
{
    CHILD_CHECK(kept_by("5.17.0") == RAW);
    CHILD_CHECK(kept_by("5.10.0") == RAW); /* the only one that there is now */
}

static void limit_by_newer_kernel(void)
{
    CHILD_CHECK(kept_by("6.0") == RAW);
}

static void the_kernel_decides_which(void **state)
{
    (void)state;
    only_root();
    child_run(limit_by_old_kernel);
    child_run(limit_by_older_kernel);
    child_run(limit_by_new_kernel);
    child_run(limit_by_newer_kernel);
}

/* ---- from a user ---- */

static void drop_again(void)
{
    char error[256];

    must_drop(user, NULL, PRIVILEGE_PORTS);
    must_drop(user, NULL, PRIVILEGE_PORTS); /* what a successor does */
    check_capabilities(PORTS);
    CHILD_CHECK(!drop(other_user, NULL, PRIVILEGE_PORTS, error));
    CHILD_CHECK(strstr(error, "process.user: cannot become \"daemon\" as uid ") == error);
    CHILD_CHECK(!drop(NULL, other_group, PRIVILEGE_PORTS, error));
    CHILD_CHECK(strstr(error, "process.group: cannot become \"daemon\" as uid ") == error);
    must_drop(NULL, NULL, PRIVILEGE_PORTS);
}

static void a_user_may_stay_but_not_become_another(void **state)
{
    (void)state;
    only_root();
    child_run(drop_again);
}

static void start_with_another_group(void)
{
    const struct passwd *entry = getpwnam(user);
    gid_t gid = getgrnam(other_group)->gr_gid;

    CHILD_CHECK(setgroups(1, &gid) == 0 && setresgid(gid, gid, gid) == 0);
    CHILD_CHECK(setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) == 0);
    must_drop(user, NULL, PRIVILEGE_PORTS);
    CHILD_CHECK(getegid() == gid);
}

static void whoever_started_it_chose_the_group(void **state)
{
    (void)state;
    only_root();
    child_run(start_with_another_group);
}

static void stay(void)
{
    const struct passwd *entry = getpwuid(geteuid());

    CHILD_CHECK(entry != NULL);
    must_drop(entry->pw_name, NULL, 0);
    CHILD_CHECK(capabilities("CapEff") == 0);
}

static void anybody_may_stay(void **state)
{
    (void)state;
    child_run(stay);
}

static void who_does_not_exist_is_named(void **state)
{
    char error[256];

    (void)state;
    assert_false(drop("no-such-user", NULL, PRIVILEGE_PORTS, error));
    assert_string_equal(error,
                        "process.user: there is no user \"no-such-user\"; create it (adduser "
                        "--system --group no-such-user) or name another");
    assert_false(drop(NULL, "no-such-group", PRIVILEGE_PORTS, error));
    assert_string_equal(error, "process.group: there is no group \"no-such-group\"; create it "
                               "(addgroup --system no-such-group) or name another");
}

/* What a test's successor finds. */
static int executed(const char *what)
{
    check_capabilities(strcmp(what, "may-bind") == 0        ? PORTS
                       : strcmp(what, "may-intercept") == 0 ? PORTS | RAW
                                                            : 0);
    _exit(0);
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_user_keeps_its_ports_and_so_does_its_successor),
        cmocka_unit_test(nothing_is_kept_unless_asked_for),
        cmocka_unit_test(a_group_can_change_alone),
        cmocka_unit_test(root_can_stay_and_be_harmless),
        cmocka_unit_test(who_intercepts_keeps_one_more_capability_and_so_does_its_successor),
        cmocka_unit_test(the_kernel_decides_which),
        cmocka_unit_test(a_user_may_stay_but_not_become_another),
        cmocka_unit_test(whoever_started_it_chose_the_group),
        cmocka_unit_test(anybody_may_stay),
        cmocka_unit_test(who_does_not_exist_is_named),
    };

    if (argc == 2)
        return executed(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
