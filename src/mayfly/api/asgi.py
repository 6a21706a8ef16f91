"""ASGI's names: https://asgi.readthedocs.io/en/latest/specs/www.html, as far as the server goes.

Messages and scopes are untyped dictionaries there; they are read in `server`, `body` and `reply`
and nowhere else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

# Any, not object: the wire's own shape, which the readers narrow at once.
Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
