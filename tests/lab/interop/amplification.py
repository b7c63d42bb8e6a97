"""Whether a capture, taken where a server end's datagrams come and go, keeps protocol §4.1: amplification.py PCAP PORT...

For each pair of UDP addresses and each session, at any time: no more responses than requests, and at most three times
their bytes. PORT are the server end's. Prints the extremes.
"""

import collections
import struct
import sys

FACTOR = 3
ETHERNET, IPV4_MIN, UDP, ID = 14, 20, 8, 12
PROTOCOL_UDP = 17


class Account:
    def __init__(self):
        self.requests = self.received = self.responses = self.sent = 0

    def within(self):
        return self.responses <= self.requests and self.sent <= FACTOR * self.received


def frames(file):
    """The frames of a pcap file, as far as they were kept."""
    header = file.read(24)
    order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}[header[:4]]
    while record := file.read(16):
        yield file.read(struct.unpack(f"{order}I", record[8:12])[0])


def datagrams(file):
    """Source, destination, id and payload size of each UDP datagram."""
    for frame in frames(file):
        packet = frame[ETHERNET:]
        if len(packet) < IPV4_MIN or packet[9] != PROTOCOL_UDP:
            continue
        segment = packet[(packet[0] & 15) * 4:]
        if len(segment) < UDP + ID:
            continue
        source, destination, length = struct.unpack("!HHH", segment[:6])
        yield (packet[12:16], source), (packet[16:20], destination), segment[UDP:UDP + ID], length - UDP


def main():
    ports = {int(port) for port in sys.argv[2:]}
    accounts = collections.defaultdict(Account)
    broken = set()
    with open(sys.argv[1], "rb") as file:
        for source, destination, session, size in datagrams(file):
            if destination[1] in ports:
                account = accounts[source, destination, session]
                account.requests += 1
                account.received += size
            elif source[1] in ports:
                key = destination, source, session
                accounts[key].responses += 1
                accounts[key].sent += size
                if not accounts[key].within():
                    broken.add(key)
    answered = [account for account in accounts.values() if account.responses]
    if not answered:
        sys.exit("no response was captured")
    print(f"{len(accounts)} accounts (addresses and session), {len(answered)} with responses: at most"
          f" {max(a.responses / max(a.requests, 1) for a in answered):.2f} responses a request,"
          f" {max(a.sent / max(a.received, 1) for a in answered):.2f} bytes a byte; {len(broken)} broke the limit")
    sys.exit(bool(broken))


main()
