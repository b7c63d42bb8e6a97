"""The proxies are a transparent pipe: ends, resets, addresses and families are passed on as they are."""

import random
import socket
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Callable

import pytest

from harness.hello import client_hello, read_client_hello, read_exactly, read_to_end
from harness.names import Names
from harness.proxy import Proxies, assert_turbo
from harness.scripted import FLIGHT, converse, echo, finish, flight_then_echo
from harness.sockets import DeadPort, TcpServer, connect, is_reset, meets_reset, reset
from harness.udp import SilentUdpPort
from harness.wait import DEADLINE_S

# How the bytes travel: which proxies stand between, and whether a ClientHello comes first.
WAYS = ["plain", "sidecar alone", "edge alone", "both, opaque", "both, classic", "both, turbo"]
every_way = pytest.mark.parametrize("way", WAYS)


def start(way: str, proxies: Proxies, server_port: int) -> int:
    """The proxies of one way from client to server; the port to connect to."""
    if way == "plain":
        return proxies.plain(server_port).port
    if way == "sidecar alone":
        return proxies.sidecar(server_port).port
    edge = proxies.edge(server_port)
    if way == "edge alone":
        return edge.port
    return proxies.sidecar(edge.port, udp_port=edge.udp_port, always=way == "both, turbo").port


class Opening:
    """What both ends do first, so that the connection is of its way's kind; the test begins after it."""

    def __init__(self, way: str) -> None:
        self._with_hello = way in ("both, classic", "both, turbo")
        self._flight = FLIGHT if self._with_hello else b"hello to you"
        self._hello = client_hello() if self._with_hello else b"hello"

    def client(self, port: int) -> socket.socket:
        connection = connect(port)
        connection.sendall(self._hello)
        assert read_exactly(connection, len(self._flight)) == self._flight
        return connection

    def server(self, then: Callable[[socket.socket], object]) -> Callable[[socket.socket], object]:
        def serve(connection: socket.socket) -> object:
            if self._with_hello:
                assert read_client_hello(connection) == self._hello
            else:
                assert read_exactly(connection, len(self._hello)) == self._hello
            connection.sendall(self._flight)
            return then(connection)
        return serve


@every_way
def test_the_client_may_end_first_and_still_read(proxies: Proxies, way: str) -> None:
    def answer_after_the_end(connection: socket.socket) -> bytes:
        question = read_to_end(connection)
        connection.sendall(b"the answer")
        return question

    opening = Opening(way)
    with TcpServer(opening.server(answer_after_the_end)) as server:
        with opening.client(start(way, proxies, server.port)) as client:
            client.sendall(b"the question")
            assert finish(client) == b"the answer"
        assert server.result() == b"the question"


@every_way
def test_the_server_may_end_first_and_still_read(proxies: Proxies, way: str) -> None:
    def end_then_listen(connection: socket.socket) -> bytes:
        connection.sendall(b"all I have to say")
        return finish(connection)

    opening = Opening(way)
    with TcpServer(opening.server(end_then_listen)) as server:
        with opening.client(start(way, proxies, server.port)) as client:
            assert read_to_end(client) == b"all I have to say"
            client.sendall(b"but I have more")
        assert server.result() == b"but I have more"


@every_way
def test_an_urgent_byte_is_a_byte_of_the_stream(proxies: Proxies, way: str) -> None:
    """Splicing stops before one (RFC 9293 §3.8.5), and must not stop there."""
    opening = Opening(way)
    with TcpServer(opening.server(read_to_end)) as server:
        with opening.client(start(way, proxies, server.port)) as client:
            client.sendall(b"before")
            client.send(b"!", socket.MSG_OOB)
            client.sendall(b"behind")
        assert server.result() == b"before!behind"


@every_way
def test_a_close_of_the_client_reaches_the_server(proxies: Proxies, way: str) -> None:
    opening = Opening(way)
    with TcpServer(opening.server(read_to_end)) as server:
        opening.client(start(way, proxies, server.port)).close()
        assert server.result() == b""


@every_way
def test_a_reset_by_the_client_reaches_the_server_as_a_reset(proxies: Proxies, way: str) -> None:
    opening = Opening(way)
    with TcpServer(opening.server(is_reset)) as server:
        reset(opening.client(start(way, proxies, server.port)))
        assert server.result() is True


@every_way
def test_a_reset_by_the_server_reaches_the_client_as_a_reset(proxies: Proxies, way: str) -> None:
    def reset_on_cue(connection: socket.socket) -> None:
        assert read_exactly(connection, 3) == b"cue"
        reset(connection)

    opening = Opening(way)
    with TcpServer(opening.server(reset_on_cue)) as server:
        with opening.client(start(way, proxies, server.port)) as client:
            client.sendall(b"cue")
            assert is_reset(client)
        server.result()


@every_way
def test_data_before_a_reset_arrives_when_it_was_read_in_time(proxies: Proxies, way: str) -> None:
    def talk_then_expect_reset(connection: socket.socket) -> bool:
        data = read_exactly(connection, 100_000)
        connection.sendall(b"got it")
        return data == bytes(100_000) and is_reset(connection)

    opening = Opening(way)
    with TcpServer(opening.server(talk_then_expect_reset)) as server:
        with opening.client(start(way, proxies, server.port)) as client:
            client.sendall(bytes(100_000))
            assert read_exactly(client, 6) == b"got it"
            reset(client)
        assert server.result() is True


@every_way
def test_a_reset_after_a_half_close_is_still_a_reset(proxies: Proxies, way: str) -> None:
    def end_then_expect_reset(connection: socket.socket) -> bool:
        connection.shutdown(socket.SHUT_WR)
        return is_reset(connection)

    opening = Opening(way)
    with TcpServer(opening.server(end_then_expect_reset)) as server:
        with opening.client(start(way, proxies, server.port)) as client:
            assert read_to_end(client) == b""
            reset(client)
        assert server.result() is True


@pytest.mark.parametrize("way", ["plain", "sidecar alone"])
def test_a_reset_by_the_server_before_any_data_reaches_the_client(proxies: Proxies, way: str) -> None:
    with TcpServer(reset) as server:
        assert meets_reset(start(way, proxies, server.port))


@pytest.mark.parametrize("way", ["both, classic", "both, turbo"])
def test_a_reset_by_the_server_instead_of_a_flight_reaches_the_client(proxies: Proxies,
                                                                      way: str) -> None:
    def refuse(connection: socket.socket) -> None:
        read_client_hello(connection)
        reset(connection)

    with TcpServer(refuse) as server:
        assert meets_reset(start(way, proxies, server.port), client_hello())


@pytest.mark.parametrize("way", ["plain", "edge alone", "both, classic", "both, turbo"])
def test_a_client_that_resets_at_once_harms_nobody(proxies: Proxies, way: str) -> None:
    with TcpServer(flight_then_echo_or_nothing) as server:
        port = start(way, proxies, server.port)
        for words in (b"", client_hello()[:100], client_hello()):
            connection = connect(port)
            connection.sendall(words)
            reset(connection)
        converse(port)


def flight_then_echo_or_nothing(connection: socket.socket) -> None:
    try:
        flight_then_echo(connection)
    except (EOFError, ConnectionResetError, BrokenPipeError):
        pass


@pytest.mark.parametrize("way", ["both, classic", "both, turbo"])
def test_a_client_that_ends_right_after_its_hello_still_gets_everything(proxies: Proxies,
                                                                        way: str) -> None:
    def serve(connection: socket.socket) -> bytes:
        hello = read_client_hello(connection)
        assert read_to_end(connection) == b""
        connection.sendall(FLIGHT)
        return hello

    hello = client_hello()
    with TcpServer(serve) as server:
        with connect(start(way, proxies, server.port)) as client:
            client.sendall(hello)
            assert finish(client) == FLIGHT
        assert server.result() == hello


@pytest.mark.parametrize("size", [0, 1, 3000, 200_000])
@pytest.mark.parametrize("way", ["both, classic", "both, turbo"])
def test_a_server_that_ends_right_after_its_flight_is_heard_to_the_end(proxies: Proxies, way: str,
                                                                      size: int) -> None:
    """As with an alert, or plain HTTP in answer to TLS: the server's end is part of its stream."""
    def serve(connection: socket.socket) -> None:
        read_client_hello(connection)
        connection.sendall(bytes(size))

    with TcpServer(serve) as server:
        with connect(start(way, proxies, server.port)) as client:
            client.sendall(client_hello())
            assert read_to_end(client) == bytes(size)


@every_way
def test_both_may_push_at_the_same_time(proxies: Proxies, way: str) -> None:
    """More than all buffers hold, so it only works when neither direction waits for the other."""
    data = bytes(range(256)) * 40_000

    opening = Opening(way)
    with TcpServer(opening.server(echo)) as server:
        with opening.client(start(way, proxies, server.port)) as client:
            assert push_and_pull(client, data) == data
        assert server.result() == data


def push_and_pull(connection: socket.socket, data: bytes) -> bytes:
    """Sends `data` and the end in one thread, reads to the end in another."""
    def push() -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=push)
    thread.start()
    received = read_to_end(connection)
    thread.join()
    return received


@pytest.mark.parametrize("words", [b"", b"plain", client_hello()], ids=["silent", "plain", "tls"])
@pytest.mark.parametrize("way", ["plain", "sidecar alone"])
def test_a_refused_upstream_resets_the_client(proxies: Proxies, way: str, words: bytes) -> None:
    with DeadPort() as dead:
        assert meets_reset(start(way, proxies, dead.port), words)


@pytest.mark.parametrize("words", [b"plain", client_hello()], ids=["plain", "tls"])
@pytest.mark.parametrize("way", ["edge alone", "both, opaque", "both, turbo"])
def test_a_refused_upstream_of_the_edge_resets_the_client(proxies: Proxies, way: str,
                                                          words: bytes) -> None:
    with DeadPort() as dead:
        assert meets_reset(start(way, proxies, dead.port), words)


@pytest.mark.parametrize("kind", ["tcp", "turbo"])
def test_a_name_that_does_not_resolve_resets_the_client_and_is_logged(proxies: Proxies,
                                                                      kind: str) -> None:
    name = "nowhere.onion"  # never looked up in the DNS (RFC 7686), so no network is needed
    proxy = proxies.start(listen="tcp:127.0.0.1:0", upstream=f"{kind}:{name}:443")
    assert meets_reset(proxy.port, client_hello())
    assert proxy.stderr.wait_for(lambda line: name in line and "not found" in line)


@pytest.mark.parametrize("alive, dead", [("127.0.0.1", "::1"), ("::1", "127.0.0.1")])
def test_every_address_of_a_name_is_tried(proxies: Proxies, tmp_path: Path, alive: str,
                                          dead: str) -> None:
    names = Names(tmp_path, {"two.example.test": ["::1", "127.0.0.1"]})
    with dead_port_at(dead) as refusing, \
            TcpServer(flight_then_echo, host=alive, port=refusing.getsockname()[1]) as server:
        proxy = proxies.start(listen="tcp:127.0.0.1:0", names=names,
                              upstream=f"tcp:two.example.test:{server.port}")
        converse(proxy.port)


@pytest.mark.parametrize("alive, dead", [("127.0.0.1", "::1"), ("::1", "127.0.0.1")])
def test_every_address_of_an_edge_is_tried(proxies: Proxies, tmp_path: Path, alive: str,
                                           dead: str) -> None:
    """And UDP goes to the same one as TCP."""
    names = Names(tmp_path, {"two.example.test": ["::1", "127.0.0.1"]})
    with dead_port_at(dead) as refusing, TcpServer(flight_then_echo) as server:
        port = refusing.getsockname()[1]
        edge = proxies.edge(server.port, listen=f"turbo:{bracketed(alive)}:{port}")
        sidecar = proxies.sidecar(edge.port, host="two.example.test", names=names,
                                  udp_port=edge.udp_port)
        assert_turbo([sidecar, edge], lambda: converse(sidecar.port))


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def dead_port_at(host: str) -> closing[socket.socket]:
    """A port of one address that refuses, and is free at others: not one of those that the kernel gives away."""
    holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    for port in random.sample(range(20000, 32000), 100):
        with suppress(OSError):
            holder.bind((host, port))
            break
    return closing(holder)


def test_localhost_is_an_upstream(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        sidecar = proxies.sidecar(edge.port, host="localhost", udp_port=edge.udp_port)
        assert_turbo([sidecar, edge], lambda: converse(sidecar.port))


def test_ipv6_carries_turbo_from_end_to_end(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo, host="::1") as server:
        edge = proxies.start(listen="turbo:[::1]:0", upstream=f"tcp:[::1]:{server.port}")
        sidecar = proxies.sidecar(edge.port, host="[::1]", listen="tcp:[::1]:0",
                                  udp_port=edge.udp_port)
        assert_turbo([sidecar, edge], lambda: converse(sidecar.port, host="::1"))
        for proxy in (sidecar, edge):
            assert proxy.records()[0]["client"].startswith("[::1]:")


@pytest.mark.parametrize("asked", ["127.0.0.1", "127.0.0.2", "[::1]"])
def test_replies_leave_from_the_address_that_was_asked(proxies: Proxies, asked: str) -> None:
    """An edge on every address: a reply from another one than asked would not be taken."""
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port, listen="turbo:*:0")
        sidecar = proxies.sidecar(edge.port, host=asked, udp_port=edge.udp_port)
        assert_turbo([sidecar, edge], lambda: converse(sidecar.port))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1"])
@pytest.mark.parametrize("kind", ["tcp", "turbo"])
def test_the_wildcard_listens_on_both_families(proxies: Proxies, kind: str, host: str) -> None:
    with TcpServer(flight_then_echo) as server:
        proxy = proxies.plain(server.port, listen=f"{kind}:*:0")
        converse(proxy.port, host=host)
        client = proxy.record()["client"]
        assert client.startswith("[::1]:" if host == "::1" else "127.0.0.1:"), \
            "a mapped address is logged as the IPv4 address it is"


@pytest.mark.parametrize("kind", ["tcp", "turbo"])
def test_the_ipv6_wildcard_takes_no_ipv4(proxies: Proxies, kind: str) -> None:
    with TcpServer(flight_then_echo) as server:
        for _ in range(3):  # somebody else may have the port of one of them for IPv4
            proxy = proxies.plain(server.port, listen=f"{kind}:[::]:0")
            converse(proxy.port, host="::1")
            try:
                connect(proxy.port).close()
            except ConnectionRefusedError:
                return
    raise AssertionError("IPv4 is taken as well")


def test_several_listeners_share_one_upstream(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server:
        proxy = proxies.plain(server.port,
                              listen=["tcp:127.0.0.1:0", "turbo:127.0.0.1:0", "tcp:[::1]:0"])
        assert [listener.kind for listener in proxy.listeners] == ["tcp", "turbo", "tcp"]
        for listener in proxy.listeners:
            converse(listener.port, host=listener.host.strip("[]"))
        assert len({record["listener"] for record in proxy.wait_for_records(3)}) == 3


def test_an_edge_may_be_a_sidecar_too(proxies: Proxies) -> None:
    """A hop in the middle: turbo on either side."""
    with TcpServer(flight_then_echo) as server:
        edge = proxies.edge(server.port)
        middle = proxies.sidecar(edge.port, udp_port=edge.udp_port, listen="turbo:127.0.0.1:0")
        sidecar = proxies.sidecar(middle.port, udp_port=middle.udp_port)
        assert_turbo([sidecar, middle, edge], lambda: converse(sidecar.port))


def test_without_always_tcp_that_is_up_first_is_used(proxies: Proxies) -> None:
    with TcpServer(flight_then_echo) as server, SilentUdpPort() as udp:
        edge = proxies.edge(server.port)
        sidecar = proxies.sidecar(edge.port, udp_port=udp.port, always=False)
        with connect(sidecar.port) as client:
            hello = client_hello()
            client.sendall(hello[:1])
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):  # long enough for TCP to the edge
                client.recv(1)
            client.settimeout(DEADLINE_S)
            client.sendall(hello[1:])
            assert read_exactly(client, len(FLIGHT)) == FLIGHT
            finish(client)
        assert sidecar.record()["outcome"] == "classic"
