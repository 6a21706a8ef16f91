"""From an uploaded folder to a function that can run: the whole way, in order.

    zip --unpack------> names judged, mayfly.toml read from the zip, its handler looked for
        --archive-----> archive and tree kept by digest (port CodeStore)
        --dependencies> what requirements.txt or pyproject.toml asks for, installed by uv once

Nothing is registered here: the caller gets a `Manifest` and a `Code`. A refused upload leaves
nothing that is named; a tree whose function is never registered goes with a collection.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from mayfly.images.entry import check_entry
from mayfly.images.manifest import FILENAME, Manifest, parse_manifest
from mayfly.images.positions import locate
from mayfly.images.reading import suggested
from mayfly.images.requirements import Requirements
from mayfly.images.unpack import DEFAULT_LIMITS, Archive, UnpackLimits
from mayfly.images.wanted import (
    PYPROJECT,
    REQUIREMENTS,
    Wanted,
    parse_pyproject,
    parse_requirements,
)
from mayfly.model import limits
from mayfly.model.errors import InvalidArchive, InvalidManifest, NotFound, RequestTooLarge
from mayfly.model.function import Code
from mayfly.ports import Clock, CodeStore, RuntimeInfo

_TEXT_BYTES_MAX = 256 * limits.KIB

# Told of a step: its name, milliseconds since it began, and facts. {"line": ...} is what uv says
# meanwhile; without it the step is done.
Progress = Callable[[str, float, dict[str, object]], None]


@dataclass(frozen=True, slots=True)
class _Folder:
    """What the texts of an uploaded folder say."""

    manifest: Manifest
    wanted: Wanted


class ImageBuilder:
    """Makes code of uploaded folders.

    Args:
        requirements: Installs what a folder asks for.
        runtimes: What functions can run on, by name.
        default_runtime: For manifests that name none; a key of `runtimes`.
        zipped_bytes_max: As the code store's.
    """

    def __init__(
        self,
        code: CodeStore,
        requirements: Requirements,
        *,
        runtimes: Mapping[str, RuntimeInfo],
        default_runtime: str,
        clock: Clock,
        bounds: UnpackLimits = DEFAULT_LIMITS,
        zipped_bytes_max: int = limits.CODE_ZIPPED_BYTES_MAX,
    ) -> None:
        self._code = code
        self._requirements = requirements
        self._runtimes = runtimes
        self._default_runtime = default_runtime
        self._clock = clock
        self._bounds = bounds
        self._zipped_bytes_max = zipped_bytes_max
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="mayfly-build")

    async def close(self) -> None:
        """End the threads."""
        await asyncio.to_thread(self._threads.shutdown)

    async def deploy(self, archive: bytes, progress: Progress) -> tuple[Manifest, Code]:
        """Unpack a folder's zip, read its mayfly.toml, install its requirements.

        Cancelled: uv is killed; the archive may be kept, under a digest that nobody uses.

        Args:
            archive: mayfly.toml is at its top.
            progress: Told of "unpack" and "dependencies" when they are done.

        Returns:
            The manifest, its runtime filled in, and the code with its dependencies' digest.

        Raises:
            InvalidManifest: mayfly.toml is wrong, or names a handler that is not there.
            InvalidArchive: The zip is refused, or has no mayfly.toml.
            InvalidParameter: The requirements are refused or cannot be met.
            RequestTooLarge: The zip is over its bound.
            PlatformError: No package index was reached.
            StorageFailed: The disk refused.
        """
        self._check_size(archive)
        began_s = self._clock.monotonic_s()
        look = partial(self._look, archive)
        folder = await asyncio.get_running_loop().run_in_executor(self._threads, look)
        code = await self._code.put_archive(archive)
        progress("unpack", self._since_ms(began_s), {"bytes": code.size_bytes})
        if folder.wanted.lines:
            digest = await self._install(folder, progress)
            code = replace(code, dependencies=digest)
        return folder.manifest, code

    async def look(self, archive: bytes) -> tuple[Manifest, Code]:
        """Judge a folder's zip and keep nothing of it: no code, no requirements.

        Returns:
            The manifest, and the code that a deploy of the zip would make; of its dependencies
            the digest as well, which may not be installed yet.

        Raises:
            InvalidManifest, InvalidArchive, InvalidParameter, RequestTooLarge: As `deploy`.
        """
        self._check_size(archive)
        look = partial(self._look, archive)
        folder = await asyncio.get_running_loop().run_in_executor(self._threads, look)
        code = Code(hashlib.sha256(archive).hexdigest(), len(archive))
        if folder.wanted.lines:
            runtime = self._runtimes[folder.manifest.runtime or self._default_runtime]
            code = replace(code, dependencies=self._requirements.digest(folder.wanted, runtime))
        return folder.manifest, code

    def _check_size(self, archive: bytes) -> None:
        if len(archive) > self._zipped_bytes_max:
            raise RequestTooLarge(
                f"the folder zipped has {len(archive)} bytes, more than {self._zipped_bytes_max}; "
                "leave out what the function does not need"
            )

    def _look(self, archive: bytes) -> _Folder:
        unpacked = Archive(archive, self._bounds)
        text = _text(unpacked, FILENAME, missing=_no_manifest(unpacked.files))
        manifest = parse_manifest(text)
        runtime = manifest.runtime or self._default_runtime
        if runtime not in self._runtimes:
            raise InvalidManifest(self._no_runtime(text, runtime))
        wanted = _wanted(unpacked)
        check_entry(
            manifest.handler,
            runtime,
            unpacked.files,
            place=f"{FILENAME}:{locate(text).get(('function', 'handler'), 1)}",
            may_be_installed=bool(wanted.lines),
        )
        return _Folder(replace(manifest, runtime=runtime), wanted)

    async def _install(self, folder: _Folder, progress: Progress) -> str:
        began_s = self._clock.monotonic_s()
        runtime = self._runtimes[folder.manifest.runtime or self._default_runtime]
        digest = self._requirements.digest(folder.wanted, runtime)
        # Asking keeps the tree from a collection while it is made and until it is registered.
        try:
            self._code.dependencies_path(digest)
            cached = True
        except NotFound:
            cached = await self._requirements.install(
                folder.wanted,
                runtime,
                lambda line: progress("dependencies", self._since_ms(began_s), {"line": line}),
            )
        facts: dict[str, object] = {"cached": cached, "requirements": len(folder.wanted.lines)}
        progress("dependencies", self._since_ms(began_s), facts)
        return digest

    def _no_runtime(self, text: str, runtime: str) -> str:
        line = locate(text).get(("function", "runtime"), 1)
        has = ", ".join(self._runtimes) or "none"
        near = suggested(runtime, tuple(self._runtimes))
        return f'{FILENAME}:{line}: this machine has no runtime "{runtime}"; it has {has}{near}'

    def _since_ms(self, began_s: float) -> float:
        return round((self._clock.monotonic_s() - began_s) * 1000, 1)


def _wanted(unpacked: Archive) -> Wanted:
    if REQUIREMENTS in unpacked.files:
        return parse_requirements(_text(unpacked, REQUIREMENTS))
    if PYPROJECT in unpacked.files:
        return parse_pyproject(_text(unpacked, PYPROJECT))
    return Wanted(REQUIREMENTS, ())


def _text(unpacked: Archive, path: str, *, missing: str = "") -> str:
    try:
        return unpacked.read(path, bytes_max=_TEXT_BYTES_MAX).decode()
    except KeyError as error:
        raise InvalidArchive(missing or f"{path} must be a file, not a link") from error
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"{path}:1: is not UTF-8 text") from error


def _no_manifest(files: Collection[str]) -> str:
    if FILENAME in files:
        return f"{FILENAME} must be a file, not a link"
    inside = next((path for path in files if path.endswith(f"/{FILENAME}")), None)
    if inside is None:
        return f"the zip has no {FILENAME}; `mayfly init` writes one"
    return f"{FILENAME} must be at the top of the zip, not at {inside}; zip the folder's contents"
