"""Which platform a data folder belongs to, and whether it is alive.

The daemon writes two files, readable by its owner alone:

    endpoint.json  {"endpoint": "http://127.0.0.1:9000", "pid": 4711, "started_ms": ...}
                   with TLS also {"certificate": PATH, "fingerprint": "AB:...", "self_signed": true}
                   "user": whom it runs as, "root_because": why that is root, or ""
    key.json       {"access_key_id": ..., "secret_access_key": ...}
"""

from __future__ import annotations

import http.client
import os
import ssl
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from mayfly.cli import document
from mayfly.cli.failure import Failed
from mayfly.cli.signer import Key

_HEALTH_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform as its data folder describes it; it may have died since.

    Args:
        endpoint: "http://HOST:PORT" or "https://...", without a slash at the end.
        pid: The daemon's process.
        certificate: The file of the one that it shows, or None where it speaks plain HTTP.
        fingerprint: Of that, SHA-256 in hexadecimal with colons.
        self_signed: It was made by the platform; clients must be told to trust it.
        user: Whom it runs as.
        root_because: Why root itself serves HTTP, or "" when it does not.
    """

    data: Path
    endpoint: str
    pid: int
    certificate: Path | None = None
    fingerprint: str = ""
    self_signed: bool = False
    user: str = ""
    root_because: str = ""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        parts = urlsplit(self.endpoint)
        return parts.hostname or "127.0.0.1", parts.port or 80

    def line(self, timeout_s: float | None) -> http.client.HTTPConnection:
        """A connection to be opened, owned by the caller.

        With TLS it takes the certificate that the data folder names and no other: whoever shows it
        has its key, whatever name or address this went to.

        Raises:
            OSError: The certificate's file cannot be read.
        """
        host, port = self.address
        if self.certificate is None:
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(self.certificate)
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)

    def key(self) -> Key:
        """The root key.

        Raises:
            Failed: The file is missing, unreadable or broken.
        """
        found = _read(self.data / "key.json")
        return Key(document.text(found, "access_key_id"), document.text(found, "secret_access_key"))

    def answers(self) -> bool:
        """Whether the platform of this very data folder answers at the endpoint now."""
        try:
            with closing(self.line(_HEALTH_TIMEOUT_S)) as line:
                line.request("GET", "/_mayfly/health")
                reply = line.getresponse()
                health = document.parse(reply.read(65_536))
        except (OSError, http.client.HTTPException, ValueError):
            return False
        return reply.status == http.client.OK and _same(document.text(health, "data"), self.data)

    def alive(self) -> bool:
        """Whether the daemon's process exists and is no zombie."""
        with suppress(OSError, IndexError):
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
            return stat.rpartition(")")[2].split()[0] not in "ZX"
        with suppress(OSError):
            os.kill(self.pid, 0)
            return not Path("/proc/self/stat").exists()
        return False


def find(data: Path) -> Platform | None:
    """The platform that the folder describes, or None when none was started on it.

    Raises:
        Failed: The description cannot be read.
    """
    path = data / "endpoint.json"
    if not path.exists():
        return None
    found = _read(path)
    endpoint = document.text(found, "endpoint").rstrip("/")
    certificate = document.text(found, "certificate")
    if not endpoint.startswith("https://" if certificate else "http://"):
        raise Failed(f"{path} is damaged; stop the platform and start it again")
    return Platform(
        data,
        endpoint,
        int(document.number(found, "pid")),
        Path(certificate) if certificate else None,
        document.text(found, "fingerprint"),
        found.get("self_signed") is True,
        document.text(found, "user"),
        document.text(found, "root_because"),
    )


def require(data: Path) -> Platform:
    """The platform that the folder describes.

    Raises:
        Failed: None was started on the folder; the message says how.
    """
    platform = find(data)
    if platform is None:
        raise Failed(
            f"no platform runs on {data}; start one with `mayfly up -d`, or name its folder "
            "with --data or MAYFLY_DATA"
        )
    return platform


def _read(path: Path) -> document.Document:
    try:
        return document.parse(path.read_bytes())
    except FileNotFoundError:
        raise Failed(f"{path} is missing; start the platform with `mayfly up -d`") from None
    except PermissionError:
        raise Failed(f"{path} is another user's; run this as the user who started it") from None
    except (OSError, ValueError) as error:
        raise Failed(f"{path} cannot be read ({error}); restart the platform") from error


def _same(told: str, data: Path) -> bool:
    return bool(told) and Path(told).resolve() == data.resolve()
