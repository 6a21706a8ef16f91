"""A function's folder as a zip archive: the same files give the same bytes.

Names are sorted, times fixed, modes reduced to "executable or not", so that an unchanged folder
has an unchanged digest and deploying it again costs nothing. What is left out: version control,
caches, virtual environments, and what `.mayflyignore` names.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from mayfly.cli.failure import USAGE, Failed
from mayfly.cli.ignoring import Rules
from mayfly.model import limits

MANIFEST = "mayfly.toml"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MODE_FILE, _MODE_PROGRAM = 0o100644, 0o100755
_LEVEL = 6


def pack(folder: Path, manifest: Path | None = None) -> bytes:
    """The archive of a function's folder.

    Args:
        manifest: What goes in as mayfly.toml instead of the folder's own.

    Raises:
        Failed: The folder or its mayfly.toml is missing, a link leads out of it, a file cannot
            be read, or the archive is over the platform's bound.
    """
    _require_manifest(folder)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for path in files(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix: the modes below are read as such
            entry.external_attr = _mode(path) << 16
            own = manifest is None or entry.filename != MANIFEST
            archive.writestr(entry, _read(path if own or manifest is None else manifest))
    size_bytes = buffer.tell()
    if size_bytes > limits.CODE_ZIPPED_BYTES_MAX:
        raise Failed(
            f"{folder} packs to {size_bytes // limits.MIB} MiB, over the bound of "
            f"{limits.CODE_ZIPPED_BYTES_MAX // limits.MIB} MiB; leave files out with .mayflyignore"
        )
    return buffer.getvalue()


def files(folder: Path) -> Iterator[Path]:
    """The files that belong to the function, in the order of their names.

    Raises:
        Failed: A symbolic link leads out of the folder, or a folder cannot be listed.
    """
    rules = Rules.of(folder)
    found: list[Path] = []
    for top, folders, names in os.walk(folder, onerror=_unlistable):
        base = Path(top)
        folders[:] = [
            name for name in folders if not rules.ignores(_inside(folder, base / name), folder=True)
        ]
        for name in folders:
            _refuse_link(base / name)
        paths = [base / name for name in names]
        found += [
            _checked(path, folder)
            for path in paths
            if not rules.ignores(_inside(folder, path), folder=False)
        ]
    yield from sorted(found, key=lambda path: _inside(folder, path))


def _require_manifest(folder: Path) -> None:
    if not folder.is_dir():
        raise Failed(f"{folder} is no folder; name the one that holds {MANIFEST}", exit_code=USAGE)
    if not (folder / MANIFEST).is_file():
        raise Failed(
            f"{folder} has no {MANIFEST}; `mayfly init {folder}` writes one", exit_code=USAGE
        )


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise Failed(
            f"{path} is a link to a folder, which an image cannot hold; copy the folder in its "
            "place or name it in .mayflyignore"
        )


def _checked(path: Path, folder: Path) -> Path:
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise Failed(
            f"{path} is a link out of the folder; copy the file in its place or name it in "
            ".mayflyignore"
        )
    if not path.is_file():
        raise Failed(
            f"{path} is neither a file nor a link to one; remove it or name it in .mayflyignore"
        )
    return path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}") from error


def _mode(path: Path) -> int:
    return _MODE_PROGRAM if path.stat().st_mode & 0o100 else _MODE_FILE


def _inside(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _unlistable(error: OSError) -> None:
    raise Failed(f"{error.filename} cannot be listed: {error.strerror}") from error
