"""The source `webhook`: a verified delivery becomes an event in the backlog, and is answered then.

    delivery --verify, raw body--> event document --one transaction--> backlog, delivery id --> 202
                  |                                        `-- the same one again: 202, no event
                  `-- 401, counted

The function is called from the backlog, with its retries; the sender never waits for it.
"""

from __future__ import annotations

import logging
from math import inf

import msgspec

from mayfly.model import limits
from mayfly.model.errors import MayflyError, PlatformError, RequestTooLarge
from mayfly.model.function import ACCOUNT_ID, REGION
from mayfly.model.parcel import Parcel
from mayfly.model.url_call import UrlCall, UrlReply
from mayfly.model.webhook import Scheme, Webhook
from mayfly.ports import Clock
from mayfly.sources.http import event_document
from mayfly.sources.signatures import SignatureRefused, delivery_id, verify
from mayfly.stores.secrets.store import SecretStore
from mayfly.stores.webhooks.store import WEBHOOKS_MAX, WebhookStore
from mayfly.telemetry import LogEvent, Metrics, event_log

_LOG_EVERY_S = 10.0
_JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")


class CannotVerify(PlatformError):
    """The webhook's secret is missing or locked; the sender is to try again later."""

    code = "CannotVerify"
    status = 503
    retryable = True


class WebhookSource:
    """Takes deliveries; fits the server's `WebhookReceiver`."""

    def __init__(
        self, store: WebhookStore, secrets: SecretStore, clock: Clock, metrics: Metrics
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._clock = clock
        self._counts = metrics.webhook_deliveries
        self._logged_s: dict[str, float] = {}

    def find(self, hook_id: str) -> Webhook | None:
        """The webhook whose URL ends so, or None."""
        return self._store.by_id_nowait(hook_id)

    async def receive(self, webhook: Webhook, call: UrlCall) -> UrlReply:
        """Take one delivery, its body read whole.

        Raises:
            SignatureRefused: It is not signed as the webhook's scheme wants.
            CannotVerify: The secret cannot be had.
            RequestTooLarge: Its event would be larger than a function may get.
            StorageFailed: It was not kept.
        """
        try:
            return await self._receive(webhook, call)
        except MayflyError as error:
            refused = isinstance(error, SignatureRefused)
            self._count("refused" if refused else "failed")
            self._log(webhook, call.source_ip, error.__cause__ or error)
            raise

    async def _receive(self, webhook: Webhook, call: UrlCall) -> UrlReply:
        secret = self._secret(webhook)
        verify(webhook.scheme, secret, call.headers, call.body, now_ms=self._clock.now_ms())
        if webhook.scheme is Scheme.GITHUB and call.headers.get("x-github-event") == "ping":
            self._count("ping")
            return _reply(200, {"status": "pong"})
        sent_as = delivery_id(webhook.scheme, call.headers, call.body)
        parcel = Parcel(
            parcel_id=call.request_id,
            target_arn=f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{webhook.function_name}",
            body=_event(webhook, call, sent_as),
            source=f"webhook:{webhook.name}",
        )
        now_ms = int(self._clock.now_ms())
        new = await self._store.accept(webhook, parcel, now_ms, delivery_id=sent_as)
        self._count("accepted" if new else "duplicate")
        if not new:
            return _reply(202, {"status": "duplicate", "deliveryId": sent_as})
        return _reply(202, {"status": "accepted", "eventId": parcel.parcel_id})

    def _secret(self, webhook: Webhook) -> str:
        if webhook.scheme is Scheme.NONE:
            return ""
        try:
            return self._secrets.resolve_nowait([webhook.secret_name])[webhook.secret_name]
        except MayflyError as error:
            # Strangers are not told why; the owner reads it in the log.
            raise CannotVerify(
                "deliveries cannot be verified at present; the platform's log says why"
            ) from error

    def _count(self, outcome: str) -> None:
        self._counts[outcome] = self._counts.get(outcome, 0) + 1

    def _log(self, webhook: Webhook, source_ip: str, error: BaseException) -> None:
        """Say why; not more often than now and then, for strangers can knock without end."""
        now_s = self._clock.monotonic_s()
        if now_s < self._logged_s.get(webhook.hook_id, -inf) + _LOG_EVERY_S:
            return
        if len(self._logged_s) >= WEBHOOKS_MAX:
            self._logged_s.clear()
        self._logged_s[webhook.hook_id] = now_s
        event_log(
            LogEvent.WEBHOOK_REFUSED,
            level=logging.WARNING,
            webhook=webhook.name,
            source_ip=source_ip,
            error=str(error),
        )


def _event(webhook: Webhook, call: UrlCall, sent_as: str) -> bytes:
    document = event_document(call)
    context = document["requestContext"]
    assert isinstance(context, dict)
    context["domainName"] = call.headers.get("host", "")
    document["webhook"] = {
        "id": webhook.name,
        "scheme": webhook.scheme.value,
        "deliveryId": sent_as or call.request_id,
    }
    event = msgspec.json.encode(document)
    if len(event) > limits.SYNC_PAYLOAD_BYTES_MAX:
        raise RequestTooLarge(
            f"the delivery's event would have {len(event)} bytes, and a function gets "
            f"{limits.SYNC_PAYLOAD_BYTES_MAX} at most"
        )
    return event


def _reply(status: int, document: dict[str, str]) -> UrlReply:
    return UrlReply(status, [_JSON], msgspec.json.encode(document))
