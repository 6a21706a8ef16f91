"""Puts code archives without end and prints the digest of each when it is kept; a test kills it.

python put_forever.py FOLDER PREFIX
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from mayfly.backends.files.code_store import FileCodeStore
from mayfly.images.tree import plant_tree
from tests.unit.images.zips import zip_files

FILES = 20


async def put_forever(root: Path, prefix: str) -> None:
    store = await FileCodeStore.open(root, plant=plant_tree)
    count = 0
    while True:
        count += 1
        files = {f"d{n}/f{n}.py": f"{prefix} {count}\n" * 200 for n in range(FILES)}
        code = await store.put_archive(zip_files(files))
        sys.stdout.write(code.digest + "\n")
        sys.stdout.flush()


asyncio.run(put_forever(Path(sys.argv[1]), sys.argv[2]))
