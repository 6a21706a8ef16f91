"""Every key of any TOML document has the line on which it stands."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.images.positions import line_of, locate

DOCUMENT = '''\
# a comment with [brackets] and key = 1
top = 1
"quoted key" = """
not = "a key"
[not.a.table]
"""
dotted.inner.deep = 'it''s' # "
[table]
list = [
    1, # one
    "two ] , #",

    { three = 3, four.five = [
        6 ] },
]
when = 1979-05-27 07:32:00
"a.b".'c' = true
[[many]]
x = 1
[[many]]
[many.sub]
y = """a\\""" ""b"""
[[many.more]]
z = \'\'\'
\'\'\'\'\'
[ spaced . "out" ]
last = {}
'''.replace("'it''s'", "'its'")


def test_every_kind_of_key_has_its_line() -> None:
    tomllib.loads(DOCUMENT)
    lines = locate(DOCUMENT)
    wanted = {
        ("top",): 2,
        ("quoted key",): 3,
        ("dotted",): 7,
        ("dotted", "inner", "deep"): 7,
        ("table",): 8,
        ("table", "list"): 9,
        ("table", "list", 0): 10,
        ("table", "list", 1): 11,
        ("table", "list", 2): 13,
        ("table", "list", 2, "three"): 13,
        ("table", "list", 2, "four", "five", 0): 14,
        ("table", "when"): 16,
        ("table", "a.b", "c"): 17,
        ("many",): 18,
        ("many", 0): 18,
        ("many", 0, "x"): 19,
        ("many", 1): 20,
        ("many", 1, "sub"): 21,
        ("many", 1, "sub", "y"): 22,
        ("many", 1, "more", 0): 23,
        ("many", 1, "more", 0, "z"): 24,
        ("spaced", "out"): 26,
        ("spaced", "out", "last"): 27,
    }
    assert {path: lines.get(path) for path in wanted} == wanted
    assert ("not",) not in lines


def test_a_place_without_a_line_has_the_line_of_what_is_around_it() -> None:
    lines = locate("[function]\nname = 'a'\n")
    assert line_of(lines, ("function", "name", "deeper")) == 2
    assert line_of(lines, ("function", "absent")) == 1
    assert line_of(lines, ("nothing", "here")) == 1


def test_windows_line_ends_count_once() -> None:
    assert locate("a = 1\r\nb = '''\r\n\r\n'''\r\nc = 3\r\n")["c",] == 5


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "  \t"])
def test_a_document_without_keys_has_no_lines(text: str) -> None:
    assert locate(text) == {}


# A document is written here as text together with the lines that its keys are on.
_BARE_KEYS = st.text("abcXYZ019_-", min_size=1, max_size=6)
_TRICKY = st.text("ab\"\\#[]{}=,.\n\t\u00e9'", max_size=12)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\n", "\\n").replace("\t", "\\t") + '"'


def long_quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"""{escaped}"""'


_SCALARS = st.one_of(
    st.integers().map(str),
    st.booleans().map(lambda value: str(value).lower()),
    st.sampled_from(["1979-05-27T07:32:00Z", "07:32:00", "1e3", "inf", "0xff"]),
    _TRICKY.map(quoted),
    _TRICKY.map(long_quoted),
    st.text('ab"\\#[]{}=,.\n', max_size=12).map(lambda text: f"'''{text}'''"),
)
_SPACE = st.sampled_from([" ", "\n", ' # ] } = "\n', "\n\n\t"])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(st.tuples(_SPACE, inner), max_size=3).map(
            lambda items: "[" + ",".join(space + value for space, value in items) + "\n]"
        ),
        st.dictionaries(_BARE_KEYS, inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{key} = {v}" for key, v in table.items()) + "}"
        ),
    ),
    max_leaves=6,
)


@given(
    tables=st.dictionaries(
        st.one_of(_BARE_KEYS, _TRICKY),
        st.dictionaries(st.one_of(_BARE_KEYS, _TRICKY), st.tuples(_SPACE, _VALUES), max_size=4),
        max_size=4,
    ),
    arrays=st.booleans(),
)
def test_the_scanner_finds_the_keys_that_tomllib_reads(
    tables: dict[str, dict[str, tuple[str, str]]], arrays: bool
) -> None:
    text = ""
    wanted: dict[tuple[str | int, ...], int] = {}
    for name, table in tables.items():
        header, place = (
            (f"[[{quoted(name)}]]", (name, 0)) if arrays else (f"[{quoted(name)}]", (name,))
        )
        wanted[place] = text.count("\n") + 1
        text += header + "\n"
        for key, (space, value) in table.items():
            text += space.strip(" ")
            wanted[*place, key] = text.count("\n") + 1
            text += f"{quoted(key)} = {value}\n"
    document = tomllib.loads(text)
    lines = locate(text)
    assert {path: lines.get(path) for path in wanted} == wanted
    assert set(lines) == set(paths(document))


def paths(value: object, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in what tomllib read."""
    items: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    found = [place] if place else []
    for key, inner in items:
        found += paths(inner, (*place, key))
    return found
