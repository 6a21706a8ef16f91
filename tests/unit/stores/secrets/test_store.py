"""Secrets on a real database and a real key file."""

# ruff: noqa: ASYNC240  the key is a small file

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import InvalidParameter, NotFound, StorageFailed
from mayfly.stores.secrets.key import SecretsLocked
from mayfly.stores.secrets.store import SecretStore
from mayfly.testing.faults import Faults


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "mayfly" / "one.key"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "mayfly.db")
    yield store
    await store.close()


@pytest.fixture
async def secrets(database: SqliteStore, key_path: Path) -> SecretStore:
    return await SecretStore.open(database, key_path, os.urandom)


async def reopened(database: SqliteStore, key_path: Path) -> SecretStore:
    return await SecretStore.open(database, key_path, os.urandom)


async def test_a_value_is_kept_and_changed_and_listed_without_being_told(
    secrets: SecretStore, database: SqliteStore, key_path: Path
) -> None:
    await secrets.put("stripe", "whsec_1", 1)
    await secrets.put("stripe", "whsec_2 \u00fc\n", 2)
    again = await reopened(database, key_path)
    assert await again.resolve(["stripe"]) == {"stripe": "whsec_2 \u00fc\n"}
    (facts,) = again.facts_nowait()
    assert (facts.name, facts.version, facts.changed_ms) == ("stripe", 2, 2)
    assert "whsec" not in repr(again.facts_nowait())


async def test_no_file_of_the_data_folder_holds_the_value(
    secrets: SecretStore, tmp_path: Path
) -> None:
    await secrets.put("stripe", "findme-0123456789", 1)
    held = b"".join(path.read_bytes() for path in tmp_path.glob("mayfly.db*"))
    assert b"stripe" in held
    assert b"findme" not in held


async def test_the_key_is_made_with_the_first_secret_for_its_owner_only(
    secrets: SecretStore, key_path: Path
) -> None:
    assert not key_path.exists()
    await secrets.put("one", "1", 1)
    assert key_path.stat().st_mode & 0o777 == 0o600
    assert key_path.parent.stat().st_mode & 0o077 == 0
    assert [path.name for path in key_path.parent.iterdir()] == [key_path.name]


async def test_without_the_key_nothing_opens_nothing_is_written_and_it_says_what_to_do(
    secrets: SecretStore, database: SqliteStore, key_path: Path
) -> None:
    await secrets.put("one", "1", 1)
    key = key_path.read_bytes()
    key_path.unlink()
    locked = await reopened(database, key_path)
    with pytest.raises(SecretsLocked, match="put back a copy") as refused:
        await locked.resolve(["one"])
    assert str(key_path) in str(refused.value)
    with pytest.raises(SecretsLocked, match="put back a copy"):
        await locked.put("two", "2", 2)
    assert not key_path.exists()
    key_path.write_bytes(key)
    assert await locked.resolve(["one"]) == {"one": "1"}


async def test_another_key_opens_nothing_and_seals_nothing(
    secrets: SecretStore, database: SqliteStore, key_path: Path, tmp_path: Path
) -> None:
    await secrets.put("one", "1", 1)
    other_path = tmp_path / "other.key"
    other_database = await SqliteStore.open(tmp_path / "other.db")
    other = await SecretStore.open(other_database, other_path, os.urandom)
    await other.put("one", "other", 1)
    await other_database.close()
    wrong = await reopened(database, other_path)
    for attempt in (wrong.resolve(["one"]), wrong.put("two", "2", 2), wrong.put("one", "2", 2)):
        with pytest.raises(SecretsLocked, match="is not the key"):
            await attempt
    other_path.write_bytes(key_path.read_bytes())
    assert await wrong.resolve(["one"]) == {"one": "1"}


@pytest.mark.parametrize("content", [b"", b"short", b"!" * 44, b"QUJD"])
async def test_a_file_that_holds_no_key_is_named(
    secrets: SecretStore, key_path: Path, content: bytes
) -> None:
    key_path.parent.mkdir(parents=True)
    key_path.write_bytes(content)
    with pytest.raises(SecretsLocked, match="holds no key"):
        await secrets.put("one", "1", 1)
    assert key_path.read_bytes() == content


async def test_who_has_lost_the_key_removes_the_secrets_and_starts_anew(
    secrets: SecretStore, database: SqliteStore, key_path: Path
) -> None:
    await secrets.put("one", "1", 1)
    await secrets.put("two", "2", 1)
    key_path.unlink()
    lost = await reopened(database, key_path)
    await lost.delete("one")
    with pytest.raises(SecretsLocked):
        await lost.put("one", "new", 2)
    await lost.delete("two")
    await lost.put("one", "new", 3)
    assert await lost.resolve(["one"]) == {"one": "new"}


_SWAPPED = """UPDATE secret SET (nonce, sealed) =
    (SELECT nonce, sealed FROM secret WHERE name = 'two') WHERE name = 'one'"""


@pytest.mark.parametrize(
    "tampering",
    [
        _SWAPPED,
        "UPDATE secret SET version = version + 1 WHERE name = 'one'",
        "UPDATE secret SET sealed = zeroblob(40) WHERE name = 'one'",
        "UPDATE secret SET sealed = x'' WHERE name = 'one'",
        "UPDATE secret SET nonce = x'00' WHERE name = 'one'",
        "UPDATE secret SET nonce = zeroblob(12) WHERE name = 'one'",
    ],
)
async def test_a_row_that_was_tampered_with_does_not_open(
    secrets: SecretStore, tmp_path: Path, tampering: str
) -> None:
    await secrets.put("one", "1", 1)
    await secrets.put("two", "2", 1)
    with sqlite3.connect(tmp_path / "mayfly.db") as connection:
        assert connection.execute(tampering).rowcount == 1
    connection.close()
    with pytest.raises(SecretsLocked, match="mayfly secret set one"):
        await secrets.resolve(["one"])
    assert await secrets.resolve(["two"]) == {"two": "2"}


async def test_an_old_row_put_back_under_the_new_version_does_not_open(
    secrets: SecretStore, tmp_path: Path
) -> None:
    await secrets.put("one", "old", 1)
    with sqlite3.connect(tmp_path / "mayfly.db") as connection:
        old = connection.execute("SELECT nonce, sealed FROM secret").fetchone()
    await secrets.delete("one")
    await secrets.put("one", "new", 2)
    with connection:
        connection.execute("UPDATE secret SET nonce = ?, sealed = ?", old)
    connection.close()
    with pytest.raises(SecretsLocked):
        await secrets.resolve(["one"])


async def test_who_watches_a_secret_is_told_of_its_changes(secrets: SecretStore) -> None:
    told: list[str] = []
    end = secrets.when_changed("one", lambda: told.append("one"))
    await secrets.put("one", "1", 1)
    await secrets.put("two", "2", 1)
    await secrets.delete("one")
    assert told == ["one", "one"]
    end()
    end()
    await secrets.put("one", "1", 1)
    assert told == ["one", "one"]


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "x" * 65, "\u00fc", "a\n"])
async def test_a_name_that_cannot_be_used_is_refused(secrets: SecretStore, name: str) -> None:
    with pytest.raises(InvalidParameter):
        await secrets.put(name, "1", 1)


@pytest.mark.parametrize("value", ["", "a\0b", "x" * 65_537])
async def test_a_value_that_cannot_be_used_is_refused_and_not_told(
    secrets: SecretStore, value: str
) -> None:
    with pytest.raises(InvalidParameter) as refused:
        await secrets.put("one", value, 1)
    assert not value or value not in str(refused.value)


async def test_an_unknown_secret_is_named(secrets: SecretStore) -> None:
    await secrets.put("one", "1", 1)
    for attempt in (secrets.resolve(["one", "two"]), secrets.delete("two")):
        with pytest.raises(NotFound, match='"two"'):
            await attempt


async def test_a_failing_disk_leaves_the_old_value(tmp_path: Path, key_path: Path) -> None:
    faults = Faults()
    database = await SqliteStore.open(tmp_path / "mayfly.db", sites=faults)
    secrets = await SecretStore.open(database, key_path, os.urandom)
    await secrets.put("one", "1", 1)
    faults.fail("SECRETS:COMMIT", times=1)
    with pytest.raises(StorageFailed):
        await secrets.put("one", "2", 2)
    assert await secrets.resolve(["one"]) == {"one": "1"}
    await database.close()
