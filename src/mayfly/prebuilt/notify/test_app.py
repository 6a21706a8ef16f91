"""Tests of the function as its user would begin them: `python -m pytest` in this folder.

The receiver is a real one, on this machine's loopback.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

received: list[dict[str, object]] = []


class Receiver(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    def do_POST(self) -> None:
        """Take one message."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received.append(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """A receiver for as long as the tests run."""
    with HTTPServer(("127.0.0.1", 0), Receiver) as made:
        os.environ["WEBHOOK_URL"] = f"http://127.0.0.1:{made.server_port}/"
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield
        made.shutdown()
        thread.join()


def test_a_change_in_a_bucket_is_told() -> None:
    """The webhook gets the title, the text and the record."""
    from app import handler  # noqa: PLC0415  its channels are read from the environment

    told = {"bucket": {"name": "photos"}, "object": {"key": "a+b.jpg", "size": 3}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": told}
    assert handler({"Records": [record]}, None) == {"sent": 1, "channels": ["webhook"]}
    assert received[-1]["title"] == "photos/a b.jpg was created"
    assert received[-1]["event"] == record
