"""Shard iterators: a place in a shard, as a text that this endpoint reads; good for 15 minutes.

It says which shard, after which sequence to read, and when it was made. It is not secret and gives
nothing: whoever hands it in is asked for the grant of its table again.
"""

from __future__ import annotations

import base64

import msgspec

from mayfly.stores.tables.errors import InvalidRequest, IteratorExpired

LIFETIME_MS = 15 * 60_000
_LENGTH_MAX = 2_048


class ShardIterator(msgspec.Struct, frozen=True, array_like=True):
    """Where to read on.

    Args:
        after: The sequence after which to read; 0 is before the first.
    """

    stream_arn: str
    shard_id: str
    after: int
    made_ms: int

    def written(self) -> str:
        """As a text."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode()


_decode = msgspec.msgpack.Decoder(ShardIterator).decode


def read_iterator(text: str, now_ms: int) -> ShardIterator:
    """A shard iterator from its text.

    Raises:
        InvalidRequest: It is none.
        IteratorExpired: It is older than 15 minutes.
    """
    try:
        found = _decode(base64.urlsafe_b64decode(text[:_LENGTH_MAX]))
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"Invalid ShardIterator: {text[:100]}") from error
    if now_ms - found.made_ms > LIFETIME_MS:
        raise IteratorExpired(
            "The provided iterator exceeds the maximum age allowed: ask for a new one"
        )
    return found
