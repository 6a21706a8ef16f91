"""Named values, sealed with AES-256-GCM; the database alone opens none of them.

    secret       name, version, nonce, sealed value      version goes up with each change
    secret_key   the fingerprint of the key that sealed them, while there are any

Name and version are sealed with the value (as associated data), so that a row which is put in
another's place, or an old one put back under the new version, does not open. A value is never
listed and never logged.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hmac import compare_digest
from pathlib import Path

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model import limits
from mayfly.model.errors import Conflict, InvalidParameter, NotFound
from mayfly.stores.secrets.key import SecretsLocked, fingerprint, load_key, make_key
from mayfly.stores.secrets.sealing import DoesNotOpen, seal, unseal

SECRETS_MAX = 1_000
VALUE_BYTES_MAX = 64 * limits.KIB
_NONCE_BYTES = 12
_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{limits.NAME_LENGTH_MAX - 1}}}", re.ASCII)

_STEPS = (
    (
        """CREATE TABLE secret (
            name       TEXT PRIMARY KEY,
            version    INTEGER NOT NULL,
            nonce      BLOB NOT NULL,
            sealed     BLOB NOT NULL,
            changed_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE secret_version (
            name    TEXT PRIMARY KEY,
            version INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE secret_key (
            one         INTEGER PRIMARY KEY CHECK (one = 1),
            fingerprint BLOB NOT NULL
        ) STRICT""",
    ),
)


class SecretSite(StrEnum):
    """Where this store does I/O."""

    COMMIT = "SECRETS:COMMIT"


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """All that is told of a secret."""

    name: str
    version: int
    changed_ms: int


@dataclass(frozen=True, slots=True)
class _Sealed:
    version: int
    nonce: bytes
    sealed: bytes


class SecretStore:
    """All secrets of the platform. Made by `open`.

    Args:
        key_path: Where the key lies; read at the first need, made with the first secret.
        random_bytes: So many bytes of the kernel's randomness.
    """

    def __init__(
        self, store: SqliteStore, key_path: Path, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._key_path = key_path
        self._random_bytes = random_bytes
        self._key: bytes | None = None
        self._watchers: dict[str, list[Callable[[], None]]] = {}

    @classmethod
    async def open(
        cls, store: SqliteStore, key_path: Path, random_bytes: Callable[[int], bytes]
    ) -> SecretStore:
        """Bring the tables to their newest form; needs no key. Raises StorageFailed."""
        await store.migrate("secrets", _STEPS)
        return cls(store, key_path, random_bytes)

    async def put(self, name: str, value: str, now_ms: int) -> SecretFacts:
        """Keep a value, in the place of the one that has the name.

        Raises:
            InvalidParameter: The name or the value cannot be used.
            SecretsLocked: The key is missing or another one.
            Conflict: There are too many.
            StorageFailed: Nothing was written.
        """
        _check(name, value)
        key, plain = self._sealing_key(), value.encode()

        def work(connection: sqlite3.Connection) -> SecretFacts:
            _claim_key(connection, fingerprint(key), self._key_path)
            version, nonce = _next_version(connection, name), self._random_bytes(_NONCE_BYTES)
            sealed = seal(key, nonce=nonce, plain=plain, label=_associated(name, version))
            connection.execute(
                "INSERT OR REPLACE INTO secret VALUES (?, ?, ?, ?, ?)",
                (name, version, nonce, sealed, now_ms),
            )
            return SecretFacts(name, version, now_ms)

        return await self._store.transact(SecretSite.COMMIT, work, self._tell)

    async def delete(self, name: str) -> None:
        """Remove one; needs no key. Raises NotFound, StorageFailed."""

        def work(connection: sqlite3.Connection) -> SecretFacts:
            gone = connection.execute("DELETE FROM secret WHERE name = ?", (name,))
            if not gone.rowcount:
                raise _not_found(name)
            # Whoever has lost the key starts anew once the last of its secrets is gone.
            connection.execute("DELETE FROM secret_key WHERE NOT EXISTS (SELECT 1 FROM secret)")
            return SecretFacts(name, 0, 0)

        await self._store.transact(SecretSite.COMMIT, work, self._tell)

    def facts_nowait(self) -> Sequence[SecretFacts]:
        """All secrets by name, without their values."""
        rows = self._store.read_nowait(
            lambda connection: connection.execute(
                "SELECT name, version, changed_ms FROM secret ORDER BY name"
            ).fetchall()
        )
        return [SecretFacts(*row) for row in rows]

    async def resolve(self, names: Sequence[str]) -> Mapping[str, str]:
        """The values of these secrets; see `resolve_nowait`."""
        return self.resolve_nowait(names)

    def resolve_nowait(self, names: Sequence[str]) -> Mapping[str, str]:
        """The values of these secrets.

        Raises:
            NotFound: One of them is not there.
            SecretsLocked: The key is missing or another one, or a row was tampered with.
        """
        return {name: self._open(name) for name in names}

    def when_changed(self, name: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` on the event loop when the secret is set or removed.

        Returns:
            What ends that.
        """
        self._watchers.setdefault(name, []).append(callback)

        def end() -> None:
            watching = self._watchers.get(name, [])
            if callback in watching:
                watching.remove(callback)
            if not watching:
                self._watchers.pop(name, None)

        return end

    def _open(self, name: str) -> str:
        row = self._store.read_nowait(
            lambda connection: connection.execute(
                "SELECT version, nonce, sealed FROM secret WHERE name = ?", (name,)
            ).fetchone()
        )
        if row is None:
            raise _not_found(name)
        kept = _Sealed(*row)
        try:
            plain = unseal(
                self._opening_key(),
                nonce=kept.nonce,
                sealed=kept.sealed,
                label=_associated(name, kept.version),
            )
        except DoesNotOpen:
            raise SecretsLocked(
                f'the secret "{name}" does not open: its row was changed by something else than '
                f"mayfly; set it again with `mayfly secret set {name}`"
            ) from None
        return plain.decode()

    def _opening_key(self) -> bytes:
        """The key that the secrets are sealed with. Raises SecretsLocked."""
        key = self._fitting_key()
        if key is None:
            raise _key_missing(self._key_path)
        return key

    def _sealing_key(self) -> bytes:
        """The key for one more secret, made where this is the first. Raises SecretsLocked."""
        key = self._fitting_key()
        if key is None and self._kept_fingerprint() is not None:
            raise _key_missing(self._key_path)
        if key is None:
            key = self._key = make_key(self._key_path)
        return key

    def _fitting_key(self) -> bytes | None:
        """The file's key, or None where there is no file. Raises SecretsLocked: it is another."""
        key = self._key = self._key or load_key(self._key_path)
        kept = self._kept_fingerprint()
        if key is not None and kept is not None and not compare_digest(kept, fingerprint(key)):
            # Read the file again the next time: somebody may have put the right one back.
            self._key = None
            raise _other_key(self._key_path)
        return key

    def _kept_fingerprint(self) -> bytes | None:
        row = self._store.read_nowait(
            lambda connection: connection.execute("SELECT fingerprint FROM secret_key").fetchone()
        )
        return None if row is None else bytes(row[0])

    def _tell(self, facts: SecretFacts) -> None:
        for callback in tuple(self._watchers.get(facts.name, ())):
            callback()


def _check(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidParameter(
            f'the secret\'s name "{name[:80]}" must be 1 to {limits.NAME_LENGTH_MAX} letters, '
            "digits, dots, dashes and underscores, and begin with a letter or digit"
        )
    size = len(value.encode())
    if not 0 < size <= VALUE_BYTES_MAX:
        raise InvalidParameter(
            f'the value of "{name}" must be 1 to {VALUE_BYTES_MAX} bytes, got {size}'
        )
    if "\0" in value:
        raise InvalidParameter(f'the value of "{name}" holds a zero byte, which no variable can')


def _claim_key(connection: sqlite3.Connection, print_: bytes, path: Path) -> None:
    """The database's secrets are all sealed with one key; the first one decides. Writer thread."""
    connection.execute("INSERT OR IGNORE INTO secret_key VALUES (1, ?)", (print_,))
    (kept,) = connection.execute("SELECT fingerprint FROM secret_key").fetchone()
    if not compare_digest(kept, print_):
        raise _other_key(path)


def _next_version(connection: sqlite3.Connection, name: str) -> int:
    """One more than ever before under this name, removed ones included. Writer thread."""
    (count,) = connection.execute("SELECT count(*) FROM secret WHERE name <> ?", (name,)).fetchone()
    if count >= SECRETS_MAX:
        raise Conflict(f"there are {count} secrets, and {SECRETS_MAX} at most; remove some")
    (version,) = connection.execute(
        "INSERT INTO secret_version VALUES (?, 1) "
        "ON CONFLICT (name) DO UPDATE SET version = version + 1 RETURNING version",
        (name,),
    ).fetchone()
    return int(version)


def _associated(name: str, version: int) -> bytes:
    return f"mayfly secret\0{name}\0{version}".encode()


def _not_found(name: str) -> NotFound:
    return NotFound(f'no secret has the name "{name[:80]}"; set it with `mayfly secret set`')


def _key_missing(path: Path) -> SecretsLocked:
    return SecretsLocked(
        f"the key that opens the secrets is not at {path}: put back a copy of it, or name where it "
        "is with the configuration's secrets_key; if it is lost, remove the secrets with `mayfly "
        "secret rm` and set them again"
    )


def _other_key(path: Path) -> SecretsLocked:
    return SecretsLocked(
        f"{path} is not the key that these secrets were sealed with: put the right one back, or "
        "name where it is with the configuration's secrets_key; if it is lost, remove the secrets "
        "with `mayfly secret rm` and set them again"
    )
