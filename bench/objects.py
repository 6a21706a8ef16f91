"""S3's put and get, 4 KB and 4 MB, against moto's server and ministack, side by side in one run.

Each server gets the same signed requests on kept connections: one client for times, eight for
throughput. Ours checks signature, SHA-256, MD5 and CRC, and answers when the bytes are synced to
disk; the others keep them in memory and check nothing. `python -m bench.objects` prints ratios.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.daemon import daemon
from bench.series import Effort, Measured, show, timed
from bench.server import OTHERS, free_port, running

SIZES = {"4 KB": 4_096, "4 MB": 4 * 1024 * 1024}
VERBS = ("PUT", "GET")
BUCKET = "bench"
KEYS = 16
CLIENTS = 8
OURS, MOTO, MINISTACK = "mayfly", "moto", "ministack"
EFFORT = Effort(seconds=4.0, calls=2_000)


class Line:
    """One kept connection that sends requests made beforehand."""

    def __init__(self, endpoint: str) -> None:
        place = urllib.parse.urlsplit(endpoint)
        self._address = (place.hostname or "", place.port or 80)
        self._socket = self._connected()
        self._into = bytearray(1 << 20)

    def _connected(self) -> socket.socket:
        connection = socket.create_connection(self._address, 60)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def ask(self, request: bytes) -> None:
        """Send a request and read the whole answer; raises on any status but 2xx."""
        self._socket.sendall(request)
        received = self._socket.recv(65_536)
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        if head[9:10] != b"2":
            raise RuntimeError(f"answered {received[:600]!r}")
        lower = head.lower()
        if b"content-length:" not in lower:
            raise RuntimeError(f"an answer without Content-Length: {head!r}")
        left = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0]) - len(body)
        while left > 0:
            count = self._socket.recv_into(self._into)
            if not count:
                raise RuntimeError("the connection ended in the middle of an answer")
            left -= count
        if b"connection: close" in lower:
            self._socket.close()
            self._socket = self._connected()

    def _more(self) -> bytes:
        piece = self._socket.recv(65_536)
        if not piece:
            raise RuntimeError("the connection ended without an answer")
        return piece

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


class Target:
    """A server with a bucket."""

    def __init__(self, name: str, endpoint: str, key: Credentials) -> None:
        self.name = name
        self.endpoint = endpoint
        self._key = key

    def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """A signed request's bytes; good for five minutes, as often as they are sent."""
        request = AWSRequest(method, f"{self.endpoint}/{BUCKET}{path}", data=body)
        S3SigV4Auth(self._key, "s3", "us-east-1").add_auth(request)
        headers = dict(request.headers.items())
        headers |= {"Host": urllib.parse.urlsplit(self.endpoint).netloc}
        headers |= {"Content-Length": str(len(body)), "Content-Type": "application/octet-stream"}
        lines = [f"{method} /{BUCKET}{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def requests(self, verb: str, size: int) -> list[bytes]:
        """One verb's requests, for several keys."""
        bodies = [os.urandom(size) if verb == "PUT" else b"" for _ in range(KEYS)]
        return [self.request(verb, f"/{size}/{one}", body) for one, body in enumerate(bodies)]


def measure(effort: Effort) -> list[Measured]:
    """A row for each server, verb and size."""
    rows: list[Measured] = []
    for start in (_ours, _moto, _ministack):
        with start() as target:
            if isinstance(target, str):
                rows.append(Measured("s", target, missing="not installed (make bench-setup)"))
                continue
            line = Line(target.endpoint)
            line.ask(target.request("PUT", ""))
            line.close()
            for label, size in SIZES.items():
                rows += [_measure(target, verb, label, size, effort) for verb in VERBS]
    return rows


def what(name: str, verb: str, label: str) -> str:
    """A row's name."""
    return f"{name}: {verb} {label}"


def _measure(target: Target, verb: str, label: str, size: int, effort: Effort) -> Measured:
    requests = target.requests(verb, size)
    line = Line(target.endpoint)
    turn = itertools.cycle(requests)
    samples = timed(lambda: line.ask(next(turn)), effort, warm_up=KEYS)
    line.close()
    rate, failures = _throughput(target, requests, effort.seconds)
    figures = {"failures": float(failures)} if failures else {}
    name = what(target.name, verb, label)
    return Measured("s", name, samples, per_second=rate, figures=figures)


def _throughput(target: Target, requests: Sequence[bytes], seconds: float) -> tuple[float, int]:
    """Answers a second with `CLIENTS` connections, each with keys of its own, and the failures.

    moto's server answers 500 now and then when several clients write at once: it is counted.
    """
    counts, failures = [0] * CLIENTS, [0] * CLIENTS
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        line = Line(target.endpoint)
        turn = itertools.cycle(requests[number::CLIENTS])
        while time.perf_counter() < end:
            try:
                line.ask(next(turn))
                counts[number] += 1
            except (RuntimeError, OSError):
                failures[number] += 1
                line.close()
                line = Line(target.endpoint)
        line.close()

    threads = [threading.Thread(target=client, args=(one,)) for one in range(CLIENTS)]
    start = time.perf_counter()
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return sum(counts) / (time.perf_counter() - start), sum(failures)


@contextlib.contextmanager
def _ours() -> Iterator[Target | str]:
    with daemon() as started:
        # The runtime is copied behind the first seconds of a new data folder: let that end.
        started.deploy("aside")
        yield Target(OURS, started.endpoint, started.key)


@contextlib.contextmanager
def _moto() -> Iterator[Target | str]:
    program = OTHERS / "moto_server"
    port = free_port()
    with _other(MOTO, program, port, ["-p", str(port)], {}) as target:
        yield target


@contextlib.contextmanager
def _ministack() -> Iterator[Target | str]:
    port = free_port()
    environment = {"GATEWAY_PORT": str(port), "LOG_LEVEL": "ERROR"}
    with _other(MINISTACK, OTHERS / "ministack", port, [], environment) as target:
        yield target


@contextlib.contextmanager
def _other(
    name: str, program: Path, port: int, arguments: Sequence[str], environment: dict[str, str]
) -> Iterator[Target | str]:
    if not program.exists():
        yield name
        return
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [program, *arguments]
        settings = {"HOME": folder, **environment}
        with running(command, port=port, folder=Path(folder), environment=settings):
            yield Target(name, f"http://127.0.0.1:{port}", Credentials("test", "test"))


def ratios(rows: Sequence[Measured]) -> Iterator[tuple[str, float, float]]:
    """(what, ours over theirs in answers a second, theirs over ours in median time)."""
    found = {row.what: row for row in rows if row.per_second and row.p50_us}
    for other, label, verb in itertools.product((MOTO, MINISTACK), SIZES, VERBS):
        ours, theirs = found.get(what(OURS, verb, label)), found.get(what(other, verb, label))
        if ours and theirs:
            yield (
                f"{verb} {label} against {other}",
                (ours.per_second or 0) / (theirs.per_second or 1),
                (theirs.p50_us or 0) / (ours.p50_us or 1),
            )


def fsync_us() -> float:
    """What one write of 4 KB with fdatasync costs here: no durable put is faster."""
    with tempfile.TemporaryFile() as file:
        descriptor = file.fileno()

        def once() -> None:
            os.pwrite(descriptor, b"x" * 4_096, 0)
            os.fdatasync(descriptor)

        samples = sorted(timed(once, Effort(seconds=0.5, calls=500)))
    return float(samples[len(samples) // 2])


def main() -> None:
    """Print the table and the ratios."""
    rows = measure(EFFORT)
    show(rows)
    print(f"\na write of 4 KB with fdatasync: {fsync_us():.0f} us")
    for text, throughput, median in ratios(rows):
        print(f"{text:32} {throughput:6.1f} times the throughput, p50 {median:6.1f} times shorter")


if __name__ == "__main__":
    main()
