"""What the kernel says of a process and its children: processor time and private memory."""

import pathlib
import re
import signal
import subprocess
import time

STOP_SECONDS = 10


class Failed(Exception):
    """There is nothing to measure; its text says why."""


def pinned(cores, command):
    return ["taskset", "--cpu-list", cores, *map(str, command)]


class Process:
    """A program that serves until it is stopped, with all its children."""

    def __init__(self, name, command, cores, log, cwd=None):
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self.popen = subprocess.Popen(
                pinned(cores, command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=cwd
            )

    def check(self):
        if self.popen.poll() is not None:
            raise Failed(f"{self.name} has ended: {self.log.read_text(errors='replace')[-2000:]}")

    def pids(self):
        """Its own and its descendants'."""
        found = [self.popen.pid]
        for pid in found:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return found

    def cpu_ns(self):
        """Time on a processor until now, of all threads."""
        self.check()
        tasks = (task for pid in self.pids() for task in pathlib.Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def memory(self):
        """Bytes that it has written to and that nobody else has."""
        self.check()
        rollups = (pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids())
        return sum(int(re.search(r"^Private_Dirty: *(\d+) kB$", text, re.M)[1]) * 1024 for text in rollups)

    def stop(self):
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def wait_until(holds, what, seconds=10):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise Failed(f"waited {seconds} s in vain until {what}")
        time.sleep(0.02)


def listens(port, protocol="tcp"):
    """Whether somebody listens at this port, in this network namespace."""
    state = "0A" if protocol == "tcp" else "07"
    rows = (line.split() for line in pathlib.Path(f"/proc/net/{protocol}").read_text().splitlines()[1:])
    return any(int(row[1].split(":")[1], 16) == port and row[3] == state for row in rows)
