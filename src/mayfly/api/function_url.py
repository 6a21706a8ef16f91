"""Function URLs as the server sees them: found by id, opened by their AuthType, then called.

What a request means as an event and an outcome as a reply is the source's to say, which the
daemon hands in (`Platform.http`); here is reading, authentication and the call.
"""

from __future__ import annotations

import msgspec

from mayfly.api.exchange import JSON_TYPE, Exchange
from mayfly.api.gate import Gate
from mayfly.api.hosts import HostCheck
from mayfly.api.message import Response
from mayfly.api.permits import require_grant
from mayfly.api.platform import Platform
from mayfly.model.errors import MayflyError, NotFound
from mayfly.model.function import Function, FunctionUrl, UrlAuth
from mayfly.model.grant import GrantKind
from mayfly.model.invocation import Invocation
from mayfly.model.url_call import UrlCall, UrlCaller, UrlReply

_FORBIDDEN = Response(
    403,
    [JSON_TYPE, (b"x-amzn-errortype", b"AccessDeniedException")],
    b'{"Message":"Forbidden"}',
)


class FunctionUrls:
    """Answers requests to function URLs.

    Args:
        port: Where the server listens; functions are told it.
    """

    def __init__(self, platform: Platform, gate: Gate, hosts: HostCheck, *, port: int) -> None:
        self._platform = platform
        self._gate = gate
        self._hosts = hosts
        self._port = port

    async def answer(self, exchange: Exchange, url_id: str, raw_path: bytes) -> None:
        """Answer one request.

        Args:
            exchange: The request.
            url_id: As the path or the Host header has it.
            raw_path: What stands after the URL's prefix.

        Raises:
            MayflyError: Nothing was sent: no such URL, a foreign host, too large a body.
        """
        registry = self._platform.registry
        url = registry.url_by_id_nowait(url_id)
        function = registry.function_nowait(url.function_name) if url else None
        if url is None or url.auth is UrlAuth.NONE:
            self._hosts.require(exchange.headers.find("host"))
        if url is None or function is None:
            raise NotFound(
                f'no function has the URL "{url_id[:64]}"; `mayfly ls` shows those that have one'
            )
        body = await exchange.read_body(
            bytes_max=self._platform.limits.payload_bytes_max,
            discard_bytes_max=self._platform.limits.discard_bytes_max,
        )
        caller = None
        if url.auth is UrlAuth.AWS_IAM and not _is_preflight(exchange, url):
            caller = self._caller(exchange, body, function)
            if caller is None:
                await exchange.reply(_FORBIDDEN)
                return
        call = self._call(exchange, url, raw_path.decode("latin-1"), body, caller)
        reply = self._platform.http.preflight(call) or await self._invoke(call, function)
        await exchange.reply(Response(reply.status, reply.headers, reply.body))

    async def _invoke(self, call: UrlCall, function: Function) -> UrlReply:
        source, event = self._platform.http, self._platform.http.event(call)
        invocation = Invocation(
            request_id=call.request_id,
            function=function,
            payload=event,
            invoked_arn=function.arn,
            trace_id=call.headers.get("x-amzn-trace-id", ""),
        )
        try:
            outcome = await self._platform.engine.invoke(invocation)
        except MayflyError as error:
            return source.refusal(call, error)
        reply = source.reply(call, outcome)
        if reply.problem:
            self._platform.logs.append_nowait(
                function.name,
                call.request_id,
                self._platform.clock.now_ms(),
                f"[ERROR] function URL: {reply.problem}\n".encode(),
            )
        return reply

    def _caller(self, exchange: Exchange, body: bytes, function: Function) -> UrlCaller | None:
        """Who signed the request for the service "lambda" and may call the function, or None."""
        try:
            principal = self._gate.authenticate(exchange, body)
            require_grant(principal, GrantKind.INVOKE, function.name)
        except MayflyError:
            return None
        if principal.service != "lambda":
            return None
        return UrlCaller(principal.access_key_id, principal.account_id, principal.arn)

    def _call(
        self,
        exchange: Exchange,
        url: FunctionUrl,
        raw_path: str,
        body: bytes,
        caller: UrlCaller | None,
    ) -> UrlCall:
        return UrlCall(
            url=url,
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
            caller=caller,
        )


def message_response(error: MayflyError) -> Response:
    """An error as function URLs tell it."""
    return Response(error.status, [JSON_TYPE], msgspec.json.encode({"Message": error.message}))


def _is_preflight(exchange: Exchange, url: FunctionUrl) -> bool:
    """A browser sends a preflight unsigned; the function is not called for it."""
    return (
        bool(url.cors)
        and exchange.method == "OPTIONS"
        and "origin" in exchange.headers
        and "access-control-request-method" in exchange.headers
    )
