# What run.sh and syscalls.sh share: arguments, what must be there, and the network namespace; sourced by both.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # build, program and root are theirs

wrong() {
    echo "$(basename "$0"): $* ($(basename "$0") --help shows what there is)" >&2
    exit 2
}

is_list() { # OPTION PATTERN_OF_ONE VALUE
    [[ $3 =~ ^($2)(,($2))*$ ]] || wrong "$1 does not know \"$3\""
}

is_number() { # OPTION VALUE
    [[ $2 =~ ^[0-9]{1,6}$ ]] || wrong "$1 wants a number, got \"$2\""
}

# The options that both have, into their variables. False: it is none of these.
take_common() { # OPTION VALUE
    case $1 in
        --subjects) is_list "$1" '[a-z0-9-]+' "$2"; arguments+=("$1" "$2") ;;
        --build) build=$(realpath -m "$2") ;;
        --program) program=$(realpath -m "$2") ;;
        *) return 1 ;;
    esac
}

require_programs() { # BUILD PROGRAM
    local name
    for name in "$2" "$1"/bin/relay_{load,backend,tls}; do
        [ -x "$name" ] || {
            echo "there is no $name; build it (cmake --build --preset release)" >&2
            exit 1
        }
    done
}

require_packages() { # WANTED...
    # shellcheck source=deploy/lab/debian.sh
    . "$root/deploy/lab/debian.sh"
    packages_install python3:python3 haproxy nginx:nginx-light libnginx-mod-stream sniproxy openssl ip:iproute2 \
        taskset:util-linux "$@"
    PATH=$PATH:/usr/sbin:/sbin
}

# Runs a command where nobody else's connections are, with a loopback that has ports enough and does not remember
# connections that are closed: a search for a free port is nobody's to pay for.
in_namespace() { # COMMAND...
    local namespaces=(--net)
    [ "$(id -u)" = 0 ] || namespaces=(--net --map-root-user)
    # shellcheck disable=SC2016 # that shell's own
    unshare "${namespaces[@]}" bash -ec '
        ip link set lo up
        echo 1024 65000 >/proc/sys/net/ipv4/ip_local_port_range
        echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets
        ulimit -n "$(ulimit -Hn)"
        exec "$@"' bash "$@"
}
