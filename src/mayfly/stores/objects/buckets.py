"""Buckets: made, deleted when empty, listed, set up. Reads are from memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mayfly.stores.objects.bucket import Bucket, BucketSettings

BUCKETS_MAX = 10_000


class Buckets:
    """The buckets of an `ObjectStore`."""

    def find_nowait(self, name: str) -> Bucket:
        """The bucket now. Raises NoSuchBucket."""
        raise NotImplementedError

    def list_nowait(self) -> Sequence[Bucket]:
        """All buckets, by name."""
        raise NotImplementedError

    async def create(self, name: str, settings: BucketSettings = BucketSettings()) -> Bucket:
        """Make a bucket; whether the name is a valid one is the caller's to check.

        Raises:
            BucketTaken: There is one of this name.
            TooManyBuckets: `BUCKETS_MAX` is reached.
        """
        raise NotImplementedError

    async def delete(self, name: str) -> None:
        """Delete an empty bucket; uploads under way in it are aborted.

        Raises:
            NoSuchBucket, BucketNotEmpty.
        """
        raise NotImplementedError

    async def change(self, name: str, change: Callable[[BucketSettings], BucketSettings]) -> Bucket:
        """Replace the settings by what `change` makes of them: pure, inside the transaction.

        `change(lambda s: dataclasses.replace(s, cors=rules))`. It may refuse
        by raising a MayflyError.

        Raises:
            NoSuchBucket.
        """
        raise NotImplementedError
