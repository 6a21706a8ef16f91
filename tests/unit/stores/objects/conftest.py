from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.object_store import Objects, opened_objects


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[Objects]:
    """An empty store with a bucket "b"."""
    async with opened_objects(tmp_path) as opened:
        await opened.store.buckets.create("b")
        yield opened
