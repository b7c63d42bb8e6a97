"""The edge keeps the wire protocol, asked directly in it (docs/protocol.md)."""

import functools
import operator
import random
import socket
import threading
from contextlib import closing

import pytest

from harness.admin import Admin
from harness.hello import (client_hello, large_client_hello, read_client_hello, read_exactly,
                           read_to_end)
from harness.pki import SERVER_NAME, Pki
from harness.proxy import Proxies, Proxy
from harness.scripted import (FLIGHT, FLIGHT_CHUNKS, finish, flight_then_echo, flight_then_listen,
                              read_to_end_or_reset)
from harness.sockets import DeadPort, TcpServer, connect, is_reset
from harness.tls import MemoryClient
from harness.wait import DEADLINE_S, wait_until
from harness.wire import (ABORT, BUDGET_FACTOR, CHUNKS_MAX, HEADER_BYTES, PARITY, PROFILE1, REFUSED,
                          RESPONSE_PAYLOAD_MAX, Packet, WireClient, chunks, decode, random_id,
                          session_id)

def assert_works(edge: Proxy, server: TcpServer) -> None:
    """A whole session, to show that what came before did no harm."""
    with WireClient(edge) as client:
        client.send_hello()
        client.receive_stream(len(FLIGHT))
        with client.join(b"still fine") as tcp:
            assert client.stream() + finish(tcp) == FLIGHT + b"still fine"
        assert server.result() == (client.hello, b"still fine")


def test_a_tombstone_with_replay_joins_the_session_and_both_streams_continue(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        with WireClient(edge) as client:
            client.send_hello()
            assert client.receive_stream(len(FLIGHT)) == FLIGHT
            with client.join(b"after the hello") as tcp:
                assert finish(tcp) == b"after the hello"
            assert server.result() == (client.hello, b"after the hello")
        assert edge.record()["outcome"] == "turbo"


def test_a_tls_handshake_completes_in_the_protocol(proxies: Proxies, pki: Pki) -> None:
    context = pki.server_context()

    def serve(connection: socket.socket) -> bytes:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.sendall(b"welcome")
            return read_exactly(tls, 7)

    with TcpServer(serve) as server:
        edge = proxies.edge(server.port)
        tls = MemoryClient(pki.client_context(), SERVER_NAME)
        with WireClient(edge, hello=tls.hello) as client:
            client.send_hello()
            fed = 0
            while not tls.advance(client.stream()[fed:]):
                fed = len(client.stream())
                client.receive()
            with client.join(tls.encrypt(b"thanks!")) as tcp:
                assert tls.decrypt(read_to_end(tcp), 100) == b"welcome"
        assert server.result() == b"thanks!"


@pytest.mark.parametrize("consumed", [0, 1, 2])
def test_tcp_repeats_everything_after_the_chunks_a_tombstone_names(proxies: Proxies,
                                                                   consumed: int) -> None:
    with TcpServer(flight_then_echo) as server, WireClient(proxies.edge(server.port)) as client:
        client.send_hello()
        client.receive_stream(len(FLIGHT))
        kept = b"".join(packet.payload for packet in
                        {p.sequence: p for p in client.responses}.values()
                        if packet.sequence <= consumed and not packet.flags & PARITY)
        with client.join(b"x", consumed=consumed) as tcp:
            assert kept + finish(tcp) == FLIGHT + b"x"
        server.result()


def test_a_draft_tombstone_continues_after_the_last_request(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        with WireClient(edge, session=random_id()) as client:
            client.send_hello()
            assert client.receive_stream(len(FLIGHT)) == FLIGHT
            with client.join(b"continued", flags=0) as tcp:
                assert finish(tcp) == b"continued"
            assert server.result() == (client.hello, b"continued")


def requests_read(edge: Proxy) -> float:
    return Admin(edge).metrics().sum("turbotls_udp_requests_total")


def test_a_draft_tombstone_with_a_request_missing_is_reset(proxies: Proxies) -> None:
    with TcpServer(flight_then_listen(3000)) as server:
        edge = proxies.edge(server.port, options=["--admin", "127.0.0.1:0"])
        with WireClient(edge, session=random_id()) as client:
            client.send_hello(empty_requests=4)
            client.receive_stream(3000)
            client.request(8, b"behind a gap")
            wait_until("the edge has read all of it", lambda: requests_read(edge) == client.sent)
            with client.join(b"x", flags=0) as tcp:
                assert is_reset(tcp)


def test_bytes_a_draft_client_sends_early_reach_the_server_after_the_join(proxies: Proxies) -> None:
    joined = threading.Event()

    def listen(connection: socket.socket) -> bytes:
        read_client_hello(connection)
        connection.sendall(FLIGHT)
        first = connection.recv(1)
        assert joined.is_set(), "UDP can never be the cause of a replay"
        return first + read_to_end(connection)

    with TcpServer(listen) as server:
        with WireClient(proxies.edge(server.port), session=random_id()) as client:
            client.send_hello(empty_requests=0)
            client.request(2, b"early, ")
            client.receive_stream(len(FLIGHT))
            client.receive_until_silent()
            joined.set()
            with client.join(b"late", flags=0) as tcp:
                assert finish(tcp) == b""
        assert server.result() == b"early, late"


@pytest.mark.parametrize("responses_seen", [True, False])
def test_a_classic_opening_adopts_the_session_of_its_hello(proxies: Proxies,
                                                           responses_seen: bool) -> None:
    """All responses were lost, say: TCP brings the stream from its first byte, from the same server."""
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        with WireClient(edge) as client, connect(edge.port) as tcp:
            client.send_hello()
            if responses_seen:
                client.receive_stream(len(FLIGHT))
            else:
                wait_until("the server has the ClientHello", lambda: server.accepted)
            tcp.sendall(client.hello + b"x")
            assert finish(tcp) == FLIGHT + b"x"
            assert server.result() == (client.hello, b"x")
        assert edge.record()["outcome"] == "classic"
        assert server.accepted == 1 or not responses_seen


def test_another_hello_adopts_nothing(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        with WireClient(edge) as client, connect(edge.port) as tcp:
            client.send_hello()
            client.receive_stream(len(FLIGHT))
            other = client_hello()
            tcp.sendall(other + b"x")
            assert finish(tcp) == FLIGHT + b"x"
            assert server.result() == (other, b"x")
            with client.join(b"y") as second:
                assert finish(second) == b"y"
            assert server.result() == (client.hello, b"y")
            assert server.accepted == 2


def test_a_session_that_udp_has_not_completed_starts_afresh_on_tcp(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        with WireClient(proxies.edge(server.port), hello=large_client_hello(3000)) as client:
            client.request(1, chunks(client.hello)[0])
            with client.join(b"x", consumed=0) as tcp:
                assert finish(tcp) == FLIGHT + b"x"
            assert server.result() == (client.hello, b"x")
            for number, chunk in enumerate(chunks(client.hello), 1):
                client.request(number, chunk)
            assert client.receive_until_silent() == []
        assert server.accepted == 1


def test_the_id_of_a_session_may_be_any(proxies: Proxies) -> None:
    """A draft client draws its ids at random; only its own tombstone refers to them."""
    with TcpServer(flight_then_echo) as server:
        with WireClient(proxies.edge(server.port), session=random_id()) as client:
            client.send_hello()
            client.receive_stream(len(FLIGHT))
            with client.join(b"x") as tcp:
                assert finish(tcp) == b"x"
        assert server.result() == (client.hello, b"x")


def test_the_end_of_the_server_is_delivered_after_the_join(proxies: Proxies) -> None:
    """An alert and a close, say: the flight comes by UDP, the end of the stream by TCP."""
    def refuse(connection: socket.socket) -> None:
        read_client_hello(connection)
        connection.sendall(FLIGHT)

    with TcpServer(refuse) as server, WireClient(proxies.edge(server.port)) as client:
        client.send_hello()
        client.receive_stream(len(FLIGHT))
        server.result()
        with client.join() as tcp:
            assert read_to_end(tcp) == b""


def test_responses_keep_the_layout(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server, WireClient(proxies.edge(server.port)) as client:
        client.send_hello()
        client.receive_stream(len(FLIGHT))
        for packet in client.receive_until_silent():
            assert packet.session == client.session
            assert packet.flags & ~PARITY == PROFILE1
            assert packet.sequence >= 1
            assert len(packet.payload) <= RESPONSE_PAYLOAD_MAX + (2 if packet.flags & PARITY else 0)
        with client.join() as tcp:
            finish(tcp)
        server.result()


def xor(*parts: bytes) -> bytes:
    padded = [part.ljust(max(map(len, parts)), b"\0") for part in parts]
    return bytes(functools.reduce(operator.xor, column) for column in zip(*padded, strict=True))


def test_parity_is_the_xor_of_lengths_and_payloads_and_comes_once(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server, WireClient(proxies.edge(server.port)) as client:
        client.send_hello(empty_requests=12)
        client.receive()
        responses = client.receive_until_silent()
        chunks = {p.sequence: p.payload for p in responses if p.flags == PROFILE1}
        (parity,) = (p for p in responses if p.flags == PROFILE1 | PARITY)
        covered = [chunks[number] for number in range(1, parity.sequence + 1)]
        assert parity.payload == xor(*(len(c).to_bytes(2, "big") for c in covered)) + xor(*covered)
        with client.join() as tcp:
            finish(tcp)
        server.result()


def test_a_repeated_number_repeats_the_same_payload(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server, WireClient(proxies.edge(server.port)) as client:
        client.send_hello(empty_requests=12)
        client.receive()
        client.receive_until_silent()
        by_number = {(p.flags, p.sequence): p.payload for p in client.responses}
        for packet in client.responses:
            assert by_number[packet.flags, packet.sequence] == packet.payload
        with client.join() as tcp:
            finish(tcp)
        server.result()


@pytest.mark.parametrize("requests", [1, 2, 3, 5, 8, 16])
def test_there_are_never_more_responses_than_requests(proxies: Proxies, requests: int) -> None:
    with TcpServer(flight_then_listen(60000)) as server, \
            WireClient(proxies.edge(server.port)) as client:
        for _ in range(requests):
            client.request(1, client.hello)
        client.receive()
        client.receive_until_silent()
        assert len(client.responses) <= client.sent
        assert client.received_bytes <= BUDGET_FACTOR * client.sent_bytes
        client.request(2, flags=ABORT)
        server.result()


def test_responses_never_exceed_three_times_the_bytes_of_the_requests(proxies: Proxies) -> None:
    """Empty requests are permits for many datagrams, but for few bytes."""
    with TcpServer(flight_then_listen(60000)) as server, \
            WireClient(proxies.edge(server.port)) as client:
        client.send_hello(empty_requests=15, copies=1)
        client.receive()
        client.receive_until_silent()
        assert client.received_bytes <= BUDGET_FACTOR * client.sent_bytes
        assert client.received_bytes > client.sent_bytes, "the budget was not used"
        client.request(17, flags=ABORT)
        server.result()


def test_a_later_request_permits_a_later_response(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server, WireClient(proxies.edge(server.port)) as client:
        client.send_hello(empty_requests=0, copies=1)
        client.receive()
        first = len(client.receive_until_silent())
        assert first == 1
        client.request(1, client.hello)
        assert len(client.receive_until_silent()) == 2
        with client.join() as tcp:
            finish(tcp)
        server.result()


def test_a_response_goes_where_its_permit_came_from(proxies: Proxies) -> None:
    with TcpServer(flight_then_listen(20000)) as server, \
            WireClient(proxies.edge(server.port)) as client:
        client.send_hello(empty_requests=0, copies=1)
        client.receive()
        client.receive_until_silent()
        client.move()
        before, client.sent, client.sent_bytes = len(client.responses), 0, 0
        client.received_bytes = 0
        client.request(1, client.hello)
        client.request(1, client.hello)
        client.receive()
        client.receive_until_silent()
        assert len(client.responses) - before <= client.sent
        assert client.received_bytes <= BUDGET_FACTOR * client.sent_bytes
        client.request(2, flags=ABORT)
        server.result()


def test_a_hello_in_several_chunks_may_arrive_in_any_order(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        with WireClient(edge, hello=large_client_hello(3000)) as client:
            numbered = list(enumerate(chunks(client.hello), 1))
            assert len(numbered) >= 3
            for number, chunk in reversed(numbered):
                client.request(number, chunk)
            for number in range(4, 8):
                client.request(number)
            assert client.receive_stream(len(FLIGHT)) == FLIGHT
            with client.join(b"x") as tcp:
                assert finish(tcp) == b"x"
            assert server.result() == (client.hello, b"x")


def test_nothing_is_answered_before_the_hello_is_complete(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        with WireClient(proxies.edge(server.port), hello=large_client_hello(2000)) as client:
            first, second = chunks(client.hello)
            for _ in range(3):
                client.request(1, first)
            assert client.receive_until_silent() == []
            assert server.accepted == 0
            client.request(2, second)
            assert client.receive_stream(len(FLIGHT)) == FLIGHT
            with client.join() as tcp:
                finish(tcp)
            server.result()


def junk_datagrams() -> list[bytes]:
    noise = random.Random(2)
    hello = client_hello()
    session = session_id(hello)
    sized = [noise.randbytes(size) for size in (0, 1, 11, 12, 15, 16, 17, 100, 1200, 1201, 9000)]
    return sized + [
        Packet(session, 1, b"GET / HTTP/1.0\r\n\r\n").encode(),          # no handshake record
        Packet(session, 1, b"\x16\x03\x01\x00\x00").encode(),          # an empty record
        Packet(session, 1, hello, flags=0x80).encode(),                # an unknown flag
        Packet(session, 1, hello, flags=PROFILE1).encode(),            # the other direction's flag
        Packet(session, 0, hello).encode(),                            # sequence 0
        Packet(session, 65, hello).encode(),                           # above the last chunk
        Packet(session, 0xFFFFFF, hello).encode(),
        Packet(session, 1, hello).encode()[:HEADER_BYTES],             # chunk 1 without a byte
        Packet(random_id(), 3, flags=ABORT).encode(),                  # ends what never began
        Packet(session, 1, hello + bytes(1300 - len(hello))).encode(), # longer than a datagram may be
    ]


@pytest.mark.parametrize("number", range(len(junk_datagrams())))
def test_a_junk_datagram_is_ignored(proxies: Proxies, number: int) -> None:
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        with WireClient(edge) as client:
            client.send(junk_datagrams()[number])
            assert_works(edge, server)
            assert client.receive_until_silent() == []
        assert server.accepted == 1


def test_much_junk_does_no_harm(proxies: Proxies) -> None:
    noise = random.Random(3)
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        with WireClient(edge) as client:
            for _ in range(3000):
                client.send(noise.randbytes(noise.randrange(60)))
            assert_works(edge, server)


def test_bytes_after_the_hello_reach_the_server_once_whatever_udp_brought(proxies: Proxies) -> None:
    """Requests carry the ClientHello and nothing after it; a client that adds early data gains nothing."""
    with TcpServer(flight_then_echo) as server:
        with WireClient(proxies.edge(server.port)) as client:
            client.send_hello()
            client.request(8, b"early data")
            client.receive_stream(len(FLIGHT))
            with client.join(b"early data, by tcp") as tcp:
                assert finish(tcp) == b"early data, by tcp"
            assert server.result() == (client.hello, b"early data, by tcp")


def test_an_unknown_session_that_consumed_something_is_reset(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server, WireClient(proxies.edge(server.port)) as client:
        with client.join(b"x", consumed=1) as tcp:
            assert is_reset(tcp)
        assert server.accepted == 0


def test_an_unknown_draft_session_is_reset(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        with WireClient(proxies.edge(server.port), session=random_id()) as client:
            with client.join(b"x", consumed=0, flags=0) as tcp:
                assert is_reset(tcp)
        assert server.accepted == 0


def test_an_unknown_session_that_consumed_nothing_starts_afresh(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server, WireClient(proxies.edge(server.port)) as client:
        with client.join(b"x", consumed=0) as tcp:
            assert finish(tcp) == FLIGHT + b"x"
        assert server.result() == (client.hello, b"x")


@pytest.mark.parametrize("excess", [1, CHUNKS_MAX - FLIGHT_CHUNKS])
def test_a_tombstone_above_the_highest_chunk_sent_is_reset(proxies: Proxies, excess: int) -> None:
    with TcpServer(flight_then_listen(3000)) as server, \
            WireClient(proxies.edge(server.port)) as client:
        client.send_hello()
        client.receive_stream(3000)
        with client.join(consumed=client.consumed() + excess) as tcp:
            assert is_reset(tcp)


@pytest.mark.parametrize("position", [0, 5, 43, -1])
def test_a_replay_that_differs_from_what_udp_brought_is_reset(proxies: Proxies, position: int) -> None:
    with TcpServer(flight_then_listen(3000)) as server, \
            WireClient(proxies.edge(server.port)) as client:
        client.send_hello()
        client.receive_stream(3000)
        other = bytearray(client.hello)
        other[position] ^= 1
        with client.join(b"x", replayed=bytes(other)) as tcp:
            assert is_reset(tcp)
        assert server.result() in (b"", b"reset"), "nothing of it reaches the server"


def test_an_abort_ends_the_session(proxies: Proxies) -> None:
    with TcpServer(flight_then_listen(3000)) as server, \
            WireClient(proxies.edge(server.port)) as client:
        client.send_hello()
        client.receive_stream(3000)
        client.request(8, flags=ABORT)
        assert server.result() in (b"", b"reset")
        with client.join() as tcp:
            assert is_reset(tcp)
        assert server.accepted == 1


def test_an_abort_earns_no_permit(proxies: Proxies) -> None:
    with TcpServer(flight_then_listen(60000)) as server, \
            WireClient(proxies.edge(server.port)) as client:
        client.send_hello(copies=1, empty_requests=0)
        client.receive()
        client.receive_until_silent()
        before = len(client.responses)
        client.request(2, flags=ABORT)
        assert len(client.receive_until_silent()) == before
        server.result()


def test_one_hello_reaches_one_server_connection(proxies: Proxies) -> None:
    """However often it comes, before, during and after the join."""
    with TcpServer(flight_then_echo) as server, WireClient(proxies.edge(server.port)) as client:
        for _ in range(5):
            client.send_hello(copies=1)
        client.receive_stream(len(FLIGHT))
        with client.join(b"x") as tcp:
            client.send_hello()
            assert read_exactly(tcp, 1) == b"x"
            client.send_hello()
            assert finish(tcp) == b""
        server.result()
        client.send_hello()
        client.receive_until_silent()
        assert server.accepted == 1


def test_datagrams_after_a_classic_opening_start_nothing(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        with WireClient(edge) as client, connect(edge.port) as tcp:
            tcp.sendall(client.hello + b"x")
            assert read_exactly(tcp, len(FLIGHT) + 1) == FLIGHT + b"x"
            client.send_hello()
            assert client.receive_until_silent() == []
            finish(tcp)
            client.send_hello()
            assert client.receive_until_silent() == []
        assert server.accepted == 1
        assert edge.record()["outcome"] == "classic"


def test_late_datagrams_after_the_join_are_not_answered(proxies: Proxies) -> None:
    """The client takes nothing from UDP any more; answers would be waste."""
    with TcpServer(flight_then_echo) as server, WireClient(proxies.edge(server.port)) as client:
        client.send_hello()
        client.receive_stream(len(FLIGHT))
        client.receive_until_silent()
        with client.join(b"x") as tcp:
            assert read_exactly(tcp, 1) == b"x"
            before = len(client.responses)
            client.send_hello()
            assert len(client.receive_until_silent()) == before
            finish(tcp)
        server.result()


def test_a_second_tombstone_for_a_joined_session_is_reset(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server, WireClient(proxies.edge(server.port)) as client:
        client.send_hello()
        client.receive_stream(len(FLIGHT))
        with client.join(b"x") as tcp:
            assert read_exactly(tcp, 1) == b"x"
            with client.join(b"y") as second:
                assert is_reset(second)
            assert finish(tcp) == b""
        assert server.result() == (client.hello, b"x")
        assert server.accepted == 1


def test_a_dead_server_is_told_by_refused(proxies: Proxies) -> None:
    with DeadPort() as dead, WireClient(proxies.edge(dead.port)) as client:
        client.request(1, client.hello)
        packet = client.receive()
        assert packet == Packet(client.session, 0, b"", PROFILE1 | REFUSED)
        assert client.received_bytes == HEADER_BYTES
        assert len(client.receive_until_silent()) <= client.sent


def test_sessions_that_share_a_client_port_do_not_mix(proxies: Proxies) -> None:
    def tell(connection: socket.socket) -> None:
        hello = read_client_hello(connection)
        connection.sendall(session_id(hello) * 100)
        read_to_end_or_reset(connection)

    with TcpServer(tell) as server:
        edge = proxies.edge(server.port)
        hellos = [client_hello() for _ in range(8)]
        wanted = {session_id(hello): session_id(hello) * 100 for hello in hellos}
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
            udp.connect(("127.0.0.1", edge.udp_port))
            udp.settimeout(DEADLINE_S)
            for hello in hellos:
                for _ in range(3):
                    udp.send(Packet(session_id(hello), 1, hello).encode())
            while wanted:
                packet = decode(udp.recv(2048))
                if packet.sequence == 1 and packet.session in wanted:
                    assert wanted[packet.session].startswith(packet.payload)
                    assert len(packet.payload) == RESPONSE_PAYLOAD_MAX
                    del wanted[packet.session]
            for hello in hellos:
                udp.send(Packet(session_id(hello), 2, flags=ABORT).encode())
        wait_until("every server connection has ended", lambda: server.accepted == len(hellos))
