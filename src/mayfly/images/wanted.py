"""Which packages a folder asks for: requirements.txt, else pyproject.toml. Pure.

Only names with versions, extras, markers and hashes are taken (PEP 508). An option, a URL, a path
or a git address is refused: each would have the platform itself, outside every seal, read a file,
call an address or build a package for a stranger.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mayfly.images.reading import Reading
from mayfly.model.errors import InvalidParameter

REQUIREMENTS, PYPROJECT = "requirements.txt", "pyproject.toml"
LINES_MAX = 2_000

# No part can begin where another one ends: a hostile line costs no more than a good one.
_REQUIREMENT = re.compile(
    r"""[A-Za-z0-9][A-Za-z0-9._-]* \s*
        (?:\[[A-Za-z0-9._,\s-]*\])? \s*              # extras
        (?:\(?[=<>!~][A-Za-z0-9.*+!<>=~,\s_-]*\)?)?   # versions
        \s* (?:;[^;]*)?                              # markers""",
    re.VERBOSE,
)
_HASH_OPTION = re.compile(r"\s+--hash[=\s]\s*")
_HASH = re.compile(r"[a-z0-9]{1,10}:[0-9a-fA-F]{1,200}")
_LENGTH_MAX = 500
_COMMENT = re.compile(r"(?:^|\s)#.*$")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be installed.

    Args:
        filename: Where it is written, for messages.
        lines: One requirement each; empty when nothing is wanted.
    """

    filename: str
    lines: tuple[str, ...]


def parse_requirements(text: str, filename: str = REQUIREMENTS) -> Wanted:
    """Read a requirements.txt.

    Raises:
        InvalidParameter: A line per problem, with file and line.
    """
    problems: list[str] = []
    lines: list[str] = []
    for number, line in _logical_lines(text):
        problem = _problem(line)
        if problem:
            problems.append(f"{filename}:{number}: {problem}")
        else:
            lines.append(" ".join(line.split()))
    if len(lines) > LINES_MAX:
        problems.append(f"{filename}:1: has {len(lines)} requirements, more than {LINES_MAX}")
    if problems:
        raise InvalidParameter("\n".join(problems[:20]))
    return Wanted(filename, tuple(lines))


def parse_pyproject(text: str, filename: str = PYPROJECT) -> Wanted:
    """Read `[project] dependencies` of a pyproject.toml; without it nothing is wanted.

    The project itself is not installed: its files are the folder's.

    Raises:
        InvalidManifest: It is not TOML, or `dependencies` is no list of strings.
        InvalidParameter: A dependency is refused.
    """
    reading = Reading(text, filename)
    dependencies = reading.texts(("project", "dependencies"))
    for place, name in reading.texts(("project", "dynamic")):
        if name == "dependencies":
            reading.problem(
                place,
                "dependencies that are dynamic would have to be asked of the project's own code; "
                f"write them into [project] or into {REQUIREMENTS}",
            )
    for place, line in dependencies:
        problem = _problem(line)
        if problem:
            reading.problem(place, problem)
    reading.finish()
    return Wanted(filename, tuple(" ".join(line.split()) for _, line in dependencies))


def _logical_lines(text: str) -> Sequence[tuple[int, str]]:
    """Lines with their numbers, joined where they end in a backslash, without comments."""
    found: list[tuple[int, str]] = []
    begun, start = "", 0
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        start = start or number
        begun += _COMMENT.sub("", line)
        if begun.endswith("\\"):
            begun = begun[:-1] + " "
            continue
        if begun.strip():
            found.append((start, begun.strip()))
        begun, start = "", 0
    if begun.strip():
        found.append((start, begun.strip()))
    return found


def _problem(line: str) -> str:
    """Why a requirement is refused, or ""."""
    shown = line[:80]
    if line.startswith("-"):
        return (
            f'"{shown}": options are not taken here; write the requirements themselves (which '
            "index is asked is set where mayfly runs)"
        )
    if "://" in line or "@" in line or line.startswith((".", "/", "~", "\\")):
        return (
            f'"{shown}": only packages of the index are installed, by name and version; put '
            "other code into the folder itself"
        )
    requirement, *hashes = _HASH_OPTION.split(line)
    good = len(requirement) <= _LENGTH_MAX and _REQUIREMENT.fullmatch(requirement)
    if not good or " -" in requirement or not all(_HASH.fullmatch(one.strip()) for one in hashes):
        return f'"{shown}" is no requirement: write it as in  requests>=2.31,<3'
    return ""
