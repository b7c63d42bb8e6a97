"""Asks a path what it does with UDP: udp_probe.py echo|round-trip|rejected|silent ADDRESS PORT [MILLISECONDS]."""

import socket
import sys
import time

COUNT = 5


def echo(server):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(server)
    print("listening", flush=True)
    while True:
        data, sender = sock.recvfrom(2048)
        sock.sendto(data, sender)


def ask(server):
    """Milliseconds to the answer; the name of the error instead when there was none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(server)
        sock.settimeout(0.25)
        begin = time.monotonic()
        try:
            sock.send(b"ping")
            sock.recv(2048)
        except OSError as error:
            return type(error).__name__
        return (time.monotonic() - begin) * 1000


def as_expected(kind, answer, milliseconds):
    if kind == "round-trip":
        return isinstance(answer, float) and milliseconds <= answer < milliseconds + 5
    return answer == {"rejected": "ConnectionRefusedError", "silent": "TimeoutError"}[kind]


def main():
    kind, server = sys.argv[1], (sys.argv[2], int(sys.argv[3]))
    if kind == "echo":
        echo(server)
    answers = [ask(server) for _ in range(COUNT)]
    print(kind, *sys.argv[4:], "got:", *(f"{a:.1f} ms" if isinstance(a, float) else a for a in answers), flush=True)
    milliseconds = float(sys.argv[4]) if kind == "round-trip" else 0
    # One answer may be late on a busy machine.
    if sum(as_expected(kind, answer, milliseconds) for answer in answers) < COUNT - 1:
        sys.exit(f"the path does not do what it should: {kind}")


main()
