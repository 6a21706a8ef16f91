"""The suite's own folder, what it must not leave behind, and the platforms that tests speak to.

One process, the controller, looks at the machine before the first test and after the last one;
xdist's workers only run tests. Whatever the suite leaves behind is an error of the suite.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import leaks, unprivileged
from tests.support.functions import Functions
from tests.support.needs import need
from tests.support.platform import Platform, run_platform

hypothesis.settings.register_profile("default-mayfly", deadline=None)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=1_000)
hypothesis.settings.load_profile(
    "thorough" if os.environ.get("MAYFLY_TEST_PROFILE") == "thorough" else "default-mayfly"
)

_FOLDER = "mf-suite-"
_BEFORE = pytest.StashKey[leaks.Census]()
_LEFT = pytest.StashKey[list[str]]()


def _is_controller(config: pytest.Config) -> bool:
    return not hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Before anything else: the suite's folder, which marks all that the suite starts."""
    if not _is_controller(config):
        return
    _forget_earlier_suites()
    config.stash[_BEFORE] = leaks.take_census()
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir="/tmp"))
    # Ordinary users among the tests pass through it to their own folders.
    folder.chmod(0o711)
    os.environ["MAYFLY_SUITE"] = os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = str(folder)


def _forget_earlier_suites() -> None:
    """A suite that failed leaves its folder to be looked at, until the next one starts."""
    for folder in Path("/tmp").glob(f"{_FOLDER}*"):
        pid = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """After the last test and the last worker: is anything left?"""
    result = yield
    config = session.config
    if _is_controller(config) and _BEFORE in config.stash:
        found = leaks.left_behind(config.stash[_BEFORE], mark=os.environ["MAYFLY_SUITE"])
        config.stash[_LEFT] = found
        if found and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            shutil.rmtree(os.environ["MAYFLY_SUITE"], ignore_errors=True)
    return result


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name what was left behind."""
    found = config.stash.get(_LEFT, [])
    if found:
        terminalreporter.section("left behind by the suite", red=True)
        for one in found:
            terminalreporter.line(one, red=True)


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """A real platform, run as the user who runs the suite; one for each worker."""
    with run_platform() as running:
        yield running


@pytest.fixture(scope="session")
def unprivileged_platform() -> Iterator[Platform]:
    """The same, run as an ordinary user."""
    need(unprivileged.user_namespaces(), "user namespaces for ordinary users")
    with run_platform(ordinary_user=True) as running:
        yield running


@pytest.fixture(scope="session", params=["platform", "unprivileged_platform"])
def either_platform(request: pytest.FixtureRequest) -> Platform:
    """Each of the two in turn: a promise that must hold for root and for an ordinary user."""
    running = request.getfixturevalue(request.param)
    assert isinstance(running, Platform)
    return running


@pytest.fixture
def functions(platform: Platform) -> Iterator[Functions]:
    """Makes functions on `platform` and removes them after the test."""
    with Functions(platform) as made:
        yield made


@pytest.fixture
def either_functions(either_platform: Platform) -> Iterator[Functions]:
    """Makes functions on each platform in turn and removes them after the test."""
    with Functions(either_platform) as made:
        yield made
