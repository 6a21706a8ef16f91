"""The ready functions on a real platform: sealed, with what they are granted and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import SimpleQueue

import pytest
from PIL import Image

from tests.support.mailbox import running
from tests.support.needs import need
from tests.support.platform import Platform, run_platform
from tests.support.prebuilt import folder_of
from tests.unit.images.test_requirements import index_reached

EXAMPLE = Path(__file__).parents[2] / "examples" / "photos"
INSTALLING = ("SSL_", "UV_", "PIP_", "HTTP", "NO_PROXY")


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    need(index_reached(), "a package index that uv can reach")
    # What installing needs of this machine's network.
    variables = os.environ.items()  # noqa: TID251
    network = {key: value for key, value in variables if key.startswith(INSTALLING)}
    with run_platform(settings=network) as made:
        yield made


def mayfly(platform: Platform, *words: str, told: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mayfly.cli", *words, "--data", str(platform.data)],
        input=told,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


Told = SimpleQueue[tuple[str, dict[str, object]]]


@contextlib.contextmanager
def receiver() -> Iterator[tuple[int, Told]]:
    """A webhook's port, and what is posted to it: the signature and the document."""
    got: Told = SimpleQueue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.put((self.headers.get("X-Hub-Signature-256", ""), json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    with running(server):
        yield server.server_port, got


@pytest.mark.slow
def test_a_photograph_becomes_thumbnails_and_rows_and_is_told(
    platform: Platform, tmp_path: Path
) -> None:
    system = tmp_path / "photos"
    shutil.copytree(EXAMPLE, system)
    with receiver() as (port, got):
        notify = system / "notify.toml"
        notify.write_text(notify.read_text().replace("8099", str(port)))
        mayfly(platform, "apply", str(system))
        assert mayfly(platform, "apply", str(system)) == "nothing to do\n"
        photograph = io.BytesIO()
        Image.new("RGB", (1200, 900), "red").save(photograph, "JPEG")
        s3 = platform.client("s3")
        s3.put_object(Bucket="photos", Key="in/a b.jpg", Body=photograph.getvalue())
        told = [got.get(timeout=30)[1] for _ in range(2)]
    names = {"in/a b-200.webp", "in/a b-800.webp"}
    assert {one["text"] for one in told} == {f"{name} is ready" for name in names}
    assert all(isinstance(one["bytes"], int) and one["kind"] == "insert" for one in told)
    rows = platform.client("dynamodb").scan(TableName="pictures")["Items"]
    assert {row["key"]["S"] for row in rows} == names
    body = s3.get_object(Bucket="thumbs", Key="in/a b-800.webp")["Body"]
    assert Image.open(io.BytesIO(body.read())).size == (800, 600)


@pytest.mark.slow
def test_a_prefix_is_packed_and_unpacked(platform: Platform) -> None:
    s3 = platform.client("s3")
    for bucket in ("inbox", "archive"):
        s3.create_bucket(Bucket=bucket)
    tree = {f"logs/{n}.txt": os.urandom(3_000_000 * n) for n in range(4)}
    for key, data in tree.items():
        s3.put_object(Bucket="inbox", Key=key, Body=data)
    mayfly(platform, "deploy", str(folder_of("compress")))

    def invoke(**order: str) -> dict[str, object]:
        answer: dict[str, object] = json.loads(
            platform.client()
            .invoke(FunctionName="compress", Payload=json.dumps(order))["Payload"]
            .read()
        )
        return answer

    assert invoke(bucket="inbox", prefix="logs/", format="zip")["objects"] == 4
    s3.copy_object(Bucket="inbox", Key="logs.zip", CopySource="archive/logs.zip")
    order = {"action": "extract", "bucket": "inbox", "key": "logs.zip", "target_prefix": "logs/"}
    assert invoke(**order)["objects"] == 4
    for key, data in tree.items():
        assert s3.get_object(Bucket="archive", Key=key)["Body"].read() == data
    denied = invoke(bucket="archive", key="logs.zip", format="gzip")
    assert "errorMessage" in denied  # it may write there, not read


def test_a_change_is_told_to_a_webhook_that_was_granted(platform: Platform, tmp_path: Path) -> None:
    folder = tmp_path / "teller"
    shutil.copytree(folder_of("notify"), folder)
    platform.client("s3").create_bucket(Bucket="told")
    mayfly(platform, "secret", "set", "webhook-secret", told="s3cret")
    with receiver() as (port, got):
        (folder / "mayfly.toml").write_text(
            '[function]\nname = "teller"\nhandler = "app.handler"\ntimeout = "20s"\n'
            f'[function.env]\nWEBHOOK_URL = "http://127.0.0.1:{port}/"\n'
            f'[grants]\nnet = ["127.0.0.1:{port}"]\nsecrets = ["webhook-secret"]\n'
            '[[trigger]]\ntype = "object"\nbucket = "told"\n'
        )
        mayfly(platform, "deploy", str(folder))
        platform.client("s3").put_object(Bucket="told", Key="a.txt", Body=b"1")
        signature, document = got.get(timeout=30)
    assert document["title"] == "told/a.txt was created"
    assert signature.startswith("sha256=")
