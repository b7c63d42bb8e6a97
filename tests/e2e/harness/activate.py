"""Run as a program, `activate.py FD… -- PROGRAM ARGUMENTS…`: becomes PROGRAM, with the sockets as systemd passes them."""

import os
import sys

FIRST = 3


def main() -> None:
    end = sys.argv.index("--")
    above = FIRST + end  # out of the way of where they go
    sockets = [os.dup(int(fd)) for fd in sys.argv[1:end]]
    while min(sockets) < above:
        sockets = [os.dup(fd) if fd < above else fd for fd in sockets]
    for number, fd in enumerate(sockets):
        os.dup2(fd, FIRST + number, inheritable=True)
    os.environ["LISTEN_FDS"] = str(len(sockets))
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.execv(sys.argv[end + 1], sys.argv[end + 1:])


if __name__ == "__main__":
    main()
