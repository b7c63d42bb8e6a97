"""Sends one request each of new ClientHellos, as with a spoofed address: one_request.py ADDRESS PORT COUNT.

A whole ClientHello in one datagram; the first chunk only of a larger one; and the largest datagram. What comes back is
for a capture to see.
"""

import socket
import sys

from harness.hello import client_hello, large_client_hello
from harness.wire import REQUEST_PAYLOAD_MAX, Packet, session_id


def main():
    address, count = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
    hellos = [hello for _ in range(count)
              for hello in (client_hello(), large_client_hello(2000), large_client_hello(REQUEST_PAYLOAD_MAX))]
    for hello in hellos:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(Packet(session_id(hello), 1, hello[:REQUEST_PAYLOAD_MAX]).encode(), address)
    print(f"{len(hellos)} requests sent")


main()
