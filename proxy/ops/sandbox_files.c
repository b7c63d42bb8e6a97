/* Landlock, by its system calls: the C library has no functions for them (landlock(7)). */
#include "proxy/ops/sandbox_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h, which Debian 12 has in its second version. */
enum {
    CREATE_RULESET_VERSION = 1,
    RULE_PATH_BENEATH = 1,
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    SCOPE_SIGNAL = 1 << 1,
    ABI_SCOPES = 6,
};

struct ruleset {
    uint64_t fs, net, scopes;
};

struct path_beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

/* How much of `struct ruleset` a version takes, and how many rights over files it knows. */
static const struct {
    size_t ruleset_bytes;
    unsigned fs_rights;
} versions[] = {
    {0, 0},  {8, 13},  {8, 14},            /* 1; 2: REFER */
    {8, 15}, {16, 15}, {16, 16}, {24, 16}, /* 3: TRUNCATE; 4: net; 5: IOCTL_DEV; 6: scopes */
};
enum { NEWEST = sizeof(versions) / sizeof(versions[0]) - 1 };

enum { READ = FS_READ_FILE | FS_READ_DIR, RUN = READ | FS_EXECUTE };

static const struct {
    const char *path;
    uint64_t rights;
} places[] = {
    {"/etc", READ},
    {"/proc", READ}, /* a successor's open files, for metrics */
    {"/run/systemd/resolve", READ},
    {"/run/resolvconf", READ},
    {"/run/NetworkManager", READ},
    {"/usr/share/zoneinfo", READ},
    {"/dev/null", FS_READ_FILE | FS_WRITE_FILE},
    {"/dev/urandom", FS_READ_FILE},
    {"/usr/lib", RUN},
    {"/usr/lib32", RUN},
    {"/usr/lib64", RUN},
    {"/usr/local/lib", RUN},
    {"/lib", RUN},
    {"/lib64", RUN},
};

/* What is not there cannot be allowed, and need not be. */
static bool allow(int ruleset, const char *path, uint64_t rights)
{
    struct path_beneath rule = {.allowed = rights, .parent = open(path, O_PATH | O_CLOEXEC)};
    struct stat kind;

    if (rule.parent < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES;
    if (fstat(rule.parent, &kind) == 0 && !S_ISDIR(kind.st_mode))
        rule.allowed &= ~(uint64_t)FS_READ_DIR;
    long result = syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent);
    return result == 0;
}

static bool allow_directory_of(int ruleset, const char *file, uint64_t rights)
{
    char path[PATH_MAX];
    size_t length = strlen(file);

    if (length >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(path, file, length + 1);
    return allow(ruleset, dirname(path), rights);
}

/* By its name, and where that leads if it is a link: either may be changed before a reload. */
static bool allow_configuration(int ruleset, const char *file)
{
    char path[PATH_MAX];

    if (file == NULL)
        return true;
    return allow_directory_of(ruleset, file, READ) &&
           (realpath(file, path) == NULL || allow_directory_of(ruleset, path, READ));
}

/* The directory: a new version is another file. */
static bool allow_program(int ruleset)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (length < 0)
        return true; /* no /proc: no hand-over */
    path[length] = '\0';
    return allow_directory_of(ruleset, path, RUN);
}

static bool allow_all(int ruleset, const char *config_file)
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        if (!allow(ruleset, places[i].path, places[i].rights))
            return false;
    return allow_configuration(ruleset, config_file) && allow_program(ruleset);
}

bool sandbox_limit_files(const char *config_file)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

    if (version < 1)
        return false;
    version = version > NEWEST ? NEWEST : version;
    struct ruleset handled = {
        .fs = (UINT64_C(1) << versions[version].fs_rights) - 1,
        .scopes = version >= ABI_SCOPES ? SCOPE_SIGNAL : 0,
    };
    int ruleset =
        (int)syscall(SYS_landlock_create_ruleset, &handled, versions[version].ruleset_bytes, 0);
    if (ruleset < 0)
        return false;
    bool entered =
        allow_all(ruleset, config_file) && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
    int error = errno;
    close(ruleset);
    errno = error;
    return entered;
}
