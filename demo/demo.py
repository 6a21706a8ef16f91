"""The demo: a photograph is put into a bucket, a row into a table, and functions see to the rest.

    boto3 --photograph--> bucket photos --change--> image-convert --> bucket thumbs
    boto3 --row--> table orders --change--> notify --its door--> a webhook that the demo listens on
    curl  --photograph--> image-convert's URL --> a file

What it shows is real: the platform that `mayfly up` starts, and two ready functions, deployed as a
user would. Every result is decoded and checked; whatever goes wrong ends the demo with exit code
1, after the platform was stopped.
"""

from __future__ import annotations

import io
import json
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from PIL import Image
from stage import (
    DATA,
    FOLDER,
    OUT,
    ROOT,
    Wrong,
    chapter,
    clean,
    client,
    complain,
    descendants,
    mayfly,
    require_gone,
    run,
    say,
    shown,
    timed,
    wait_for,
)

PHOTO = ROOT / "demo" / "dandelions.jpg"
ORDER = {"id": {"S": "1001"}, "buyer": {"S": "Ada"}, "total": {"N": "42.50"}}

CONVERT_TRIGGER = """
[[trigger]]
type = "object"
bucket = "photos"
events = ["created"]
prefix = "in/"
suffix = ".jpg"
"""
NOTIFY_TRIGGER = """
[[trigger]]
type = "table"
table = "orders"
partial = true
"""


def main() -> int:
    """Run the demo; the exit code."""
    try:
        clean()
        with Image.open(PHOTO) as photo:
            width, height = photo.size
        say("Mayfly's demo: functions that are born when an event arrives, answer, and die.")
        say(
            f"The photograph: {shown(PHOTO)}, {width} x {height} pixels, "
            f"{PHOTO.stat().st_size / 1e6:.1f} MB (public domain, see demo/PHOTO.md)."
        )
        family: list[int] = []
        try:
            with webhook() as heard:
                show(family, heard)
        finally:
            mayfly("down", show=False)
        require_gone(family)
        farewell()
    except (Wrong, OSError, KeyError, ValueError) as error:
        return complain(error)
    except KeyboardInterrupt:
        say("\ninterrupted")
        return 130
    return 0


def show(family: list[int], heard: Webhook) -> None:
    """The demo itself; `family` receives the platform's processes."""
    chapter("1. The platform starts")
    mayfly("up", "-d", "--listen", "127.0.0.1:0")
    endpoint = json.loads((DATA / "endpoint.json").read_text())
    chapter("2. boto3, unmodified, makes two buckets and a table")
    s3, tables = client("s3"), client("dynamodb")
    make_stores(s3, tables)
    chapter("3. Two ready functions go into service, with what calls them and what they may reach")
    deploy_convert()
    deploy_notify(heard.port)
    chapter("4. A photograph is put into the bucket photos")
    convert_by_bucket(s3)
    chapter("5. A row is written to the table orders")
    notify_by_table(tables, heard)
    chapter("6. The same function answers the web; what happened, in milliseconds from each event")
    url = json.loads(mayfly("inspect", "image-convert", "--json", show=False))["url"]
    convert_by_curl(url, "avif", 800)
    mayfly("timeline", "-n", "3")
    check_timeline(json.loads(mayfly("timeline", "--json", show=False)))
    family += descendants(int(endpoint["pid"]))


def make_stores(s3: Any, tables: Any) -> None:
    """Buckets, and a table that tells of its changes."""
    for name in ("photos", "thumbs"):
        say(f"  s3.create_bucket(Bucket='{name}')")
        s3.create_bucket(Bucket=name)
    say("  dynamodb.create_table(TableName='orders', ..., StreamSpecification=...)")
    tables.create_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )


def deploy_convert() -> None:
    """The ready function for images, called by the bucket photos."""
    folder = FOLDER / "image-convert"
    mayfly("add", "image-convert", shown(folder), data=False)
    manifest = folder / "mayfly.toml"
    text = manifest.read_text().replace('SIZES = "800"', 'SIZES = "1600,400"')
    manifest.write_text(text + CONVERT_TRIGGER)
    tell(manifest, "[grants]", "[[trigger]]")
    mayfly("deploy", shown(folder))


def deploy_notify(port: int) -> None:
    """The ready function for notices, called by the table orders; it may reach the demo's port."""
    folder = FOLDER / "notify"
    mayfly("add", "notify", shown(folder), data=False)
    manifest = folder / "mayfly.toml"
    text = manifest.read_text()
    text = text.replace("https://hooks.example.com/mayfly", f"http://localhost:{port}/orders")
    text = text.replace("hooks.example.com:443", f"localhost:{port}")
    manifest.write_text(text + NOTIFY_TRIGGER)
    tell(manifest, "[grants]", "[[trigger]]")
    mayfly("deploy", shown(folder))


def tell(manifest: Path, *headings: str) -> None:
    """Show the parts of a manifest that matter here."""
    lines, wanted = [], False
    for line in manifest.read_text().splitlines():
        if line.startswith("["):
            wanted = line.split("#")[0].strip() in headings
        if wanted and line.strip() and not line.startswith("#"):
            lines.append(line.partition("  #")[0].rstrip())
    say("\n".join(f"  | {line}" for line in lines))


def convert_by_bucket(s3: Any) -> None:
    """Put the photograph; what the function makes of it appears in the other bucket."""
    say("  s3.upload_file('demo/dandelions.jpg', 'photos', 'in/dandelions.jpg')")

    def made() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = s3.list_objects_v2(Bucket="thumbs").get("Contents", [])
        return found if len(found) == 2 else []

    def story() -> list[dict[str, Any]]:
        s3.upload_file(str(PHOTO), "photos", "in/dandelions.jpg")
        found: list[dict[str, Any]] = wait_for("the pictures in the bucket thumbs", made)
        return found

    found, took_ms = timed(story)
    say(f"  {took_ms:.0f} ms later there are {len(found)} pictures in the bucket thumbs:")
    for one in found:
        body = s3.get_object(Bucket="thumbs", Key=one["Key"])["Body"].read()
        width = 1600 if "1600" in one["Key"] else 400
        check(body, "WEBP", (width, round(width * 2988 / 5312)), f"s3://thumbs/{one['Key']}")


def notify_by_table(tables: Any, heard: Webhook) -> None:
    """Write a row; the webhook hears of it."""
    say(f"  dynamodb.put_item(TableName='orders', Item={ORDER})")

    def story() -> dict[str, Any]:
        tables.put_item(TableName="orders", Item=ORDER)
        found: dict[str, Any] = wait_for("the webhook's call", heard.first)
        return found

    message, took_ms = timed(story)
    said = json.dumps(message)
    if "orders" not in said or "1001" not in said:
        raise Wrong(f"the webhook heard {said[:400]}, and nothing of the order")
    say(f"  {took_ms:.0f} ms later the webhook hears: {message['title']}")


def convert_by_curl(url: str, made_format: str, width: int) -> None:
    """One conversion through the URL, into a file."""
    target = OUT / f"dandelions-{width}.{made_format}"
    address = f"{url}?format={made_format}&width={width}"
    command = ["curl", "-sS", "--fail-with-body", "--max-time", "60"]
    command += ["--data-binary", f"@{shown(PHOTO)}", address, "-o", shown(target)]
    say(f"$ {shlex.join(command)}")
    _, took_ms = timed(lambda: run(command))
    size = (width, round(width * 2988 / 5312))
    check(target.read_bytes(), made_format.upper(), size, f"{shown(target)} in {took_ms:.0f} ms")


def check(data: bytes, made_format: str, size: tuple[int, int], what: str) -> None:
    """Decode a result whole: it must be the picture that was asked for."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        if (image.format, image.size) != (made_format, size):
            raise Wrong(f"{what} is {image.format} {image.size}, not {made_format} {size}")
        extremes = image.convert("L").getextrema()
    if extremes[0] == extremes[1]:
        raise Wrong(f"{what} is of one colour; the photograph is not")
    made = f"{made_format.lower()} {size[0]} x {size[1]}, {len(data) / 1000:.0f} kB"
    say(f"  -> {what}: {made}; decoded and checked")


def check_timeline(lives: list[dict[str, Any]]) -> None:
    """Each call in an isolate of its own that was born before it and is dead now."""
    called = {one["function_name"] for one in lives}
    if called != {"image-convert", "notify"} or len({one["isolate_id"] for one in lives}) < 3:
        raise Wrong(f"three calls of two functions were made; the timeline tells of {called}")
    for one in lives:
        if not one["born_ms"] <= one["answered_ms"] <= (one["died_ms"] or 0):
            raise Wrong(f"the isolate {one['isolate_id']} was not born, answered and died in turn")


class Webhook:
    """What a service that is told of things would see."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.messages: list[dict[str, Any]] = []

    def first(self) -> dict[str, Any] | None:
        """The first message, once it has come."""
        return self.messages[0] if self.messages else None


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A service on a port of this machine, for as long as the block runs."""

    class Hears(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            heard.messages.append(json.loads(self.rfile.read(length)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing: the demo speaks."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hears)
    heard = Webhook(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def farewell() -> None:
    """Where the results lie, and what to type next."""
    say(f"\nThe results lie in {shown(OUT)}/. To go on:")
    say("  make up                                    the platform, until Ctrl-C; then, elsewhere:")
    say("  export MAYFLY_DATA=$PWD/.up PATH=$PWD/.venv/bin:$PATH")
    say("  mayfly init my-function                    a function of your own")
    say("  mayfly deploy my-function                  into service, with a URL")
    say('  mayfly invoke my-function \'{"name": "Ada"}\' --log')
    say('  eval "$(mayfly env)"; aws s3 mb s3://photos; aws lambda list-functions')


if __name__ == "__main__":
    sys.exit(main())
