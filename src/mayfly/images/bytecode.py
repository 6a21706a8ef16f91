"""Compiles a tree's Python modules ahead, so that a read-only tree imports fast.

The function's own interpreter does it, in a process of its own with bounds: the compiler parses
what a stranger wrote, and deep nesting can crash it (https://docs.python.org/3/library/
functions.html#compile). Nothing is imported or run. The bytecode is marked `unchecked-hash`
(PEP 552), so that an import looks neither at times nor at sources. A module that does not compile
is left as it is: the import will say why.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

TIMEOUT_S = 120
_MEMORY_BYTES_MAX = 1 << 30

# Runs in the child: standard library only. A link or a strange file at the place of the bytecode
# makes py_compile raise; any exception concerns one module.
_PROGRAM = f"""
import os, py_compile, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY_BYTES_MAX}, {_MEMORY_BYTES_MAX}))
resource.setrlimit(resource.RLIMIT_CPU, ({TIMEOUT_S}, {TIMEOUT_S}))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.umask(0o022)
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        if name.endswith(".py"):
            try:
                py_compile.compile(
                    os.path.join(folder, name), doraise=True, invalidation_mode=mode
                )
            except Exception:
                pass
"""


def compile_tree(tree: Path, interpreter: Path) -> bool:
    """Compile every module of `tree` for `interpreter`; blocks.

    Returns:
        False when it was given up: no such interpreter, out of bounds, or crashed. The tree is
        good all the same, and imports a little more slowly.
    """
    if next(tree.rglob("*.py"), None) is None:
        return True
    command: list[str | Path] = [interpreter, "-I", "-S", "-W", "ignore", "-c", _PROGRAM, tree]
    try:
        done = subprocess.run(  # noqa: S603  a fixed program, on our own tree
            command,
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
