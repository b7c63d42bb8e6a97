"""Active checks with several workers: one of them checks, and all of them know."""

import socket
from contextlib import suppress
from pathlib import Path

from harness.admin import Admin
from harness.proxy import Proxies
from harness.scripted import converse, flight_then_echo
from harness.sockets import DeadPort, TcpServer
from harness.wait import wait_until

VISITS = 20
"""That one of the workers has none of them is as good as impossible."""

EDGE = """
    listener {{ address: "127.0.0.1:0" route {{ upstream: "both" }} }}
    upstream {{
      name: "both"
      server {{ address: "127.0.0.1:{preferred}" weight: 1000 }}
      server {{ address: "127.0.0.1:{other}" }}
      health {{ back_off_seconds: 1000 max_back_off_seconds: 1000 check_interval_seconds: 0.1 }}
    }}
    admin {{ address: "127.0.0.1:0" }}
    process {{ workers: 2 }}
"""


def serve(connection: socket.socket) -> None:
    with suppress(EOFError):  # a check says nothing
        flight_then_echo(connection)


def test_a_server_that_is_down_is_left_out_by_all_workers_and_back_in_all(proxies: Proxies, tmp_path: Path) -> None:
    with TcpServer(serve) as other:
        with DeadPort() as dead:
            edge = proxies.configured(tmp_path, EDGE.format(preferred=dead.port, other=other.port))
            admin = Admin(edge)
            preferred = f"tcp:127.0.0.1:{dead.port}"

            def is_up() -> bool:
                return admin.metrics().get("turbotls_server_up", upstream="both", server=preferred) == 1

            def connects(result: str) -> float:
                return admin.metrics().get("turbotls_server_connects_total", upstream="both", server=preferred,
                                           result=result)

            def visits() -> float:
                for _ in range(VISITS):
                    converse(edge.port)
                return connects("connected")

            wait_until("it is left out", lambda: not is_up())
            assert visits() == 0
            assert connects("failed") == 0
            assert admin.metrics().sum("turbotls_server_checks_total", server=preferred, result="failed") >= 1
        with TcpServer(serve, port=dead.port):
            wait_until("all workers have it back", is_up)
            assert visits() >= VISITS - 2, "each worker may owe the other one a turn"
            lines = [line for line in edge.stderr.all() if preferred in line]
            assert sum("a server is left out" in line for line in lines) == 1
            assert sum("a server is back" in line for line in lines) == 1
