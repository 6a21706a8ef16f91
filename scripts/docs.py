"""Write the generated parts of the documents from the code that they describe.

    docs/reference/limits.md    the table of src/mayfly/model/limits.py
    docs/reference/escapes.md   the probes of tests/security, as they are declared and asserted

A generated part stands between two comments that name it. `--check` writes nothing and fails when
a part is not current; the suite runs it.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIMITS = ROOT / "src" / "mayfly" / "model" / "limits.py"


def limits_table() -> str:
    """Every bound by name and value, as they stand in the source."""
    names: dict[str, object] = {}
    for node in ast.parse(LIMITS.read_text()).body:
        if isinstance(node, ast.Assign):
            code = compile(ast.Module([node], []), str(LIMITS), "exec")
            exec(code, {"__builtins__": {}}, names)  # noqa: S102  our own constants
    rows = [
        f"| `{name}` | {_shown(value)} |" for name, value in names.items() if name not in _UNITS
    ]
    return "\n".join(["| bound | value |", "|---|---|", *rows])


_UNITS = {"KIB", "MIB"}


def _shown(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, tuple):
        return ", ".join(f"{one:,}" for one in value)
    return str(value)


def escapes_table() -> str:
    """Each row of the escape list: what is tried, how it ends, who tries it, in which test."""
    sys.path.insert(0, str(ROOT))
    probes = importlib.import_module("tests.security.probes")
    rows = importlib.import_module("tests.security.rows")
    lines = []
    for row, title in rows.ROWS.items():
        lines += [f"### {row}. {title[0].upper()}{title[1:]}", "", *_ESCAPES_HEAD]
        lines += _probes_lines([p for p in probes.PROBES if p.row == row], by=_BY_BOTH)
        lines += _probes_lines([p for p in probes.ISOLATES_ONLY if p.row == row], by=_BY_HANDLER)
        for one in rows.ELSEWHERE:
            if one.row == row:
                who = "root, user" if one.test.partition("::")[0] in rows.AS_A_USER else "root"
                who = "no sandbox" if one.test.startswith(rows.ANYWHERE) else who
                lines.append(f"| {one.tried} | {one.ends} | | {who} | `tests/{one.test}` |")
        lines.append("")
    return "\n".join(lines).rstrip()


_ESCAPES_HEAD = ("| tried | ends with | with a door | by | in |", "|---|---|---|---|---|")
_PROBED = "`tests/security/test_escapes.py::test_"
_BY_BOTH = f"{_PROBED}an_escape_is_refused_inside_and_works_outside`"
_BY_HANDLER = f"{_PROBED}an_isolate_has_less_than_its_snapshot`"


def _probes_lines(probes: list[Any], by: str) -> list[str]:
    """A line for those that are refused alike."""
    alike: dict[tuple[str, str], list[str]] = {}
    for probe in probes:
        refused = ", ".join(probe.refusals)
        door = "the same" if probe.with_a_door == probe.refusals else ", ".join(probe.with_a_door)
        name = f"`{probe.name}`" + ("" if probe.control else "\\*")
        alike.setdefault((refused, door or "may, to doors"), []).append(name)
    return [
        f"| {', '.join(names)} | {refused} | {door} | root, user | {by} |"
        for (refused, door), names in alike.items()
    ]


PARTS = {
    "docs/reference/limits.md": {"limits": limits_table},
    "docs/reference/escapes.md": {"escapes": escapes_table},
}


def main() -> int:
    """Write, or check, every part; the exit code."""
    stale = []
    for name, parts in PARTS.items():
        page = ROOT / name
        text = page.read_text()
        for part, make in parts.items():
            block = rf"(<!-- generated: {part} -->\n).*?(\n<!-- end: {part} -->)"
            made = make().replace("\\", r"\\")
            text, found = re.subn(block, rf"\g<1>{made}\g<2>", text, flags=re.DOTALL)
            if not found:
                raise SystemExit(f"{name} has no part called {part}")
        if text != page.read_text():
            stale.append(name)
            if "--check" not in sys.argv:
                page.write_text(text)
    if stale and "--check" in sys.argv:
        print(f"not current: {', '.join(stale)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
