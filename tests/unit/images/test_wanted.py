"""Requirements: names and versions are taken, whatever would make the platform act is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.images.wanted import parse_pyproject, parse_requirements
from mayfly.model.errors import CallerError, InvalidManifest, InvalidParameter


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidParameter) as error:
        parse_requirements(text)
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    "line",
    [
        "six",
        "six==1.16.0",
        "requests[socks,security]>=2.31,<3",
        "requests [socks] >= 2.31, != 2.32.*",
        "zope.interface~=6.0",
        "pywin32 ; sys_platform == 'win32' and python_version < '3.12'",
        "a_b-c.d (>=1.0)",
        "torch===2.1.0+cpu",
        "six==1.16.0 --hash=sha256:abc123 --hash=sha256:def456",
    ],
)
def test_a_requirement_by_name_and_version_is_taken(line: str) -> None:
    assert parse_requirements(line).lines == (line,)


def test_comments_blank_lines_and_continued_lines_are_understood() -> None:
    text = (
        "# all of it\n\nsix  # the first\r\n"
        "idna==3.7 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n"
    )
    assert parse_requirements(text).lines == (
        "six",
        "idna==3.7 --hash=sha256:00 --hash=sha256:11",
    )


def test_an_empty_file_wants_nothing() -> None:
    assert parse_requirements("\n# nothing\n").lines == ()


@pytest.mark.parametrize(
    "line",
    [
        "-r other.txt",
        "-r /etc/shadow",
        "-e .",
        "--index-url https://evil.example/simple",
        "--find-links=/tmp",
        "-c constraints.txt",
        "--no-binary :all:",
    ],
)
def test_an_option_is_refused(line: str) -> None:
    assert "options are not taken here" in problems(line)[0]


@pytest.mark.parametrize(
    "line",
    [
        "six @ https://evil.example/six.whl",
        "six@file:///etc/passwd",
        "git+https://example.com/x.git",
        "https://example.com/x.whl",
        "./local",
        "../up",
        "/abs/x.whl",
        "~/x.whl",
    ],
)
def test_an_address_or_a_path_is_refused(line: str) -> None:
    assert "only packages of the index" in problems(line)[0]


@pytest.mark.parametrize(
    "line", ["six==1 --no-binary :all:", "six; x; y", "a/b.whl", "==1", "six $(id)", "six\\"]
)
def test_what_is_no_requirement_is_refused(line: str) -> None:
    if line == "six\\":  # continued by nothing
        assert parse_requirements(line).lines == ("six",)
    else:
        assert problems(line)


def test_every_wrong_line_is_told_with_its_number() -> None:
    found = problems("six\n-e .\nidna\n\n./x\n")
    assert [one.split(" ")[0] for one in found] == ["requirements.txt:2:", "requirements.txt:5:"]


def test_a_projects_dependencies_are_taken() -> None:
    text = '[project]\nname = "x"\ndependencies = [\n  "six==1.16.0",\n  "idna",\n]\n[tool.x]\n'
    wanted = parse_pyproject(text)
    assert wanted.lines == ("six==1.16.0", "idna")
    assert wanted.filename == "pyproject.toml"


@pytest.mark.parametrize(
    "text", ["", "[tool.ruff]\nline-length = 100\n", '[project]\nname = "x"\n']
)
def test_a_project_without_dependencies_wants_nothing(text: str) -> None:
    assert parse_pyproject(text).lines == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            '[project]\ndependencies = [\n"x @ https://e/x.whl"]\n',
            r"pyproject\.toml:3: .*the index",
        ),
        ('[project]\ndynamic = ["dependencies"]\n', r"pyproject\.toml:2: .*write them into"),
        ('[project]\ndependencies = "six"\n', r"pyproject\.toml:2: .*list of strings"),
        ("[project\n", r"pyproject\.toml:1: is not TOML"),
    ],
)
def test_a_project_that_cannot_be_read_is_told_with_its_line(text: str, why: str) -> None:
    with pytest.raises(InvalidManifest, match=why):
        parse_pyproject(text)


@given(text=st.text("six=<>[]().-@:/\\#; \n\t'\"~ré", max_size=60))
def test_no_line_that_is_taken_is_an_option_or_an_address(text: str) -> None:
    try:
        lines = parse_requirements(text).lines
    except CallerError:
        return
    for line in lines:
        assert line[0].isalnum()
        assert "://" not in line
        assert "@" not in line
        assert "\n" not in line
