"""Puts, overwrites and deletes objects without end and says what it is told; a test kills it.

python put_objects_forever.py FOLDER PREFIX

Each write is a line before it, "putting KEY", and one when it is told to be durable, "put KEY".
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mayfly.stores.objects.bucket import (
    BucketSettings,
    NotificationRule,
    NotificationSettings,
)
from mayfly.stores.objects.record import PartClaim, Placement
from tests.support.object_store import CAUSE, QUEUE, Objects, opened_objects

EVERYTHING = NotificationSettings(
    (NotificationRule("all", QUEUE, ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")),)
)
SIZES = (10, 50_000, 70_000, 1_500_000)
WORKERS = 4


def say(line: str) -> None:
    """One whole line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def put_forever(objects: Objects, prefix: str, worker: int) -> None:
    count = 0
    while True:
        count += 1
        key, size = f"{prefix}-{worker}-{count}", SIZES[(count + worker) % len(SIZES)]
        say(f"putting {key}")
        if count % 5 == 0:
            pending = await objects.store.multipart.create(Placement("b", key))
            async with objects.store.open_upload() as upload:
                await upload.write(key.encode() * size)
                part = await objects.store.multipart.put_part(upload, pending, 1)
            claims = [PartClaim(1, part.etag)]
            await objects.store.multipart.complete(pending, claims, CAUSE)
        else:
            await objects.put(key, key.encode() * size)
        say(f"put {key}")
        if count % 3 == 0:
            doomed = f"{prefix}-{worker}-{count - 1}"
            say(f"deleting {doomed}")
            await objects.store.delete("b", doomed, CAUSE)
            say(f"deleted {doomed}")


async def main(folder: Path, prefix: str) -> None:
    async with opened_objects(folder) as objects, asyncio.TaskGroup() as group:
        if not objects.store.buckets.list_nowait():
            await objects.store.buckets.create("b", BucketSettings(notifications=EVERYTHING))
        group.create_task(objects.store.run())
        for worker in range(WORKERS):
            group.create_task(put_forever(objects, prefix, worker))


asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
