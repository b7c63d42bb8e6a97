#!/bin/bash
# Starts a Debian in a directory with systemd as its first process, in namespaces of its own (process, mount, network,
# names, IPC, cgroup), and prints that process's id. It ends with the one who started this script.
#   boot.sh DIRECTORY
set -euo pipefail

# What systemd expects of whoever starts it in a container: https://systemd.io/CONTAINER_INTERFACE/
prepare() { # DIRECTORY
    mount --make-rprivate /
    mount --rbind "$1" "$1"
    mount -t proc proc "$1/proc"
    mount -t sysfs -o ro sysfs "$1/sys"
    mount -t tmpfs tmpfs "$1/sys/fs/cgroup"
    umount "$1/sys/fs/cgroup"
    mount -t cgroup2 cgroup "$1/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$1/run"
    mount -t tmpfs tmpfs "$1/dev"
    local device
    for device in null zero full random urandom tty; do
        touch "$1/dev/$device"
        mount --bind "/dev/$device" "$1/dev/$device"
    done
    mkdir "$1/dev/pts" "$1/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts"
    ln -s pts/ptmx "$1/dev/ptmx"
    mount -t tmpfs tmpfs "$1/dev/shm"
    ip link set lo up
    # A chroot would not do: the kernel gives its processes no user namespaces.
    cd "$1"
    pivot_root . .
    umount -l .
    cd /
    exec /usr/bin/env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --unit=multi-user.target --log-target=journal --show-status=no
}

if [ "${2-}" = prepare ]; then
    prepare "$1"
fi
exec setpriv --pdeathsig KILL unshare --pid --mount --net --uts --ipc --cgroup --fork --kill-child=KILL "$0" "$1" prepare
