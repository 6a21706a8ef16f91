"""Query strings and form bodies as pairs, in order.

A name may come several times, and its order is the sender's. The number of fields is bounded, for
each costs far more than its bytes.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from mayfly.api.refusals import MalformedRequest

Pairs = list[tuple[str, str]]
FIELDS_MAX = 10_000


def parse_form(text: str) -> Pairs:
    """`a=1&b=2` decoded; a name without "=" has the value "".

    Raises:
        MalformedRequest: More than 10,000 fields, or no UTF-8.
    """
    if not text:
        return []
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise MalformedRequest(f"the parameters cannot be read: {error}") from error


def first_value(pairs: Pairs, name: str) -> str:
    """The first value under a name, or ""."""
    for key, value in pairs:
        if key == name:
            return value
    return ""
