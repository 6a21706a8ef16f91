"""mayfly.toml: what is right is kept, what is wrong is told with its line and what to write."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.images.manifest import (
    Manifest,
    ManifestUrl,
    parse_manifest,
    to_settings,
)
from mayfly.model.errors import InvalidManifest
from mayfly.model.function import IsolateKind, Reuse, Settings, UrlAuth
from mayfly.model.grant import Grant, GrantKind

FULL = """\
[function]
name = "thumbnail"
handler = "app.handler"
runtime = "python3.11"
memory = 256                  # MiB
timeout = "10s"
tmp = 1024
reuse = "warm"
isolate = "process"
concurrency = 20
description = "makes thumbnails"
[function.env]
SIZE = "200"
[function.tags]
team = "photos"
[grants]
net = ["api.example.com:443", "db.internal:5432"]
objects = ["photos:read"]
[url]
auth = "none"
[url.cors]
allow_origins = ["*"]
max_age = "10m"
allow_credentials = false
"""
SMALL = '[function]\nname = "f"\nhandler = "app.handler"\n'


def problems(text: str) -> list[str]:
    """What is said of the text, a line per problem."""
    with pytest.raises(InvalidManifest) as error:
        parse_manifest(text)
    return str(error.value).splitlines()


def problem(text: str) -> str:
    (only,) = problems(text)
    return only


def test_everything_that_can_be_written_is_kept() -> None:
    cors = {"AllowOrigins": ["*"], "MaxAge": 600, "AllowCredentials": False}
    assert parse_manifest(FULL) == Manifest(
        name="thumbnail",
        handler="app.handler",
        runtime="python3.11",
        memory_mib=256,
        timeout_s=10,
        tmp_mib=1024,
        reuse=Reuse.WARM,
        isolate=IsolateKind.PROCESS,
        concurrency=20,
        description="makes thumbnails",
        environment={"SIZE": "200"},
        tags={"team": "photos"},
        grants=(
            Grant(GrantKind.NET, "api.example.com:443"),
            Grant(GrantKind.NET, "db.internal:5432"),
            Grant(GrantKind.OBJECTS, "photos", "read"),
        ),
        url=ManifestUrl(UrlAuth.NONE, cors),
    )


def test_a_name_and_a_handler_are_enough_and_the_rest_is_lambdas_default() -> None:
    settings = to_settings(parse_manifest(SMALL), "python3.12")
    assert settings == Settings(handler="app.handler", runtime="python3.12")


def test_what_the_manifest_says_goes_into_the_settings() -> None:
    settings = to_settings(parse_manifest(FULL), "python3.12")
    assert settings.runtime == "python3.11"
    assert (settings.memory_mib, settings.timeout_s, settings.tmp_mib) == (256, 10, 1024)
    assert (settings.reuse, settings.concurrency) == (Reuse.WARM, 20)
    assert settings.environment == {"SIZE": "200"}
    assert len(settings.grants) == 3


def test_a_url_without_auth_is_closed() -> None:
    assert parse_manifest(SMALL + "[url]\n").url == ManifestUrl(UrlAuth.AWS_IAM)


@pytest.mark.parametrize("written", ["60", '"60s"', '"1m"'])
def test_a_duration_is_written_in_seconds_or_minutes(written: str) -> None:
    assert parse_manifest(f"{SMALL}timeout = {written}\n").timeout_s == 60


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("memroy = 256", 'unknown key "memroy" in [function]; did you mean "memory"?'),
        ("Memory = 256", 'unknown key "Memory" in [function]; did you mean "memory"?'),
        ("xyzzy = 1", 'unknown key "xyzzy" in [function]; known are name, handler, runtime'),
        ('memory = "256"', 'memory must be a whole number of MiB from 128 to 10240, not "256"'),
        ("memory = 64", "memory must be a whole number of MiB from 128 to 10240, not 64"),
        ("memory = true", "not true"),
        ("tmp = 511", "tmp must be a whole number of MiB from 512 to 10240, not 511"),
        ('timeout = "soon"', 'timeout must be "10s", "1m" or whole seconds, from 1 s to 900 s'),
        ('timeout = "16m"', 'not "16m"'),
        ("timeout = 0", "not 0"),
        ("timeout = 1.5", "not 1.5"),
        ('reuse = "wram"', 'reuse must be "never" or "warm", not "wram"; did you mean "warm"?'),
        ('isolate = "microvm"', 'isolate = "microvm" is not built into this version of mayfly'),
        ('isolate = "docker"', 'isolate must be "process" or "microvm", not "docker"'),
        ("concurrency = -1", "concurrency must be a whole number from 0 to"),
        ('runtime = "Python 3"', 'runtime must be a name such as "python3.11"'),
        (f'description = "{"x" * 257}"', "at most 256 characters"),
        ("env = 3", "env must be a table: write [function.env]"),
        ("env = {A = 3}", 'A must be a string: write A = "3", in quotes'),
        ("env = {A = true}", 'write A = "true", in quotes'),
        ('env = {"A-B" = "x"}', '"A-B" is no variable name'),
        (f'env = {{A = "{"x" * 5_000}"}}', "[function.env] has 5001 bytes, more than 4096"),
        ('env = {A = "\\u0000"}', "NUL"),
        ("tags = {a = 1}", "a must be a string"),
        (f'tags = {{a = "{"x" * 257}"}}', "a tag has 1 to 128 characters"),
    ],
)
def test_a_wrong_line_is_told_with_its_place_and_what_to_write(line: str, why: str) -> None:
    said = problem(f"{SMALL}{line}\n")
    assert said.startswith("mayfly.toml:4: ")
    assert why in said


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[functions]", 'unknown key "functions"; did you mean "function"?'),
        ("[grants]\nnett = []", 'unknown key "nett" in [grants]; did you mean "net"?'),
        ('[grants]\nnet = "a:1"', "net must be a list of strings"),
        ("[grants]\nnet = [\n  3\n]", "net must hold strings only, not 3"),
        ('[grants]\nnet = ["example.com"]', 'must be "host:port"'),
        ('[grants]\nobjects = ["photos"]', 'write "photos:read" or "photos:write"'),
        ('[url]\nauth = "open"', 'auth must be "none" or "iam", not "open"'),
        ("[url.cors]\nallow_origin = []", 'did you mean "allow_origins"?'),
        ('[url.cors]\nallow_credentials = "no"', "must be true or false"),
        ("url = 3", "unknown key"),
        ("trigger = 3", "unknown key"),
    ],
)
def test_a_wrong_table_is_told(line: str, why: str) -> None:
    assert why in problem(f"{SMALL}{line}\n")


def test_the_item_of_a_list_has_its_own_line() -> None:
    text = f'{SMALL}[grants]\nnet = [\n  "good:1",\n  "bad",\n]\n'
    assert problem(text).startswith("mayfly.toml:7: ")


@pytest.mark.parametrize("name", ["", "a b", "../x", "a" * 65, "grüße", "a/b"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    said = problem(f'[function]\nname = "{name}"\nhandler = "app.handler"\n')
    assert 'mayfly.toml:2: name must be 1 to 64 letters, digits, "-" or "_"' in said


@pytest.mark.parametrize("handler", ["app", "app.", ".handler", "a b.c", ""])
def test_a_handler_that_names_no_function_is_refused(handler: str) -> None:
    said = problem(f'[function]\nname = "f"\nhandler = "{handler}"\n')
    assert said.startswith("mayfly.toml:3: handler must be ")


@pytest.mark.parametrize("handler", ["app.handler", "pkg/app.handler", "pkg.sub.app.handler"])
def test_a_handler_may_lie_in_a_folder(handler: str) -> None:
    assert parse_manifest(f'[function]\nname = "f"\nhandler = "{handler}"\n').handler == handler


def test_other_runtimes_name_their_handler_as_they_like() -> None:
    text = '[function]\nname = "f"\nruntime = "provided.al2023"\nhandler = "main"\n'
    assert parse_manifest(text).handler == "main"


def test_a_missing_name_and_handler_are_told_with_an_example() -> None:
    assert problems("[function]\n") == [
        'mayfly.toml:1: [function] needs a handler, for example handler = "app.handler"',
        'mayfly.toml:1: [function] needs a name, for example name = "thumbnail"',
    ]
    assert len(problems("")) == 2


def test_all_problems_come_at_once_by_line() -> None:
    found = problems('[function]\nname = 3\nhandler = "a.b"\nmemory = 1\n[url]\nauht = "none"\n')
    assert [one.split(":")[1] for one in found] == ["2", "4", "6"]


def test_of_very_many_problems_the_first_are_told() -> None:
    found = problems(SMALL + "".join(f"x{number} = 1\n" for number in range(50)))
    assert found[-1] == "... and 30 more"


@pytest.mark.parametrize(
    ("text", "line"),
    [("[function]\nname = \n", 2), ("[function\n", 1), ("a = 1\na = 2\n", 2), ('a = "open\n', 1)],
)
def test_what_is_not_toml_is_told_with_its_line(text: str, line: int) -> None:
    assert problem(text).startswith(f"mayfly.toml:{line}: is not TOML: ")


def test_a_text_nested_without_end_is_refused() -> None:
    with pytest.raises(InvalidManifest):
        parse_manifest("a = " + "[" * 100_000)


def test_a_mark_of_the_byte_order_is_borne() -> None:
    assert parse_manifest("\ufeff" + SMALL).name == "f"


TRIGGERED = SMALL + '[[trigger]]\ntype = "object"\nbucket = "photos"\nprefix = "in/"\n'


def test_a_trigger_of_a_source_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidManifest, match=r"mayfly.toml:4: .* is not built into this version"):
        parse_manifest(TRIGGERED, triggers=[])


@pytest.mark.parametrize(
    ("line", "why"),
    [('type = "objects"', 'did you mean "object"?'), ("type = 3", "unknown type 3"), ("", "needs")],
)
def test_the_type_of_a_trigger_is_checked(line: str, why: str) -> None:
    assert why in problem(f"{SMALL}[[trigger]]\n{line}\n")


def test_an_isolate_of_a_driver_that_is_there_is_kept() -> None:
    manifest = parse_manifest(f'{SMALL}isolate = "microvm"\n', isolates=list(IsolateKind))
    assert manifest.isolate is IsolateKind.MICROVM


_JUNK = st.recursive(
    st.one_of(
        st.integers(-5, 2_000), st.booleans(), st.floats(0, 9), st.text("ab.:\u00e9", max_size=5)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=4,
)
_KEYS = [
    *(f"function.{key}" for key in ("name", "handler", "runtime", "memory", "timeout", "reuse")),
    *("function.env", "function.tags", "function.isolate", "function.concurrency", "trigger"),
    *("grants.net", "grants.tables", "url.auth", "url.cors.max_age", "url.cors.allow_origins"),
    *("function", "grants", "url", "url.cors", "other"),
]


def said_of(text: str) -> list[str]:
    try:
        parse_manifest(text)
    except InvalidManifest as error:
        return str(error).splitlines()
    return []


def toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(toml(one) for one in value) + "]"
        case str():
            return f'"{value}"'
        case _:
            return str(value)


@given(lines=st.lists(st.tuples(st.sampled_from(_KEYS), _JUNK), max_size=6))
def test_any_toml_is_a_manifest_or_a_list_of_places(lines: list[tuple[str, object]]) -> None:
    text = "".join(f"{key} = {toml(value)}\n" for key, value in lines)
    for one in said_of(text):
        assert one.startswith(("mayfly.toml:", "... and "))


@given(text=st.text("ab.\"[]{}=,#\n\\'1 ", max_size=40))
def test_any_text_is_a_manifest_or_a_list_of_places(text: str) -> None:
    for one in said_of(text)[:1]:
        assert one.startswith("mayfly.toml:")


TOP = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "path", [path for at in ("src", "examples") for path in (TOP / at).rglob("mayfly.toml")]
)
def test_every_manifest_that_ships_is_a_good_one(path: Path) -> None:
    parse_manifest(path.read_text(), str(path))
