"""turbotls-client and turbotls-server, the programs."""

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from .pki import SERVER_NAME
from .process import Child
from .programs import sanitized_proxy
from .proxy import SANITIZER, SANITIZER_OPTIONS
from .wait import DEADLINE_S

RETRY_GROUP = "secp384r1"
"""A group for which clients have no share in their first ClientHello."""

_LISTENING = re.compile(r"listening on \S*:(\d+) \(")


def binary(name: str) -> Path:
    """Beside the proxy under test."""
    return sanitized_proxy().with_name(name)


class Server(Child):
    """Echoes; serves TurboTLS in both dialects and plain TLS."""

    def __init__(self, certificate: Path, key: Path, *, group: str = "", client_ca: Path | None = None,
                 greeting: bytes = b"") -> None:
        argv = [binary("turbotls-server"), "--turbo", "--dialect", "sandwich", "--listen", "127.0.0.1:0", "--cert", certificate,
                "--key", key]
        argv += ["--groups", group] if group else []
        argv += ["--client-ca", client_ca, "--require-client-certificate"] if client_ca else []
        argv += ["--greeting", greeting.decode().rstrip("\n")] if greeting else []
        super().__init__(argv, env=SANITIZER_OPTIONS)
        line = self.stderr.wait_for(lambda text: bool(_LISTENING.match(text)))[0]
        self.port = int(_LISTENING.match(line)[1])

    def stop(self) -> int:
        """Ends it and asserts that it ended well."""
        code = super().stop()
        assert code == 0 and not self.stderr.matching(lambda line: bool(SANITIZER.search(line))), self.stderr.text()
        return code


def visit(target: Any, identity: Any, scenario: Any, version: str, greeting: bytes) -> dict[str, Any]:
    """Fields of migration.Visit, for a migration.Target, Identity and Scenario. After a greeting nothing more is said."""
    expected = greeting if scenario.greeted else os.urandom(scenario.size)
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder) / "question", Path(folder) / "answer"
        question.write_bytes(expected)
        argv = [binary("turbotls-client"), "--turbo", "--dialect", target.dialect, "--json", "--output", answer,
                "--ca", identity.ca, "--name", SERVER_NAME, "--tls", version, "--expect-bytes", str(len(expected))]
        argv += ["--udp-port", str(target.udp_port)] if target.udp_port else []
        argv += ["--always"] if target.always else []
        argv += ["--cert", identity.certificate, "--key", identity.key] if scenario.certificate else []
        argv += ["--silent"] if scenario.greeted else ["--file", question]
        argv += ["--resume", "1"] if scenario.resume else []
        with Child([*argv, f"{target.host}:{target.port}"]) as client:
            code = client.wait(2 * DEADLINE_S)
        assert code == 0, f"exit code {code}: {client.stdout.text()} {client.stderr.text()}"
        told = [json.loads(line) for line in client.stdout.all()]
        assert answer.read_bytes() == expected * len(told), "the answer is not the question"
    return {"version": told[-1]["version"], "resumed": told[-1]["resumed"], "outcome": told[-1]["outcome"]}
