#!/usr/bin/env python3
"""Checks the vectors by an implementation of its own: read from docs/protocol.md, not from turbo/.

    tests/vectors/check.py                    all files beside it; README.md tells their format
    tests/vectors/check.py --seeds DIRECTORY  writes every datagram and opening as a file, for fuzzers
"""

import hashlib
import math
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
REQUEST, RESPONSE, WINDOW = 1184, 1182, 14720
CHANGE_CIPHER_SPEC = b"\x14\3\3\0\1\1"  # 6.4
ABORT, PROFILE1, REFUSED, PARITY = 0x02, 0x10, 0x30, 0x50


def unhex(text):
    """16 03*2 is 16 03 03."""
    words = [word.partition("*") for word in text.split()]
    assert all(len(digits) == 2 for digits, star, _ in words if star)
    return b"".join(bytes.fromhex(digits) * int(times or 1) for digits, _, times in words)


def blocks(path):
    """A block is a list of (key, value), and blocks are apart by empty lines."""
    block = []
    for line in path.read_text().splitlines() + [""]:
        key, _, value = line.partition("#")[0].strip().partition(" ")
        if key:
            block.append((key, value.strip()))
        elif block and not line:
            yield block
            block = []


# ---- the protocol ----


def session_id(hello):  # 2.1
    digest = bytearray(hashlib.sha256(hello).digest()[:12])
    digest[0] = digest[0] & 0x3F | 0x80
    digest[2] |= 0x80
    return bytes(digest)


def datagram(ident, flags, sequence, payload=b""):
    return ident + bytes([flags]) + sequence.to_bytes(3, "big") + payload


def split(data):
    return data[:12], data[12], int.from_bytes(data[13:16], "big"), data[16:]


def is_request(data):  # 3.1 – 3.3, 3.8, 3.12
    if not 16 <= len(data) <= 1200:
        return False
    _, flags, sequence, payload = split(data)
    return 1 <= sequence <= 64 and (flags == 0 or flags == ABORT and not payload)


def is_response(data):
    if not 16 <= len(data) <= 1200:
        return False
    _, flags, sequence, payload = split(data)
    if flags == REFUSED:
        return sequence == 0 and not payload
    lengths = {
        0: range(RESPONSE + 1),
        PROFILE1: range(RESPONSE + 1),
        PARITY: range(2, 2 + RESPONSE + 1),
    }
    return 1 <= sequence <= 64 and len(payload) in lengths.get(flags, ())


def opening(data):  # 5.2, where no draft session is pending
    if len(data) >= 2 and data[:2] == b"\x16\x03":
        return "tls"
    if not data or data == b"\x16":
        return "wait"
    if data[0] & 0xC0 != 0x80 or len(data) > 2 and data[2] < 0x80:
        return "other"
    if len(data) < 16:
        return "wait"
    _, flags, n, _ = split(data)
    return "tombstone" if flags <= 1 and n <= 64 else "other"


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def parity(chunks):  # §9
    longest = max(map(len, chunks))
    total = bytes(2 + longest)
    for chunk in chunks:
        total = xor(total, len(chunk).to_bytes(2, "big") + chunk.ljust(longest, b"\0"))
    return total


def rebuild(chunks, covered, payload):
    """The chunk that lacks in {number: chunk}, as (number, chunk), or None."""
    missing = [k for k in range(1, covered + 1) if k not in chunks]
    there = [chunks[k] for k in range(1, covered + 1) if k in chunks]
    if len(missing) != 1 or any(len(chunk) + 2 > len(payload) for chunk in there):
        return None
    for chunk in there:
        payload = xor(payload, (len(chunk).to_bytes(2, "big") + chunk).ljust(len(payload), b"\0"))
    length = int.from_bytes(payload[:2], "big")
    return (missing[0], payload[2 : 2 + length]) if length + 2 <= len(payload) else None


def plan(hello, chunks, size, most):
    """Requests as (sequence, payload length): 3.6, 3.7, 4.6, 4.7, 10.4. None: not by UDP."""
    own = math.ceil(hello / REQUEST)
    if own > 8:
        return None
    lengths = [min(REQUEST, hello - k * REQUEST) for k in range(own)]
    limit = max(min(most, 16), own)
    wanted = min(limit, max(chunks + 3, 3 * own))
    requests, copies = [], True
    while len(requests) < limit:
        total = sum(16 + length for _, length in requests)
        paid = 3 * (total - 16 - lengths[0]) >= size + 16 * chunks + 1200
        if len(requests) >= wanted and paid:
            break
        k = len(requests) % own
        copies = copies and total + 16 + lengths[k] <= WINDOW
        if copies:
            requests.append((k + 1, lengths[k]))
        elif len(requests) < wanted and total + 16 <= WINDOW:
            requests.append((max(s for s, _ in requests) + 1, 0))
        else:
            break
    return requests


# ---- kinds of block ----


def check_id(block):
    fields = dict(block)
    assert session_id(unhex(fields["hello"])) == unhex(fields["is"])


def check_datagram(block):
    fields = dict(block)
    data, kind = unhex(fields["bytes"]), block[0][0]
    assert (is_request if kind == "request" else is_response)(data)
    payload = unhex(fields.get("payload", ""))
    assert data == datagram(
        unhex(fields["id"]), int(fields["flags"], 16), int(fields["sequence"]), payload
    )


def check_drop(block):
    fields = dict(block)
    judge = {"request": is_request, "response": is_response}[fields["as"]]
    assert not judge(unhex(fields["bytes"]))


def check_tombstone(block):
    fields = dict(block)
    data = unhex(fields["bytes"])
    flags = {"yes": 1, "no": 0}[fields["replay"]]
    assert data == datagram(unhex(fields["id"]), flags, int(fields["n"])) and flags <= 1


def check_opening(block):
    fields = dict(block)
    assert opening(unhex(fields["bytes"])) == fields["is"]


def check_parity(block):
    chunks = {k: unhex(value) for k, value in enumerate((v for n, v in block if n == "chunk"), 1)}
    payload = unhex(dict(block)["payload"])
    assert parity(list(chunks.values())) == payload
    for lost in chunks:
        rest = {k: chunk for k, chunk in chunks.items() if k != lost}
        assert rebuild(rest, len(chunks), payload) == (lost, chunks[lost])


def check_not_rebuilt(block):
    chunks = dict((int(v.split()[0]), unhex(v.partition(" ")[2])) for n, v in block if n == "has")
    fields = dict(block)
    assert rebuild(chunks, int(fields["covers"]), unhex(fields["payload"])) is None


def check_plan(block):
    fields = dict(block)
    chunks, size = map(int, fields["expects"].split())
    requests = plan(int(fields["hello"]), chunks, size, int(fields["most"]))
    if requests is None:
        assert fields["requests"] == "none"
    else:
        assert " ".join(f"{s}:{n}" for s, n in requests) == fields["requests"]


class Session:
    """What must be in a transcript, given what went in and what was lost."""

    def __init__(self):
        self.app_to = self.app_got = self.tls_to = b""  # bytes app>, app<, tls<
        self.requests = []  # those that are to come
        self.chunks, self.parity, self.cut = {}, None, []  # at the client end; at the server end
        self.sent, self.earned, self.spent = [0, 0], 0, 0
        self.tcp_got = 0
        self.expects, self.most, self.highest = (4, 4608), 6, 0
        self.responded = self.answered = self.opened = self.passed_on = False

    def learned(self, value):
        chunks, size, most = map(int, value.split())
        self.expects, self.most = (chunks, size), most

    def app_says(self, value):
        data = unhex(value)
        if not self.app_to:
            self.hello, self.id = data, session_id(data)
            for sequence, length in plan(len(data), *self.expects, self.most):
                at = (sequence - 1) * REQUEST
                part = data[at : at + length] if length else b""
                self.requests.append(datagram(self.id, 0, sequence, part))
        self.answered |= bool(self.app_got) and data != CHANGE_CIPHER_SPEC and not self.opened
        self.app_to += data

    def app_resets(self, _):
        self.requests = [datagram(self.id, ABORT, self.highest + 1)]

    def request(self, value, arrives=True):
        data = unhex(value)
        assert data == self.requests.pop(0)
        if data[12] == ABORT:
            self.passed_on = not arrives
            return
        self.highest = max(self.highest, split(data)[2])
        if arrives:
            self.earned += len(data)
            self.sent[0] += 1

    def response(self, value, arrives=True):
        data = unhex(value)
        ident, flags, sequence, payload = split(data)
        assert is_response(data) and ident == self.id
        self.sent[1] += 1
        self.spent += len(data)
        assert self.sent[1] <= self.sent[0] and self.spent <= 3 * self.earned
        if flags == PARITY:
            assert sequence == len(self.cut) and payload == parity(self.cut)
            self.parity = (sequence, payload) if arrives else None
        elif flags == PROFILE1:
            if sequence > len(self.cut):
                at = sum(map(len, self.cut))
                assert sequence == len(self.cut) + 1
                assert payload and payload == self.tls_to[at : at + len(payload)]
                self.cut.append(payload)
            assert payload == self.cut[sequence - 1]
            if arrives and not self.opened:
                self.chunks[sequence] = payload
        self.responded |= arrives and flags != REFUSED
        one = rebuild(self.chunks, *self.parity) if self.parity and not self.opened else None
        if one:
            self.chunks[one[0]] = one[1]

    def in_order(self):
        n = 0
        while n + 1 in self.chunks:
            n += 1
        return n

    def app_gets(self, value):
        self.app_got += unhex(value)
        got = b"".join(self.chunks[k] for k in range(1, self.in_order() + 1))
        assert self.app_got == got and got == self.tls_to[: len(got)]

    def tls_gets(self, value):
        data = unhex(value)
        assert data == self.hello  # nothing else goes by UDP: 3.5
        self.passed_on = True

    def tls_says(self, value):
        self.tls_to += unhex(value)

    def refuse(self, _):
        self.passed_on = False

    def server_is_lost(self, _):
        self.passed_on = False

    def tls_is_reset(self, _):
        assert not self.passed_on and not self.opened

    def tcp_opens(self, value):
        n = self.in_order()
        front = datagram(self.id, 1, n) if self.responded else b""
        assert unhex(value) == front + self.app_to and (not n or self.app_got)
        self.opened, self.n = True, n
        self.tcp_got = sum(map(len, self.cut[:n]))

    def tcp_brings(self, value):
        assert unhex(value) == self.tls_to[self.tcp_got :]
        self.tcp_got = len(self.tls_to)

    def joins(self, value):  # 5.4, 5.5, 5.8, 5.9
        if self.passed_on:
            assert value == ("tombstone" if self.responded else "adopted")
        else:
            assert value == ("reset" if self.n else "fresh")

    def outcome(self, value):
        by_udp = "turbo" if self.answered else "resumed-on-tcp"
        assert value == (by_udp if self.responded else "classic")

    def drops_request(self, value):
        data = unhex(value)
        ident, _, sequence, payload = split(data)
        begins = sequence != 1 or (payload and payload[:2] == b"\x16\x03"[: len(payload)])
        beyond = sequence > 16 and payload
        other = ident == self.id and payload != self.hello[(sequence - 1) * REQUEST :][:REQUEST]
        assert not is_request(data) or ident[:2] == b"\x16\x03" or not begins or beyond or other

    def drops_response(self, value):
        data = unhex(value)
        ident, flags, sequence, payload = split(data)
        other = self.chunks.get(sequence) if flags == PROFILE1 else self.parity and self.parity[1]
        assert not is_response(data) or ident != self.id or other and other != payload


def check_session(block):
    s = Session()
    acts = {
        "learned": s.learned,
        "app>": s.app_says,
        "udp>": s.request,
        "udp>lost": lambda value: s.request(value, arrives=False),
        "drop>": s.drops_request,
        "tls>": s.tls_gets,
        "tls<": s.tls_says,
        "refuse": s.refuse,
        "server-lost": s.server_is_lost,
        "udp<": s.response,
        "udp<lost": lambda value: s.response(value, arrives=False),
        "drop<": s.drops_response,
        "app<": s.app_gets,
        "app-reset": s.app_resets,
        "tls-reset": s.tls_is_reset,
        "tcp>": s.tcp_opens,
        "joins": s.joins,
        "tcp<": s.tcp_brings,
        "outcome": s.outcome,
    }
    for key, value in block[1:]:
        if key not in ("at", "tcp-up"):  # time is the other checker's
            acts[key](value)
    assert not s.requests


KINDS = {
    "id": check_id,
    "request": check_datagram,
    "response": check_datagram,
    "drop": check_drop,
    "tombstone": check_tombstone,
    "opening": check_opening,
    "parity": check_parity,
    "not-rebuilt": check_not_rebuilt,
    "plan": check_plan,
    "session": check_session,
}


def write_seeds(directory):
    wanted = ("bytes", "udp>", "udp<", "tcp>", "drop>", "drop<")
    found = (v for p in sorted(HERE.glob("*.txt")) for b in blocks(p) for k, v in b if k in wanted)
    for number, value in enumerate(found):
        (pathlib.Path(directory) / f"seed-vector-{number:03}").write_bytes(unhex(value))


def main():
    if sys.argv[1:2] == ["--seeds"]:
        return write_seeds(sys.argv[2])
    failed = count = 0
    for path in sorted(HERE.glob("*.txt")):
        for block in blocks(path):
            count += 1
            try:
                KINDS[block[0][0]](block)
            except Exception as error:  # whatever it is, it names the block
                failed += 1
                print(f"{path.name}: {' '.join(block[0])}: {error!r}", file=sys.stderr)
    print(f"{count} vectors, {failed} failed")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
