"""`python -m mayfly.cli`, the same as the `mayfly` program."""

from __future__ import annotations

from mayfly.cli.main import main

main()
