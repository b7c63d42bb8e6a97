#!/bin/bash
# The first process of a lab (see lab.sh): prepares the system around the script, runs it, leaves its exit code.
#   host: inside.sh host WORK, in namespaces of its own
#   uml:  started by the User-Mode Linux kernel as its init, with LAB_WORK in the environment
set -euo pipefail

prepare_host() {
    mount --make-rprivate /
    mount -t tmpfs tmpfs /run
}

prepare_uml() {
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    mount -t tmpfs tmpfs /run
    mkdir -p /dev/shm /dev/pts
    mount -t tmpfs tmpfs /dev/shm
    mount -t devpts devpts /dev/pts
    ln -s /proc/self/fd /dev/fd
    let_kernel_load_modules
    # One console each for output and errors, passed on byte for byte.
    stty -F /dev/tty1 raw
    stty -F /dev/tty2 raw
    exec >/dev/tty1 2>/dev/tty2
}

# The kernel asks modprobe for what it lacks; its modules are not where modprobe looks.
let_kernel_load_modules() {
    mkdir -p /run/modules/lib/modules
    ln -s "/usr/lib/uml/modules/$(uname -r)" "/run/modules/lib/modules/$(uname -r)"
    printf '#!/bin/sh\nexec /sbin/modprobe -d /run/modules "$@"\n' >/run/modprobe
    chmod 0755 /run/modprobe
    echo /run/modprobe >/proc/sys/kernel/modprobe
}

# Runs where `set -e` does not hold: its caller wants the exit code.
run_command() {
    local command=()
    mapfile -d '' command <"$work/command"
    # shellcheck disable=SC1091
    . "$work/environment"
    export PATH="$PATH:/usr/sbin:/sbin"
    export LAB_INSIDE=$kind
    export LAB_RUN=/run/lab
    mkdir -p "$LAB_RUN" && cd "$(cat "$work/directory")" && "${command[@]}"
}

power_off() {
    sync
    echo o >/proc/sysrq-trigger
    # The kernel ends by itself now; a first process that returned would be a panic.
    read -r -t 60 <> <(:) || true
}

main() {
    if [ -n "${LAB_WORK-}" ] && [ $$ = 1 ] && [ $# = 0 ]; then
        kind=uml work=$LAB_WORK
    else
        kind=$1 work=$2
    fi
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    umask 022
    "prepare_$kind"
    ip link set lo up
    local code=0
    (run_command) </dev/null || code=$?
    echo "$code" >"$work/exit-code"
    if [ "$kind" = uml ]; then
        # Waits until all output has been passed on.
        stty -F /dev/tty1 raw
        stty -F /dev/tty2 raw
        power_off
    fi
}

main "$@"
