"""A manifest's keys change; its other lines, comments and order stay."""

from __future__ import annotations

import pytest

from mayfly.cli.failure import Failed
from mayfly.cli.proposing import difference, edited

TEXT = """# mine
[function]
name = "f"
memory = 512  # much

[grants] # few
net = [
    "a.example:443", # [sic]
    "b.example:443",
]
queues = ["mail:send"]

[[trigger]]
type = "queue"
"""


def test_a_list_of_several_lines_is_replaced_and_the_rest_stays() -> None:
    after = edited(TEXT, {"grants": {"net": ["b.example:443"]}})
    assert 'net = ["b.example:443"]\nqueues = ["mail:send"]\n' in after
    assert after.startswith("# mine\n")
    assert "a.example" not in after


def test_a_new_key_stands_at_the_end_of_its_table_and_none_takes_one_away() -> None:
    after = edited(TEXT, {"grants": {"queues": None, "tables": ["t:read"]}})
    assert ']\ntables = ["t:read"]\n\n[[trigger]]' in after
    assert "queues" not in after


def test_a_table_that_is_not_there_is_added_unless_it_would_be_empty() -> None:
    text = '[function]\nname = "f"'
    after = edited(text, {"grants": {"net": ["a.example:443"], "queues": None}})
    assert after == text + '\n\n[grants]\nnet = ["a.example:443"]\n'
    assert edited(text, {"grants": {"queues": None}}) == text + "\n"


def test_what_is_as_it_should_be_is_not_touched() -> None:
    assert edited(TEXT, {"function": {"memory": 512}}) == TEXT
    assert difference(TEXT, TEXT, "mayfly.toml") == ""


def test_a_file_that_is_written_in_another_way_is_left_alone_and_said() -> None:
    with pytest.raises(Failed, match="by hand") as refused:
        edited('function.name = "f"\n', {"function": {"memory": 256}})
    assert "memory = 256" in refused.value.detail
    with pytest.raises(Failed, match="cannot be read"):
        edited("[", {"grants": {"net": ["a.example:443"]}})


def test_the_difference_is_a_diff_of_the_file() -> None:
    after = edited(TEXT, {"function": {"memory": 256}})
    lines = difference(TEXT, after, "mayfly.toml").splitlines()
    assert lines[0] == "--- a/mayfly.toml"
    assert "-memory = 512  # much" in lines
    assert "+memory = 256" in lines
