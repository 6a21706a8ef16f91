"""Opens the database in FOLDER and prints how it was refused.

python open_store.py FOLDER
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mayfly.backends.sqlite.store import SqliteStore
from mayfly.model.errors import StorageFailed


async def main(root: Path) -> None:
    try:
        store = await SqliteStore.open(root / "mayfly.db")
    except StorageFailed as error:
        print(error)  # noqa: T201  for the test
    else:
        await store.close()
        print("opened")  # noqa: T201  for the test


asyncio.run(main(Path(sys.argv[1])))
