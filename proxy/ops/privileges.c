#include "proxy/ops/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

struct wanted {
    const char *user, *group; /* NULL: stays */
    uid_t uid;
    gid_t gid;
};

/* ---- capabilities, by the kernel's own interface: capabilities(7), capget(2) ---- */

enum { SETS = _LINUX_CAPABILITY_U32S_3, BITS_OF_A_SET = 32 };
enum { RAW_MARKS_MAJOR = 5, RAW_MARKS_MINOR = 17 };

static uint64_t bit(unsigned capability)
{
    return UINT64_C(1) << capability;
}

/* `exactly`: effective and inheritable are the same. */
static bool capabilities_get(uint64_t *permitted, bool *exactly)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[SETS] = {{0}};

    if (syscall(SYS_capget, &header, sets) != 0)
        return false;
    *permitted = sets[0].permitted | (uint64_t)sets[1].permitted << BITS_OF_A_SET;
    *exactly = true;
    for (int i = 0; i < SETS; i++)
        *exactly = *exactly && sets[i].effective == sets[i].permitted &&
                   sets[i].inheritable == sets[i].permitted;
    return true;
}

/* Permitted, effective and inheritable are the same. */
static bool capabilities_set(uint64_t set)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[SETS];

    for (int i = 0; i < SETS; i++) {
        uint32_t part = (uint32_t)(set >> BITS_OF_A_SET * i);
        sets[i] = (struct __user_cap_data_struct){part, part, part};
    }
    return syscall(SYS_capset, &header, sets) == 0;
}

/* What no program that is executed can have either; takes CAP_SETPCAP. */
static bool bound_to(uint64_t set)
{
    for (unsigned capability = 0; capability < SETS * BITS_OF_A_SET; capability++) {
        if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) != 1 || (set & bit(capability)) != 0)
            continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            return false;
    }
    return true;
}

static bool keep_across_exec(uint64_t kept)
{
    for (unsigned capability = 0; capability < SETS * BITS_OF_A_SET; capability++)
        if ((kept & bit(capability)) != 0 &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
            return false;
    return true;
}

/* Before Linux 5.17 CAP_NET_RAW is not enough for SO_MARK. */
static bool raw_marks(void)
{
    struct utsname kernel;
    char *end;

    if (uname(&kernel) != 0)
        return false;
    unsigned long major = strtoul(kernel.release, &end, 10);
    unsigned long minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major > RAW_MARKS_MAJOR || (major == RAW_MARKS_MAJOR && minor >= RAW_MARKS_MINOR);
}

/* What `keep` asks for, of what is permitted. */
static uint64_t kept_of(uint64_t permitted, unsigned keep)
{
    uint64_t least = permitted & bit(raw_marks() ? CAP_NET_RAW : CAP_NET_ADMIN);
    uint64_t either = permitted & (bit(CAP_NET_RAW) | bit(CAP_NET_ADMIN));
    uint64_t kept = 0;

    if ((keep & PRIVILEGE_PORTS) != 0)
        kept |= permitted & bit(CAP_NET_BIND_SERVICE);
    if ((keep & PRIVILEGE_INTERCEPT) != 0)
        kept |= least != 0 ? least : either;
    return kept;
}

bool privileges_limit(unsigned keep)
{
    uint64_t permitted, kept;
    bool exactly;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !capabilities_get(&permitted, &exactly))
        return false;
    kept = kept_of(permitted, keep);
    if (permitted == kept && exactly) /* a service manager may forbid capset(2) */
        return keep_across_exec(kept);
    if ((permitted & bit(CAP_SETPCAP)) != 0 &&
        (!capabilities_set(kept | bit(CAP_SETPCAP)) || !bound_to(kept)))
        return false;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0 &&
           capabilities_set(kept) && keep_across_exec(kept);
}

/* ---- user and group ---- */

static bool look_up(struct wanted *wanted, char *error, size_t error_bytes)
{
    if (wanted->user != NULL) {
        errno = 0;
        struct passwd *entry = getpwnam(wanted->user);
        if (entry == NULL) {
            (void)snprintf(error, error_bytes,
                           "process.user: there is no user \"%s\"%s%s; create it (adduser --system "
                           "--group %s) or name another",
                           wanted->user, errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "",
                           wanted->user);
            return false;
        }
        wanted->uid = entry->pw_uid;
        wanted->gid = entry->pw_gid;
    }
    if (wanted->group != NULL) {
        errno = 0;
        struct group *entry = getgrnam(wanted->group);
        if (entry == NULL) {
            (void)snprintf(error, error_bytes,
                           "process.group: there is no group \"%s\"%s%s; create it (addgroup "
                           "--system %s) or name another",
                           wanted->group, errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "",
                           wanted->group);
            return false;
        }
        wanted->gid = entry->gr_gid;
    }
    return true;
}

static bool has_uid(uid_t uid)
{
    uid_t real, effective, saved;

    return getresuid(&real, &effective, &saved) == 0 && real == uid && effective == uid &&
           saved == uid;
}

static bool has_gid(gid_t gid)
{
    gid_t real, effective, saved;

    return getresgid(&real, &effective, &saved) == 0 && real == gid && effective == gid &&
           saved == gid;
}

/* Who is that user already may have another group than the user's own, from who started it. */
static bool is_there(const struct wanted *wanted)
{
    return (wanted->user == NULL || has_uid(wanted->uid)) &&
           (wanted->group == NULL || has_gid(wanted->gid));
}

static bool change(const struct wanted *wanted)
{
    int groups_set =
        wanted->user != NULL ? initgroups(wanted->user, wanted->gid) : setgroups(1, &wanted->gid);

    if (groups_set != 0 || setresgid(wanted->gid, wanted->gid, wanted->gid) != 0)
        return false;
    if (wanted->user == NULL)
        return true;
    /* Else the kernel takes what privileges_limit is to keep. */
    return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 &&
           setresuid(wanted->uid, wanted->uid, wanted->uid) == 0 &&
           prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0;
}

static bool can_come_back(const struct wanted *wanted)
{
    if (wanted->user == NULL || wanted->uid == 0)
        return false;
    return setuid(0) == 0 || seteuid(0) == 0 || setreuid((uid_t)-1, 0) == 0;
}

bool privileges_drop(const char *user, const char *group, unsigned keep, char *error,
                     size_t error_bytes)
{
    struct wanted wanted = {.user = user, .group = group};

    if (!look_up(&wanted, error, error_bytes))
        return false;
    if (!is_there(&wanted)) {
        if (geteuid() != 0) {
            (void)snprintf(error, error_bytes,
                           "process.%s: cannot become \"%s\" as uid %ju; start as root, or leave "
                           "it out",
                           user != NULL ? "user" : "group", user != NULL ? user : group,
                           (uintmax_t)geteuid());
            return false;
        }
        if (!change(&wanted)) {
            (void)snprintf(error, error_bytes, "process.%s: cannot become \"%s\": %s",
                           user != NULL ? "user" : "group", user != NULL ? user : group,
                           strerror(errno));
            return false;
        }
    }
    if (!privileges_limit(keep)) {
        (void)snprintf(error, error_bytes, "cannot give up capabilities: %s", strerror(errno));
        return false;
    }
    if (!is_there(&wanted) || can_come_back(&wanted)) {
        (void)snprintf(error, error_bytes, "the kernel did not give up root for good");
        return false;
    }
    return true;
}
