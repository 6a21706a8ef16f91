"""After a kill at any moment objects are whole, nothing is half there, and no event is lost."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random  # noqa: TID251  seeded, so that a failure can be replayed

import pytest

from mayfly.stores.objects.record import Query
from mayfly.stores.objects.upload import INLINE_BYTES_MAX
from tests.support.object_store import Objects, opened_objects

PROGRAM = Path(__file__).with_name("put_objects_forever.py")
TOP = Path(__file__).parents[2]


def told_until_killed(folder: Path, prefix: str, lines: int) -> list[tuple[str, str]]:
    """(verb, key) of each line."""
    environment = {**os.environ, "PYTHONPATH": str(TOP)}  # noqa: TID251  for its mark
    with subprocess.Popen(
        [sys.executable, PROGRAM, folder, prefix],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as program:
        assert program.stdout is not None
        seen = [program.stdout.readline() for _ in range(lines)]
        program.kill()
        seen += program.stdout.read().splitlines(keepends=True)
    assert program.returncode == -signal.SIGKILL
    whole = [line.split() for line in seen if line.endswith("\n")]
    return [(verb, key) for verb, key in whole]


async def events(objects: Objects) -> dict[str, list[str]]:
    """Keys by "ObjectCreated" and "ObjectRemoved", as the queue was told."""
    found: dict[str, list[str]] = {"ObjectCreated": [], "ObjectRemoved": []}
    for document in await objects.told():
        records = document["Records"]
        assert isinstance(records, list)
        for record in records:
            found[record["eventName"].partition(":")[0]].append(record["s3"]["object"]["key"])
    return found


async def check(objects: Objects, said: list[tuple[str, str]]) -> None:
    """What is listed is whole, and is what was told; what was under way may be either."""
    by_verb = {verb: {key for v, key in said if v == verb} for verb, _ in said}
    sure = by_verb.get("put", set()) - by_verb.get("deleting", set())
    gone = by_verb.get("deleted", set())
    page = await objects.store.list_objects(Query("b", count_max=100_000))
    keys = {one.key for one in page.objects}
    assert sure <= keys
    assert not gone & keys
    # A change and its event are one: each that is there was told once, each that was told is there.
    told = await events(objects)
    assert sorted(told["ObjectCreated"]) == sorted(keys | set(told["ObjectRemoved"]))
    assert gone <= set(told["ObjectRemoved"])
    large = 0
    for one in page.objects:
        body = await objects.read(one.key)
        assert body == one.key.encode() * (one.size // len(one.key))
        if not one.parts_count:
            assert hashlib.md5(body, usedforsecurity=False).hexdigest() == one.etag
        large += one.size > INLINE_BYTES_MAX
    for left in (await objects.store.multipart.list_uploads(Query("b"))).uploads:
        await objects.store.multipart.abort("b", left.key, left.upload_id)
    await objects.store.collect()
    assert len(objects.files()) == large
    assert not [one for one in objects.files() if one.startswith("new")]


@pytest.mark.parametrize("seed", range(3))
async def test_objects_are_whole_after_kills_at_random_moments(tmp_path: Path, seed: int) -> None:
    random = Random(seed)  # noqa: S311  not for secrets
    said: list[tuple[str, str]] = []
    for life in range(3):
        said += told_until_killed(tmp_path, f"life{life}", random.randint(1, 200))
        async with opened_objects(tmp_path) as objects:
            await check(objects, said)
