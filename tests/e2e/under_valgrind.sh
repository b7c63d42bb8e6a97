#!/bin/sh
# The release build of the proxy under valgrind: any report is an exit code that the tests notice.
exec valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=all \
    --child-silent-after-fork=yes "$TURBOTLS_PROXY_RELEASE" "$@"
