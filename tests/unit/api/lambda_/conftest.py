"""One platform in memory for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lambda_api import LambdaApi


@pytest.fixture
def api(tmp_path: Path) -> LambdaApi:
    return LambdaApi(tmp_path)
