"""Binding tells what is wrong and what to do; serving ends when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import pytest

from mayfly.api.asgi import Receive, Scope, Send
from mayfly.api.listener import Server, bind
from mayfly.api.platform import ServerBounds
from mayfly.model.errors import Conflict, InvalidParameter
from mayfly.testing.ids import SeededIds
from tests.support.serving import Served, serving, url


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    del scope, receive
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def test_port_0_takes_a_free_one_and_says_which() -> None:
    listener = bind("127.0.0.1", 0)
    assert listener.port > 0
    assert listener.endpoint == f"http://127.0.0.1:{listener.port}"
    listener.socket.close()


def test_a_port_in_use_is_named_with_what_to_do() -> None:
    taken = bind("127.0.0.1", 0)
    with pytest.raises(Conflict) as caught:
        bind("127.0.0.1", taken.port)
    taken.socket.close()
    assert f"127.0.0.1:{taken.port}" in caught.value.message
    assert "--listen" in caught.value.message


@pytest.mark.parametrize(
    ("host", "port", "told"),
    [
        ("192.0.2.7", 9000, "no address of this machine"),
        ("no.such.host.invalid", 9000, "no address of this machine"),
        ("127.0.0.1", 70_000, "70000"),
    ],
)
def test_an_address_that_is_not_ours_is_refused_with_a_reason(
    host: str, port: int, told: str
) -> None:
    with pytest.raises(InvalidParameter, match="cannot listen on") as caught:
        bind(host, port)
    assert told in caught.value.message


def test_an_endpoint_names_an_address_that_clients_can_use() -> None:
    everywhere = bind("0.0.0.0", 0)
    assert everywhere.endpoint == f"http://127.0.0.1:{everywhere.port}"
    everywhere.socket.close()


def server(listener_port: int = 0) -> Server:
    listener = bind("127.0.0.1", listener_port)
    return Server(hello, listener, bounds=ServerBounds(shutdown_s=2), ids=SeededIds())


async def test_stop_ends_the_task_and_catches_no_signals() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    serving_task = server()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(serving_task.run())
        await asyncio.sleep(0)
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
        serving_task.stop()
        await task


async def test_cancellation_ends_the_task_and_cuts_its_connections() -> None:
    listener = bind("127.0.0.1", 0)
    running = Server(hello, listener, bounds=ServerBounds(), ids=SeededIds())
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(running.run())
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        task.cancel()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        writer.close()
    assert running.connections == 0


def test_stop_lets_a_running_call_finish(tmp_path: Path) -> None:
    with serving(tmp_path, urls=[url()]) as served:
        served.engine.held = True
        connection = served.connect()
        connection.request("POST", "/lambda-url/u1/", b"{}")
        assert served.engine.started.wait(10)
        stop(served)
        served.engine.release()
        assert connection.getresponse().status == 200
        connection.close()


def stop(served: Served) -> None:
    assert served.engine._loop is not None
    served.engine._loop.call_soon_threadsafe(served.server.stop)
