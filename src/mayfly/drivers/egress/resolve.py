"""Which addresses a granted name may mean.

A name is resolved here, outside the isolate, and remembered for a while. Addresses that are not of
the public internet are refused unless the grant itself says that they are meant: by the address,
or by a name that can only be one of a private network. So nobody who controls a public name can
point it at the machine itself, at its neighbours, or at a cloud's metadata service.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from mayfly.model.errors import CallerError
from mayfly.ports import Clock

_REMEMBERED_S = 60.0
_NAMES_MAX = 1_024
_RESOLVE_S = 10.0
# RFC 6762, 6761, 8375, and ICANN's reservation of "internal".
_PRIVATE_ENDINGS = (".internal", ".local", ".localhost", ".lan", ".home.arpa", ".localdomain")
_METADATA = (
    ipaddress.ip_network("169.254.0.0/16"),
    ipaddress.ip_network("fe80::/10"),
    ipaddress.ip_network("fd00:ec2::/32"),
)

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(CallerError):
    """A granted name does not exist, or means an address that the grant does not cover."""

    code = "AddressRefused"
    status = 403


class Resolver:
    """Looks names up on the machine's own resolver."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Where `host` may be reached, in the resolver's order, at least one address.

        Raises:
            AddressRefused: There is none that may be used.
        """
        now_s = self._clock.monotonic_s()
        known = self._known.get(host)
        if known is not None and known[0] > now_s:
            return known[1]
        found = allowed(host, await _look_up(host))
        if len(self._known) >= _NAMES_MAX:
            self._known.clear()
        self._known[host] = (now_s + _REMEMBERED_S, found)
        return found


def allowed(host: str, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `addresses` that a grant of `host` covers. Pure.

    Raises:
        AddressRefused: None of them.
    """
    parsed = [ipaddress.ip_address(one.partition("%")[0]) for one in addresses]
    found = tuple(str(one) for one in parsed if _is_covered(host, one))
    if not found:
        raise AddressRefused(
            f"{host} means {', '.join(map(str, parsed)) or 'no address'}, which is no public "
            "address; grant the address itself if that is what you want"
        )
    return found


def _is_covered(host: str, address: _Address) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    if address.is_multicast or address.is_unspecified:
        return False
    if _literal(host) == address:
        return True
    if any(address in network for network in _METADATA if network.version == address.version):
        return False
    return address.is_global or _is_private_name(host)


def _is_private_name(host: str) -> bool:
    return "." not in host or host.endswith(_PRIVATE_ENDINGS)


def _literal(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


async def _look_up(host: str) -> tuple[str, ...]:
    if _literal(host) is not None:
        return (host,)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:
        raise AddressRefused(f"{host} cannot be resolved: {error!r}") from error
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))
