"""The MD5s by which senders and receivers of a message check that it came over whole.

MD5 is what SQS's clients compare; nothing here relies on it for security. The form of the
attributes' digest: Developer Guide of Amazon SQS, "Calculating the MD5 message digest for message
attributes".
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5

from mayfly.stores.queues.queue import Attribute


def body_md5(body: str) -> str:
    """Of the body's UTF-8, in hexadecimal."""
    return md5(body.encode(), usedforsecurity=False).hexdigest()


def attributes_md5(attributes: Mapping[str, Attribute]) -> str:
    """Of all attributes, sorted by name; "" when there are none."""
    if not attributes:
        return ""
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        one = attributes[name]
        for part in (name, one.data_type):
            digest.update(_with_length(part.encode()))
        if one.binary is None:
            digest.update(b"\x01" + _with_length(one.text.encode()))
        else:
            digest.update(b"\x02" + _with_length(one.binary))
    return digest.hexdigest()


def _with_length(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
