"""The control API's secrets. A value comes in and never goes out.

GET    v1/secrets          names, versions, when they were changed
PUT    v1/secrets/{name}   the body is the value, UTF-8
DELETE v1/secrets/{name}
"""

from __future__ import annotations

from dataclasses import asdict

from mayfly.api.control.routes import Call, Routes
from mayfly.api.message import Response
from mayfly.model.errors import InvalidParameter
from mayfly.stores.secrets.store import SecretStore


class SecretControl:
    """Routes over the store of secrets."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store

    @property
    def routes(self) -> Routes:
        """For the control API."""
        return {
            ("secrets", False): {"GET": self._list},
            ("secrets", True): {"PUT": self._put, "DELETE": self._delete},
        }

    async def _list(self, call: Call) -> None:
        await call.reply({"secrets": [asdict(one) for one in self._store.facts_nowait()]})

    async def _put(self, call: Call) -> None:
        try:
            value = call.body.decode()
        except UnicodeDecodeError:
            raise InvalidParameter(
                f'the value of "{call.name[:80]}" is not UTF-8 text; encode it, in base64 for '
                "instance"
            ) from None
        facts = await self._store.put(call.name, value, int(call.platform.clock.now_ms()))
        await call.reply(asdict(facts))

    async def _delete(self, call: Call) -> None:
        await self._store.delete(call.name)
        await call.exchange.reply(Response(204))
