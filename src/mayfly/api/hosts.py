"""Which Host headers an open route answers: a defence against DNS rebinding.

A web page can point a name of its own at 127.0.0.1 and so send requests here from the browser of
whoever visits it; they carry that name as their Host. A server that listens on loopback therefore
answers unsigned requests only under names that nobody else controls. Signed requests need no such
check: the page has no key.
"""

from __future__ import annotations

import ipaddress

from mayfly.model.errors import CallerError

_REMEMBERED_MAX = 256
_LOCAL = "localhost"


class HostRefused(CallerError):
    """The Host header is no name of this machine."""

    code = "AccessDeniedException"
    status = 403


class HostCheck:
    """Remembers what it has decided, so that a known host costs one look-up.

    Args:
        listens_on: The host that the server listens on, as configured.
        also: Further names that are ours.
    """

    def __init__(self, listens_on: str, *also: str) -> None:
        self._active = _is_loopback(listens_on.lower())
        self._names = frozenset({listens_on.lower(), *(one.lower() for one in also)})
        self._good: set[str] = set()

    def require(self, host: str | None) -> None:
        """Refuse a foreign Host header; an absent one is no browser's.

        Raises:
            HostRefused: With what to use instead.
        """
        if host is None or not self._active or host in self._good:
            return
        name = _without_port(host.strip().lower())
        if name not in self._names and not _is_loopback(name):
            raise HostRefused(
                f'the host "{host[:100]}" is not a name of this platform, which listens on '
                "loopback only; use 127.0.0.1 or localhost, or start it with --listen and the "
                "address that you want it reached at"
            )
        if len(self._good) < _REMEMBERED_MAX:
            self._good.add(host)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_loopback(name: str) -> bool:
    name = name.removesuffix(".")
    if name == _LOCAL or name.endswith(f".{_LOCAL}"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
