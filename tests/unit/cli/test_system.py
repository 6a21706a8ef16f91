"""system.toml read strictly: what is wrong is told, all of it, and nobody is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from mayfly.cli.failure import Failed
from mayfly.cli.system.declared import Resource, System, read_system
from mayfly.cli.system.plan import READERS, Action, Difference, Plan, Step
from mayfly.cli.system.showing import lines
from tests.unit.cli.conftest import Call


def read(folder: Path, text: str) -> System:
    (folder / "system.toml").write_text(text)
    return read_system(folder, READERS)


def test_the_name_is_the_folders_unless_it_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "my shop"
    folder.mkdir()
    assert read(folder, "").name == "my-shop"
    assert read(folder, '[system]\nname = "x"').name == "x"


def test_things_come_in_the_order_of_need(tmp_path: Path) -> None:
    text = '[[table]]\nname = "ttt"\nhash = "k"\n[[queue]]\nname = "q"\n[[bucket]]\nname = "bbb"\n'
    kinds = [one.kind for one in read(tmp_path, text).resources]
    assert kinds == ["bucket", "queue", "table"]


def test_a_ready_function_may_have_a_manifest_of_the_systems(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[function]\nname = "small"\nhandler = "app.handler"\n')
    text = '[[function]]\nready = "image-convert"\nmanifest = "c.toml"\n'
    (made,) = read(tmp_path, text).resources
    assert (made.kind, made.name) == ("function", "small")
    assert made.settings["manifest"] == (tmp_path / "c.toml").resolve()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = ", "is not TOML"),
        ('[[bukcet]]\nname = "b"', 'unknown key "bukcet"; did you mean "bucket"?'),
        ("[bucket]", "bucket must be a list of tables"),
        ("[[bucket]]", '[[bucket]] 1: needs a name: write name = "..."'),
        ('[[bucket]]\nname = "B"', "name must be 3 to 63"),
        ('[[bucket]]\nname = "bbb"\nversionning = true', 'did you mean "versioning"?'),
        ('[[bucket]]\nname = "bbb"\nversioning = "yes"', "versioning must be true or false"),
        ('[[bucket]]\nname = "bbb"\ncors = [{ origins = ["*"] }]', "needs origins and methods"),
        ('[[queue]]\nname = "q"\nfifo = true', "ends in .fifo"),
        ('[[queue]]\nname = "q"\nvisibility = "13h"', "visibility must be a duration"),
        ('[[queue]]\nname = "q"\nreceives = 0', "receives must be a whole number from 1 to 1000"),
        ('[[table]]\nname = "ttt"', "needs a hash"),
        ('[[table]]\nname = "ttt"\nhash = "a:X"', "hash must be"),
        ('[[table]]\nname = "ttt"\nhash = "a"\nstream = "all"', "stream must be one of"),
        (
            '[[table]]\nname = "ttt"\nhash = "a"\nindex = [{ name = "iii", hash = "b", show = 3 }]',
            "[[table]] 1, index 1: show must be",
        ),
        ("[[function]]", "needs one of path"),
        ('[[function]]\npath = "nowhere"', "cannot be read"),
        ('[[schedule]]\nname = "s"\nfunction = "f"', "needs one of rate"),
        ('[[schedule]]\nname = "s"\nrate = "1 day"', "needs a target"),
        (
            '[[schedule]]\nname = "s"\nrate = "1 day"\nqueue = "q"\ninput = 2030-01-01',
            "input must be what JSON can hold",
        ),
        ('[[queue]]\nname = "q"\n[[queue]]\nname = "q"', 'the queue "q" is declared twice'),
        ('[system]\nname = "a b"', "name must be letters"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(Failed) as caught:
        read(tmp_path, text)
    assert why in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(Failed) as caught:
        read(tmp_path, '[[bucket]]\nname = "B"\n[[queue]]\nfoo = 1\n')
    assert len(str(caught.value).splitlines()) == 3


def test_a_folder_without_one_is_told_so(call: Call, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    done = call("plan", str(tmp_path), "--data", str(tmp_path / "data"))
    assert done.code != 0
    assert done.out == ""


def test_a_plan_is_shown_with_signs_and_values() -> None:
    made = Resource("queue", "mail", {"delay": 3})
    steps = (
        Step(Action.CREATE, "queue", "mail", (Difference("delay", None, 3),), made),
        Step(Action.CHANGE, "bucket", "photos", (Difference("versioning", False, True),)),
        Step(Action.REMOVE, "table", "old"),
        Step(Action.KEEP, "table", "full"),
    )
    assert list(lines(Plan("s", steps, frozenset()))) == [
        "  + queue     mail",
        "      delay = 3",
        "  ~ bucket    photos",
        "      versioning: false -> true",
        "  - table     old",
        "  = table     full",
        "      is declared no more, and holds data: --prune-data removes it",
        "1 to create, 1 to change, 1 to remove",
    ]
    assert list(lines(Plan("s", (), frozenset()))) == ["nothing to do"]
