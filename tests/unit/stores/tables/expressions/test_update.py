"""Updates: each action on items, what is returned of them, and the words of each refusal."""

from __future__ import annotations

import pytest

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions import Placeholders, ReturnValues, compile_update
from mayfly.stores.tables.values import Item
from tests.unit.stores.tables.expressions.asking import item_of, refuses, updated

NOTHING = "The provided expression refers to an attribute that does not exist in the item"
WRONG_KIND = "An operand in the update expression has an incorrect data type"
NO_PLACE = "The document path provided in the update expression is invalid for update"
OVERFLOW = (
    "Number overflow. Attempting to store a number with magnitude larger than supported range"
)
TOO_DEEP = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)
S = {":v": {"S": "new"}}
LIST = {"l": {"L": [{"S": "a"}, {"S": "b"}, {"S": "c"}]}}


def texts(item: Item, name: str = "l") -> list[str]:
    """A list's texts."""
    return [one["S"] for one in item[name]["L"]]


@pytest.mark.parametrize(
    ("text", "values", "wanted"),
    [
        ("SET a = :v", {":v": {"S": "x"}}, {"a": {"S": "x"}, "n": {"N": "5"}}),
        ("SET a = n", None, {"a": {"N": "5"}, "n": {"N": "5"}}),
        ("SET n = n + :v", {":v": {"N": "0.5"}}, {"n": {"N": "5.5"}}),
        ("SET n = (:v - n)", {":v": {"N": "5"}}, {"n": {"N": "0"}}),
        ("SET n = if_not_exists(n, :v)", {":v": {"N": "9"}}, {"n": {"N": "5"}}),
        (
            "SET c = if_not_exists(c, :v) + n",
            {":v": {"N": "9"}},
            {"c": {"N": "14"}, "n": {"N": "5"}},
        ),
        (
            "SET c = if_not_exists(c, if_not_exists(n, :v))",
            {":v": {"N": "9"}},
            {"c": {"N": "5"}, "n": {"N": "5"}},
        ),
        ("REMOVE n, absent", None, {}),
        ("ADD n :v", {":v": {"N": "-5"}}, {"n": {"N": "0"}}),
        ("ADD c :v", {":v": {"N": "7"}}, {"c": {"N": "7"}, "n": {"N": "5"}}),
        ("ADD c :v", {":v": {"SS": ["a"]}}, {"c": {"SS": ["a"]}, "n": {"N": "5"}}),
        ("DELETE c :v", {":v": {"SS": ["a"]}}, {"n": {"N": "5"}}),
        (
            "set n = :v remove a add c :w",
            {":v": {"S": "x"}, ":w": {"N": "1"}},
            {"n": {"S": "x"}, "c": {"N": "1"}},
        ),
    ],
)
def test_an_update_of_an_item(
    text: str, values: dict[str, object] | None, wanted: dict[str, object]
) -> None:
    assert updated(text, {"n": {"N": "5"}}, values) == wanted


def test_every_operand_is_read_from_the_item_as_it_was() -> None:
    item = {"a": {"N": "1"}, "b": {"N": "2"}}
    assert updated("SET a = b, b = a", item) == {"a": {"N": "2"}, "b": {"N": "1"}}
    assert updated("SET c = a REMOVE a", item) == {"b": {"N": "2"}, "c": {"N": "1"}}


def test_sets_are_united_and_cut_and_vanish_when_empty() -> None:
    item = {"s": {"SS": ["a", "b"]}}
    assert updated("ADD s :v", item, {":v": {"SS": ["b", "c"]}}) == {"s": {"SS": ["a", "b", "c"]}}
    assert updated("DELETE s :v", item, {":v": {"SS": ["b", "c"]}}) == {"s": {"SS": ["a"]}}
    assert updated("DELETE s :v", item, {":v": {"SS": ["b", "a"]}}) == {}


def test_lists_are_appended_at_either_end() -> None:
    more = {":v": {"L": [{"S": "x"}]}}
    assert texts(updated("SET l = list_append(l, :v)", LIST, more)) == ["a", "b", "c", "x"]
    assert texts(updated("SET l = list_append(:v, l)", LIST, more)) == ["x", "a", "b", "c"]
    both = {**more, ":e": {"L": []}}
    made = updated("SET q = list_append(if_not_exists(q, :e), :v)", LIST, both)
    assert texts(made, "q") == ["x"]


def test_an_index_behind_the_end_appends_without_a_gap_in_the_indices_order() -> None:
    assert texts(updated("SET l[9] = :v", LIST, S)) == ["a", "b", "c", "new"]
    two = {":x": {"S": "x"}, ":y": {"S": "y"}}
    assert texts(updated("SET l[20] = :y, l[5] = :x", LIST, two)) == ["a", "b", "c", "x", "y"]
    assert texts(updated("SET l[0] = :v", {"l": {"L": []}}, S)) == ["new"]


def test_indices_mean_the_list_as_it_was() -> None:
    assert texts(updated("REMOVE l[0], l[1]", LIST)) == ["c"]
    assert texts(updated("REMOVE l[1], l[0], l[7]", LIST)) == ["c"]
    assert texts(updated("SET l[2] = :v REMOVE l[0]", LIST, S)) == ["b", "new"]
    assert texts(updated("REMOVE l[0] SET l[3] = :v", LIST, S)) == ["b", "c", "new"]
    assert texts(updated("REMOVE l[3] SET l[4] = :v", LIST, S)) == ["a", "b", "c", "new"]


def test_a_path_reaches_into_maps_and_lists() -> None:
    item = {"m": {"M": {"l": {"L": [{"M": {"n": {"N": "1"}, "k": {"S": "kept"}}}]}}}}
    new = updated(
        "SET m.l[0].n = m.l[0].n + :v, m.#x = :v", item, {":v": {"N": "2"}}, {"#x": "a.b"}
    )
    assert new == {
        "m": {
            "M": {
                "l": {"L": [{"M": {"n": {"N": "3"}, "k": {"S": "kept"}}}]},
                "a.b": {"N": "2"},
            }
        }
    }
    assert updated("REMOVE m.l[0].n, m.absent", item) == {
        "m": {"M": {"l": {"L": [{"M": {"k": {"S": "kept"}}}]}}}
    }
    assert updated("ADD m.l[0].n :v, m.l[3] :v", item, {":v": {"N": "2"}})["m"]["M"]["l"] == {
        "L": [{"M": {"n": {"N": "3"}, "k": {"S": "kept"}}}, {"N": "2"}]
    }


def test_a_new_item_starts_with_its_key() -> None:
    update = compile_update("ADD n :v", Placeholders(None, {":v": {"N": "1"}}))
    assert update.apply(None, {"pk": {"S": "a"}}) == {"pk": {"S": "a"}, "n": {"N": "1"}}


def test_a_written_value_is_never_a_part_that_a_later_update_changes() -> None:
    value = {"M": {"n": {"N": "1"}}}
    update = compile_update("SET a = :v, b = :v", Placeholders(None, {":v": value}))
    first = update.apply(None, {})
    second = compile_update("SET a.n = :w", Placeholders(None, {":w": {"N": "2"}})).apply(first, {})
    assert first["a"] == first["b"] == second["b"] == value
    assert second["a"] == {"M": {"n": {"N": "2"}}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("SET a = absent", NOTHING),
        ("SET a = absent + :n", NOTHING),
        ("SET a = s + :n", WRONG_KIND),
        ("SET a = list_append(s, l)", WRONG_KIND),
        ("ADD s :n", WRONG_KIND),
        ("ADD s :ss", WRONG_KIND),
        ("DELETE s :ss", WRONG_KIND),
        ("SET absent.a = :n", NO_PLACE),
        ("SET s.a = :n", NO_PLACE),
        ("SET s[0] = :n", NO_PLACE),
        ("SET l.a = :n", NO_PLACE),
        ("SET m[0] = :n", NO_PLACE),
        ("REMOVE absent.a.b", NO_PLACE),
        ("ADD l[7].a :n", NO_PLACE),
        ("SET big = big + :big", OVERFLOW),
        ("SET m.deep = :deep", TOO_DEEP),
    ],
)
def test_an_update_that_does_not_fit_the_item_is_refused(text: str, told: str) -> None:
    item = {
        "s": {"S": "x"},
        "l": {"L": [{"N": "1"}]},
        "m": {"M": {}},
        "big": {"N": "9e125"},
    }
    deep: object = {"S": "x"}
    for _ in range(31):
        deep = {"L": [deep]}
    values = {":n": {"N": "1"}, ":ss": {"SS": ["a"]}, ":big": {"N": "9e125"}, ":deep": deep}
    with pytest.raises(InvalidRequest) as refused:
        updated(text, item, values)
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "The expression can not be empty;"),
        ("INVALID SYNTAX HERE", 'Syntax error; token: "INVALID", near: "INVALID SYNTAX"'),
        ("SET", 'Syntax error; token: "<EOF>", near: "SET"'),
        ("SET a = :v,", 'Syntax error; token: "<EOF>", near: ","'),
        ("SET a = :v + ", 'Syntax error; token: "<EOF>", near: "+"'),
        ("SET a = :v + :v + :v", 'Syntax error; token: "+", near: ":v + :v"'),
        ("SET a = if_not_exists(a, :v + :v)", 'Syntax error; token: "+", near: ":v + :v"'),
        ("SET a = _f(b)", 'Syntax error; token: "_", near: "= _f"'),
        ("ADD a b", 'Syntax error; token: "b", near: "a b"'),
        ("REMOVE a = :v", 'Syntax error; token: "=", near: "a = :v"'),
        ("SET year = :v", "Attribute name is a reserved keyword; reserved keyword: year"),
        ("SET a = f(b)", "Invalid function name; function: f"),
        (
            "SET a = size(b)",
            "The function is not allowed to be used this way in an expression; function: size",
        ),
        (
            "SET a = list_append(list_append(:l, :l), :l)",
            (
                "The function is not allowed to be used this way in an expression; "
                "function: list_append"
            ),
        ),
        (
            "SET a = :v SET b = :v",
            'The "SET" section can only be used once in an update expression;',
        ),
        (
            "SET a = :w",
            (
                "An expression attribute value used in expression is not defined; "
                "attribute value: :w"
            ),
        ),
        (
            "REMOVE #b",
            (
                "An expression attribute name used in the document path is not defined; "
                "attribute name: #b"
            ),
        ),
        (
            "SET a = :v, #a = :v",
            (
                "Two document paths overlap with each other; must remove or rewrite one of these "
                "paths; path one: [a], path two: [a]"
            ),
        ),
        (
            "SET a.b[1].c = :v REMOVE a.b[1]",
            (
                "Two document paths overlap with each other; must remove or rewrite one of these "
                "paths; path one: [a, b, [1], c], path two: [a, b, [1]]"
            ),
        ),
        (
            "SET a = :v REMOVE a.b.c",
            (
                "Two document paths overlap with each other; must remove or rewrite one of these "
                "paths; path one: [a], path two: [a, b, c]"
            ),
        ),
        (
            "SET a.b = :v, a[0] = :v",
            (
                "Two document paths conflict with each other; must remove or rewrite one of these "
                "paths; path one: [a, b], path two: [a, [0]]"
            ),
        ),
        (
            "ADD a :v",
            (
                "Incorrect operand type for operator or function; "
                "operator: ADD, operand type: STRING"
            ),
        ),
        (
            "ADD a :l",
            "Incorrect operand type for operator or function; operator: ADD, operand type: LIST",
        ),
        (
            "DELETE a :n",
            (
                "Incorrect operand type for operator or function; "
                "operator: DELETE, operand type: NUMBER"
            ),
        ),
        (
            "SET a = b + :v",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: +, operand type: S"
            ),
        ),
        (
            "SET a = list_append(a, :v)",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: list_append, operand type: S"
            ),
        ),
        (
            "SET a = list_append(a, :l) + :n",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: +, operand type: L"
            ),
        ),
        (
            "SET a = if_not_exists(:v, :v)",
            ("Operator or function requires a document path; operator or function: if_not_exists"),
        ),
        (
            "SET a = if_not_exists(a)",
            (
                "Incorrect number of operands for operator or function; "
                "operator or function: if_not_exists, number of operands: 1"
            ),
        ),
    ],
)
def test_a_faulty_update_is_refused_in_dynamodbs_words(text: str, told: str) -> None:
    refuses(
        f"Invalid UpdateExpression: {told}",
        "UpdateItem",
        UpdateExpression=text,
        ExpressionAttributeNames={"#a": "a"},
        ExpressionAttributeValues={":v": {"S": "v"}, ":n": {"N": "1"}, ":l": {"L": []}},
    )


def test_a_keys_attribute_cannot_be_updated() -> None:
    update = compile_update("REMOVE a, pk", Placeholders())
    update.refuse_keys(("other",))
    with pytest.raises(InvalidRequest) as refused:
        update.refuse_keys(("pk", "sk"))
    assert str(refused.value) == (
        "One or more parameter values were invalid: "
        "Cannot update attribute pk. This attribute is part of the key"
    )


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("NONE", None),
        (
            "ALL_OLD",
            {"k": {"S": "k"}, "a": {"N": "1"}, "m": {"M": {"x": {"N": "1"}, "y": {"N": "1"}}}},
        ),
        (
            "ALL_NEW",
            {"k": {"S": "k"}, "m": {"M": {"x": {"N": "2"}, "y": {"N": "1"}}}, "b": {"N": "2"}},
        ),
        ("UPDATED_OLD", {"a": {"N": "1"}, "m": {"M": {"x": {"N": "1"}}}}),
        ("UPDATED_NEW", {"b": {"N": "2"}, "m": {"M": {"x": {"N": "2"}}}}),
    ],
)
def test_what_is_returned_is_what_was_asked_for(
    kind: ReturnValues, wanted: dict[str, object] | None
) -> None:
    old = item_of(
        {"k": {"S": "k"}, "a": {"N": "1"}, "m": {"M": {"x": {"N": "1"}, "y": {"N": "1"}}}}
    )
    update = compile_update("SET b = :v, m.x = :v REMOVE a", Placeholders(None, {":v": {"N": "2"}}))
    new = update.apply(old, {})
    assert update.returned(kind, old, new) == wanted


def test_nothing_is_returned_of_an_item_that_was_not_there() -> None:
    update = compile_update("SET b = :v", Placeholders(None, {":v": {"N": "2"}}))
    new = update.apply(None, {})
    assert update.returned("ALL_OLD", None, new) is None
    assert update.returned("UPDATED_OLD", None, new) is None
    assert compile_update("REMOVE b", Placeholders()).returned("UPDATED_NEW", new, {}) is None
