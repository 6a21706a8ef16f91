"""The platform's own API, which the command line speaks: JSON, and JSON lines where it takes time.

    PUT    v1/deploy                   signed by the owner's key for the service "mayfly"
    GET    v1/functions[/{name}]       DELETE v1/functions/{name}
    GET    v1/ps  v1/stats  v1/lives   GET v1/logs/{name}
    POST   v1/run  v1/down
    ...                                and what else the daemon hands in: secrets, webhooks

Every error is `{"error": {"code", "message"}}`, as a whole reply or as a stream's last line.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

import msgspec

from mayfly.api.control.deploy import compare, deploy
from mayfly.api.control.failure import (
    MethodNotAllowed,
    NoSuchRoute,
    error_form,
    internal_error,
    log_failure,
)
from mayfly.api.control.forms import inspect_form, node_form, resident_form, statistics_form
from mayfly.api.control.logs import LINES_MAX, send_logs
from mayfly.api.control.run import parse_run, run
from mayfly.api.control.stream import LineStream, line_stream
from mayfly.api.exchange import JSON_TYPE, Exchange, query_number
from mayfly.api.message import Response
from mayfly.api.platform import Platform
from mayfly.model import limits
from mayfly.model.errors import MayflyError, NotFound
from mayfly.model.function import Function

PREFIX = b"/_mayfly/v1/"
DEPLOY_PATH = b"/_mayfly/v1/deploy"
_LIVES_DEFAULT, _LIVES_MAX = 20, 10_000
_LINES_DEFAULT = 1_000
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the control API.

    Args:
        name: The path's second part, percent-decoded, or "".
    """

    platform: Platform
    exchange: Exchange
    body: bytes
    name: str
    query: Mapping[str, str]

    async def reply(self, document: Mapping[str, object], *, status: int = 200) -> None:
        """Send a document."""
        await self.exchange.reply(Response(status, [JSON_TYPE], _encode(document)))

    def function(self) -> Function:
        """The function that the path names.

        Raises:
            NotFound: There is none.
        """
        function = self.platform.registry.function_nowait(self.name)
        if function is None:
            raise NotFound(f'no function has the name "{self.name[:80]}"; `mayfly ls` lists them')
        return function


# By the path's first word, and whether a name follows it: what answers each method.
Route = Callable[[Call], Awaitable[None]]
Routes = Mapping[tuple[str, bool], Mapping[str, Route]]


async def answer_control(
    platform: Platform, exchange: Exchange, body: bytes, further: Routes
) -> None:
    """Answer one authenticated request under `PREFIX`.

    Args:
        further: Routes beside those of this file.

    Raises:
        MayflyError: Nothing was sent yet; the caller answers with `error_response`.
    """
    path = exchange.raw_path[len(PREFIX) :].decode("latin-1")
    word, slash, name = path.partition("/")
    place = (word, bool(slash and name))
    routes = None if "/" in name else _ROUTES.get(place) or further.get(place)
    if routes is None:
        raise NoSuchRoute(f'the control API has nothing at "/_mayfly/v1/{path[:100]}"')
    route = routes.get(exchange.method)
    if route is None:
        allowed = ", ".join(sorted(routes))
        raise MethodNotAllowed(f'"/_mayfly/v1/{path[:100]}" takes {allowed}, not {exchange.method}')
    query = dict(parse_qsl(exchange.query_string))
    await route(Call(platform, exchange, body, unquote(name), query))


async def _functions(call: Call) -> None:
    found = call.platform.registry.functions_nowait()
    await call.reply({"functions": [inspect_form(call.platform, one) for one in found]})


async def _function(call: Call) -> None:
    await call.reply(inspect_form(call.platform, call.function()))


async def _delete(call: Call) -> None:
    name = call.function().name
    await call.platform.triggers.remove(name)
    await call.platform.registry.delete_function(name)
    call.platform.engine.function_changed(name)
    await call.exchange.reply(Response(204))


async def _ps(call: Call) -> None:
    # Weighing thousands of isolates takes a second: on a thread, that calls go on meanwhile.
    alive = await asyncio.to_thread(call.platform.engine.census)
    await call.reply({"residents": [resident_form(one) for one in alive]})


async def _stats(call: Call) -> None:
    counted = call.platform.engine.statistics()
    functions = {name: statistics_form(one) for name, one in counted.items()}
    await call.reply({"functions": functions, "node": await node_form(call.platform)})


async def _lives(call: Call) -> None:
    count = min(int(query_number(call.query, "count", _LIVES_DEFAULT)), _LIVES_MAX)
    await call.reply({"lives": list(call.platform.engine.lives(count))})


async def _logs(call: Call) -> None:
    await send_logs(
        call.platform,
        call.exchange,
        name=call.name,
        since_ms=query_number(call.query, "since_ms", 0),
        limit=min(int(query_number(call.query, "limit", _LINES_DEFAULT)), LINES_MAX),
        follow=call.query.get("follow", "0") != "0",
    )


async def _deploy(call: Call) -> None:
    async def work(stream: LineStream) -> Mapping[str, object]:
        if call.query.get("dry_run", "0") != "0":
            return await compare(call.platform, call.body)
        return await deploy(call.platform, call.body, stream.put_nowait)

    # Not abandoned when the client goes: the upload is whole, so the deploy is wanted.
    timeout_s = call.platform.limits.send_timeout_s
    async with line_stream(call.exchange, timeout_s=timeout_s) as stream:
        stream.put_last_nowait(await last_line(call.exchange, stream, work))


async def _run(call: Call) -> None:
    request = parse_run(call.body)
    lost_bytes = 0

    async def work(stream: LineStream) -> Mapping[str, object]:
        def on_output(data: bytes) -> None:
            nonlocal lost_bytes
            if not stream.put_nowait({"output": base64.b64encode(data).decode("ascii")}):
                lost_bytes += len(data)

        last = await run(call.platform, request, call.exchange.request_id, on_output)
        return {**last, "lost_bytes": lost_bytes} if lost_bytes else last

    async with line_stream(
        call.exchange,
        timeout_s=call.platform.limits.send_timeout_s,
        pending_bytes_max=limits.LOG_BYTES_PER_CALL_MAX,
        abandon=True,
    ) as stream:
        stream.put_last_nowait(await last_line(call.exchange, stream, work))


async def last_line(
    exchange: Exchange,
    stream: LineStream,
    work: Callable[[LineStream], Awaitable[Mapping[str, object]]],
) -> Mapping[str, object]:
    """What the work comes to; an error is a line as well, for the status was sent long ago."""
    try:
        return await work(stream)
    except MayflyError as error:
        return error_form(error)
    except Exception as error:  # noqa: BLE001  the border: this stream is the request's answer
        log_failure(exchange, error)
        return error_form(internal_error())


async def _down(call: Call) -> None:
    await call.reply({"status": "stopping"}, status=202)
    # One turn of the loop for the reply to reach the socket.
    await asyncio.sleep(0)
    call.platform.stop()


_ROUTES: Routes = {
    ("deploy", False): {"PUT": _deploy},
    ("functions", False): {"GET": _functions},
    ("functions", True): {"GET": _function, "DELETE": _delete},
    ("ps", False): {"GET": _ps},
    ("stats", False): {"GET": _stats},
    ("lives", False): {"GET": _lives},
    ("logs", True): {"GET": _logs},
    ("run", False): {"POST": _run},
    ("down", False): {"POST": _down},
}
