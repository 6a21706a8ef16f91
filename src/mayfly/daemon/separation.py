"""What parses HTTP holds no privilege: how a daemon that root started becomes an ordinary user.

    root     listener, open files -> data folder given away -> warden started
    user     no group, capability or way back; everything from there on

Where that user could not read mayfly's own code or reach the data folder, nothing is separated: the
daemon stays root, and says why. Nothing of the data folder is trusted: it may be left over from a
daemon that was taken over, so no link in it is followed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import pwd
import sys
import termios
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mayfly import config as configuration
from mayfly.config import Config
from mayfly.daemon import handover
from mayfly.drivers.process import syscalls
from mayfly.drivers.process.privilege import Privilege
from mayfly.drivers.process.warden_client import Terms, WardenClient
from mayfly.model.errors import InvalidParameter, SnapshotFailed
from mayfly.telemetry import LogEvent, event_log

ACCOUNT = "mayfly"
TREES = "runtimes"
# After the ids of sandboxes; without an account, each data folder has its own.
_UID_FIRST, _UID_COUNT = 0x7010_0000, 0x0001_0000
_TAG_LENGTH = 12
_GUEST = Path(__file__).parents[1] / "guest" / "bootstrap.py"


@dataclass(frozen=True, slots=True)
class User:
    """Whom the daemon becomes."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True, slots=True)
class Standing:
    """With which rights the platform runs.

    Args:
        settings: The configuration; the place of the secrets' key may be another.
        privilege: The warden, or None: this process does everything itself.
        user: A name for people.
        root_because: Why root serves HTTP; "" when it does not.
    """

    settings: Config
    privilege: Privilege | None
    user: str
    root_because: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What separating would come to.

    Args:
        why_not: "" when it can be done.
        runtimes: What the service user can run.
        reaches_key: Whether the service user can get at the secrets' key where it is now.
    """

    why_not: str
    runtimes: dict[str, str]
    reaches_key: bool


def tag_of(data: Path) -> str:
    """What tells a data folder's cgroups from another's."""
    return hashlib.sha256(str(data).encode()).hexdigest()[:_TAG_LENGTH]


def find_user(settings: Config) -> User | None:
    """Whom the configuration names, None for root.

    Raises:
        InvalidParameter: There is no such account.
    """
    wanted = settings.user
    try:
        numbered = wanted.isdecimal()
        found = pwd.getpwuid(int(wanted)) if numbered else pwd.getpwnam(wanted or ACCOUNT)
    except (KeyError, OverflowError):
        if wanted and not (wanted.isdecimal() and int(wanted) < 1 << 31):
            raise InvalidParameter(
                f'user = "{wanted}" is no account of this machine; make it with `useradd --system '
                f"{wanted}`, or leave it out"
            ) from None
        uid = _UID_FIRST + zlib.crc32(str(settings.data).encode()) % _UID_COUNT
        uid = int(wanted or uid)
        return User(uid, uid, str(uid))
    return User(found.pw_uid, found.pw_gid, found.pw_name) if found.pw_uid else None


def judge(settings: Config, user: User) -> Verdict:
    """Try in a child, as that user, whether a daemon could live."""
    read, write = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(user.gid, user.gid, user.gid)
            os.setresuid(user.uid, user.uid, user.uid)
            with os.fdopen(write, "w") as out:
                json.dump(_look_around(settings, user), out)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        said = answer.read()
    os.waitpid(pid, 0)
    if not said:
        return Verdict(f"this process may not become the user {user.name}", {}, reaches_key=False)
    return Verdict(**json.loads(said))


def _look_around(settings: Config, user: User) -> dict[str, object]:
    modules = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    ours = [Path(sys.executable).resolve(), _GUEST, *(Path(one) for one in modules if one)]
    closed = [one for one in ours if not os.access(one, os.R_OK)]
    runtimes = {name: str(one.executable) for name, one in configuration.find_runtimes().items()}
    why = ""
    if closed:
        why = (
            f"the user {user.name} cannot read {closed[0]} ({_barrier(closed[0])} is closed to it):"
            " install mayfly where every user may read it, below /opt for example"
        )
    elif not os.access(_barrier(settings.data), os.X_OK):
        why = (
            f"the user {user.name} cannot reach the data folder {settings.data} "
            f"({_barrier(settings.data)} is closed to it): use --data /var/lib/mayfly"
        )
    elif not runtimes:
        why = f"the user {user.name} can run no Python of this machine: apt-get install python3"
    elif (owner := handover.owner_of(settings.data)) not in (0, user.uid) and owner < _UID_FIRST:
        why = (
            f"the data folder {settings.data} belongs to another user, {owner}: say "
            f'user = "{owner}", or `chown root {settings.data}`'
        )
    key = settings.secrets_key
    reaches = os.access(key, os.R_OK) or os.access(_nearest(key.parent), os.X_OK)
    return {"why_not": why, "runtimes": runtimes, "reaches_key": reaches and not _hidden(key)}


def _hidden(path: Path) -> bool:
    return not os.access(_nearest(path.parent), os.X_OK)


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that is seen to exist."""
    while folder != folder.parent and not os.access(folder, os.F_OK):
        folder = folder.parent
    return folder


def _barrier(path: Path) -> Path:
    """The first folder on the way to `path` that cannot be entered, or else its own."""
    for folder in reversed(path.parents):
        if not os.access(folder, os.X_OK):
            return folder
    return path.parent


@contextlib.contextmanager
def separated(settings: Config) -> Iterator[Standing]:
    """Give this process's rights up, for good, where it has any; a warden keeps a few.

    Raises:
        MayflyError: The data folder cannot be given away, or the user is none.
    """
    if os.geteuid() != 0:
        yield Standing(settings, None, _own_name())
        return
    user = find_user(settings)
    if user is None:
        yield Standing(settings, None, "root", 'the configuration says user = "root"')
        return
    verdict = judge(settings, user)
    if verdict.why_not:
        why = f'{verdict.why_not}; or write user = "root" to have it so'
        event_log(LogEvent.DAEMON_IS_ROOT, level=logging.WARNING, why=why)
        yield Standing(settings, None, "root", verdict.why_not)
        return
    settings, warden = _part(settings, user, verdict)
    try:
        _become(user)
        configuration.move_home(settings.data)
        yield Standing(settings, warden, user.name)
    finally:
        warden.close()


def _part(settings: Config, user: User, verdict: Verdict) -> tuple[Config, WardenClient]:
    """As root, for the last time: what the user needs is the user's, and the warden stands."""
    data = settings.data
    key = handover.place_key(settings.secrets_key, user.uid, user.gid, reached=verdict.reaches_key)
    with handover.folder(data) as data_fd:
        handover.give(data_fd, data, user.uid, user.gid, spared=(TREES, "config.toml"))
        with handover.trees(data_fd, TREES) as trees_fd:
            terms = Terms(
                data=data,
                trees=data / TREES,
                service_uid=user.uid,
                tag=tag_of(data),
                runtimes={name: Path(one) for name, one in verdict.runtimes.items()},
            )
            return replace(settings, secrets_key=key), WardenClient(terms, data_fd, trees_fd)


def _become(user: User) -> None:
    """Give up every right, in an order in which each can still be given up."""
    os.setgroups([])
    syscalls.drop_bounding_set(frozenset())
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    syscalls.keep_capabilities()
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    # Its memory holds keys: no other process of this user, an installer for instance, may read it.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    _leave_terminal()
    if os.getresuid() != (user.uid,) * 3 or os.getgroups():
        raise SnapshotFailed(f"this process did not become the user {user.name}")


def _leave_terminal() -> None:
    """Whoever is on root's terminal may type there (ioctl_tty(2), TIOCSTI); Ctrl-C comes still."""
    if os.getsid(0) == os.getpid():
        return
    with contextlib.suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(terminal, termios.TIOCNOTTY)
        finally:
            os.close(terminal)


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def main() -> None:
    """For `mayfly doctor`: say as JSON whether it would be separated here, and why not."""
    settings = configuration.load({})
    user = find_user(settings) if os.geteuid() == 0 else None
    why, name = "", _own_name()
    if user is not None:
        verdict = judge(settings, user)
        why, name = verdict.why_not, "root" if verdict.why_not else user.name
    elif os.geteuid() == 0:
        why = 'the configuration says user = "root"'
    sys.stdout.write(json.dumps({"user": name, "root_because": why}) + "\n")


if __name__ == "__main__":
    main()
