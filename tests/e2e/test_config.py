"""Configuration files through the program: checked, printed, refused with every mistake, and served."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.process import Child
from harness.programs import sanitized_proxy
from harness.scripted import echo, finish
from harness.sockets import TcpServer, connect
from harness.wait import DEADLINE_S

COMMAND_LINE = ["--listen", "turbo:127.0.0.1:0,udp=0", "--listen", "tcp:[::1]:0", "--upstream",
                "turbo:www.example:443,udp=8443,turbo=always", "--opening-timeout", "7", "--sniff-timeout", "0.5",
                "--drain-timeout", "1.5", "--log-level", "warning", "--log-format", "json", "--admin",
                "127.0.0.1:0"]

GOOD = """
listener {
  name: "edge"
  address: "127.0.0.1:0"
  route { server_name: ["*.example.com", "example.com"] alpn: "h2" upstream: "web" }
  route { name: "office" source: "10.0.0.0/8" upstream: "web" }
  route { upstream: "rest" }
  access_rule { action: DENY network: "192.0.2.0/24" }
}
upstream {
  name: "web"
  server { address: "127.0.0.1:8443" weight: 3 }
  server { address: "[::1]:8443" }
  proxy_protocol: V2
}
upstream { name: "rest" server { address: "localhost:8444" } }
process { sandbox: false }
"""

TEN_MISTAKES = """\
listener {
  address: "127.0.0.1:99999"
  opening_timeout_seconds: 0
  route { server_name: "*" upstream: "web" }
  route { alpn: "" upstream: "wbe" }
  access_rule { network: "10.0.0.0/33" action: DENIED }
}
upstream {
  name: "web server"
  server { adress: "127.0.0.1:1" }
  server { address: "127.0.0.1:1" weight: 1001 }
}
"""
PLACES = [(2, 12, "listener[0].address"), (3, 28, "listener[0].opening_timeout_seconds"),
          (4, 24, "listener[0].route[0].server_name[0]"), (5, 17, "listener[0].route[1].alpn[0]"),
          (5, 30, "listener[0].route[1].upstream"), (6, 26, "listener[0].access_rule[0].network[0]"),
          (6, 48, "listener[0].access_rule[0].action"), (9, 9, "upstream[0].name"),
          (10, 12, "upstream[0].server[0].adress"), (11, 43, "upstream[0].server[1].weight")]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the program, which is expected to end by itself."""
    return subprocess.run([sanitized_proxy(), *arguments], capture_output=True, text=True,
                          timeout=DEADLINE_S)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edge.txtpb"
    path.write_text(GOOD)
    return path


def test_a_good_file_is_found_good_in_one_line(file: Path) -> None:
    done = run("--config", file, "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{file}: ok: 1 listener, 2 upstreams\n"


def test_ten_mistakes_are_ten_errors_with_their_places(file: Path) -> None:
    file.write_text(TEN_MISTAKES.replace('upstream: "web"', 'upstream: "web server"'))
    for mode in (["--check"], ["--print-config"], []):
        done = run("--config", file, *mode)
        assert (done.returncode, done.stdout) == (2, "")
        lines = done.stderr.splitlines()
        assert len(lines) == 10, done.stderr
        places = []
        for line in lines:
            match = re.fullmatch(rf"{re.escape(str(file))}:(\d+):(\d+): (\S+): .{{20,}}", line)
            assert match, line
            places.append((int(match[1]), int(match[2]), match[3]))
        assert places == PLACES


def test_what_is_printed_is_accepted_and_prints_itself(file: Path) -> None:
    printed = run("--config", file, "--print-config")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert "idle_timeout_seconds: 3600" in printed.stdout, "defaults are filled in"
    file.write_text(printed.stdout)
    assert run("--config", file, "--check").returncode == 0
    again = run("--config", file, "--print-config")
    assert again.stdout == printed.stdout


def test_a_command_line_becomes_a_file(file: Path) -> None:
    printed = run(*COMMAND_LINE, "--print-config")
    assert (printed.returncode, printed.stderr) == (0, "")
    for line in ('  address: "127.0.0.1:0"', "  udp_port: 0", "  sniff_timeout_seconds: 0.5",
                 "  opening_timeout_seconds: 7", '    address: "www.example:443"', "    udp_port: 8443",
                 "  turbo: ALWAYS", "drain_timeout_seconds: 1.5", "  level: WARNING", "  format: JSON"):
        assert line in printed.stdout.splitlines(), printed.stdout
    file.write_text(printed.stdout)
    assert run("--config", file, "--print-config").stdout == printed.stdout
    done = run(*COMMAND_LINE, "--check")
    assert (done.returncode, done.stdout) == (0, "command line: ok: 2 listeners, 1 upstream\n")


def test_what_is_typed_wins_over_the_file(file: Path) -> None:
    done = run("--config", file, "--print-config", "--log-level", "debug", "--admin", "[::1]:9443",
               "--drain-timeout", "0", "--log-target", "journal", "--user", "nobody")
    assert done.returncode == 0
    for line in ("  level: DEBUG", '  address: "[::1]:9443"', "drain_timeout_seconds: 0", "  target: JOURNAL",
                 '  user: "nobody"', "  sandbox: false"):
        assert line in done.stdout.splitlines()


@pytest.mark.parametrize("arguments", [
    ["--listen", "tcp:*:0"], ["--upstream", "tcp:h:1"], ["--sniff-timeout", "1"], ["--opening-timeout", "1"],
    ["--max-sessions", "1"], ["--session-rate", "1"], ["--source-rate", "1"],
    ["--check", "--print-config"], ["--log-target", "printer"], ["--admin", "localhost:1"],
    ["--config", ""], ["--config"], ["--check=yes"]], ids=" ".join)
def test_what_does_not_go_with_a_file_is_refused_in_one_line(file: Path, arguments: list[str]) -> None:
    done = run("--config", file, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and arguments[0].partition("=")[0] in done.stderr


@pytest.mark.parametrize("make, why", [
    (lambda path: path.unlink(), "cannot be opened: No such file or directory"),
    (lambda path: (path.unlink(), path.mkdir()), "is a directory"),
    (lambda path: path.write_text(""), "is empty"),
    (lambda path: path.write_bytes(b"\n" + b"x" * (16 << 20)), "is longer than the 16 MiB"),
    (lambda path: path.write_bytes(b"\x0a\x05\x1a"), "is neither a text nor a whole serialized message"),
])
def test_a_file_that_cannot_be_read_is_told(file: Path, make, why: str) -> None:
    make(file)
    done = run("--config", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{file}: {why}") and done.stderr.count("\n") == 1


def test_a_file_that_may_not_be_read_is_told(file: Path) -> None:
    file.chmod(0)
    # root may read it all the same, unless it gives up what lets it.
    without = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run([*without, sanitized_proxy(), "--config", file, "--check"], capture_output=True,
                          text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{file}: cannot be opened: Permission denied")


def test_output_that_cannot_be_written_is_a_failure(file: Path) -> None:
    for mode in ("--check", "--print-config"):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([sanitized_proxy(), "--config", file, mode], stdout=full, text=True,
                                  stderr=subprocess.PIPE, check=False, timeout=DEADLINE_S)
        assert done.returncode == 1
        assert "cannot be written: No space left on device" in done.stderr


def test_a_file_is_served(file: Path) -> None:
    with TcpServer(echo) as server:
        file.write_text(f"""
            listener {{ protocol: TCP address: "127.0.0.1:0" }}
            upstream {{ name: "echo" server {{ address: "127.0.0.1:{server.port}" }} }}
            log {{ format: JSON }} process {{ sandbox: false }}""")
        proxy = Child([str(sanitized_proxy()), "--config", str(file)])
        try:
            [line] = proxy.stdout.wait_for(lambda line: line.startswith("listening "), 1)
            with connect(int(line.rpartition(":")[2])) as client:
                client.sendall(b"through a file")
                assert finish(client) == b"through a file"
        finally:
            assert proxy.stop() == 0


DOCUMENTS = Path(__file__).parents[2]
EXAMPLES = [(name, number, text) for name in ("README.md", "docs/configuration.md", "docs/starttls.md")
            for number, text in enumerate(re.findall(r"^```\n(listener \{.*?)^```$",
                                                     (DOCUMENTS / name).read_text(), re.M | re.S))]


@pytest.mark.parametrize("name, number, text", EXAMPLES)
def test_an_example_of_the_documents_is_valid(file: Path, name: str, number: int, text: str) -> None:
    file.write_text(text)
    done = run("--config", file, "--check")
    assert done.returncode == 0, done.stderr


def test_the_documents_have_examples() -> None:
    assert [(name, number) for name, number, _ in EXAMPLES] == [
        ("README.md", 0), *(("docs/configuration.md", number) for number in range(6)),
        *(("docs/starttls.md", number) for number in range(2))]


INSTALLED = sorted((DOCUMENTS / "deploy/examples").glob("*.txtpb"))


@pytest.mark.parametrize("example", INSTALLED, ids=lambda path: path.stem)
def test_an_example_that_is_installed_is_valid_and_prints_as_itself(file: Path, example: Path) -> None:
    done = run("--config", example, "--check")
    assert done.returncode == 0, done.stderr
    file.write_text(run("--config", example, "--print-config").stdout)
    done = run("--config", file, "--print-config")
    assert (done.returncode, done.stdout) == (0, file.read_text())


def test_there_is_an_example_of_everything() -> None:
    texts = "".join(path.read_text() for path in INSTALLED)
    for word in ("HTTP_CONNECT", "SOCKS5", "REDIRECT", "login {", "starttls: SMTP", "starttls: IMAP",
                 "starttls: POSTGRESQL", "starttls: LDAP", "requested: true", "mark: "):
        assert word in texts


COMMANDS = [line for name in ("docs/configuration.md", "docs/starttls.md")
            for line in (DOCUMENTS / name).read_text().splitlines()
            if line.startswith("turbotls-proxy --listen") and line.count("'") % 2 == 0 and not line.endswith("\\")]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_line_of_the_documents_is_valid(line: str) -> None:
    arguments = shlex.split(line.partition(">")[0])[1:]
    done = run(*(word for word in arguments if word != "--print-config"), "--check")
    assert done.returncode == 0, done.stderr


def test_the_documents_errors_are_real(file: Path) -> None:
    file.write_text('listener {\n  address: "localhost:443"\n'
                    '  route { server_name: "a.example" upstream: "web" }\n'
                    '  route {\n          upstream: "wbe" }\n}\nupstream {\n  name: "web"\n'
                    '  server { address: "h:1"         weight: 2000 }\n}\n')
    told = run("--config", file, "--check").stderr.replace(str(file), "edge.txtpb")
    assert told in (DOCUMENTS / "docs/configuration.md").read_text()
