"""`python -m mayfly.daemon`: the platform, until it is told to stop."""

from __future__ import annotations

import sys

from mayfly.daemon.process import main

if __name__ == "__main__":
    sys.exit(main())
