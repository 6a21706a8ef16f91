"""`mayfly up`: starts the daemon as a program, in the foreground or detached.

In the foreground this process becomes the daemon, so that a supervisor and Ctrl-C reach it
without anything between; a child that outlives nothing waits until it answers and then says how
to use it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click

from mayfly.cli import clock, running
from mayfly.cli.failure import FAILED, Failed
from mayfly.cli.options import DATA_DEFAULT, data_option
from mayfly.cli.progress import Progress

_START_TIMEOUT_S = 30.0
_POLL_S = 0.02
_LOG_LINES = 12
LOG_NAME = "daemon.log"
# The folder may be the service user's, and this be root: no link is followed out of it.
_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
DAEMON = (sys.executable, "-m", "mayfly.daemon")


@click.command()
@click.option("-d", "--detach", is_flag=True, help="Return when it answers; it goes on running.")
@click.option("--listen", metavar="HOST:PORT", help="Where to listen.  [default: 127.0.0.1:9000]")
@data_option
def command(data: Path, listen: str | None, *, detach: bool) -> None:
    """Start the platform.

    Everything that it keeps lies in the data folder; two platforms cannot share one. Without -d
    it runs until Ctrl-C.
    """
    _require_address(listen)
    there = running.find(data)
    if there is not None and there.answers():
        if not detach:
            raise Failed(
                f"a platform runs on {data} already, at {there.endpoint}; use it, or stop it with "
                f"{_with_data('mayfly down', data)}"
            )
        print(f"running already, process {there.pid}")
        print(usage(there))
        return
    _make_folder(data)
    arguments = [*DAEMON, "--data", str(data)]
    arguments += ["--listen", listen] if listen else []
    if detach:
        print(usage(_start_detached(arguments, data)))
    else:
        _become(arguments, data)


def usage(platform: running.Platform) -> str:
    """The endpoint, and what to type next."""
    deploy = _with_data("mayfly deploy DIR", platform.data)
    env = _with_data("mayfly env", platform.data)
    return (
        f"Mayfly is up at {platform.endpoint}, its data in {platform.data}\n"
        f"{_certificate(platform)}{_rights(platform)}"
        f'  for boto3, the AWS CLI and others:  eval "$({env})"\n'
        f"  put a function into service:        {deploy}\n"
        f"  stop:                               {_with_data('mayfly down', platform.data)}"
    )


def _certificate(platform: running.Platform) -> str:
    if platform.certificate is None:
        return ""
    told = f"  certificate, SHA-256:               {platform.fingerprint}\n"
    if platform.self_signed:
        told += f"  made here; clients are to trust:    {platform.certificate}\n"
    return told


def _rights(platform: running.Platform) -> str:
    """For root alone: whether what serves HTTP is root as well."""
    if os.geteuid() != 0 or not platform.user:
        return ""
    if platform.root_because:
        return f"  all of it runs as root:             {platform.root_because}\n"
    return f"  it gave root's rights up, and is:   {platform.user}\n"


def _with_data(typed: str, data: Path) -> str:
    standard = Path(DATA_DEFAULT).expanduser()
    return typed if data == standard else f"{typed} --data {data}"


def _require_address(listen: str | None) -> None:
    if listen is None:
        return
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise click.BadParameter(f'"{listen}" is no HOST:PORT, such as 127.0.0.1:9000')


def _make_folder(data: Path) -> None:
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Failed(
            f"the data folder {data} cannot be made ({error.strerror}); name another with --data"
        ) from error


def _start_detached(arguments: list[str], data: Path) -> running.Platform:
    log = data / LOG_NAME
    try:
        descriptor = os.open(log, _LOG_FLAGS, 0o600)
    except OSError as error:
        raise Failed(
            f"{log} cannot be written ({error.strerror}); name another data folder with --data"
        ) from error
    begin = os.fstat(descriptor).st_size
    try:
        daemon = subprocess.Popen(  # noqa: S603  our own interpreter and module
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    try:
        with Progress("starting"):
            return _await_start(daemon, data, log, begin)
    except BaseException:
        # Given up or interrupted: what was started must not stay behind half up.
        daemon.terminate()
        raise


def _await_start(
    daemon: subprocess.Popen[bytes], data: Path, log: Path, begin: int
) -> running.Platform:
    deadline_s = clock.monotonic_s() + _START_TIMEOUT_S
    while clock.monotonic_s() < deadline_s:
        code = daemon.poll()
        if code is not None:
            raise Failed(
                f"the platform did not start (exit code {code}); its log is {log}",
                detail=_tail(log, begin),
            )
        platform = _ready(data, daemon.pid)
        if platform is not None:
            return platform
        clock.sleep(_POLL_S)
    raise Failed(
        f"the platform did not answer within {_START_TIMEOUT_S:.0f} s and was stopped; its log is "
        f"{log}",
        detail=_tail(log, begin),
    )


def _ready(data: Path, pid: int) -> running.Platform | None:
    with suppress(Failed):  # half-written files: not yet
        platform = running.find(data)
        if platform is not None and platform.pid == pid and platform.answers():
            return platform
    return None


def _tail(log: Path, begin: int) -> str:
    with suppress(OSError), log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_LINES:])
    return ""


def _become(arguments: list[str], data: Path) -> None:
    daemon_pid = os.getpid()
    helper = os.fork()
    if helper == 0:
        # A second fork, so that the daemon has no child of ours to reap.
        if os.fork() == 0:
            _announce(data, daemon_pid)
        os._exit(0)
    os.waitpid(helper, 0)
    try:
        os.execv(arguments[0], arguments)  # noqa: S606  our own interpreter and module
    except OSError as error:
        raise Failed(f"{arguments[0]} cannot be run: {error.strerror}") from error


def _announce(data: Path, daemon_pid: int) -> None:
    """Say how to use the platform as soon as it answers; never returns."""
    try:
        deadline_s = clock.monotonic_s() + _START_TIMEOUT_S
        daemon = running.Platform(data, "", daemon_pid)
        while clock.monotonic_s() < deadline_s and daemon.alive():
            platform = _ready(data, daemon_pid)
            if platform is not None:
                print(usage(platform), flush=True)
                break
            clock.sleep(_POLL_S)
    except (KeyboardInterrupt, OSError):
        os._exit(FAILED)
    os._exit(0)
