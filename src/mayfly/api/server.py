"""The one HTTP endpoint: who is called, who calls, and nothing else. Raw ASGI, no framework.

    Host <url-id>.lambda-url.*   ->  function URL        by its AuthType
    POST .../invocations         ->  invoke_fast         signed; the hot path
    /lambda-url/<url-id>/...     ->  function URL        by its AuthType
    /_mayfly/v1/...              ->  control API         signed by the owner
    /_mayfly/code/<digest>       ->  an archive          presigned
    /_mayfly/hooks/<hook-id>     ->  webhook             by its scheme
    S3's host, scope or form     ->  objects             signed
    signed, or /20xx-...         ->  AWS's APIs          signed
    /_mayfly/health, /metrics, / ->  open

A request that breaks off before its body ended changes nothing; a client that goes away during a
call leaves the call to finish. No error leaves this file: what nobody foresaw is a 500 and a log
line.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qsl, unquote

import msgspec

from mayfly import __version__
from mayfly.api.asgi import Receive, Scope, Send
from mayfly.api.auth import verify
from mayfly.api.control.failure import (
    MethodNotAllowed,
    NoSuchRoute,
    error_response,
    internal_error,
    log_failure,
)
from mayfly.api.control.routes import DEPLOY_PATH, PREFIX, answer_control
from mayfly.api.dispatch import Services, answer, answer_error
from mayfly.api.download import send_archive
from mayfly.api.exchange import JSON_TYPE, TEXT_TYPE, Disconnected, Exchange
from mayfly.api.function_url import FunctionUrls, message_response
from mayfly.api.gate import Gate, stated_service
from mayfly.api.hosts import HostCheck
from mayfly.api.lambda_.invoke import invoke_fast
from mayfly.api.message import Request, Response
from mayfly.api.permits import AccessDenied, require_owner
from mayfly.api.platform import Platform
from mayfly.api.webhooks import HOOKS_PREFIX, Webhooks
from mayfly.model.errors import MayflyError
from mayfly.telemetry import METRICS_CONTENT_TYPE

_INVOKE_PREFIX, _INVOKE_SUFFIX = b"/2015-03-31/functions/", b"/invocations"
_URL_PREFIX = b"/lambda-url/"
_URL_HOST_MARK = ".lambda-url."
_OURS, _CODE_PREFIX = b"/_mayfly/", b"/_mayfly/code/"
_CONTROL_SERVICE = "mayfly"
_DOWNLOAD_SERVICES = frozenset({"lambda", "s3", _CONTROL_SERVICE})

_ABOUT = f"""\
Mayfly {__version__}: functions that are born when an event arrives, answer, and die.

This endpoint speaks AWS Lambda's API. On the machine that it runs on, type:

    eval "$(mayfly env)"            AWS_ENDPOINT_URL and a key, for this shell
    aws lambda list-functions       or use any AWS SDK
    mayfly --help                   deploy, invoke, logs, ps and more

Open to all: /_mayfly/health, /metrics, and the URLs of functions whose auth is "none".
"""


def create_app(platform: Platform, services: Services) -> Api:
    """The ASGI application over one platform; close it when the server has stopped."""
    return Api(platform, services)


class Api:
    """Routes requests; see the module's picture. Called by uvicorn once per request."""

    def __init__(self, platform: Platform, services: Services) -> None:
        self._platform = platform
        self._services = services
        self._objects = services.objects
        self._limits = platform.limits
        self._keys, self._clock, self._ids = platform.keys, platform.clock, platform.ids
        address, _, port = platform.endpoint.partition("//")[2].rpartition(":")
        self._hosts = HostCheck(platform.host, address)
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="mayfly-http")
        self._gate = Gate(platform, self._threads)
        self._urls = FunctionUrls(platform, self._gate, self._hosts, port=int(port))
        self._webhooks = Webhooks(platform, services.hooks, self._hosts, port=int(port))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the lifespan protocol of a server that speaks it."""
        if scope["type"] != "http":
            await _lifespan(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, self._ids.uuid())
        try:
            await self._route(exchange)
        except Disconnected:
            return
        except MayflyError as error:
            await self._fail(exchange, error)
        except Exception as error:  # noqa: BLE001  the border of a request
            log_failure(exchange, error)
            await self._fail(exchange, internal_error())

    async def _route(self, exchange: Exchange) -> None:
        path, host = exchange.raw_path, exchange.headers.find("host")
        if host is not None and _URL_HOST_MARK in host:
            await self._urls.answer(exchange, host.partition(".")[0].lower(), path)
        elif (
            path.startswith(_INVOKE_PREFIX)
            and path.endswith(_INVOKE_SUFFIX)
            and exchange.method == "POST"
        ):
            await self._invoke(exchange)
        elif path.startswith(_URL_PREFIX):
            url_id, slash, rest = path[len(_URL_PREFIX) :].partition(b"/")
            await self._urls.answer(exchange, url_id.decode("latin-1"), slash + rest or b"/")
        elif path.startswith(PREFIX):
            await self._control(exchange)
        elif path.startswith(_CODE_PREFIX):
            await self._download(exchange)
        elif path.startswith(HOOKS_PREFIX):
            await self._webhooks.answer(exchange)
        elif self._objects is not None and self._objects.claims(exchange):
            await self._objects.answer(exchange)
        elif _is_aws(exchange):
            await self._aws(exchange)
        else:
            self._hosts.require(host)
            await exchange.reply(await self._open(exchange))

    async def _invoke(self, exchange: Exchange) -> None:
        """POST /2015-03-31/functions/{name}/invocations, short-cut to the engine."""
        limits = self._limits
        body = await exchange.read_body(
            bytes_max=limits.payload_bytes_max, discard_bytes_max=limits.discard_bytes_max
        )
        headers, query = exchange.headers, exchange.query_string
        path = exchange.raw_path.decode("latin-1")
        principal = verify(
            self._keys,
            method="POST",
            raw_path=path,
            query_string=query,
            headers=headers,
            body=body,
            now_ms=self._clock.now_ms(),
        )
        name = path[len(_INVOKE_PREFIX) : -len(_INVOKE_SUFFIX)]
        response = await invoke_fast(
            self._platform,
            name=unquote(name) if "%" in name else name,
            qualifier=_qualifier(query) if query else "",
            headers=headers,
            body=body,
            request_id=exchange.request_id,
            principal=principal,
        )
        await exchange.reply(response)

    async def _aws(self, exchange: Exchange) -> None:
        bytes_max = self._limits.code_bytes_max
        async with self._gate.admitted(exchange, bytes_max=bytes_max) as (body, principal):
            request = Request(
                method=exchange.method,
                raw_path=exchange.raw_path.decode("latin-1"),
                query_string=exchange.query_string,
                headers=exchange.headers,
                body=body,
                principal=principal,
                request_id=exchange.request_id,
                disconnected=exchange.wait_disconnected,
                scheme=exchange.scheme,
            )
            response = await answer(request, self._services)
        await exchange.reply(response)

    async def _control(self, exchange: Exchange) -> None:
        is_deploy = exchange.raw_path == DEPLOY_PATH
        bytes_max = self._limits.deploy_bytes_max if is_deploy else self._limits.payload_bytes_max
        async with self._gate.admitted(exchange, bytes_max=bytes_max) as (body, principal):
            self._gate.require_owner(principal, _CONTROL_SERVICE)
            await answer_control(self._platform, exchange, body, self._services.control)

    async def _download(self, exchange: Exchange) -> None:
        if exchange.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(f"an archive takes GET, not {exchange.method}")
        body = await exchange.read_body(bytes_max=0, discard_bytes_max=0)
        principal = self._gate.authenticate(exchange, body)
        if principal.service not in _DOWNLOAD_SERVICES:
            raise AccessDenied(f'a signature for "{principal.service[:64]}" opens no archive')
        require_owner(principal, "the download of a function's code")
        digest = exchange.raw_path[len(_CODE_PREFIX) :].decode("latin-1")
        await send_archive(self._platform, exchange, digest, self._threads)

    async def _open(self, exchange: Exchange) -> Response:
        """The routes that need no signature."""
        path = exchange.raw_path
        if path not in {b"/", b"/metrics", b"/_mayfly/health"}:
            raise NoSuchRoute(
                f'nothing is at "{path[:100].decode("latin-1")}"; AWS requests must be signed '
                "(`mayfly env` prints a key), GET / says what there is"
            )
        if exchange.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(f"{path.decode('latin-1')} takes GET, not {exchange.method}")
        if exchange.by_door and path != b"/":
            raise AccessDenied(
                f"{path.decode('latin-1')} tells of all functions; a function has no part in it"
            )
        if path == b"/metrics":
            await self._platform.engine.measure()
            kind = (b"content-type", METRICS_CONTENT_TYPE.encode())
            return Response(200, [kind], self._platform.metrics.render())
        if path == b"/":
            return Response(200, [TEXT_TYPE], _ABOUT.encode())
        health = {"status": "ok", "version": __version__, "data": str(self._platform.data)}
        return Response(200, [JSON_TYPE], msgspec.json.encode(health))

    async def _fail(self, exchange: Exchange, error: MayflyError) -> None:
        """Answer an error in the words of the API that was called, if an answer is possible."""
        if exchange.started:
            # uvicorn cuts the connection: the client sees that the reply is not whole.
            return
        path, host = exchange.raw_path, exchange.headers.get("host")
        if path.startswith(_URL_PREFIX) or _URL_HOST_MARK in host:
            response = message_response(error)
        elif path.startswith(_OURS) or not _is_aws(exchange):
            response = error_response(error)
        else:
            response = answer_error(
                error,
                service=stated_service(exchange),
                method=exchange.method,
                raw_path=path.decode("latin-1"),
                request_id=exchange.request_id,
            )
        await exchange.reply(response)


def _is_aws(exchange: Exchange) -> bool:
    """A request to an AWS API: signed, or to a path that begins with a version's date."""
    return (
        exchange.raw_path.startswith(b"/20")
        or "authorization" in exchange.headers
        or b"X-Amz-Signature=" in exchange.scope["query_string"]
    )


def _qualifier(query: str) -> str:
    for name, value in parse_qsl(query):
        if name == "Qualifier":
            return value
    return ""


async def _lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Say yes to start and stop; a WebSocket is refused by not being accepted."""
    if scope["type"] != "lifespan":
        await send({"type": "websocket.close"})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
