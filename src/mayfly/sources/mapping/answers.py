"""What a function's answer says about its batch: which records failed. Pure.

    nothing, null, {}, no or an empty list     none failed
    a list of {"itemIdentifier": "..."}        those did
    anything else                              malformed: the whole batch failed

Source: Lambda Developer Guide, "Implementing partial batch responses", success and failure
conditions.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from mayfly.model.invocation import Outcome

_ITEM = "itemIdentifier"


def failures_of(outcome: Outcome, known: Collection[str], *, partial: bool) -> frozenset[str]:
    """The identifiers of the records that failed; all of `known` when the batch did.

    Args:
        known: Those of the batch; an answer that names another one is malformed.
        partial: Whether the function answers which records failed.
    """
    if outcome.error is not None:
        return frozenset(known)
    if not partial:
        return frozenset()
    failed = _read(outcome.payload)
    if failed is None or not failed <= frozenset(known):
        return frozenset(known)
    return failed


def _read(payload: bytes) -> frozenset[str] | None:
    """The identifiers, or None for a malformed answer."""
    try:
        answer = msgspec.json.decode(payload) if payload else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if answer is None:
        return frozenset()
    if not isinstance(answer, dict):
        return None
    items = answer.get("batchItemFailures")
    if items is None:
        return frozenset()
    if not isinstance(items, list):
        return None
    named = [one.get(_ITEM) if isinstance(one, dict) else None for one in items]
    found = frozenset(one for one in named if isinstance(one, str) and one)
    return found if len(named) == sum(1 for one in named if isinstance(one, str) and one) else None
