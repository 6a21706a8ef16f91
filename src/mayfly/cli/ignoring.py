"""Which files of a folder stay behind: the usual litter, and what `.mayflyignore` names.

The file's lines are a part of .gitignore's language:

    *.log          a name anywhere              # a comment
    /data          a path from the top          !keep.log   take it after all; the last match wins
    notes/         folders only                 docs/*.md   a pattern with "/" is from the top
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from mayfly.cli.failure import Failed

FILE_NAME = ".mayflyignore"
_LITTER = (
    ".git/",
    ".hg/",
    ".svn/",
    "__pycache__/",
    "*.pyc",
    ".venv/",
    "venv/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".tox/",
    ".DS_Store",
    FILE_NAME,
)


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: str
    takes: bool
    folders_only: bool
    from_top: bool

    def matches(self, path: str, *, folder: bool) -> bool:
        if self.folders_only and not folder:
            return False
        subject = path if self.from_top else path.rpartition("/")[2]
        return fnmatchcase(subject, self.pattern)


@dataclass(frozen=True, slots=True)
class Rules:
    """What to leave out of one folder."""

    rules: tuple[_Rule, ...]

    @classmethod
    def of(cls, folder: Path) -> Rules:
        """The usual rules and those of the folder's `.mayflyignore`.

        Raises:
            Failed: The file is there but cannot be read.
        """
        path = folder / FILE_NAME
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            lines = []
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"{path} cannot be read: {error}") from error
        return cls(tuple(_parse(line) for line in (*_LITTER, *lines) if _counts(line)))

    def ignores(self, path: str, *, folder: bool) -> bool:
        """Whether a path, written with "/" from the folder's top, stays behind."""
        verdict = False
        for rule in self.rules:
            if rule.matches(path, folder=folder):
                verdict = not rule.takes
        return verdict


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _parse(line: str) -> _Rule:
    written = line.strip()
    takes = written.startswith("!")
    pattern = written.removeprefix("!")
    folders_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    return _Rule(pattern.removeprefix("/"), takes, folders_only, "/" in pattern)
