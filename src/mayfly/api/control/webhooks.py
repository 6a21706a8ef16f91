"""The control API's webhooks.

GET    v1/webhooks          all, with their URLs
PUT    v1/webhooks/{name}   {"function", "scheme", "secret"}: make it or change it
DELETE v1/webhooks/{name}
"""

from __future__ import annotations

import re

import msgspec

from mayfly.api.control.routes import Call, Routes
from mayfly.api.message import Response
from mayfly.model import limits
from mayfly.model.errors import InvalidParameter, NotFound
from mayfly.model.webhook import HOOK_ID_LENGTH, HOOKS_PATH, Scheme, Webhook
from mayfly.stores.secrets.store import SecretStore
from mayfly.stores.webhooks.store import WebhookStore

_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.NAME_LENGTH_MAX}}}", re.ASCII)


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    function: str
    scheme: str
    secret: str = ""


class WebhookControl:
    """Routes over the store of webhooks."""

    def __init__(self, store: WebhookStore, secrets: SecretStore) -> None:
        self._store = store
        self._secrets = secrets

    @property
    def routes(self) -> Routes:
        """For the control API."""
        return {
            ("webhooks", False): {"GET": self._list},
            ("webhooks", True): {"PUT": self._put, "DELETE": self._delete},
        }

    async def _list(self, call: Call) -> None:
        await call.reply(
            {"webhooks": [webhook_form(call, one) for one in self._store.all_nowait()]}
        )

    async def _put(self, call: Call) -> None:
        wanted, scheme = self._wanted(call)
        now_ms = int(call.platform.clock.now_ms())
        kept = await self._store.put(
            Webhook(
                name=call.name,
                hook_id=call.platform.ids.token(HOOK_ID_LENGTH),
                function_name=wanted.function,
                scheme=scheme,
                secret_name=wanted.secret,
                created_ms=now_ms,
                modified_ms=now_ms,
            )
        )
        await call.reply(webhook_form(call, kept))

    async def _delete(self, call: Call) -> None:
        await self._store.delete(call.name)
        await call.exchange.reply(Response(204))

    def _wanted(self, call: Call) -> tuple[_Wanted, Scheme]:
        """The request's document, checked. Raises InvalidParameter, NotFound."""
        if not _NAME.fullmatch(call.name):
            raise InvalidParameter(
                f'the webhook\'s name "{call.name[:80]}" must be 1 to {limits.NAME_LENGTH_MAX} '
                "letters, digits, dashes and underscores"
            )
        try:
            wanted = msgspec.json.decode(call.body, type=_Wanted)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidParameter(
                f'a webhook is {{"function", "scheme", "secret"}}: {error}'
            ) from error
        schemes = [one.value for one in Scheme]
        if wanted.scheme not in schemes:
            raise InvalidParameter(
                f'the scheme "{wanted.scheme[:40]}" is not known; known are {", ".join(schemes)}'
            )
        scheme = Scheme(wanted.scheme)
        if (scheme is Scheme.NONE) is bool(wanted.secret):
            raise InvalidParameter(
                f'the scheme "{scheme}" takes no secret: everybody may post'
                if wanted.secret
                else f'the scheme "{scheme}" needs the name of the secret that its sender has'
            )
        self._require_there(call, wanted)
        return wanted, scheme

    def _require_there(self, call: Call, wanted: _Wanted) -> None:
        if call.platform.registry.function_nowait(wanted.function) is None:
            raise NotFound(
                f'no function has the name "{wanted.function[:80]}"; `mayfly ls` lists them'
            )
        if wanted.secret:
            self._secrets.resolve_nowait([wanted.secret])


def webhook_form(call: Call, webhook: Webhook) -> dict[str, object]:
    """One webhook, as the command line gets it."""
    return {
        "name": webhook.name,
        "url": f"{call.platform.endpoint}{HOOKS_PATH}{webhook.hook_id}",
        "function": webhook.function_name,
        "scheme": webhook.scheme.value,
        "secret": webhook.secret_name or None,
        "created_ms": webhook.created_ms,
        "modified_ms": webhook.modified_ms,
    }
