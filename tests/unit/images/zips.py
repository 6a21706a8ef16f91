"""Zip archives for tests, the wrong kinds included: members are given as `ZipInfo` fields."""

from __future__ import annotations

import io
import stat
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

REGULAR, LINK, FOLDER = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755


@dataclass(frozen=True)
class Member:
    """One member, as it is written: nothing is checked or made nice."""

    name: str
    content: bytes = b"x = 1\n"
    mode: int = REGULAR
    method: int = zipfile.ZIP_DEFLATED
    system: int = 3


def zip_of(members: Iterable[Member]) -> bytes:
    """An archive of these members, in this order."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of duplicate names
        for member in members:
            info = zipfile.ZipInfo("placeholder")
            info.filename = member.name
            info.create_system = member.system
            info.external_attr = member.mode << 16
            info.compress_type = member.method
            archive.writestr(info, member.content)
    return buffer.getvalue()


def zip_files(files: Mapping[str, str | bytes]) -> bytes:
    """An archive of ordinary files."""
    return zip_of(
        Member(name, content if isinstance(content, bytes) else content.encode())
        for name, content in files.items()
    )
