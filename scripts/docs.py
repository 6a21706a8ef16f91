"""Write the generated parts of the documents from the code that they describe.

    docs/reference/limits.md    the table of src/mayfly/model/limits.py

A generated part stands between two comments that name it. `--check` writes nothing and fails when
a part is not current; the suite runs it.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

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


PARTS = {"docs/reference/limits.md": {"limits": limits_table}}


def main() -> int:
    """Write, or check, every part; the exit code."""
    stale = []
    for name, parts in PARTS.items():
        page = ROOT / name
        text = page.read_text()
        for part, make in parts.items():
            block = rf"(<!-- generated: {part} -->\n).*?(\n<!-- end: {part} -->)"
            text, found = re.subn(
                block, lambda m, make=make: m[1] + make() + m[2], text, flags=re.DOTALL
            )
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
