"""What functions tried without its grant: a line in the function's own log, a count, an event.

    require_grant --refused--> key's `on_missing` --> mayfly_grants_missing_total   every time
                                                 `--> function's log, platform's log   now and then

A function can try as often as it likes, and under any name: a line is written once a minute for one
grant, a few at a time for one function, and the grants that are counted apart are bounded in number
and in length. In a bucket they are counted by the bucket.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from mayfly.model.grant import Grant, GrantKind
from mayfly.ports import Clock, LogStore
from mayfly.telemetry import LogEvent, Metrics, event_log

SAID_AGAIN_S = 60.0
LINES_AT_ONCE = 10
# One more line may be written after so long.
LINE_EVERY_S = 5.0
_REMEMBERED_MAX = 64
_WRITTEN_LENGTH_MAX = 300
_LABEL_LENGTH_MAX = 120


class MissingGrants:
    """Tells owners what their functions lack.

    Args:
        logs: Where functions' logs are.
    """

    def __init__(self, logs: LogStore, metrics: Metrics, clock: Clock) -> None:
        self._logs = logs
        self._metrics = metrics
        self._clock = clock
        self._paces: dict[str, _Pace] = {}

    def teller(self, function_name: str) -> Callable[[Grant], None]:
        """What to tell of each grant that this function lacked."""
        return partial(self.tell, function_name)

    def tell(self, function_name: str, missing: Grant) -> None:
        """The function was refused what this grant would have allowed."""
        self._metrics.count_missing_grant(function_name, _label(missing))
        pace = self._paces.setdefault(function_name, _Pace())
        if not pace.allows(str(missing), self._clock.monotonic_s()):
            return
        event_log(LogEvent.GRANT_MISSING, function=function_name, grant=str(missing))
        # A key may hold anything, line breaks too: what is written is one line of ASCII.
        written = json.dumps(missing.written[:_WRITTEN_LENGTH_MAX])
        line = (
            f"[WARNING] refused, a grant is missing: {missing.kind} = [{written}] under [grants] "
            "in mayfly.toml would allow it\n"
        )
        self._logs.append_nowait(function_name, "", self._clock.now_ms(), line.encode())

    def forget(self, function_name: str) -> None:
        """The function has no key any more."""
        self._paces.pop(function_name, None)


class _Pace:
    """How often one function is spoken of."""

    def __init__(self) -> None:
        self._said_s: dict[str, float] = {}
        self._lines_left = float(LINES_AT_ONCE)
        self._counted_s = 0.0

    def allows(self, grant: str, now_s: float) -> bool:
        """Whether to speak of this grant now; it is taken as said."""
        said_s = self._said_s.get(grant)
        if said_s is not None and now_s - said_s < SAID_AGAIN_S:
            return False
        renewed = (now_s - self._counted_s) / LINE_EVERY_S if self._counted_s else 0.0
        self._lines_left = min(self._lines_left + renewed, float(LINES_AT_ONCE))
        self._counted_s = now_s
        if self._lines_left < 1:
            return False
        self._lines_left -= 1
        self._said_s.pop(grant, None)
        if len(self._said_s) >= _REMEMBERED_MAX:
            del self._said_s[next(iter(self._said_s))]
        self._said_s[grant] = now_s
        return True


def _label(missing: Grant) -> str:
    """The grant as a label: of an object, that of its bucket."""
    target = missing.target
    if missing.kind is GrantKind.OBJECTS:
        target = target.partition("/")[0]
    return str(Grant(missing.kind, target[:_LABEL_LENGTH_MAX], missing.verb))
