"""Reads a zip that a stranger made: looked through whole, then written, counted as it inflates.

    bytes --Archive()--> directory read, names judged (members)
            .read()      one small member, for example mayfly.toml
            .extract()   every file into an empty folder; links last, so that nothing is ever
                         written through one

Only `stored` and `deflate` members are taken: zipfile inflates other methods without a bound.
The CRC of each member is checked. What an archive declares is checked first, what comes out is
counted as well. Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mayfly.images.members import Admission, admit, clean_name
from mayfly.model import limits
from mayfly.model.errors import InvalidArchive

_CHUNK_BYTES = 256 * limits.KIB
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNIX = 3  # "version made by" of archives whose external attributes hold a Unix mode
_ENCRYPTED = 0x1
_ENTRY_SIGNATURE = b"PK\x01\x02"


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """Bounds of one archive.

    Args:
        unzipped_bytes_max: Of all files together.
        files_max: Members, folders included.
        ratio_max: Unzipped to zipped size, looked at over `ratio_free_bytes` only.
    """

    unzipped_bytes_max: int = limits.CODE_UNZIPPED_BYTES_MAX
    files_max: int = limits.CODE_FILES_MAX
    ratio_max: int = 200
    ratio_free_bytes: int = 16 * limits.MIB


DEFAULT_LIMITS = UnpackLimits()


class Archive:
    """A zip archive that was found to be harmless.

    Raises:
        InvalidArchive: It is not a zip, or is refused; the message says why.
    """

    def __init__(self, content: bytes, bounds: UnpackLimits = DEFAULT_LIMITS) -> None:
        self._bounds = bounds
        # Before zipfile makes an object of each: a directory of a million entries is a bomb, too.
        if content.count(_ENTRY_SIGNATURE) > 2 * bounds.files_max:
            raise _too_many(bounds)
        with _zip_errors():
            self._zip = zipfile.ZipFile(io.BytesIO(content), metadata_encoding="utf-8")
        self._members = self._zip.infolist()
        if len(self._members) > bounds.files_max:
            raise _too_many(bounds)
        for member in self._members:
            _check_member(member)
        self._check_sizes(len(content))
        self._admission = self._admit()

    @property
    def files(self) -> Sequence[str]:
        """Paths of the files and links, in the archive's order."""
        return (*self._admission.files, *self._admission.links)

    @property
    def folders(self) -> Sequence[str]:
        """Paths of the folders, parents first."""
        return self._admission.folders

    def read(self, path: str, *, bytes_max: int) -> bytes:
        """One file whole.

        Raises:
            KeyError: No file is at `path`.
            InvalidArchive: It is over `bytes_max`, or corrupt.
        """
        member = self._members[self._admission.files[path]]
        if member.file_size > bytes_max:
            raise InvalidArchive(f"archive refused: {path} is over {bytes_max} bytes")
        return b"".join(self._inflate(member))

    def extract(self, into: Path) -> None:
        """Write everything into the empty folder `into`; folders 0755, files 0644 or 0755.

        Raises:
            InvalidArchive: A member is corrupt.
            OSError: The disk refused. What was written stays: the caller owns `into`.
        """
        into.chmod(0o755)
        for path in self._admission.folders:
            folder = into / path
            folder.mkdir()
            folder.chmod(0o755)
        unzipped = 0
        for path, index in self._admission.files.items():
            unzipped += self._write(self._members[index], into / path)
            if unzipped > self._bounds.unzipped_bytes_max:
                raise _too_large(self._bounds)
        for path, target in self._admission.links.items():
            (into / path).symlink_to(target)

    def _write(self, member: zipfile.ZipInfo, path: Path) -> int:
        size = 0
        with path.open("xb") as file:
            for chunk in self._inflate(member):
                size += file.write(chunk)
        path.chmod(0o755 if _mode(member) & 0o111 else 0o644)
        return size

    def _inflate(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        with _zip_errors(member.filename), self._zip.open(member) as source:
            while chunk := source.read(_CHUNK_BYTES):
                yield chunk

    def _check_sizes(self, zipped: int) -> None:
        unzipped = sum(member.file_size for member in self._members)
        bounds = self._bounds
        if unzipped > bounds.unzipped_bytes_max:
            raise _too_large(bounds)
        if unzipped > bounds.ratio_free_bytes and unzipped > zipped * bounds.ratio_max:
            raise InvalidArchive(
                f"archive refused: {zipped} bytes would unzip to {unzipped}, more than "
                f"{bounds.ratio_max} times as much; that is a zip bomb's shape"
            )

    def _admit(self) -> Admission:
        files: list[tuple[str, int]] = []
        folders: list[str] = []
        links: list[tuple[str, str]] = []
        for index, member in enumerate(self._members):
            path = clean_name(member.orig_filename)
            kind = stat.S_IFMT(_mode(member))
            if not path or member.orig_filename.endswith("/") or kind == stat.S_IFDIR:
                folders.append(path)
            elif kind == stat.S_IFLNK:
                links.append((path, self._target(member)))
            else:
                files.append((path, index))
        if not files:
            raise InvalidArchive("archive refused: it holds no files")
        return admit(files, folders, links)

    def _target(self, member: zipfile.ZipInfo) -> str:
        if member.file_size > limits.PATH_LENGTH_MAX:
            raise InvalidArchive(
                f"archive refused: link {member.filename!r} has a target of more than "
                f"{limits.PATH_LENGTH_MAX} bytes"
            )
        try:
            return b"".join(self._inflate(member)).decode()
        except UnicodeDecodeError as error:
            raise _not_utf8() from error


def _mode(member: zipfile.ZipInfo) -> int:
    """The Unix mode, 0 where the archive was made elsewhere."""
    return member.external_attr >> 16 if member.create_system == _UNIX else 0


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename[:200]
    if member.flag_bits & _ENCRYPTED:
        raise InvalidArchive(f"archive refused: member {name!r} is encrypted; zip it without")
    if member.compress_type not in _METHODS:
        raise InvalidArchive(
            f"archive refused: member {name!r} is compressed by method {member.compress_type}, not "
            f"by deflate ({zipfile.ZIP_DEFLATED})"
        )
    if stat.S_IFMT(_mode(member)) not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        raise InvalidArchive(
            f"archive refused: member {name!r} is a device, pipe or socket, not a file"
        )


@contextmanager
def _zip_errors(name: str = "") -> Iterator[None]:
    """What zipfile and zlib raise on broken input, as InvalidArchive."""
    where = f"member {name[:200]!r}" if name else "it"
    try:
        yield
    except UnicodeDecodeError as error:
        raise _not_utf8() from error
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OverflowError,
    ) as error:
        raise InvalidArchive(
            f"could not unzip uploaded file: {where} is not a zip archive or is damaged ({error}); "
            "check your file, then upload it again"
        ) from error


def _not_utf8() -> InvalidArchive:
    return InvalidArchive("archive refused: a member's name is not UTF-8; zip it with UTF-8 names")


def _too_many(bounds: UnpackLimits) -> InvalidArchive:
    return InvalidArchive(
        f"archive refused: it holds more than {bounds.files_max} files; leave out what the "
        "function does not need"
    )


def _too_large(bounds: UnpackLimits) -> InvalidArchive:
    return InvalidArchive(
        f"archive refused: unzipped size must be smaller than {bounds.unzipped_bytes_max} bytes"
    )
