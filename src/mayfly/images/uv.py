"""uv, which resolves and installs packages: one run of it, with a scrubbed environment.

Wheels only (`--only-binary :all:`): unpacking a wheel runs none of its code, building a source
distribution would, outside every seal. uv sees of the environment what concerns networks, indexes
and certificates, and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import uv as uv_package

from mayfly.model.errors import InvalidParameter, MayflyError, PlatformError

TIMEOUT_S = 600.0
_LINES_KEPT = 12
_LINE_LENGTH_MAX = 500

_PASSED = frozenset({"PATH", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR", "XDG_CACHE_HOME"}) | {
    "XDG_CONFIG_HOME",
    "NETRC",
    "LANG",
}
_PROXIES = re.compile(r"(?i)(https?|all|no)_proxy")
# What people have set for pip, under uv's names.
_FROM_PIP = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
}
# Its own settings that would change what is installed where, or run code.
_REFUSED = re.compile(
    r"UV_(PYTHON|TARGET|PREFIX|SYSTEM_PYTHON|BUILD|NO_BINARY|BREAK|PROJECT|ENV).*"
)

_NETWORK = re.compile(
    r"(?i)failed to fetch|error sending request|dns error|connect error|timed out|network"
)
_NO_WHEEL = re.compile(r"(?i)no usable wheels|no wheels|building from source is disabled|no-build")
_DISK = re.compile(r"(?i)no space left|read-only file system|disk quota")


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """What uv may see of `environment`, and what it is always told."""
    passed = {
        name: value
        for name, value in environment.items()
        if name in _PASSED
        or _PROXIES.fullmatch(name)
        or (name.startswith("UV_") and not _REFUSED.fullmatch(name))
    }
    for theirs, ours in _FROM_PIP.items():
        if environment.get(theirs):
            passed.setdefault(ours, environment[theirs])
    return passed | {
        "NO_COLOR": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "PYC_INVALIDATION_MODE": "UNCHECKED_HASH",
        "PYTHONDONTWRITEBYTECODE": "",
    }


async def install(
    requirements: Path,
    target: Path,
    *,
    filename: str,
    interpreter: Path,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Install the wheels that `requirements` asks for into `target`, for `interpreter`.

    Cancelled: uv is killed; `target` is half-filled and the caller's.

    Args:
        requirements: In a folder of its own.
        filename: What messages call it.
        environment: As `scrubbed` made it.
        on_line: Told each line that uv prints, on the event loop.

    Raises:
        InvalidParameter: The requirements cannot be met; the message has uv's last lines.
        PlatformError: uv could not be run or reached no index.
    """
    last: deque[str] = deque(maxlen=_LINES_KEPT)

    def said(line: str) -> None:
        last.append(line)
        on_line(line)

    try:
        async with asyncio.timeout(timeout_s):
            command = _command(requirements, target, interpreter)
            code = await _run(command, requirements.parent, environment, said)
    except TimeoutError:
        raise PlatformError(
            f"installing the requirements took longer than {timeout_s:g} s and was given up; "
            f"uv said last:\n{_shown(last)}"
        ) from None
    if code:
        raise _failure(filename, code, "\n".join(last), _shown(last))


def find_uv() -> str:
    """The program's path. Raises PlatformError."""
    try:
        return uv_package.find_uv_bin()
    except FileNotFoundError as error:
        raise PlatformError(
            f"uv is not installed beside mayfly ({error}): pip install uv"
        ) from error


def _command(requirements: Path, target: Path, interpreter: Path) -> list[str | Path]:
    return [
        *(find_uv(), "pip", "install", "--requirements", requirements, "--target", target),
        *("--python", interpreter, "--only-binary", ":all:", "--link-mode", "copy"),
        *("--compile-bytecode", "--no-progress"),
    ]


async def _run(
    command: list[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    said: Callable[[str], None],
) -> int:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environment),
        # Not inside somebody's project, whose pyproject.toml or uv.toml would count.
        cwd=folder,
        start_new_session=True,
    )
    assert process.stderr is not None
    try:
        await _read_lines(process.stderr, said)
        return await process.wait()
    finally:
        if process.returncode is None:
            # uv and the interpreters that it started.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())


async def _read_lines(stream: asyncio.StreamReader, said: Callable[[str], None]) -> None:
    rest = b""
    while chunk := await stream.read(16_384):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[-16_384:]
        for line in lines:
            if line.strip():
                said(line.decode(errors="replace").rstrip()[:_LINE_LENGTH_MAX])
    if rest.strip():
        said(rest.decode(errors="replace").rstrip()[:_LINE_LENGTH_MAX])


def _failure(filename: str, code: int, text: str, shown: str) -> MayflyError:
    if _DISK.search(text):
        return PlatformError(
            f"installing {filename}: the disk took no more; free some space.\n{shown}"
        )
    if _NO_WHEEL.search(text):
        return InvalidParameter(
            f"installing {filename}: a package has no wheel for this runtime. mayfly installs "
            "wheels only, for building from source would run the package's code outside the seal; "
            f"take a version that has a wheel, or put the package into the folder.\n{shown}"
        )
    if _NETWORK.search(text):
        return PlatformError(
            f"installing {filename}: no package index was reached; is the network there? Proxy, "
            f"index and certificates are set where mayfly runs (HTTPS_PROXY, UV_DEFAULT_INDEX, "
            f"SSL_CERT_FILE).\n{shown}"
        )
    return InvalidParameter(f"installing {filename}: uv ended with {code}; it said:\n{shown}")


def _shown(lines: deque[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
