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
#include <unistd.h>

#include "proxy/ops/privileges.h"
#include "support/child.h"

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

static void check_capabilities(bool keeps_bind_service)
{
    unsigned long long kept = keeps_bind_service ? 1ull << CAP_NET_BIND_SERVICE : 0;

    CHILD_CHECK(capabilities("CapEff") == kept);
    CHILD_CHECK(capabilities("CapPrm") == kept);
    CHILD_CHECK(capabilities("CapBnd") == kept);
    CHILD_CHECK(capabilities("CapAmb") == kept);
    CHILD_CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    CHILD_CHECK(may_bind() == keeps_bind_service);
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

static bool drop(const char *to_user, const char *to_group, bool keep, char error[static 256])
{
    error[0] = '\0';
    return privileges_drop(to_user, to_group, keep, error, 256);
}

static void must_drop(const char *to_user, const char *to_group, bool keep)
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

    must_drop(user, NULL, true);
    check_is(user, getpwnam(user)->pw_gid);
    CHILD_CHECK(getgroups(1, &group) <= 1); /* root's are gone */
    check_capabilities(true);
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
    must_drop(user, other_group, false);
    check_is(user, getgrnam(other_group)->gr_gid);
    check_capabilities(false);
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
    must_drop(NULL, other_group, true);
    CHILD_CHECK(getuid() == 0);
    CHILD_CHECK(getegid() == getgrnam(other_group)->gr_gid);
    check_capabilities(true);
}

static void a_group_can_change_alone(void **state)
{
    (void)state;
    only_root();
    child_run(change_group);
}

static void limit_root(void)
{
    CHILD_CHECK(privileges_limit(true));
    check_capabilities(true);
    CHILD_CHECK(setresuid(1, 1, 1) != 0);
    CHILD_CHECK(child_execute("may-bind")); /* root is not given it all back */
    CHILD_CHECK(privileges_limit(false));
    CHILD_CHECK(capabilities("CapPrm") == 0 && !may_bind());
}

static void root_can_stay_and_be_harmless(void **state)
{
    (void)state;
    only_root();
    child_run(limit_root);
}

/* ---- from a user ---- */

static void drop_again(void)
{
    char error[256];

    must_drop(user, NULL, true);
    must_drop(user, NULL, true); /* what a successor does */
    check_capabilities(true);
    CHILD_CHECK(!drop(other_user, NULL, true, error));
    CHILD_CHECK(strstr(error, "process.user: cannot become \"daemon\" as uid ") == error);
    CHILD_CHECK(!drop(NULL, other_group, true, error));
    CHILD_CHECK(strstr(error, "process.group: cannot become \"daemon\" as uid ") == error);
    must_drop(NULL, NULL, true);
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
    must_drop(user, NULL, true);
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
    must_drop(entry->pw_name, NULL, false);
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
    assert_false(drop("no-such-user", NULL, true, error));
    assert_string_equal(error,
                        "process.user: there is no user \"no-such-user\"; create it (adduser "
                        "--system --group no-such-user) or name another");
    assert_false(drop(NULL, "no-such-group", true, error));
    assert_string_equal(error, "process.group: there is no group \"no-such-group\"; create it "
                               "(addgroup --system no-such-group) or name another");
}

/* What a test's successor finds. */
static int executed(const char *what)
{
    check_capabilities(strcmp(what, "may-bind") == 0);
    _exit(0);
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_user_keeps_its_ports_and_so_does_its_successor),
        cmocka_unit_test(nothing_is_kept_unless_asked_for),
        cmocka_unit_test(a_group_can_change_alone),
        cmocka_unit_test(root_can_stay_and_be_harmless),
        cmocka_unit_test(a_user_may_stay_but_not_become_another),
        cmocka_unit_test(whoever_started_it_chose_the_group),
        cmocka_unit_test(anybody_may_stay),
        cmocka_unit_test(who_does_not_exist_is_named),
    };

    if (argc == 2)
        return executed(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
