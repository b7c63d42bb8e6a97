/* The two halves of the sandbox; sandbox.h tells what they allow. For ops/sandbox*.c only. */
#ifndef PROXY_OPS_SANDBOX_PARTS_H
#define PROXY_OPS_SANDBOX_PARTS_H

#include <stdbool.h>

/* False with errno: ENOSYS or EOPNOTSUPP where the kernel has no Landlock. */
bool sandbox_limit_files(const char *config_file);
/* False with errno: EINVAL or ENOSYS where the kernel has no seccomp filters. */
bool sandbox_limit_calls(void);

#endif
