"""Waiting for something to become true, with a deadline and a message that says what never happened."""

import os
import time
from typing import Callable, TypeVar

Value = TypeVar("Value")

DEADLINE_S = float(os.environ.get("TURBOTLS_TEST_DEADLINE", "60"))
"""Far above what any step needs on an idle machine: only a hang runs into it."""

SILENCE_S = 0.25
"""How long nothing must arrive before "nothing more comes" is believed."""

_POLL_S = 0.001


def wait_until(what: str, probe: Callable[[], Value], timeout_s: float = DEADLINE_S) -> Value:
    """Asks `probe` until it gives something true, for things the kernel does not notify about."""
    deadline = time.monotonic() + timeout_s
    while not (value := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s} s still not so: {what}")
        time.sleep(_POLL_S)
    return value
