"""Any history of writes and deletes, listed in any way, against a list in memory."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mayfly.stores.objects.bucket import Versioning
from mayfly.stores.objects.record import NULL_VERSION, ObjectMeta, Query
from mayfly.stores.objects.refusals import NoSuchKey
from tests.support.object_store import CAUSE, opened_objects

# Few, so that they meet; with what sorts differently as UTF-16 and as UTF-8, and a NUL.
KEYS = st.text("a/b\x00\uff5e\U0001f41d", min_size=1, max_size=4)
PREFIXES = st.text("a/b\uff5e", max_size=2)
DELIMITERS = st.sampled_from(["", "/", "a", "b/"])
BIG = 70_000


@dataclass(frozen=True)
class Row:
    """A version in the model."""

    key: str
    version_id: str
    body: bytes
    is_marker: bool = False


class Model:
    """All versions, the oldest first."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.versioning = Versioning.NEVER

    def of(self, key: str) -> list[Row]:
        return [row for row in self.rows if row.key == key]

    def add(self, row: Row) -> None:
        if row.version_id == NULL_VERSION:
            self.remove(row.key, NULL_VERSION)
        self.rows.append(row)

    def remove(self, key: str, version_id: str) -> None:
        self.rows = [row for row in self.rows if (row.key, row.version_id) != (key, version_id)]

    def listed(self) -> list[Row]:
        """Versions as S3 lists them."""
        keys = sorted({row.key for row in self.rows}, key=str.encode)
        return [row for key in keys for row in reversed(self.of(key))]

    def latest(self) -> list[Row]:
        newest = {row.key: row for row in self.rows}
        return [row for row in self.listed() if newest[row.key] is row and not row.is_marker]


def grouped(rows: Sequence[Row], prefix: str, delimiter: str) -> list[tuple[str, str]]:
    """(key, version) of each row, or (common prefix, "")."""
    found: list[tuple[str, str]] = []
    for row in rows:
        if not row.key.startswith(prefix):
            continue
        at = row.key.find(delimiter, len(prefix)) if delimiter else -1
        entry = (row.key[: at + len(delimiter)], "") if at >= 0 else (row.key, row.version_id)
        if not found or found[-1] != entry:
            found.append(entry)
    return found


class ObjectsMachine(RuleBasedStateMachine):
    """A store and a model that live through the same."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="mayfly-objects-"))
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.model = Model()
        self._open()
        self.runner.run(self.objects.store.buckets.create("b"))

    def _open(self) -> None:
        async def enter() -> None:
            self.objects = await self.stack.enter_async_context(opened_objects(self.folder))

        self.runner.run(enter())

    @rule(key=KEYS, body=st.binary(max_size=3), is_big=st.booleans())
    def put(self, key: str, body: bytes, *, is_big: bool) -> None:
        body = body * BIG if is_big else body
        placed = self.runner.run(self.objects.put(key, body))
        self.model.add(Row(key, placed.version_id or NULL_VERSION, body))

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        deleted = self.runner.run(self.objects.store.delete("b", key, CAUSE))
        assert deleted.marker_made == (self.model.versioning is not Versioning.NEVER)
        if deleted.marker_made:
            self.model.add(Row(key, deleted.version_id, b"", is_marker=True))
        else:
            self.model.remove(key, NULL_VERSION)

    @precondition(lambda self: self.model.rows)
    @rule(data=st.data())
    def delete_version(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.model.rows))
        work = self.objects.store.delete("b", row.key, CAUSE, version_id=row.version_id)
        assert self.runner.run(work).is_marker == row.is_marker
        self.model.remove(row.key, row.version_id)

    @rule(state=st.sampled_from([Versioning.ENABLED, Versioning.SUSPENDED]))
    def set_versioning(self, state: Versioning) -> None:
        change = self.objects.store.buckets.change("b", lambda s: replace(s, versioning=state))
        self.runner.run(change)
        self.model.versioning = state

    @rule()
    def restart(self) -> None:
        self.runner.run(self.stack.aclose())
        self.stack = contextlib.AsyncExitStack()
        self._open()

    @rule(prefix=PREFIXES, delimiter=DELIMITERS, count_max=st.integers(1, 4))
    def list_objects(self, prefix: str, delimiter: str, count_max: int) -> None:
        query = Query("b", prefix, delimiter, count_max=count_max)
        expected = grouped(self.model.latest(), prefix, delimiter)
        assert self.runner.run(self._walk(query, versions=False)) == expected

    @rule(prefix=PREFIXES, delimiter=DELIMITERS, count_max=st.integers(1, 4))
    def list_versions(self, prefix: str, delimiter: str, count_max: int) -> None:
        query = Query("b", prefix, delimiter, count_max=count_max)
        expected = grouped(self.model.listed(), prefix, delimiter)
        assert self.runner.run(self._walk(query, versions=True)) == expected

    @rule(after=KEYS)
    def list_after(self, after: str) -> None:
        page = self.runner.run(self.objects.store.list_objects(Query("b", after=after)))
        expected = [row.key for row in self.model.latest() if row.key.encode() > after.encode()]
        assert [one.key for one in page.objects] == expected

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        found = next((row for row in self.model.latest() if row.key == key), None)
        try:
            body = self.runner.run(self.objects.read(key))
        except NoSuchKey:
            assert found is None
        else:
            assert found is not None
            assert body == found.body

    @precondition(lambda self: self.model.rows)
    @rule(data=st.data())
    def read_version(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.model.rows))
        if not row.is_marker:
            work = self.objects.read(row.key, version_id=row.version_id)
            assert self.runner.run(work) == row.body

    @rule()
    def collect(self) -> None:
        self.runner.run(self.objects.store.collect())
        big = [row for row in self.model.rows if len(row.body) >= BIG]
        files = [one for one in self.objects.files() if not one.startswith("new/")]
        assert len(files) == len(big)

    @invariant()
    def one_version_of_each_key_is_the_latest(self) -> None:
        page = self.runner.run(self.objects.store.list_versions(Query("b")))
        latest = [one.key for one in page.objects if one.is_latest]
        assert len(latest) == len({row.key for row in self.model.rows})

    async def _walk(self, query: Query, *, versions: bool) -> list[tuple[str, str]]:
        """Every page; entries of a page in order of keys, each as `grouped` has it."""
        entries: list[tuple[str, str]] = []
        store = self.objects.store
        while True:
            page = await (store.list_versions(query) if versions else store.list_objects(query))
            assert len(page.objects) + len(page.prefixes) <= query.count_max
            found = [(one, "") for one in page.prefixes] + [_entry(one) for one in page.objects]
            entries += sorted(found, key=lambda entry: entry[0].encode())
            if not page.next_after:
                return entries
            query = replace(query, after=page.next_after, after_id=page.next_after_id)

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)


def _entry(meta: ObjectMeta) -> tuple[str, str]:
    return meta.key, meta.version_id


TestObjectsMachine = ObjectsMachine.TestCase
TestObjectsMachine.settings = settings(max_examples=250, stateful_step_count=30, deadline=None)
