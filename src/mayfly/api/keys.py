"""Access keys: who may sign, and the signing keys that are derived from their secrets.

The root key is made at the first start and lies in DIR/key.json, readable by its owner only. A
SigV4 signing key is four HMACs away from the secret and stays the same for a day, so derived keys
are kept; the cache is bounded and forgets everything when it is full, which costs microseconds.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from mayfly.api.message import Principal
from mayfly.model.errors import InvalidParameter
from mayfly.model.function import ACCOUNT_ID
from mayfly.model.grant import Grant

DERIVED_KEYS_MAX = 1_024
_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True, slots=True)
class Credential:
    """One access key.

    Args:
        arn: The identity that the key signs for.
        session_token: Must come with each request when it is not "".
        function_name: The function whose isolates sign with it, or "".
        grants: All that it may do, or None: everything.
        on_missing: Told of each grant that was missing for what the key tried, or None.
        on_used: Told which of its grants allowed what, or None.
    """

    access_key_id: str
    secret_access_key: str
    arn: str
    session_token: str = ""
    function_name: str = ""
    grants: tuple[Grant, ...] | None = None
    on_missing: Callable[[Grant], None] | None = None
    on_used: Callable[[Grant, Grant], None] | None = None

    def principal(self, service: str, region: str) -> Principal:
        """Whom the key stands for in a signature of this scope."""
        return Principal(
            self.access_key_id,
            ACCOUNT_ID,
            self.arn,
            service,
            region,
            self.function_name,
            self.grants,
            self.on_missing,
            self.on_used,
        )


class _KeyFile(msgspec.Struct):
    access_key_id: str
    secret_access_key: str


class Keys:
    """The access keys that this platform knows."""

    def __init__(self, root: Credential) -> None:
        self._root = root
        self._by_id = {root.access_key_id: root}
        self._derived: dict[tuple[str, str, str, str], bytes] = {}

    @classmethod
    def open(cls, path: Path) -> Self:
        """Load the root key from `path`, or make one and keep it there.

        The file appears whole or not at all, with mode 0600; two processes that start at once end
        up with the same key.

        Raises:
            InvalidParameter: The file is there but does not hold a key.
            OSError: It cannot be read or written.
        """
        if not path.exists():
            _write_new_key(path)
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_KeyFile)
        except msgspec.MsgspecError as error:
            raise InvalidParameter(
                f"key file {path} does not hold an access key ({error}); "
                "restore it, or move it away to have a new key made"
            ) from error
        return cls(root_credential(kept.access_key_id, kept.secret_access_key))

    @property
    def root(self) -> Credential:
        """The platform owner's key."""
        return self._root

    def find(self, access_key_id: str) -> Credential | None:
        """The key, or None."""
        return self._by_id.get(access_key_id)

    def add(self, credential: Credential) -> None:
        """Know one more key, or replace the one with its id."""
        self.remove(credential.access_key_id)
        self._by_id[credential.access_key_id] = credential

    def remove(self, access_key_id: str) -> None:
        """Forget a key; its signatures are refused from now on."""
        assert access_key_id != self._root.access_key_id, "the root key stays"
        self._by_id.pop(access_key_id, None)
        for scope in [one for one in self._derived if one[0] == access_key_id]:
            del self._derived[scope]

    def signing_key(self, credential: Credential, date: str, region: str, service: str) -> bytes:
        """The key that signs for a scope: HMAC(HMAC(HMAC(HMAC("AWS4" secret, date), ...)))."""
        scope = (credential.access_key_id, date, region, service)
        key = self._derived.get(scope)
        if key is None:
            key = f"AWS4{credential.secret_access_key}".encode()
            for part in (date, region, service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            if len(self._derived) >= DERIVED_KEYS_MAX:
                self._derived.clear()
            self._derived[scope] = key
        return key


def root_credential(access_key_id: str, secret_access_key: str) -> Credential:
    """The owner's credential with this id and secret."""
    return Credential(access_key_id, secret_access_key, f"arn:aws:iam::{ACCOUNT_ID}:root")


def _write_new_key(path: Path) -> None:
    """Write beside the file, flush, then link: `link` fails rather than replace another's key."""
    kept = _KeyFile(
        access_key_id="AKIA" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(16)),
        secret_access_key=secrets.token_urlsafe(30),
    )
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(kept) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink(missing_ok=True)
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Make the new name in the folder durable (fsync(2): the file's fsync does not)."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
