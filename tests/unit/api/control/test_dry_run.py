"""A deploy's dry run: what would change, old and new, and nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mayfly.api.platform import BuiltFunction
from mayfly.model.errors import InvalidManifest
from mayfly.model.function import Settings, UrlAuth
from mayfly.model.trigger import QueueTrigger
from tests.support.serving import CODE, Served, serving, url


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path, urls=[url()]) as running:
        yield running


def built(**settings: object) -> BuiltFunction:
    chosen: dict[str, object] = {"handler": "app.handler", "runtime": "python3.11", **settings}
    return BuiltFunction("echo", Settings(**chosen), CODE, UrlAuth.NONE)  # type: ignore[arg-type]


def test_a_dry_run_says_what_would_change_and_changes_nothing(served: Served) -> None:
    before = served.control("GET", "functions/echo").document
    served.builder.built = built(memory_mib=256, environment={"A": "1"})
    last = served.control("PUT", "deploy?dry_run=1", b"zip").lines[-1]
    assert last["create"] is False
    changes = last["changes"]
    assert isinstance(changes, list)
    assert {"what": "memory", "old": 128, "new": 256} in changes
    assert [one["what"] for one in changes if one["what"] == "environment"] == ["environment"]
    assert served.control("GET", "functions/echo").document == before
    served.builder.built = BuiltFunction(
        "new", Settings(handler="app.handler", runtime="python3.11"), CODE
    )
    assert served.control("PUT", "deploy?dry_run=1", b"zip").lines[-1]["create"] is True
    assert served.control("GET", "functions/new").status == 404


def test_the_url_and_the_triggers_are_compared_as_well(served: Served) -> None:
    settings = Settings(handler="app.handler", runtime="python3.11")
    served.builder.built = BuiltFunction("echo", settings, CODE, None, None, (QueueTrigger("q"),))
    last = served.control("PUT", "deploy?dry_run=1", b"zip").lines[-1]
    changes = last["changes"]
    assert isinstance(changes, list)
    assert [one["what"] for one in changes[-2:]] == ["url", "triggers"]
    assert changes[-1] == {"what": "triggers", "old": [], "new": [{"type": "queue", "queue": "q"}]}


def test_a_wrong_manifest_is_refused(served: Served) -> None:
    served.builder.built = InvalidManifest("mayfly.toml:1: wrong")
    last = served.control("PUT", "deploy?dry_run=1", b"zip").lines[-1]
    assert last["error"] == {
        "code": "InvalidParameterValueException",
        "message": "mayfly.toml:1: wrong",
    }
