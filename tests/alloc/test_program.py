"""The program from main to its end while the n-th allocation, or the n-th new descriptor, of the process fails.

For every n: it starts, and then ends as asked, or it exits with 1 and has said why. TURBOTLS_PROXY is the program
and TURBOTLS_FAULTS the library that makes it fail (preload.c).
"""

import os
import re
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

ARGUMENTS = ["--listen", "turbo:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0", "--upstream", "tcp:example.test:1"]
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


def start(kind: str, n: int) -> Run:
    """Runs the program until it listens, if it does, and asks it to end."""
    report, to_report = os.pipe()
    environment = {"LD_PRELOAD": os.environ["TURBOTLS_FAULTS"], "FAULT_KIND": kind, "FAULT_AT": str(n),
                   "FAULT_REPORT": str(to_report)}
    with subprocess.Popen([os.environ["TURBOTLS_PROXY"], *ARGUMENTS], env=environment, pass_fds=[to_report],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as proxy:
        os.close(to_report)
        assert proxy.stdout is not None
        listening = proxy.stdout.readline().startswith("listening ")
        if listening:
            proxy.send_signal(signal.SIGTERM)
        _, log = proxy.communicate(timeout=TIMEOUT_S)
    with os.fdopen(report, "rb") as reported:
        return Run(n, reported.read() != b"", listening, proxy.returncode, log)


@pytest.mark.parametrize("kind", ["memory", "descriptor"])
def test_it_starts_or_says_why_not(kind: str) -> None:
    runs: list[Run] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while all(run.struck for run in runs):
            first = len(runs) + 1
            runs += pool.map(lambda n: start(kind, n), range(first, first + 4 * AT_ONCE))
    complaints = [complaint for run in runs if (complaint := run.complaint())]
    struck = sum(run.struck for run in runs)
    refused = sum(run.code == 1 for run in runs)
    print(f"{kind}: {struck} failures, {refused} of them kept it from starting")
    assert struck > 0
    assert not complaints, f"{len(complaints)} of {struck}:\n" + "\n".join(complaints)
