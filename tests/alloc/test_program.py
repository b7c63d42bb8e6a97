"""The program from main to its end while the n-th allocation, or the n-th new descriptor, of the process fails.

For every n: it starts, and then ends as asked, or it exits with 1 and has said why. Administration by HTTP answers,
or not; it does the next time. TURBOTLS_PROXY is the program and TURBOTLS_FAULTS the library that makes it fail
(preload.c).
"""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Callable

import pytest

ARGUMENTS = ["--listen", "turbo:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0", "--upstream", "tcp:example.test:1"]
WITHOUT_SANDBOX = ["--no-sandbox"]
"""libseccomp puts a filter together with some 3,000 allocations, and does not take it well when one of them fails: at
the 1,666th it never returns (2.5.4)."""
A_REASON = re.compile(r"^(turbotls-proxy: \S|\S+ error .*error=)", re.MULTILINE)
TIMEOUT_S = 30
AT_ONCE = 4


@dataclass(frozen=True)
class Run:
    """How one start went."""

    n: int
    struck: bool
    listening: bool
    code: int
    log: str

    def complaint(self) -> str | None:
        """What is wrong with it."""
        if self.code == 0 and self.listening:
            return None
        if self.code == 1 and self.struck and A_REASON.search(self.log):
            return None
        return f"number {self.n}: exit code {self.code}, listening: {self.listening}, log:\n{self.log}"


Act = Callable[[IO[str]], str]


def nothing(_: IO[str]) -> str:
    return ""


def start(kind: str, n: int, arguments: list[str] = [], act: Act = nothing) -> Run:
    """Runs the program until it listens, if it does; acts, given its log, and asks it to end.

    What `act` returns is the part of the log that it has read.
    """
    report, to_report = os.pipe()
    environment = {"LD_PRELOAD": os.environ["TURBOTLS_FAULTS"], "FAULT_KIND": kind, "FAULT_AT": str(n),
                   "FAULT_REPORT": str(to_report)}
    with subprocess.Popen([os.environ["TURBOTLS_PROXY"], *ARGUMENTS, *arguments], env=environment, pass_fds=[to_report],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as proxy:
        os.close(to_report)
        assert proxy.stdout is not None and proxy.stderr is not None
        listening = proxy.stdout.readline().startswith("listening ")
        read = ""
        if listening:
            try:
                read = act(proxy.stderr)
            finally:
                proxy.send_signal(signal.SIGTERM)
        _, log = proxy.communicate(timeout=TIMEOUT_S)
        log = read + log
    with os.fdopen(report, "rb") as reported:
        return Run(n, reported.read() != b"", listening, proxy.returncode, log)


def for_every_n(kind: str, arguments: list[str] = [], act: Act = nothing) -> None:
    runs: list[Run] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while all(run.struck for run in runs):
            first = len(runs) + 1
            runs += pool.map(lambda n: start(kind, n, arguments, act), range(first, first + 4 * AT_ONCE))
    complaints = [complaint for run in runs if (complaint := run.complaint())]
    struck = sum(run.struck for run in runs)
    refused = sum(run.code == 1 for run in runs)
    print(f"{kind}: {struck} failures, {refused} of them kept it from starting")
    assert struck > 0
    assert not complaints, f"{len(complaints)} of {struck}:\n" + "\n".join(complaints)


@pytest.mark.parametrize("kind", ["memory", "descriptor"])
def test_it_starts_or_says_why_not(kind: str) -> None:
    for_every_n(kind, WITHOUT_SANDBOX)


def test_a_sandbox_is_entered_as_far_as_descriptors_go() -> None:
    for_every_n("descriptor")


def request(port: int, method: str, path: str) -> str | None:
    """What is answered. A request that cannot be is closed, at worst."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read().decode()
        assert body and response.status in (200, 422), response.status
        return body if response.status == 200 else None
    except (http.client.HTTPException, ConnectionError):
        return None
    finally:
        connection.close()


def is_gone(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def shape(answer: str) -> str:
    """It, without the values."""
    if answer.startswith("{"):
        json.loads(answer)
    return re.sub(r"[0-9.]+|true|false", "0", answer)


def administer(log: IO[str]) -> str:
    """Asks everything twice: one failure is one answer less."""
    read = ""
    while not (address := re.search(r"administration by HTTP address=127.0.0.1:(\d+)\n", read)):
        read += log.readline()
    port = int(address[1])
    asked = [("GET", "/metrics"), ("GET", "/status"), ("POST", "/reload"), ("GET", "/readyz")]
    answers = [request(port, *each) for each in asked * 2]
    for first, second in zip(answers[:len(asked)], answers[len(asked):]):
        assert first is None or second is None or shape(first) == shape(second)
    # The event loop cannot go on without memory: the exit code, and the reason, are looked at then.
    assert answers.count(None) <= 1 or is_gone(port), answers
    return read


@pytest.mark.parametrize("kind", ["memory", "descriptor"])
def test_it_is_administered_all_the_same(kind: str) -> None:
    for_every_n(kind, ["--admin", "127.0.0.1:0", *WITHOUT_SANDBOX], administer)
