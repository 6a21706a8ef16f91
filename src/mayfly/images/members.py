"""Which members an archive may hold: names, kinds and links, judged before a byte is written.

    names of all members --admit()--> Admission: files, folders, links; or InvalidArchive

A name is a relative path of UTF-8 parts below the top, each file once, also on a file system that
does not tell upper from lower case. A link is followed here, through other links, as the kernel
would (path_resolution(7)); it must end at a member. Pure: no file is touched.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mayfly.model import limits
from mayfly.model.errors import InvalidArchive

_PART_BYTES_MAX = 255  # NAME_MAX of Linux's file systems
_LINKS_FOLLOWED_MAX = 40  # as the kernel's own bound, path_resolution(7)
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Admission:
    """The members that may be written.

    Args:
        files: Path within the tree, to the member's index in the archive.
        folders: Every folder that the files, links and folder members need, parents first.
        links: Path within the tree, to the link's target as it is written.
    """

    files: Mapping[str, int]
    folders: Sequence[str]
    links: Mapping[str, str]


def clean_name(written: str) -> str:
    """The path that a member's name means, without `.` parts; "" is the top folder itself.

    Raises:
        InvalidArchive: The name does not stay below the top, or is no name here.
    """
    if _CONTROL.search(written):
        raise _refused(written, "has a control character (NUL, newline, ...) in its name")
    if "\\" in written:
        raise _refused(written, "has a backslash in its name; zip it with / between folders")
    if written.startswith("/"):
        raise _refused(written, "is an absolute path; zip the folder's contents instead")
    if _DRIVE.match(written):
        raise _refused(written, "starts with a drive letter; zip the folder's contents instead")
    parts = [part for part in written.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise _refused(written, "climbs out of the archive with ..")
    path = "/".join(parts)
    if len(path.encode()) > limits.PATH_LENGTH_MAX:
        raise _refused(written, f"is a path of more than {limits.PATH_LENGTH_MAX} bytes")
    if any(len(part.encode()) > _PART_BYTES_MAX for part in parts):
        raise _refused(written, f"has a part of more than {_PART_BYTES_MAX} bytes in its name")
    return path


def admit(
    files: Sequence[tuple[str, int]], folders: Sequence[str], links: Sequence[tuple[str, str]]
) -> Admission:
    """Judge all the members together; their names went through `clean_name`.

    Raises:
        InvalidArchive: Two members are in each other's way, or a link leads out or nowhere.
    """
    spelled: dict[str, str] = {}
    needed: dict[str, None] = {}
    for path in folders:
        _claim_folders(path, spelled, needed, whole=True)
    taken: set[str] = set()
    for path, _ in (*files, *links):
        if path in taken:
            raise _refused(path, "is in the archive twice")
        taken.add(path)
        _claim(path, spelled)
        _claim_folders(path, spelled, needed, whole=False)
    for path in needed.keys() & taken:
        raise _refused(path, "is a file and also a folder")
    admission = Admission(dict(files), tuple(sorted(needed)), dict(links))
    for path in admission.links:
        _follow(path, admission)
    return admission


def _claim_folders(
    path: str, spelled: dict[str, str], needed: dict[str, None], *, whole: bool
) -> None:
    """Note the folders on the way to `path`, and itself when `whole`."""
    folder = path if whole else path.rpartition("/")[0]
    while folder and folder not in needed:
        _claim(folder, spelled)
        needed[folder] = None
        folder = folder.rpartition("/")[0]


def _claim(path: str, spelled: dict[str, str]) -> None:
    """Take the name, in all the spellings that some file systems do not tell apart."""
    key = unicodedata.normalize("NFC", path).casefold()
    holder = spelled.setdefault(key, path)
    if holder != path:
        raise _refused(path, f"differs from {holder!r} only in case or in accents' form")


def _follow(link: str, admission: Admission) -> None:
    """Walk a link to its end.

    Raises:
        InvalidArchive: It is absolute, climbs above the top, goes in circles, or ends nowhere.
    """
    place: list[str] = []
    ahead = link.split("/")[::-1]
    followed = 0
    folders = frozenset(admission.folders)
    while ahead:
        part = ahead.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not place:
                raise _refused(link, f"is a link that leaves the archive: {admission.links[link]}")
            place.pop()
            continue
        path = "/".join((*place, part))
        target = admission.links.get(path)
        if target is not None:
            followed += 1
            _check_target(link, target)
            if followed > _LINKS_FOLLOWED_MAX:
                raise _refused(link, "is a link that goes in circles")
            ahead += target.split("/")[::-1]
            continue
        if path not in folders and (ahead or path not in admission.files):
            raise _refused(link, f"is a link to nothing in the archive: {admission.links[link]}")
        place.append(part)


def _check_target(link: str, target: str) -> None:
    if target.startswith("/") or "\\" in target or _CONTROL.search(target) or not target:
        raise _refused(link, f"is a link that leaves the archive: {target!r}")


def _refused(name: str, why: str) -> InvalidArchive:
    return InvalidArchive(f"archive refused: member {name[:200]!r} {why}")
