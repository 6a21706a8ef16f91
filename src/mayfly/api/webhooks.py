"""Webhooks as the server sees them: found by id, read within a bound, handed to the source.

    POST /_mayfly/hooks/<hook-id>[/...]     not signed by AWS's scheme, but by the webhook's own

What verifies a delivery and what keeps it is the source's, which the daemon hands in. A webhook
whose scheme is "none" is open, so it answers only under names of this machine, as open URLs do.
"""

from __future__ import annotations

from typing import Protocol

from mayfly.api.control.failure import MethodNotAllowed
from mayfly.api.exchange import Exchange
from mayfly.api.hosts import HostCheck
from mayfly.api.message import Response
from mayfly.api.platform import Platform
from mayfly.model import limits
from mayfly.model.errors import NotFound
from mayfly.model.function import FunctionUrl, UrlAuth
from mayfly.model.url_call import UrlCall, UrlReply
from mayfly.model.webhook import HOOKS_PATH, Scheme, Webhook

HOOKS_PREFIX = HOOKS_PATH.encode()


class WebhookReceiver(Protocol):
    """Takes deliveries; `sources.webhook` is one."""

    def find(self, hook_id: str) -> Webhook | None:
        """The webhook whose URL ends so, or None."""
        ...

    async def receive(self, webhook: Webhook, call: UrlCall) -> UrlReply:
        """Verify a delivery and keep it; it is durable when this returns.

        Raises:
            MayflyError: It was refused or not kept.
        """
        ...


class Webhooks:
    """Answers deliveries.

    Args:
        receiver: None where there are no webhooks.
        port: Where the server listens; functions are told it.
    """

    def __init__(
        self, platform: Platform, receiver: WebhookReceiver | None, hosts: HostCheck, *, port: int
    ) -> None:
        self._platform = platform
        self._receiver = receiver
        self._hosts = hosts
        self._port = port

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request under `HOOKS_PREFIX`.

        Raises:
            MayflyError: Nothing was sent and nothing was kept.
        """
        hook_id, slash, rest = exchange.raw_path[len(HOOKS_PREFIX) :].partition(b"/")
        receiver = self._receiver
        webhook = receiver.find(hook_id.decode("latin-1")) if receiver else None
        if webhook is None or webhook.scheme is Scheme.NONE:
            self._hosts.require(exchange.headers.find("host"))
        if receiver is None or webhook is None:
            raise NotFound(
                "no webhook has this URL; `mayfly webhook ls` shows those that there are"
            )
        if exchange.method != "POST":
            raise MethodNotAllowed(f"a webhook takes POST, not {exchange.method}")
        body = await exchange.read_body(
            bytes_max=limits.ASYNC_PAYLOAD_BYTES_MAX,
            discard_bytes_max=self._platform.limits.discard_bytes_max,
        )
        call = self._call(exchange, webhook, (slash + rest or b"/").decode("latin-1"), body)
        reply = await receiver.receive(webhook, call)
        await exchange.reply(Response(reply.status, reply.headers, reply.body))

    def _call(self, exchange: Exchange, webhook: Webhook, raw_path: str, body: bytes) -> UrlCall:
        created_ms, changed_ms = webhook.created_ms, webhook.modified_ms
        return UrlCall(
            url=FunctionUrl(
                webhook.function_name, webhook.hook_id, UrlAuth.NONE, created_ms, changed_ms
            ),
            method=exchange.method,
            raw_path=raw_path,
            query_string=exchange.query_string,
            protocol=f"HTTP/{exchange.scope['http_version']}",
            headers=dict(exchange.headers.items()),
            body=body,
            source_ip=exchange.source_ip,
            port=self._port,
            scheme=exchange.scheme,
            request_id=exchange.request_id,
            now_ms=self._platform.clock.now_ms(),
        )
