"""A mail server for tests: SMTP with STARTTLS, a certificate of its own, and all that it was told.

It speaks as much of RFC 5321 as a client needs to deliver one message.
"""

from __future__ import annotations

import contextlib
import datetime
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_REPLIES = {
    "EHLO": "250-test\r\n250-AUTH PLAIN\r\n250 STARTTLS",
    "STARTTLS": "220 go",
    "AUTH": "235 welcome",
    "DATA": "354 go",
    "QUIT": "221 bye",
}


@dataclass
class Mailbox:
    """What the server got, and the certificate that vouches for it."""

    authority: Path
    tls: ssl.SSLContext
    port: int = 0
    lines: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)


@contextlib.contextmanager
def running(server: socketserver.BaseServer) -> Iterator[None]:
    """Serve on a thread for as long as the block runs."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def run_mailbox(folder: Path) -> Iterator[Mailbox]:
    """A mail server on a free port of localhost; its certificate is written into `folder`."""
    authority = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    box = Mailbox(authority, context)
    server = _Server(("127.0.0.1", 0), _Talk)
    server.box = box
    box.port = server.server_address[1]
    with running(server):
        yield box


class _Server(socketserver.ThreadingTCPServer):
    box: Mailbox


class _Talk(socketserver.StreamRequestHandler):
    @property
    def _box(self) -> Mailbox:
        assert isinstance(self.server, _Server)
        return self.server.box

    def handle(self) -> None:
        with contextlib.ExitStack() as stack:
            self._say("220 test")
            while line := self.rfile.readline().decode().rstrip("\r\n"):
                self._box.lines.append(line)
                verb = line.split()[0].upper()
                self._say(_REPLIES.get(verb, "250 yes"))
                if verb == "QUIT":
                    return
                if verb == "DATA":
                    self._take()
                if verb == "STARTTLS" and not self._seal(stack):
                    return  # the client did not like the certificate

    def finish(self) -> None:
        """Nothing is left to flush: what is said is sent at once."""

    def _take(self) -> None:
        mail = b""
        while (part := self.rfile.readline()) != b".\r\n":
            mail += part
        self._box.mails.append(mail)
        self._say("250 kept")

    def _seal(self, stack: contextlib.ExitStack) -> bool:
        try:
            sealed = self._box.tls.wrap_socket(self.request, server_side=True)
        except ssl.SSLError:
            return False
        self.request = stack.enter_context(sealed)
        self.setup()
        return True

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


def _certificate(folder: Path) -> Path:
    """A file with a key and a certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start.replace(year=2099))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    kind = serialization.PrivateFormat.PKCS8
    file = folder / "mail.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, kind, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file
