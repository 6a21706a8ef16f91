"""Where the ready functions lie: folders like a user's, inside the installed package."""

from __future__ import annotations

from pathlib import Path

import mayfly


def prebuilt_folder() -> Path:
    """The folder that holds them, each under its name."""
    return Path(mayfly.__file__).parent / "prebuilt"
