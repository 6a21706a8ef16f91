"""Grants: what a function may reach beyond itself. It starts with nothing.

A grant is written as people write it in mayfly.toml (`net = ["api.example.com:443"]`) and parsed
once, here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from mayfly.model.errors import InvalidParameter


class GrantKind(StrEnum):
    """The keys of the `[grants]` table."""

    NET = "net"
    OBJECTS = "objects"
    TABLES = "tables"
    QUEUES = "queues"
    INVOKE = "invoke"
    SECRETS = "secrets"


class GrantOrigin(StrEnum):
    """Where a function has a grant from; see `granting`."""

    MANIFEST = "manifest"
    HAND = "hand"
    TAG = "tag"


_HOST = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?)*",
    re.ASCII,
)

_VERBS: dict[GrantKind, tuple[str, ...]] = {
    GrantKind.OBJECTS: ("read", "write"),
    GrantKind.TABLES: ("read", "write"),
    GrantKind.QUEUES: ("send", "receive"),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """One thing that a function may reach.

    Args:
        kind: Which table of `[grants]`.
        target: A host:port (or "*.example.com:443"), bucket[/prefix], table, queue, function or
            secret name.
        verb: "read", "write", "send", "receive", or "" where the kind has none.
    """

    kind: GrantKind
    target: str
    verb: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}" + (f":{self.verb}" if self.verb else "")

    def allows(self, kind: GrantKind, target: str, verb: str = "") -> bool:
        """Whether it gives `verb` on `target`.

        Args:
            target: As a grant names it; of an object, "bucket/key". A grant of objects reaches
                everything in its bucket, or whose key begins with its prefix.
        """
        if self.kind is not kind or self.verb != verb:
            return False
        if self.target == target:
            return True
        if kind is not GrantKind.OBJECTS:
            return False
        bucket, slash, prefix = self.target.partition("/")
        asked, _, key = target.partition("/")
        return bucket == asked and (not slash or key.startswith(prefix))

    @property
    def written(self) -> str:
        """The grant as it stands in mayfly.toml, without its kind."""
        return f"{self.target}:{self.verb}" if self.verb else self.target


def is_host(name: str) -> bool:
    """Whether it can be the name of a host: lower-case, no dot at the end."""
    return _HOST.fullmatch(name) is not None


def covers_host(pattern: str, name: str) -> bool:
    """Whether a host as a grant writes it means `name`.

    "*.example.com" stands for one label, as it does in certificates (RFC 6125, 6.4.3): it covers
    a.example.com, neither a.b.example.com nor example.com.
    """
    if not pattern.startswith("*."):
        return pattern == name
    first, _, rest = name.partition(".")
    return bool(first) and rest == pattern[2:] and is_host(name)


def parse_grant(kind: GrantKind, written: str) -> Grant:
    """Parse one entry of a `[grants]` list.

    Raises:
        InvalidParameter: The entry is not of its kind's form; the message shows the form.
    """
    if kind is GrantKind.NET:
        return _parse_net(written)
    verbs = _VERBS.get(kind)
    if verbs is None:
        if not written or ":" in written:
            raise InvalidParameter(f'grant {kind} = "{written}" must be a plain name')
        return Grant(kind, written)
    target, _, verb = written.rpartition(":")
    if not target or verb not in verbs:
        form = " or ".join(f'"{target or written or "name"}:{one}"' for one in verbs)
        raise InvalidParameter(f'grant {kind} = "{written}" must say what it allows: write {form}')
    return Grant(kind, target, verb)


def _parse_net(written: str) -> Grant:
    host, _, port = written.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise InvalidParameter(
            f'grant net = "{written}" must be "host:port", for example "api.example.com:443"'
        )
    host = host.lower()
    if "*" in host and not _is_wildcard(host):
        raise InvalidParameter(
            f'grant net = "{written}": a wildcard stands for the first label of a domain of two or '
            'more, and for TLS: "*.example.com:443"'
        )
    if ":" in host:
        raise InvalidParameter(
            f'grant net = "{written}": IPv6 addresses are not there yet; write a name or an IPv4 '
            "address"
        )
    if not is_host(host.removeprefix("*.")):
        raise InvalidParameter(f'grant net = "{written}": "{host}" is no host name or IPv4 address')
    return Grant(GrantKind.NET, f"{host}:{int(port)}")


def _is_wildcard(host: str) -> bool:
    domain = host.removeprefix("*.")
    return "*" not in domain and "." in domain and not domain.rpartition(".")[2].isdigit()
