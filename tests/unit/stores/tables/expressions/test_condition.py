"""Conditions: each operator and function on items, and the words of each refusal."""

from __future__ import annotations

import pytest
from boto3.dynamodb.conditions import Attr, ConditionExpressionBuilder
from boto3.dynamodb.types import TypeSerializer

from mayfly.stores.tables.expressions import Placeholders, compile_condition
from tests.unit.stores.tables.expressions.asking import holds, refuses

ITEM = {
    "s": {"S": "hello"},
    "t": {"S": "hell"},
    "n": {"N": "10"},
    "f": {"N": "9.5"},
    "b": {"B": "aGkgdGhlcmU="},
    "yes": {"BOOL": True},
    "nil": {"NULL": True},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2"]},
    "bs": {"BS": ["aGk="]},
    "l": {"L": [{"N": "1"}, {"SS": ["x", "y"]}, {"M": {"deep": {"S": "z"}}}]},
    "m": {"M": {"k": {"M": {"j": {"N": "3"}}}, "e": {"L": []}}},
}


@pytest.mark.parametrize(
    ("text", "values", "wanted"),
    [
        ("s = :v", {":v": {"S": "hello"}}, True),
        ("s = :v", {":v": {"S": "other"}}, False),
        (":v = s", {":v": {"S": "hello"}}, True),
        ("n = :v", {":v": {"N": "1e1"}}, True),
        ("n = :v", {":v": {"S": "10"}}, False),
        ("ss = :v", {":v": {"SS": ["b", "a"]}}, True),
        ("l[1] = :v", {":v": {"SS": ["y", "x"]}}, True),
        ("m.k.j = :v", {":v": {"N": "3.0"}}, True),
        ("absent = :v", {":v": {"S": "a"}}, False),
        ("absent <> :v", {":v": {"S": "a"}}, True),
        ("n <> :v", {":v": {"S": "10"}}, True),
        ("n <> :v", {":v": {"N": "10"}}, False),
        ("n > f", None, True),
        ("n < f", None, False),
        ("f < n AND n <= n2 OR n = n3", None, False),
        ("n >= :v", {":v": {"N": "10.0"}}, True),
        (":v < n", {":v": {"N": "9"}}, True),
        (":v >= n", {":v": {"N": "9"}}, False),
        (":v < n", {":v": {"N": "10"}}, False),
        (":v <= n", {":v": {"N": "10"}}, True),
        (":v > n", {":v": {"N": "10"}}, False),
        (":v >= n", {":v": {"N": "10"}}, True),
        ("n < :v", {":v": {"S": "99"}}, False),
        ("t < s", None, True),
        ("b > :v", {":v": {"B": "aGg="}}, True),
        ("absent < :v", {":v": {"N": "1"}}, False),
        ("ss < s", None, False),
        ("n BETWEEN :a AND :b", {":a": {"N": "9"}, ":b": {"N": "10"}}, True),
        ("n BETWEEN f AND :b", {":b": {"N": "10"}}, True),
        ("n between :a and :b", {":a": {"N": "11"}, ":b": {"N": "12"}}, False),
        ("n BETWEEN :a AND :b", {":a": {"S": "0"}, ":b": {"S": "99"}}, False),
        ("n IN (:a, :b)", {":a": {"S": "10"}, ":b": {"N": "10"}}, True),
        ("n in (f, s)", None, False),
        ("l[1] IN (:a)", {":a": {"SS": ["y", "x"]}}, True),
        ("attribute_exists(nil)", None, True),
        ("attribute_exists(m.k.j)", None, True),
        ("attribute_exists(l[3])", None, False),
        ("attribute_not_exists(absent.a)", None, True),
        ("attribute_not_exists(s)", None, False),
        ("attribute_type(l, :v)", {":v": {"S": "L"}}, True),
        ("attribute_type(absent, :v)", {":v": {"S": "L"}}, False),
        ("attribute_type(nil, :v)", {":v": {"S": "NULL"}}, True),
        ("begins_with(s, t)", None, True),
        ("begins_with(b, :v)", {":v": {"B": "aGk="}}, True),
        ("begins_with(n, :v)", {":v": {"S": "1"}}, False),
        ("begins_with(:v, t)", {":v": {"S": "hello"}}, True),
        ("contains(s, :v)", {":v": {"S": "ell"}}, True),
        ("contains(s, :v)", {":v": {"N": "1"}}, False),
        ("contains(b, :v)", {":v": {"B": "dGhl"}}, True),
        ("contains(ss, :v)", {":v": {"S": "a"}}, True),
        ("contains(ss, :v)", {":v": {"SS": ["a"]}}, False),
        ("contains(ns, :v)", {":v": {"N": "2.0"}}, True),
        ("contains(bs, :v)", {":v": {"B": "aGk="}}, True),
        ("contains(l, :v)", {":v": {"SS": ["y", "x"]}}, True),
        ("contains(m, :v)", {":v": {"S": "k"}}, False),
        ("contains(n, :v)", {":v": {"N": "1"}}, False),
        ("size(s) = :v", {":v": {"N": "5"}}, True),
        ("size(b) = :v", {":v": {"N": "8"}}, True),
        ("size(l) = size(l) OR size(ss) = size(ns)", None, True),
        ("size(m) > size(bs)", None, True),
        ("size(n) > :v", {":v": {"N": "0"}}, False),
        ("size(absent) >= :v", {":v": {"N": "0"}}, False),
        ("size(:v) = size(s)", {":v": {"S": "12345"}}, True),
        (":a = :b", {":a": {"S": "x"}, ":b": {"S": "x"}}, True),
        ("NOT s = t", None, True),
        ("NOT NOT s = t", None, False),
        ("not (s = t or n > f)", None, False),
        (
            "yes = :v AND attribute_exists(s) AND NOT attribute_exists(q)",
            {":v": {"BOOL": True}},
            True,
        ),
        ("(s = t OR n > f) AND (attribute_exists(s))", None, True),
        ("s = t OR n > f AND attribute_exists(q)", None, False),
        ("(s) = (:v)", {":v": {"S": "hello"}}, True),
    ],
)
def test_a_condition_on_an_item(text: str, values: dict[str, object] | None, wanted: bool) -> None:
    assert holds(text, ITEM, values) is wanted


def test_a_dot_in_a_name_is_a_part_of_the_name() -> None:
    assert holds("#a = :v", {"x.y": {"S": "1"}}, {":v": {"S": "1"}}, {"#a": "x.y"})
    assert holds("m.#a = :v", {"m": {"M": {"x.y": {"S": "1"}}}}, {":v": {"S": "1"}}, {"#a": "x.y"})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "The expression can not be empty;"),
        (" \n", "The expression can not be empty;"),
        ("a", 'Syntax error; token: "<EOF>", near: "a"'),
        (":v", 'Syntax error; token: "<EOF>", near: ":v"'),
        ("a = ", 'Syntax error; token: "<EOF>", near: "="'),
        ("a IN ()", 'Syntax error; token: ")", near: "()"'),
        ("a = :v b", 'Syntax error; token: "b", near: ":v b"'),
        ("(a = :v", 'Syntax error; token: "<EOF>", near: ":v"'),
        ("a == :v", 'Syntax error; token: "=", near: "== :v"'),
        ("_a = :v", 'Syntax error; token: "_", near: "_a"'),
        ("a[:v] = :v", 'Syntax error; token: ":v", near: "[:v]"'),
        ("a.[1] = :v", 'Syntax error; token: "[", near: ".[1"'),
        ("AND", 'Syntax error; token: "AND", near: "AND"'),
        ("a BETWEEN :v OR :v", 'Syntax error; token: "OR", near: ":v OR :v"'),
        ("name = :v", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("a.Size = :v", "Attribute name is a reserved keyword; reserved keyword: Size"),
        ("((a = :v))", "The expression has redundant parentheses;"),
        ("((a)) = :v", "The expression has redundant parentheses;"),
        ("foo(a)", "Invalid function name; function: foo"),
        ("SIZE(a) = :v", "Invalid function name; function: SIZE"),
        (
            "if_not_exists(a, b) = :v",
            (
                "The function is not allowed to be used this way in an expression; "
                "function: if_not_exists"
            ),
        ),
        (
            "size(a)",
            "The function is not allowed to be used this way in an expression; function: size",
        ),
        (
            "begins_with(a, b) = :v",
            (
                "The function is not allowed to be used this way in an expression; "
                "function: begins_with"
            ),
        ),
        (
            "a = :w",
            (
                "An expression attribute value used in expression is not defined; "
                "attribute value: :w"
            ),
        ),
        (
            "#b = :v",
            (
                "An expression attribute name used in the document path is not defined; "
                "attribute name: #b"
            ),
        ),
        (
            "attribute_exists(:v)",
            (
                "Operator or function requires a document path; "
                "operator or function: attribute_exists"
            ),
        ),
        (
            "attribute_exists(a, b)",
            (
                "Incorrect number of operands for operator or function; "
                "operator or function: attribute_exists, number of operands: 2"
            ),
        ),
        (
            "a = a",
            (
                "The first operand must be distinct from the remaining operands for this "
                "operator or function; operator: =, first operand: [a]"
            ),
        ),
        (
            "contains(#a, a[0].b) OR contains(a[1], #a[1])",
            (
                "The first operand must be distinct from the remaining operands for this "
                "operator or function; operator: contains, first operand: [a, [1]]"
            ),
        ),
        (
            "a < :l",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: <, operand type: L"
            ),
        ),
        (
            "a BETWEEN :t AND :t",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: BETWEEN, operand type: BOOL"
            ),
        ),
        (
            "begins_with(a, :n)",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: begins_with, operand type: N"
            ),
        ),
        (
            "size(:n) > :n",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: size, operand type: N"
            ),
        ),
        (
            "size(size(a)) = :n",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: size, operand type: N"
            ),
        ),
        (
            "begins_with(a, size(b))",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: begins_with, operand type: N"
            ),
        ),
        (
            "attribute_type(a, :v)",
            (
                "Invalid attribute type name found; type: v, "
                "valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}"
            ),
        ),
        (
            "attribute_type(a, :n)",
            (
                "Incorrect operand type for operator or function; "
                "operator or function: attribute_type, operand type: N"
            ),
        ),
        (
            "a BETWEEN :v AND :n",
            (
                "The BETWEEN operator requires same data type for lower and upper bounds; "
                "lower bound operand: AttributeValue: {S:v}, "
                "upper bound operand: AttributeValue: {N:1}"
            ),
        ),
        (
            "a BETWEEN :n AND :z",
            (
                "The BETWEEN operator requires upper bound to be greater than or equal to lower "
                "bound; "
                "lower bound operand: AttributeValue: {N:1}, "
                "upper bound operand: AttributeValue: {N:0}"
            ),
        ),
        (
            f"a IN ({', '.join([':v'] * 101)})",
            "The IN operator is provided with too many operands; number of operands: 101",
        ),
        (
            " AND ".join(["a = :v"] * 151),
            "The expression contains too many operators; operator count: 301",
        ),
        (
            "a" * 4097,
            "Expression size has exceeded the maximum allowed size; expression size: 4097",
        ),
        (
            "(" * 160 + "a = :v" + ")" * 160,
            "The expression is nested more than 150 levels deep",
        ),
        (
            f"a[{'9' * 12}] = :v",
            f"List index is not within the allowable range; index: [{'9' * 12}]",
        ),
        (
            "a" + ".b" * 32 + " = :v",
            "The document path has too many nesting elements; path nesting elements: 33",
        ),
    ],
)
def test_a_faulty_condition_is_refused_in_dynamodbs_words(text: str, told: str) -> None:
    values = {
        ":v": {"S": "v"},
        ":n": {"N": "1"},
        ":z": {"N": "0"},
        ":l": {"L": []},
        ":t": {"BOOL": True},
    }
    refuses(
        f"Invalid ConditionExpression: {told}",
        "PutItem",
        ConditionExpression=text,
        ExpressionAttributeNames={"#a": "a"},
        ExpressionAttributeValues=values,
    )


def test_150_conditions_may_be_joined_as_boto3_joins_them() -> None:
    text = "a = :v"
    for _ in range(149):
        text = f"({text} AND a = :v)"
    assert holds(text, {"a": {"S": "v"}}, {":v": {"S": "v"}})
    assert not holds(text, {"a": {"S": "w"}}, {":v": {"S": "v"}})


def test_conditions_that_boto3_builds_are_understood() -> None:
    built = (Attr("s").eq("hello") & ~Attr("q").exists()) | (
        Attr("n").between(11, 12) & Attr("s").size().gt(3) & Attr("l").contains("x")
    )
    built &= Attr("s").is_in(["x", "hello"]) & Attr("m.k").attribute_type("M")
    expression = ConditionExpressionBuilder().build_expression(built)
    values = {
        name: TypeSerializer().serialize(value)
        for name, value in expression.attribute_value_placeholders.items()
    }
    names = expression.attribute_name_placeholders
    assert holds(expression.condition_expression, ITEM, values, names)


def test_a_condition_knows_which_attributes_it_reads() -> None:
    placeholders = Placeholders({"#n": "name"}, None)
    found = compile_condition("size(a.b) > c[0] AND attribute_exists(#n)", placeholders)
    assert found.attributes == {"a", "c", "name"}
