"""A wire with a delay between two hosts of harness/namespace.py, so that UDP can be faster than TCP.

netem, which the lab has, is not in every kernel. Here each end is a TUN device, and a thread carries the packets.
"""

import fcntl
import os
import selectors
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from typing import Sequence

from .namespace import Host
from .wait import DEADLINE_S

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_REQUEST = struct.Struct("16sH22x")
_PACKET_MAX = 1 << 16


def _tun(host: Host, device: str) -> int:
    with host.entered():
        end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(end, _TUNSETIFF, _REQUEST.pack(device.encode(), _IFF_TUN | _IFF_NO_PI))
    return end


class FarWire:
    """Two hosts, each with a device "far", a round trip of twice `delay_s` apart. Routes are the caller's."""

    DEVICE = "far"

    def __init__(self, one: Host, addresses: Sequence[str], other: Host, other_addresses: Sequence[str],
                 delay_s: float) -> None:
        self._delay_s = delay_s
        self._ends = _tun(one, self.DEVICE), _tun(other, self.DEVICE)
        one.plug(self.DEVICE, addresses)
        other.plug(self.DEVICE, other_addresses)
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        first, second = self._ends
        under_way: dict[int, deque[tuple[float, bytes]]] = {first: deque(), second: deque()}
        onward = {first: second, second: first}
        with selectors.DefaultSelector() as selector:
            for end in (*self._ends, self._stop):
                selector.register(end, selectors.EVENT_READ)
            while True:
                due = [packets[0][0] for packets in under_way.values() if packets]
                for key, _ in selector.select(max(0, min(due) - time.monotonic()) if due else None):
                    if key.fd == self._stop:
                        return
                    self._take(key.fd, under_way[onward[key.fd]])
                for end, packets in under_way.items():
                    while packets and packets[0][0] <= time.monotonic():
                        with suppress(OSError):  # no room, or not of the kind: lost, as on any wire
                            os.write(end, packets.popleft()[1])

    def _take(self, end: int, packets: deque[tuple[float, bytes]]) -> None:
        with suppress(BlockingIOError):
            while packet := os.read(end, _PACKET_MAX):
                packets.append((time.monotonic() + self._delay_s, packet))

    def close(self) -> None:
        os.close(self._stopped)
        self._thread.join(DEADLINE_S)
        for end in (*self._ends, self._stop):
            os.close(end)

    def __enter__(self) -> "FarWire":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
