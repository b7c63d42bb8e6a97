"""Real servers whose protocols begin without TLS: Postfix, Dovecot, slapd and PostgreSQL.

For pytest the class `StarttlsServer`; for shell scripts, with the same servers behind it, the command

    PYTHONPATH=tests/e2e /usr/bin/python3 -m harness.starttls_servers PROTOCOL --folder DIR --address ADDRESS
        --port N [--implicit-port N] --certificate FILE --key FILE [--no-tls] [--prepare]

PROTOCOL is smtp, imap, pop3, ldap or postgresql. It runs in the foreground, prints "ready" as soon as the server
answers on all its ports, and takes everything with it that it has started when SIGTERM or SIGINT comes. With --prepare
it only fills DIR and ends: what takes long (PostgreSQL's initdb) is then not done again. All that a server writes is in
DIR, which must be one that other users may enter; Postfix and Dovecot want to be started by root.
"""

import argparse
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Mapping, Sequence

from .pki import SERVER_NAME, Pki
from .process import Child
from .programs import program
from .servers import start_on_unused_port
from .sockets import unused_port
from .wait import DEADLINE_S

USER, PASSWORD = "reader", "secret-of-the-reader"
MAIL_ADDRESS = f"{USER}@{SERVER_NAME}"
SUBJECT = "the mail that lies in the mailbox"
LDAP_BASE = "dc=example,dc=test"
LDAP_USER = f"cn={USER},{LDAP_BASE}"
DATABASE = "postgres"

READY = "ready"

_STOP_S = 10
_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Place:
    """Where a server is to be."""

    folder: Path
    address: str
    port: int
    implicit_port: int | None
    """Where TLS begins at once."""
    certificate: Path
    key: Path
    tls: bool = True
    """False: STARTTLS is neither offered nor done."""

    @property
    def literal(self) -> str:
        return f"[{self.address}]" if ":" in self.address else self.address

    @property
    def tls_port(self) -> int | None:
        return self.implicit_port if self.tls else None

    def make(self, *names: str) -> None:
        for name in names:
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


@dataclass(frozen=True)
class Program:
    argv: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    """To run as, when started by root."""
    stop_signal: signal.Signals = signal.SIGTERM
    ready: Callable[[], bool] = lambda: True
    """Beside its ports'."""


# ---- Postfix ----

_POSTFIX_FOLDERS = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "maildrop",
                    "private", "public", "saved", "trace")

_POSTFIX_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
meta_directory = /etc/postfix
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = {address}
inet_protocols = all
myhostname = {name}
mydestination =
mynetworks =
alias_maps =
local_recipient_maps =
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtpd_relay_restrictions = reject_unauth_destination
smtpd_tls_security_level = {level}
smtpd_tls_chain_files = {key} {certificate}
smtpd_tls_loglevel = 1
virtual_mailbox_domains = {name}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:new-mail/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
"""

_POSTFIX_SERVICES = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


def postfix(place: Place) -> list[Program]:
    """Delivers mail to MAIL_ADDRESS into the maildir `mail/new-mail` of its folder, and takes no other."""
    owner, nobody = pwd.getpwnam("postfix"), pwd.getpwnam("nobody")
    place.make("queue/pid", "data", "mail", *(f"queue/{name}" for name in _POSTFIX_FOLDERS))
    for name in ("data", *(f"queue/{name}" for name in _POSTFIX_FOLDERS)):
        os.chown(place.folder / name, owner.pw_uid, -1)
    os.chown(place.folder / "mail", nobody.pw_uid, nobody.pw_gid)
    main_cf = place.write("main.cf", _POSTFIX_MAIN.format(
        folder=place.folder, address=place.address, name=SERVER_NAME, level="may" if place.tls else "none",
        key=place.key, certificate=place.certificate, uid=nobody.pw_uid, gid=nobody.pw_gid))
    os.utime(main_cf, (0, 0))  # it waits for two seconds while its file is a fresh one
    services = f"{place.literal}:{place.port} inet n - n - - smtpd\n" + _POSTFIX_SERVICES
    if place.tls_port:
        services += f"{place.literal}:{place.tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n"
    place.write("master.cf", services)
    return [Program(["/usr/lib/postfix/sbin/master", "-c", place.folder, "-d"],
                    env={"MAIL_CONFIG": os.fspath(place.folder)})]


# ---- Dovecot ----

_DOVECOT = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/mail.log
protocols = {protocol}
ssl = {ssl}
ssl_cert = <{certificate}
ssl_key = <{key}
disable_plaintext_auth = yes
auth_mechanisms = plain
mail_location = maildir:{folder}/mail
first_valid_uid = 1
default_vsz_limit = 0
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail
}}
service {protocol}-login {{
  service_count = 0
  inet_listener {protocol} {{
    address = {address}
    port = {port}
  }}
  inet_listener {protocol}s {{
    address = {address}
    port = {tls_port}
    ssl = yes
  }}
}}
"""


def dovecot(protocol: str) -> Callable[[Place], list[Program]]:
    """A mailbox with one mail, of SUBJECT."""
    def prepare(place: Place) -> list[Program]:
        nobody = pwd.getpwnam("nobody")
        place.make("run", "state", "mail", "mail/new", "mail/cur", "mail/tmp")
        if not list((place.folder / "mail").glob("*/1.the.only*")):
            place.write("mail/new/1.the.only", f"From: {MAIL_ADDRESS}\nSubject: {SUBJECT}\n\nA line.\n")
        for path in (place.folder / "mail", *(place.folder / "mail").rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        place.write("users", f"{USER}:{PASSWORD}\n")
        configuration = place.write("dovecot.conf", _DOVECOT.format(
            folder=place.folder, protocol=protocol, ssl="yes" if place.tls else "no", key=place.key,
            certificate=place.certificate, uid=nobody.pw_uid, gid=nobody.pw_gid,
            address=place.address, port=place.port, tls_port=place.tls_port or 0))
        return [Program([program("dovecot", "dovecot-core"), "-F", "-c", configuration])]
    return prepare


# ---- slapd ----

_SLAPD = """\
include /etc/ldap/schema/core.schema
pidfile {folder}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
{tls}
database mdb
maxsize 4194304
suffix "{base}"
directory {folder}/data
access to attrs=userPassword by anonymous auth by * none
access to * by users read by * none
"""

_SLAPD_TLS = """\
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
"""

_LDIF = """\
dn: {base}
objectClass: dcObject
objectClass: organization
dc: example
o: example

dn: {user}
objectClass: person
cn: {name}
sn: {name}
description: {subject}
userPassword: {password}
"""


def slapd(place: Place) -> list[Program]:
    """Two entries; LDAP_USER, whose description is SUBJECT, may read them."""
    place.make("data")
    tls = _SLAPD_TLS.format(certificate=place.certificate, key=place.key) if place.tls else ""
    configuration = place.write("slapd.conf", _SLAPD.format(folder=place.folder, tls=tls, base=LDAP_BASE))
    entries = place.write("entries.ldif", _LDIF.format(base=LDAP_BASE, user=LDAP_USER, name=USER, subject=SUBJECT,
                                                       password=PASSWORD))
    if not (place.folder / "data" / "data.mdb").exists():
        _quiet([program("slapadd", "slapd"), "-q", "-f", configuration, "-l", entries])
    urls = f"ldap://{place.literal}:{place.port}"
    if place.tls_port:
        urls += f" ldaps://{place.literal}:{place.tls_port}"
    return [Program([program("slapd", "slapd"), "-f", configuration, "-h", urls, "-d", "0"])]


# ---- PostgreSQL ----

_POSTGRESQL = """\
listen_addresses = '{address}'
port = {port}
unix_socket_directories = '{folder}/socket'
ssl = {ssl}
ssl_cert_file = '{folder}/server.pem'
ssl_key_file = '{folder}/server.key'
shared_buffers = 1MB
dynamic_shared_memory_type = mmap
max_connections = 20
fsync = off
autovacuum = off
"""

_HAPROXY = """\
global
    maxconn 100
defaults
    mode tcp
    timeout connect 30s
    timeout client 60s
    timeout server 60s
listen implicit
    bind {address}:{port} ssl crt {pem} alpn postgresql
    server postgresql unix@{socket}
"""


def postgresql(place: Place) -> list[Program]:
    """USER with PASSWORD may connect to DATABASE. TLS at once is haproxy's: before PostgreSQL 17 it has none."""
    owner = "postgres" if os.geteuid() == 0 else None
    binaries = _postgresql_binaries()
    data = place.folder / "data"
    place.make("socket")
    shutil.copyfile(place.certificate, place.folder / "server.pem")
    key = place.folder / "server.key"
    key.touch()
    key.chmod(0o600)
    shutil.copyfile(place.key, key)
    password = place.write("password", PASSWORD)
    for path in (place.folder, place.folder / "socket", key, password):
        _give(path, owner)
    if not (data / "PG_VERSION").exists():
        _quiet([binaries / "initdb", "--pgdata", data, "--username", USER, "--pwfile", password, "--no-sync",
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"], owner)
    (data / "postgresql.conf").write_text(_POSTGRESQL.format(
        address=place.address, port=place.port, folder=place.folder, ssl="on" if place.tls else "off"))
    (data / "pg_hba.conf").write_text("local all all scram-sha-256\nhost all all all scram-sha-256\n")
    status = data / "postmaster.pid"
    status.unlink(missing_ok=True)
    programs = [Program([binaries / "postgres", "-D", data], user=owner, stop_signal=signal.SIGINT,
                        ready=lambda: status.exists() and "ready" in status.read_text())]
    if place.tls_port:
        programs.append(_postgresql_terminator(place, place.tls_port))
    return programs


def _postgresql_binaries() -> Path:
    """Debian has them beside one another, by version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if not found:
        program("postgres", "postgresql")
    return found[-1].parent


def _postgresql_terminator(place: Place, port: int) -> Program:
    pem = place.write("haproxy.pem", place.certificate.read_text() + place.key.read_text())
    configuration = place.write("haproxy.cfg", _HAPROXY.format(
        address=place.literal, port=port, pem=pem, socket=place.folder / "socket" / f".s.PGSQL.{place.port}"))
    return Program([program("haproxy", "haproxy"), "-db", "-f", configuration])


def _give(path: Path, owner: str | None) -> None:
    if owner:
        entry = pwd.getpwnam(owner)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def _quiet(argv: Sequence[str | Path], user: str | None = None) -> None:
    result = subprocess.run(argv, capture_output=True, text=True, check=False, user=user, cwd="/",
                            group=pwd.getpwnam(user).pw_gid if user else None, extra_groups=[] if user else None)
    if result.returncode != 0:
        raise SystemExit(f"{argv[0]}: {result.stdout}{result.stderr}")


SERVERS: dict[str, Callable[[Place], list[Program]]] = {
    "smtp": postfix, "imap": dovecot("imap"), "pop3": dovecot("pop3"), "ldap": slapd, "postgresql": postgresql}


# ---- for pytest ----

class StarttlsServer:
    """One server as an operator would run it, on loopback."""

    def __init__(self, protocol: str, pki: Pki, folder: Path, *, tls: bool = True) -> None:
        self.protocol = protocol
        self.folder = folder
        self.implicit_port = 0
        self._certificate, self._key = pki.server()
        self._tls = tls
        self.port, self._child = start_on_unused_port(self._run)
        self._child.stdout.wait_for(lambda line: line == READY)

    def _run(self, port: int) -> Child:
        self.implicit_port = unused_port()
        argv: list[str | Path] = [
            sys.executable, "-m", "harness.starttls_servers", self.protocol, "--folder", self.folder,
            "--address", "127.0.0.1", "--port", str(port), "--implicit-port", str(self.implicit_port),
            "--certificate", self._certificate, "--key", self._key]
        return Child(argv + ([] if self._tls else ["--no-tls"]), cwd=Path(__file__).parents[1])

    def close(self) -> None:
        code = self._child.stop()
        assert code == 0, f"{self.protocol}: {code}\n{self._child.stderr.text()}"


# ---- the command ----

class _Running:
    """The programs of one server, as long as they run; what they leave behind becomes this process's child."""

    def __init__(self, place: Place, programs: Sequence[Program]) -> None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._place = place
        self._programs = programs
        self._processes = [_start(each) for each in programs]

    def ready(self) -> bool:
        ports = filter(None, (self._place.port, self._place.tls_port))
        return (all(each.ready() for each in self._programs) and
                all(_accepts(self._place.address, port) for port in ports))

    def ended(self) -> bool:
        return any(process.poll() is not None for process in self._processes)

    def stop(self) -> None:
        """Asks again and again: Dovecot's children do not hear it while they start."""
        signals = {process.pid: each.stop_signal for each, process in zip(self._programs, self._processes)}
        deadline = time.monotonic() + _STOP_S
        while children := _children():
            late = time.monotonic() > deadline
            for pid in children:
                number = signal.SIGKILL if late else signals.get(pid, signal.SIGTERM)
                os.killpg(os.getpgid(pid), number)
            time.sleep(_POLL_S)


def _start(each: Program) -> "subprocess.Popen[bytes]":
    parent = os.getpid()

    def prepare() -> None:
        os.setsid()  # Postfix ends its daemons by signalling its group
        if each.user:
            entry = pwd.getpwnam(each.user)
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        _libc.prctl(_PR_SET_PDEATHSIG, each.stop_signal, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return subprocess.Popen(each.argv, env={**os.environ, **each.env}, cwd="/", stdin=subprocess.DEVNULL,
                            preexec_fn=prepare)


def _children() -> list[int]:
    """Those of this process that have not ended; the others are reaped."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(stat.parent.name))
    return found


def _accepts(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), DEADLINE_S).close()
    except ConnectionRefusedError:
        return False
    return True


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="harness.starttls_servers")
    parser.add_argument("protocol", choices=SERVERS)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--implicit-port", type=int)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--no-tls", action="store_true")
    parser.add_argument("--prepare", action="store_true")
    return parser.parse_args()


def main() -> int:
    asked = _arguments()
    if not Path("/proc/self/stat").exists():
        raise SystemExit("there is no /proc here (mount -t proc proc /proc): what was started could not be found again")
    place = Place(asked.folder.absolute(), asked.address, asked.port, asked.implicit_port,
                  asked.certificate.absolute(), asked.key.absolute(), not asked.no_tls)
    place.make("")
    programs = SERVERS[asked.protocol](place)
    if asked.prepare:
        return 0
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    running = _Running(place, programs)
    try:
        told = False
        while not running.ended():
            if not told and running.ready():
                print(READY, flush=True)
                told = True
            time.sleep(_POLL_S)
        return 1
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        running.stop()


if __name__ == "__main__":
    sys.exit(main())
