"""A structure's members, by name, with the types that the model promised.

Parsing has checked each value against its shape, so an accessor only says which type is meant; a
wrong one is our mistake, not the caller's.
"""

from __future__ import annotations


class Params(dict[str, object]):
    """Members under AWS's names. A member that was not sent, or was null, is not there."""

    __slots__ = ()

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.get(name, default)
        assert isinstance(value, str)
        return value

    def number(self, name: str, default: int) -> int:
        """An integer or long."""
        value = self.get(name, default)
        assert isinstance(value, int)
        return value

    def flag(self, name: str) -> bool:
        """A boolean, false when it was not sent."""
        value = self.get(name, False)
        assert isinstance(value, bool)
        return value

    def blob(self, name: str) -> bytes:
        """Bytes, none when it was not sent."""
        value = self.get(name, b"")
        assert isinstance(value, bytes)
        return value

    def structure(self, name: str) -> Params:
        """A structure, without members when it was not sent."""
        value = self.get(name)
        assert value is None or isinstance(value, Params)
        return Params() if value is None else value

    def texts(self, name: str) -> list[str]:
        """A list of strings."""
        value = self.get(name, [])
        assert isinstance(value, list)
        return value

    def text_map(self, name: str) -> dict[str, str]:
        """A map of strings."""
        value = self.get(name, {})
        assert isinstance(value, dict)
        return value
