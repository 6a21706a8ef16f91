"""Projections: parts of items merged, and the words of each refusal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.stores.tables.expressions import Placeholders, compile_projection
from mayfly.stores.tables.values import Item
from tests.unit.stores.tables.expressions.asking import projected, refuses
from tests.unit.stores.tables.strategies import items

ITEM = {
    "a": {"M": {"b": {"S": "1"}, "c": {"M": {"d": {"N": "2"}, "e": {"N": "3"}}}}},
    "l": {"L": [{"M": {"x": {"S": "x0"}, "y": {"S": "y0"}}}, {"S": "1"}, {"L": [{"S": "in"}]}]},
    "s": {"S": "text"},
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("s", {"s": {"S": "text"}}),
        ("s, absent", {"s": {"S": "text"}}),
        ("a.b, a.c.e", {"a": {"M": {"b": {"S": "1"}, "c": {"M": {"e": {"N": "3"}}}}}}),
        ("l[1]", {"l": {"L": [{"S": "1"}]}}),
        ("l[2], l[0].x", {"l": {"L": [{"M": {"x": {"S": "x0"}}}, {"L": [{"S": "in"}]}]}}),
        ("l[0].y, l[0].x", {"l": {"L": [{"M": {"x": {"S": "x0"}, "y": {"S": "y0"}}}]}}),
        ("l[2][0], l[9]", {"l": {"L": [{"L": [{"S": "in"}]}]}}),
        ("a.absent, l[7], s.b, s[0], l.x, a[0].q", {}),
    ],
)
def test_a_projection_of_an_item(text: str, wanted: dict[str, object]) -> None:
    if "l.x" in text:
        for path in text.split(", "):
            assert projected(path, ITEM) == wanted
    else:
        assert projected(text, ITEM) == wanted


def test_names_stand_for_any_text() -> None:
    item = {"a.b": {"M": {"name": {"S": "x"}, "z": {"S": "y"}}}}
    assert projected("#a.#n", item, {"#a": "a.b", "#n": "name"}) == {
        "a.b": {"M": {"name": {"S": "x"}}}
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "The expression can not be empty;"),
        ("a,", 'Syntax error; token: "<EOF>", near: ","'),
        ("a b", 'Syntax error; token: "b", near: "a b"'),
        ("a.b[", 'Syntax error; token: "<EOF>", near: "["'),
        ("a, comment", "Attribute name is a reserved keyword; reserved keyword: comment"),
        (
            "a, #a.b",
            (
                "Two document paths overlap with each other; must remove or rewrite one of these "
                "paths; path one: [a], path two: [a, b]"
            ),
        ),
        (
            "a[0].b, a.b",
            (
                "Two document paths conflict with each other; must remove or rewrite one of these "
                "paths; path one: [a, [0], b], path two: [a, b]"
            ),
        ),
    ],
)
def test_a_faulty_projection_is_refused_in_dynamodbs_words(text: str, told: str) -> None:
    refuses(
        f"Invalid ProjectionExpression: {told}",
        "GetItem",
        ProjectionExpression=text,
        ExpressionAttributeNames={"#a": "a"},
    )


@given(items, st.data())
def test_a_projection_of_names_is_the_item_without_the_others(
    item: Item, data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(["zz", *item]), min_size=1, unique=True))
    names = {f"#n{place}": name or "e" for place, name in enumerate(chosen)}
    chosen = [*dict.fromkeys(names.values())]
    names = {f"#n{place}": name for place, name in enumerate(chosen)}
    projection = compile_projection(", ".join(names), Placeholders(names))
    assert projection.of(item) == {name: item[name] for name in item if name in chosen}
    assert projection.attributes == set(chosen)
