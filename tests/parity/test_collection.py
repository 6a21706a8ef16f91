"""Code that nobody has any more leaves the disk; code that somebody has stays."""

from __future__ import annotations

from pathlib import Path

from mayfly.daemon.world import RealClock
from tests.support.functions import Functions
from tests.support.platform import run_platform, zipped

_CLOCK = RealClock()
_PATIENCE_S = 20.0
_SOURCE = "ONE = {}\ndef handler(e, c):\n    return ONE\n"


def _trees(data: Path) -> set[str]:
    return {path.name for path in (data / "trees").iterdir() if not path.name.startswith(".")}


def test_replaced_and_deleted_code_leaves_the_disk() -> None:
    with run_platform(settings={"MAYFLY_COLLECT_S": "0.2"}) as platform:
        with Functions(platform) as functions:
            kept = functions.make(_SOURCE.format(1))
            changed = functions.make(_SOURCE.format(2))
            functions.client.update_function_code(
                FunctionName=changed, ZipFile=zipped({"app.py": _SOURCE.format(3)})
            )
            functions.updated(changed)
            before = _trees(platform.data)
            deadline = _CLOCK.monotonic_s() + _PATIENCE_S
            while len(_trees(platform.data)) > 2:
                assert _CLOCK.monotonic_s() < deadline, "the old code stays"
            assert _trees(platform.data) < before
            assert functions.call(kept).value == 1
            assert functions.call(changed).value == 3
        deadline = _CLOCK.monotonic_s() + _PATIENCE_S
        while _trees(platform.data):
            assert _CLOCK.monotonic_s() < deadline, "the code of deleted functions stays"
