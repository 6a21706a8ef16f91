"""The demo: a photograph goes through a function, by curl and by boto3, and nothing is left.

What it shows is real: the platform that `mayfly up` starts, the ready function `image-convert`
and `examples/hello`, deployed as a user would. Every result is decoded and checked; whatever
goes wrong ends the demo with exit code 1, after the platform was stopped.
"""

from __future__ import annotations

import base64
import io
import json
import shlex
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PHOTO = ROOT / "demo" / "dandelions.jpg"
FOLDER = ROOT / ".demo"
DATA, OUT = FOLDER / "data", FOLDER / "out"
MAYFLY = (sys.executable, "-m", "mayfly.cli")
END_TIMEOUT_S = 10.0


class Wrong(Exception):
    """Something is not as it must be."""


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
            show(family)
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


def show(family: list[int]) -> None:
    """The demo itself; `family` receives the platform's processes."""
    chapter("1. The platform starts")
    mayfly("up", "-d", "--listen", "127.0.0.1:0")
    endpoint = json.loads((DATA / "endpoint.json").read_text())
    chapter("2. Two functions go into service")
    mayfly("add", "image-convert", shown(FOLDER / "image-convert"), data=False)
    mayfly("deploy", shown(FOLDER / "image-convert"))
    mayfly("deploy", shown(ROOT / "examples" / "hello"))
    chapter("3. curl sends the photograph to the function's URL")
    url = json.loads(mayfly("inspect", "image-convert", "--json", show=False))["url"]
    convert_by_curl(url, "webp", 1600)
    convert_by_curl(url, "avif", 800)
    chapter("4. boto3, unmodified, invokes the same function, and the small one")
    client = lambda_client()
    convert_by_boto3(client, "jpeg", 640, 640)
    greet(client)
    chapter("5. What happened, in milliseconds from the arrival of each event")
    mayfly("timeline", "-n", "4")
    check_timeline(json.loads(mayfly("timeline", "--json", show=False)))
    family += descendants(int(endpoint["pid"]))


def convert_by_curl(url: str, made_format: str, width: int) -> None:
    """One conversion through the URL, into a file."""
    target = OUT / f"dandelions-{width}.{made_format}"
    address = f"{url}?format={made_format}&width={width}"
    command = ["curl", "-sS", "--fail-with-body", "--max-time", "60"]
    command += ["--data-binary", f"@{shown(PHOTO)}", address, "-o", shown(target)]
    say(f"$ {shlex.join(command)}")
    _, took_ms = timed(lambda: run(command))
    check(target, made_format.upper(), (width, round(width * 2988 / 5312)), took_ms)


def convert_by_boto3(client: Any, made_format: str, width: int, height: int) -> None:
    """One conversion over Lambda's API."""
    target = OUT / f"dandelions-square.{made_format}"
    event = {
        "image": base64.b64encode(PHOTO.read_bytes()).decode(),
        "format": made_format,
        "width": width,
        "height": height,
        "fit": "cover",
    }
    wishes = ", ".join(f"{key!r}: {value!r}" for key, value in event.items() if key != "image")
    say(f"  client.invoke(FunctionName='image-convert', Payload={{'image': ..., {wishes}}})")
    answer, took_ms = timed(lambda: invoke(client, "image-convert", event))
    target.write_bytes(base64.b64decode(answer["image"]))
    check(target, made_format.upper(), (width, height), took_ms)


def greet(client: Any) -> None:
    """The small function."""
    say("  client.invoke(FunctionName='hello', Payload={'name': 'Ada'})")
    answer, took_ms = timed(lambda: invoke(client, "hello", {"name": "Ada"}))
    if answer.get("message") != "Hello, Ada!":
        raise Wrong(f"hello answered {answer}")
    say(f"  -> {answer['message']}  in {took_ms:.1f} ms")


def invoke(client: Any, name: str, event: Mapping[str, object]) -> Any:
    """Call a function; its answer."""
    reply = client.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    body = reply["Payload"].read()
    if "FunctionError" in reply:
        raise Wrong(f"{name} failed: {body.decode()}")
    return json.loads(body)


def lambda_client() -> Any:
    """boto3's client, told by `mayfly env` where the platform is."""
    variables = json.loads(mayfly("env", "--json", show=False))
    return boto3.client(
        "lambda",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def check(path: Path, made_format: str, size: tuple[int, int], took_ms: float) -> None:
    """Decode a result whole: it must be the picture that was asked for."""
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        if (image.format, image.size) != (made_format, size):
            raise Wrong(f"{shown(path)} is {image.format} {image.size}, not {made_format} {size}")
        extremes = image.convert("L").getextrema()
    if extremes[0] == extremes[1]:
        raise Wrong(f"{shown(path)} is of one colour; the photograph is not")
    say(
        f"  -> {shown(path)}: {made_format.lower()} {size[0]} x {size[1]}, "
        f"{len(data) / 1000:.0f} kB, in {took_ms:.0f} ms; decoded and checked"
    )


def check_timeline(lives: list[dict[str, Any]]) -> None:
    """Four calls, each in an isolate of its own that was born before it and is dead now."""
    if len(lives) != 4 or len({one["isolate_id"] for one in lives}) != 4:
        raise Wrong(f"4 calls were made, and {len(lives)} are in the timeline")
    for one in lives:
        if not one["born_ms"] <= one["answered_ms"] <= (one["died_ms"] or 0):
            raise Wrong(f"the isolate {one['isolate_id']} was not born, answered and died in turn")
        if one["grants"]:
            raise Wrong(
                f"{one['function_name']} was granted {one['grants']}, and asked for nothing"
            )


def require_gone(family: list[int]) -> None:
    """Every process of the platform must have ended."""
    deadline_s = time.monotonic() + END_TIMEOUT_S
    left = family
    while (left := [pid for pid in left if alive(pid)]) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    chapter("6. Nothing is left running")
    if left or not family:
        raise Wrong(f"processes of the platform are still alive: {left}")
    say(f"  all {len(family)} processes of the platform have ended")


def descendants(pid: int) -> list[int]:
    """A process and all that came of it, as /proc has it now."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            parents[int(folder.name)] = parent(folder)
    family = [pid]
    for one in family:  # grows while it is walked
        family += [child for child, its_parent in parents.items() if its_parent == one]
    return family


def parent(folder: Path) -> int:
    """The parent of a process by its folder in /proc; 0 when it ended meanwhile."""
    try:
        return int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def mayfly(*words: str, show: bool = True, data: bool = True) -> str:
    """Run the command line; what it printed."""
    command = [*words, *(("--data", shown(DATA)) if data else ())]
    if show:
        say(f"$ mayfly {shlex.join(command)}")
    output = run([*MAYFLY, *command])
    if show:
        say("\n".join(f"  {line}".rstrip() for line in output.splitlines()))
    return output


def run(command: list[str]) -> str:
    """Run a program in the repository's folder; what it printed.

    Raises:
        Wrong: It failed.
    """
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip()
        raise Wrong(f"{shlex.join(command[:5])} ... ended with {done.returncode}:\n{said}")
    return done.stdout


def clean() -> None:
    """Begin anew: stop what an interrupted demo left, and empty its folder."""
    if (DATA / "endpoint.json").exists():
        mayfly("down", show=False)
    if FOLDER.exists():
        for folder in [FOLDER, *(one for one in FOLDER.rglob("*") if one.is_dir())]:
            folder.chmod(folder.stat().st_mode | stat.S_IRWXU)  # trees are read-only
        shutil.rmtree(FOLDER)
    OUT.mkdir(parents=True)


def farewell() -> None:
    """Where the results lie, and what to type next."""
    say(f"\nThe results lie in {shown(OUT)}/. To go on:")
    say("  make up                                    the platform, until Ctrl-C; then, elsewhere:")
    say("  export MAYFLY_DATA=$PWD/.up PATH=$PWD/.venv/bin:$PATH")
    say("  mayfly init my-function                    a function of your own")
    say("  mayfly deploy my-function                  into service, with a URL")
    say('  mayfly invoke my-function \'{"name": "Ada"}\' --log')
    say('  eval "$(mayfly env)"; aws lambda list-functions')


def complain(error: Exception) -> int:
    """Say what went wrong, with the daemon's last words."""
    print(f"\nthe demo failed: {error}", file=sys.stderr)
    log = DATA / "daemon.log"
    if log.exists():
        print(f"the last lines of {shown(log)}:", file=sys.stderr)
        for line in log.read_text(errors="replace").splitlines()[-15:]:
            print(f"  {line}", file=sys.stderr)
    return 1


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """An action's result, and how many milliseconds it took."""
    started_s = time.perf_counter()
    result = action()
    return result, (time.perf_counter() - started_s) * 1000


def shown(path: Path) -> str:
    """A path as seen from the repository's folder."""
    return str(path.relative_to(ROOT))


def chapter(title: str) -> None:
    """A heading."""
    say(f"\n\033[1m{title}\033[0m" if sys.stdout.isatty() else f"\n{title}")


def say(text: str) -> None:
    """One or more lines for the person who watches."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
