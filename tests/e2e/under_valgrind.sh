#!/bin/sh
# The release build of the proxy under valgrind: any report is an exit code that the tests notice.
exec valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=all \
    --suppressions="$(dirname "$0")/../valgrind.supp" "$TURBOTLS_PROXY_RELEASE" "$@"
