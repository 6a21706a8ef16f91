"""Which platform a data folder belongs to, and whether it is alive.

The daemon writes two files, readable by its owner alone:

    endpoint.json  {"endpoint": "http://127.0.0.1:9000", "pid": 4711, "started_ms": ...}
    key.json       {"access_key_id": ..., "secret_access_key": ...}
"""

from __future__ import annotations

import http.client
import os
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
        endpoint: "http://HOST:PORT", without a slash at the end.
        pid: The daemon's process.
    """

    data: Path
    endpoint: str
    pid: int

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to connect to."""
        parts = urlsplit(self.endpoint)
        return parts.hostname or "127.0.0.1", parts.port or 80

    def key(self) -> Key:
        """The root key.

        Raises:
            Failed: The file is missing, unreadable or broken.
        """
        found = _read(self.data / "key.json")
        return Key(document.text(found, "access_key_id"), document.text(found, "secret_access_key"))

    def answers(self) -> bool:
        """Whether the platform of this very data folder answers at the endpoint now."""
        host, port = self.address
        with closing(http.client.HTTPConnection(host, port, timeout=_HEALTH_TIMEOUT_S)) as line:
            try:
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
    if not endpoint.startswith("http://"):
        raise Failed(f"{path} is damaged; stop the platform and start it again")
    return Platform(data, endpoint, int(document.number(found, "pid")))


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
