"""How many batches of a queue run at once: more while it goes well, fewer when it does not. Pure.

    answered   one more, up to the bound
    failed     one fewer
    refused    half as many, and a pause that doubles with each refusal in a row

Durations are monotonic seconds.
"""

from __future__ import annotations

START = 5
CONCURRENCY_MAX = 50
_PAUSE_S_MIN = 0.5
_PAUSE_S_MAX = 30.0
_DOUBLINGS_MAX = 16


def backoff_s(failures: int, *, chance: float, min_s: float, max_s: float) -> float:
    """The pause after the `failures`th failure in a row: doubling, a quarter of it by chance.

    Args:
        chance: 0 to 1.
    """
    whole_s = min_s * 2.0 ** min(max(failures - 1, 0), _DOUBLINGS_MAX)
    return min(whole_s, max_s) * (0.75 + chance / 4)


class Pace:
    """One queue's.

    Args:
        bound: Batches at once, at most.
    """

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.limit = min(START, bound)
        self.until_s = 0.0
        self._refusals = 0

    def free(self, running: int, now_s: float) -> int:
        """How many more batches may be begun now."""
        return 0 if now_s < self.until_s else max(0, self.limit - running)

    def answered(self) -> None:
        """A batch was done with."""
        self._refusals = 0
        self.limit = min(self.limit + 1, self.bound)

    def failed(self) -> None:
        """The function failed with a batch."""
        self._refusals = 0
        self.limit = max(1, self.limit - 1)

    def refused(self, now_s: float, chance: float) -> float:
        """There was no room for a batch; how long to pause.

        Several that are refused at the same time count once.
        """
        if now_s >= self.until_s:
            self._refusals += 1
            self.limit = max(1, self.limit // 2)
            pause_s = backoff_s(
                self._refusals, chance=chance, min_s=_PAUSE_S_MIN, max_s=_PAUSE_S_MAX
            )
            self.until_s = now_s + pause_s
        return max(self.until_s - now_s, 0.0)
