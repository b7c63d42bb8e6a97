"""Real clients of the servers in starttls_servers.py: one delivers a mail, or reads one, finds an entry, asks a query.

All of them verify the server's certificate, and none goes on without TLS. What they print contains what `succeeds`
looks for; a mail is looked for where Postfix has put it.
"""

import contextlib
import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from .clients import ClientFailed
from .pki import SERVER_NAME, Pki
from .process import Child, OutputEnded
from .programs import program
from .starttls_servers import DATABASE, LDAP_BASE, LDAP_USER, MAIL_ADDRESS, PASSWORD, SUBJECT, USER, StarttlsServer
from .wait import wait_until

SENDER = "sender@elsewhere.test"
SCRAM = "SCRAM-SHA-256"
"""PostgreSQL's answer to a StartupMessage: how the user is to authenticate."""

_tokens = itertools.count(1)


@dataclass(frozen=True)
class Visit:
    """Where to, and whether TLS begins at once."""

    port: int
    pki: Pki
    implicit: bool = False
    proxy: str = ""
    """For curl: the URL of what to ask for the server, which is called SERVER_NAME then."""
    token: str = field(default_factory=lambda: f"mail number {next(_tokens)}")
    """The subject of the mail, where one is delivered."""

    def url(self, scheme: str) -> str:
        return f"{scheme}{'s' if self.implicit else ''}://{SERVER_NAME}:{self.port}/"


Client = Callable[[Visit], str]


def run(argv: list[str | Path], words: bytes = b"", farewell: bytes = b"", **env: str) -> str:
    """Runs a client to its end and gives what it printed. `farewell` waits until it has printed SUBJECT."""
    with Child(argv, stdin=True, env=env) as child:
        with contextlib.suppress(BrokenPipeError, OutputEnded):  # its exit code says more
            child.write(words)
            if farewell:
                child.stdout.wait_for(lambda line: SUBJECT in line)
                child.write(farewell)
        code = child.wait()
        text = child.stdout.text()
        if code != 0:
            raise ClientFailed(f"{' '.join(child.argv)}: exit code {code}\n{text}\n{child.stderr.text()}")
    return text


def swaks(visit: Visit) -> str:
    return run([program("swaks", "swaks"), "--server", "127.0.0.1", "--port", str(visit.port),
                "--tls-on-connect" if visit.implicit else "--tls", "--tls-verify", "--tls-ca-path", visit.pki.ca,
                "--tls-sni", SERVER_NAME, "--helo", "client.test", "--from", SENDER, "--to", MAIL_ADDRESS,
                "--h-Subject", visit.token])


def curl(visit: Visit, scheme: str, path: str, *more: str) -> str:
    way = (["--proxy", visit.proxy, "--proxytunnel"] if visit.proxy else
           ["--resolve", f"{SERVER_NAME}:{visit.port}:127.0.0.1"])
    return run([program("curl", "curl"), "--silent", "--show-error", "--ssl-reqd", "--cacert", visit.pki.ca,
                *way, visit.url(scheme) + path, *more])


def curl_mail(visit: Visit) -> str:
    return curl(visit, "smtp", "client.test", "--mail-from", SENDER, "--mail-rcpt", MAIL_ADDRESS,
                "--header", f"Subject: {visit.token}", "--form", "=A line.")


def curl_mailbox(scheme: str, mail: str) -> Client:
    def read(visit: Visit) -> str:
        return curl(visit, scheme, mail, "--user", f"{USER}:{PASSWORD}")
    return read


def ldapsearch(visit: Visit) -> str:
    # libldap knows the machine's own name for a name that resolves to it: the certificate is asked for the address.
    return run([program("ldapsearch", "ldap-utils"), *([] if visit.implicit else ["-ZZ"]), "-x",
                "-H", f"ldap{'s' if visit.implicit else ''}://127.0.0.1:{visit.port}", "-D", LDAP_USER, "-w", PASSWORD,
                "-b", LDAP_BASE, "-o", "ldif-wrap=no"], LDAPTLS_CACERT=str(visit.pki.ca))


def psql(visit: Visit) -> str:
    """The version of Debian 12 has no other way than the SSLRequest."""
    return run([program("psql", "postgresql-client"), f"host={SERVER_NAME} hostaddr=127.0.0.1 port={visit.port} "
                f"user={USER} dbname={DATABASE} sslmode=verify-full sslrootcert={visit.pki.ca}",
                "-tAc", f"select '{SUBJECT}'"], PGPASSWORD=PASSWORD)


# ---- openssl s_client, which does STARTTLS in its own way ----

def s_client(protocol: str) -> Client:
    def converse(visit: Visit) -> str:
        way = _IMPLICIT.get(protocol, []) if visit.implicit else ["-starttls", _STARTTLS.get(protocol, protocol)]
        return run([program("openssl", "openssl"), "s_client", "-connect", f"127.0.0.1:{visit.port}", "-quiet",
                    "-servername", SERVER_NAME, "-CAfile", visit.pki.ca, "-verify_return_error",
                    "-verify_hostname", SERVER_NAME, *way], _WORDS[protocol](visit),
                   _FAREWELL.get(protocol, b""))
    return converse


_STARTTLS = {"postgresql": "postgres"}
_IMPLICIT = {"postgresql": ["-alpn", "postgresql"]}


def ber(tag: int, *parts: bytes) -> bytes:
    """A short element of BER."""
    content = b"".join(parts)
    assert len(content) < 0x80
    return bytes([tag, len(content)]) + content


def _ldap_words(_: Visit) -> bytes:
    """Bind, and search for everything below the base (RFC 4511 §4.2, 4.5)."""
    bind = ber(0x60, ber(2, b"\x03"), ber(4, LDAP_USER.encode()), ber(0x80, PASSWORD.encode()))
    search = ber(0x63, ber(4, LDAP_BASE.encode()), ber(10, b"\x02"), ber(10, b"\x00"), ber(2, b"\x00"), ber(2, b"\x00"),
                 ber(1, b"\x00"), ber(0x87, b"objectClass"), ber(0x30))
    return ber(0x30, ber(2, b"\x01"), bind) + ber(0x30, ber(2, b"\x02"), search)


_LDAP_UNBIND = ber(0x30, ber(2, b"\x03"), ber(0x42))
"""RFC 4511 §4.3. It also ends what is still being answered."""


def startup_message() -> bytes:
    content = b"\0\3\0\0" + f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
    return (4 + len(content)).to_bytes(4, "big") + content


_TERMINATE = b"X\0\0\0\4"

_WORDS: dict[str, Callable[[Visit], bytes]] = {
    "smtp": lambda visit: (f"EHLO client.test\r\nMAIL FROM:<{SENDER}>\r\nRCPT TO:<{MAIL_ADDRESS}>\r\nDATA\r\n"
                           f"Subject: {visit.token}\r\n\r\nA line.\r\n.\r\nQUIT\r\n").encode(),
    "imap": lambda _: f"a LOGIN {USER} {PASSWORD}\r\nb SELECT INBOX\r\nc FETCH 1 BODY[]\r\nd LOGOUT\r\n".encode(),
    "pop3": lambda _: f"USER {USER}\r\nPASS {PASSWORD}\r\nRETR 1\r\nQUIT\r\n".encode(),
    "ldap": _ldap_words,
    "postgresql": lambda _: startup_message() + _TERMINATE,
}

_FAREWELL = {"ldap": _LDAP_UNBIND}

STARTTLS_CLIENTS: dict[str, dict[str, Client]] = {
    "smtp": {"swaks": swaks, "curl": curl_mail},
    "imap": {"curl": curl_mailbox("imap", "INBOX;MAILINDEX=1")},
    "pop3": {"curl": curl_mailbox("pop3", "1")},
    "ldap": {"ldapsearch": ldapsearch},
    "postgresql": {"psql": psql},
}
for _protocol, _clients in STARTTLS_CLIENTS.items():
    _clients["openssl"] = s_client(_protocol)

IMPLICIT_CLIENTS = {protocol: {name: client for name, client in clients.items() if client is not psql}
                    for protocol, clients in STARTTLS_CLIENTS.items()}


def succeeds(server: StarttlsServer, client: Client, visit: Visit) -> None:
    """Asserts that the client gets what it came for."""
    said = client(visit)
    if server.protocol == "smtp":
        mails = server.folder / "mail" / "new-mail" / "new"
        wait_until(f"there is a mail of subject {visit.token!r}", lambda: any(
            f"Subject: {visit.token}\n" in mail.read_text() for mail in mails.glob("*")))
    else:
        expected = SCRAM if server.protocol == "postgresql" and client is not psql else SUBJECT
        assert expected in said, said
