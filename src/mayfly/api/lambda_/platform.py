"""What Lambda's operations need of the platform, as narrow as they can take it.

The server's `Platform` fits `LambdaPlatform`, and so does a test's double with an engine that
answers at once. Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mayfly.api.keys import Keys
from mayfly.model.event import Event
from mayfly.model.invocation import Invocation, Outcome
from mayfly.ports import Clock, CodeStore, Ids, Registry, RuntimeInfo


class InvokingEngine(Protocol):
    """The part of the engine that the API uses."""

    async def invoke(self, invocation: Invocation) -> Outcome:
        """Run one call to its end.

        Raises:
            TooManyRequests: Over a bound of concurrency.
            PlatformError: The platform failed or is stopping.
        """
        ...

    async def accept(self, event: Event) -> None:
        """Keep an asynchronous event; durable when it returns."""
        ...

    def function_changed(self, name: str) -> None:
        """After create, update and delete: the next call uses the new version."""
        ...


class LambdaPlatform(Protocol):
    """What `LambdaOperations` and `invoke_fast` are given; the server's `Platform` fits it."""

    @property
    def registry(self) -> Registry:
        """Functions and URLs."""
        ...

    @property
    def code(self) -> CodeStore:
        """Archives and trees."""
        ...

    @property
    def engine(self) -> InvokingEngine:
        """Runs calls."""
        ...

    @property
    def keys(self) -> Keys:
        """Access keys: the root key signs addresses of archives."""
        ...

    @property
    def clock(self) -> Clock:
        """Time."""
        ...

    @property
    def ids(self) -> Ids:
        """Names for new things."""
        ...

    @property
    def runtimes(self) -> Mapping[str, RuntimeInfo]:
        """The interpreters of this machine, by runtime name."""
        ...

    @property
    def endpoint(self) -> str:
        """`http://HOST:PORT`, no slash at the end."""
        ...
