"""A path's delay where the kernel has no netem: carries IPv4 frames between two devices, each MILLISECONDS later.

    wire.py MILLISECONDS DEVICE MAC DEVICE MAC

MAC is that of the next host behind the device. Prints "ready"; nothing else may forward meanwhile, and what is carried
needs whole checksums (no transmit offload where it comes from). A packet is never early.
"""

import select
import socket
import sys
import time
from collections import deque

ETH_P_IP = 0x0800
FRAME_MAX = 1 << 16


class End:
    def __init__(self, device: str, mac: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self.socket.bind((device, ETH_P_IP))
        self.socket.setblocking(False)
        self.addresses = bytes.fromhex(mac.replace(":", "")) + self.socket.getsockname()[4]
        self.under_way: deque[tuple[float, bytes]] = deque()

    def take(self, delay_s: float, other: "End") -> None:
        try:
            while True:
                frame, (_, _, kind, *_) = self.socket.recvfrom(FRAME_MAX)
                if kind == socket.PACKET_HOST:
                    other.under_way.append((time.monotonic() + delay_s, other.addresses + frame[12:]))
        except BlockingIOError:
            pass

    def give(self) -> None:
        while self.under_way and self.under_way[0][0] <= time.monotonic():
            self.socket.send(self.under_way.popleft()[1])


def main() -> None:
    delay_s = float(sys.argv[1]) / 1000
    one, other = End(*sys.argv[2:4]), End(*sys.argv[4:6])
    print("ready", flush=True)
    while True:
        due = [end.under_way[0][0] for end in (one, other) if end.under_way]
        # Not epoll: its time is in whole milliseconds.
        select.select([one.socket, other.socket], [], [], max(0, min(due) - time.monotonic()) if due else None)
        one.take(delay_s, other)
        other.take(delay_s, one)
        one.give()
        other.give()


main()
