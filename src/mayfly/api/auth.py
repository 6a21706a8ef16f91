"""Who is calling: AWS Signature Version 4 in a header or in a presigned query. Being written."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from mayfly.api.message import Headers, Principal


class Keys:
    """Access keys: id to secret. The root key lies in DIR/key.json (0600)."""

    def __init__(self, secrets: dict[str, str], root: str) -> None:
        self._secrets = secrets
        self.root_access_key_id = root

    @classmethod
    def open(cls, path: Path) -> Self:
        """Load the root key from `path`, or make it there; atomic, mode 0600."""
        raise NotImplementedError(path)

    @property
    def root_secret_access_key(self) -> str:
        """The root key's secret."""
        return self._secrets[self.root_access_key_id]


def verify(
    keys: Keys,
    *,
    method: str,
    raw_path: str,
    query_string: str,
    headers: Headers,
    body: bytes,
    now_ms: float,
) -> Principal:
    """Check a request's signature.

    Raises:
        MayflyError: A subclass with AWS's code and status; give it to `dispatch.answer_error`.
    """
    raise NotImplementedError


def presign(
    keys: Keys, *, method: str, url: str, service: str, now_ms: float, expires_s: int = 600
) -> str:
    """`url` with a signature of the root key in its query."""
    raise NotImplementedError
