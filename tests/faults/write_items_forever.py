"""Writes items without end and prints the key of each when it is acknowledged; a test kills it.

python -m tests.faults.write_items_forever FOLDER PREFIX

Every third write is a transaction of two items, KEY/left and KEY/right.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.support.tables import Desk, Document, Refused, item, open_desk

WRITERS = 16
TABLE: Document = {
    "Types": [{"AttributeName": "g", "AttributeType": "S"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
}


async def _write(desk: Desk, key: str, count: int) -> None:
    if count % 3:
        await desk.put(id=key, g="g", x="y" * 300)
        return
    puts = [
        {"Put": {"TableName": "ttt", "Item": item(id=f"{key}/{side}", g="g")}}
        for side in ("left", "right")
    ]
    await desk.ask("TransactWriteItems", TransactItems=puts, ClientRequestToken=key)


async def write_forever(folder: Path, prefix: str) -> None:
    async with open_desk(folder) as desk:
        try:
            await desk.table(**TABLE)
        except Refused as error:
            assert error.code == "ResourceInUseException"  # noqa: PT017  an earlier life made it

        async def writer(number: int) -> None:
            count = 0
            while True:
                count += 1
                key = f"{prefix}-{number}-{count}"
                await _write(desk, key, count)
                sys.stdout.write(key + "\n")
                sys.stdout.flush()

        async with asyncio.TaskGroup() as tasks:
            for number in range(WRITERS):
                tasks.create_task(writer(number))


if __name__ == "__main__":
    asyncio.run(write_forever(Path(sys.argv[1]), sys.argv[2]))
