"""The process: its flags, its lock on the data folder, its exit status.

    flags, config -> open files -> lock on DIR, listener -> `separated`: no rights -> `serve`

Two platforms on one data folder would each believe their own memory, so the second is refused.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import uvloop

from mayfly import config as configuration
from mayfly.api.listener import bind
from mayfly.daemon.separation import separated
from mayfly.daemon.serve import serve
from mayfly.model.errors import Conflict, MayflyError, StorageFailed
from mayfly.telemetry import open_event_log

_EXIT_REFUSED = 1
# The database's thread gives up the interpreter at each statement, and gets it back from a busy
# event loop after so long: at Python's 5 ms, a commit would take as long as its statements count.
_SWITCH_S = 0.0001
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def main(arguments: list[str] | None = None) -> int:
    """Run the platform until it is told to stop; the process's exit status."""
    flags = _parse(sys.argv[1:] if arguments is None else arguments)
    os.umask(0o022)
    _raise_open_files()
    sys.setswitchinterval(_SWITCH_S)
    open_event_log(sys.stderr)
    try:
        settings = configuration.load(flags)
        with _locked(settings.data):
            listener = bind(*settings.address)
            with separated(settings) as standing:
                uvloop.run(serve(standing, listener))
    except MayflyError as error:
        return _refuse(error)
    except BaseExceptionGroup as group:
        ours, others = group.split(MayflyError)
        if others is not None or ours is None:
            raise
        return _refuse(*_leaves(ours))
    return 0


def _refuse(*errors: BaseException) -> int:
    for error in errors:
        sys.stderr.write(f"mayfly: {error}\n")
    return _EXIT_REFUSED


def _parse(arguments: list[str]) -> dict[str, str]:
    parser = argparse.ArgumentParser(
        prog="mayfly.daemon", description="The platform, until it is told to stop."
    )
    parser.add_argument("--data", help="the data folder")
    parser.add_argument("--listen", help="HOST:PORT; port 0 takes a free one")
    return {key: value for key, value in vars(parser.parse_args(arguments)).items() if value}


def _leaves(group: BaseExceptionGroup[MayflyError]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _raise_open_files() -> None:
    """Two descriptors a parked isolate: take as many as the machine lets us."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Hold the data folder: two platforms on one would each believe their own memory."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(data / "lock", _LOCK_FLAGS, 0o600)
    except OSError as error:
        raise StorageFailed(
            site="DATA:OPEN",
            errno=error.errno or 0,
            detail=f"the data folder {data} cannot be used; give one that can with --data",
        ) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Conflict(
            f"another platform runs on the data folder {data}; stop it with `mayfly down`,"
            " or give another folder with --data"
        ) from None
    try:
        yield
    finally:
        os.close(fd)
