"""`kill -9` of the daemon under load of every kind: what was acknowledged leads to its call.

Here a few kills; `python -m bench.soak` makes two hundred.
"""

from __future__ import annotations

import pytest

from tests.support.needs import need_root
from tests.support.storm import storm

KINDS = {"put", "write", "message", "call"}


@pytest.mark.timeout(300)
def test_every_acknowledged_event_leads_to_its_call_across_kills() -> None:
    need_root()
    tallies = storm(4, seed=7)
    assert tallies.keys() == KINDS, "each kind of event was acknowledged at least once"
    assert not {kind: one.lost for kind, one in tallies.items() if one.lost}
