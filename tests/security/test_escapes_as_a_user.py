"""The escapes again, tried in sandboxes that an ordinary user's platform makes."""

from __future__ import annotations

from tests.support import unprivileged
from tests.support.needs import need, need_root

PARTS = (
    "tests/security/test_escapes.py",
    "tests/security/test_deadlines.py",
    "tests/security/test_ordinary_programs.py",
)


def test_no_escape_works_where_an_ordinary_user_runs_the_platform() -> None:
    need_root()
    need(unprivileged.user_namespaces(), "user namespaces for ordinary users")
    ended = unprivileged.run_suite(*PARTS, only="test_")
    said = ended.stdout + ended.stderr
    wrong = ("FAILED", "ERROR", "process ", "mount ")
    assert not [line for line in said.splitlines() if line.startswith(wrong)], said[-8000:]
    assert " passed" in ended.stdout, said[-8000:]
