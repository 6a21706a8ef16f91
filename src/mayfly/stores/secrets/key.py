"""The key that opens a platform's secrets: 32 bytes in a file outside the data folder.

A copy of the data folder, a backup for instance, does not open its secrets. The file is made with
the first secret, mode 0600, whole or not at all; it is never written again.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from mayfly.model.errors import PlatformError

KEY_BYTES = 32


class SecretsLocked(PlatformError):
    """The key is missing, or is not the one that the secrets were sealed with."""

    code = "SecretsLocked"


def load_key(path: Path) -> bytes | None:
    """The key, or None where there is no such file.

    Raises:
        SecretsLocked: The file cannot be read or holds no key.
    """
    try:
        written = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SecretsLocked(
            f"the key of the secrets, {path}, cannot be read ({error.strerror}): let the user who "
            "runs mayfly read it"
        ) from error
    try:
        key = base64.b64decode(written.strip(), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise SecretsLocked(
            f"the key of the secrets, {path}, holds no key: put back a copy of it, or name another "
            "file with the configuration's secrets_key"
        )
    return key


def make_key(path: Path) -> bytes:
    """Make the file, or load what somebody else has made at the same time.

    Raises:
        SecretsLocked: It cannot be written.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(draft, base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
        try:
            # A link, unlike a rename, never takes the place of another's key.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)
        _flush_folder(path.parent)
    except OSError as error:
        raise SecretsLocked(
            f"the key of the secrets cannot be made at {path} ({error.strerror}): make that folder "
            "writable, or name another file with the configuration's secrets_key"
        ) from error
    key = load_key(path)
    assert key is not None
    return key


def fingerprint(key: bytes) -> bytes:
    """What tells keys apart and does not tell the key."""
    return hashlib.sha256(b"mayfly secrets key\0" + key).digest()


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
