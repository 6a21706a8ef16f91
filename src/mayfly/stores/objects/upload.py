"""A body on its way in: small ones stay in memory, larger ones go to a file as they come."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

BODY_BYTES_MAX = 5 * 1024 * 1024 * 1024


class Hash(Protocol):
    """Anything with hashlib's `update`."""

    def update(self, data: bytes, /) -> object:
        """Take more bytes in."""
        ...


class Upload:
    """Made by `ObjectStore.open_upload`; an async context manager that aborts what was not put."""

    size: int
    md5_hex: str

    async def write(self, chunk: bytes) -> None:
        """Take more bytes in. Raises EntityTooLarge, StorageFailed; then `abort`."""
        raise NotImplementedError

    async def end(self) -> None:
        """There is no more: `size`, `md5_hex` and the hashes are final. Nothing is visible yet."""
        raise NotImplementedError

    async def abort(self) -> None:
        """Drop it. Harmless when it was put."""
        raise NotImplementedError

    async def __aenter__(self) -> Upload:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.abort()
