"""Whether the listener speaks TLS, and under which names: on wherever others can reach it.

tls = "auto"   on, unless the address is a loopback's
tls = "on"     on
tls = "off"    plain HTTP, said by somebody who has a proxy in front, or knows why

The library that reads and makes certificates is loaded only where one is shown: it is 8 MB that a
listener on a loopback need not hold.
"""

from __future__ import annotations

import ipaddress
import itertools
import logging
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mayfly.api.listener import Listener
from mayfly.config import Config
from mayfly.model.errors import InvalidParameter, MayflyError
from mayfly.ports import Clock
from mayfly.telemetry import LogEvent, event_log

_LOOK_AGAIN_S = 3_600.0


class ShownCertificate(Protocol):
    """What of `api.certificates.Certificate` the daemon uses."""

    path: Path
    context: ssl.SSLContext
    fingerprint: str

    @property
    def is_own(self) -> bool:
        """Whether it was made here."""
        ...

    def refresh(self, now_ms: float) -> bool:
        """Renew or reload it where that is due; whether it changed."""
        ...


def open_tls(settings: Config, listener: Listener, clock: Clock) -> ShownCertificate | None:
    """The listener's certificate, or None where it speaks plain HTTP.

    Raises:
        InvalidParameter: A certificate was named that cannot be used.
        StorageFailed: One had to be made, and cannot be kept.
    """
    certificate, key = settings.tls_certificate, settings.tls_key
    if bool(certificate) is not bool(key):
        raise InvalidParameter("tls_certificate and tls_key are named together, or neither")
    address = ipaddress.ip_address(str(listener.socket.getsockname()[0]).partition("%")[0])
    if settings.tls == "off" or (
        settings.tls == "auto" and address.is_loopback and not certificate
    ):
        return None
    from mayfly.api.certificates import Certificate  # noqa: PLC0415 see above

    given = (_path(certificate), _path(key)) if certificate else None
    names = list(dict.fromkeys(_names(listener.host, address)))
    return Certificate(settings.data / "tls", names, given=given, now_ms=clock.now_ms())


async def keep_fresh(certificate: ShownCertificate, clock: Clock) -> None:
    """Renew what was made here before it ends, and take in configured files that change."""
    while True:
        await clock.sleep(_LOOK_AGAIN_S)
        try:
            if certificate.refresh(clock.now_ms()):
                event_log(LogEvent.CERTIFICATE_CHANGED, fingerprint=certificate.fingerprint)
        except MayflyError as error:
            event_log(LogEvent.CERTIFICATE_FAILED, level=logging.ERROR, error=str(error))


def _path(written: str) -> Path:
    return Path(written).expanduser().absolute()


def _names(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Iterator[str]:
    """The names and addresses by which this listener may be called."""
    if not address.is_unspecified:
        yield from (host.lower(), str(address))
        return
    yield from (socket.gethostname().lower(), "localhost", "127.0.0.1", "::1")
    yield from _own_addresses()


def _own_addresses() -> Iterator[str]:
    """Every address of this machine but link-local ones, as /proc/net tells (proc(5))."""
    try:
        lines = Path("/proc/net/fib_trie").read_text().splitlines()
        sixes = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return
    for before, line in itertools.pairwise(lines):
        if "/32 host LOCAL" in line:
            yield from _routable(before.rpartition(" ")[2])
    for line in sixes:
        yield from _routable(str(ipaddress.IPv6Address(int(line.split()[0], 16))))


def _routable(written: str) -> Iterator[str]:
    address = ipaddress.ip_address(written)
    if not address.is_link_local and not address.is_loopback:
        yield str(address)
