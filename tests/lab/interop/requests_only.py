"""Sends requests of new ClientHellos and never joins, as with a spoofed address: requests_only.py ADDRESS PORT COUNT.

A whole ClientHello in one request; the first chunk only of a larger one; the largest request; and a ClientHello with
empty requests, which earn permits but hardly a byte. What comes back is for a capture to see.
"""

import socket
import sys

from harness.hello import client_hello, large_client_hello
from harness.wire import REQUEST_PAYLOAD_MAX, Packet, session_id


EMPTY_REQUESTS = 10


def requests(hello, empty=0):
    session = session_id(hello)
    yield Packet(session, 1, hello[:REQUEST_PAYLOAD_MAX]).encode()
    for number in range(empty):
        yield Packet(session, 2 + number).encode()


def main():
    address, count = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
    for _ in range(count):
        for flow in (requests(client_hello()), requests(large_client_hello(2000)),
                     requests(large_client_hello(REQUEST_PAYLOAD_MAX)), requests(client_hello(), EMPTY_REQUESTS)):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                for request in flow:
                    udp.sendto(request, address)
    print(f"        requests of {4 * count} ClientHellos sent")


main()
