"""The driver `process` keeps its promises for an ordinary user as well.

The suite runs as root where it can; then it runs the driver's own tests once more, in a process
that has dropped to a uid without any right, as a person would run the platform from a home folder.
"""

from __future__ import annotations

from tests.support import unprivileged
from tests.support.needs import need, need_root

_REAL = "tests/unit/drivers/process"
PARTS = (
    "tests/contracts/test_driver.py",
    *(f"{_REAL}/test_{name}.py" for name in ("imports", "bounds", "births")),
)


def test_the_drivers_promises_hold_for_an_ordinary_user() -> None:
    need_root()
    need(unprivileged.user_namespaces(), "user namespaces for ordinary users")
    ended = unprivileged.run_suite(*PARTS, only="process")
    # Others work on this machine meanwhile: of what the inner suite finds left behind, folders may
    # be theirs; processes and mounts are its own.
    wrong = ("FAILED", "ERROR", "process ", "mount ")
    said = ended.stdout + ended.stderr
    assert not [line for line in said.splitlines() if line.startswith(wrong)], said[-8000:]
    assert " passed" in ended.stdout, said[-8000:]
