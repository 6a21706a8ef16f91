"""A body on its way out: whole if it is small, else chunks from its files, which stay meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from mayfly.stores.objects.record import ObjectMeta, Part


class ObjectReader:
    """An object being read: what it was when it was opened, whatever happens to its key.

    A context manager: closing it lets a deleted object's files go.

    Attributes:
        body: The whole body of a small object; None where `chunks` is needed.
        parts: Of a multipart object, in order; empty of any other.
    """

    meta: ObjectMeta
    body: bytes | None
    parts: Sequence[Part]

    def chunks(self, first: int = 0, size: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `first`, `size` of them (to the end if None), in chunks up to 1 MiB.

        The next chunk is read while the caller has this one. Works for small objects too. Raises
        StorageFailed. The range must lie within the object.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go. Harmless twice."""
        raise NotImplementedError

    def __enter__(self) -> ObjectReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
