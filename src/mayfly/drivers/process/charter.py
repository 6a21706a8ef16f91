"""What a privileged launcher may be asked for: every field of a plan, held against its charter.

The daemon writes plans and may have been taken over. The charter comes from root, before the
daemon gives its rights up:

    warden --charter, data folder--> launcher <--plans-- daemon

What a sandbox is to see of the machine lies below the data folder and is opened without following
a link; the runtime's tree lies in a folder that only root writes. A plan that asks for more is
refused whole, as the step "request". Nothing here loads a module that the launcher has not.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import stat

from mayfly.drivers.process import syscalls
from mayfly.drivers.process.plan import HOST_UID_COUNT, HOST_UID_FIRST, Plan, StepFailed

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_TREE_NAME = _LOWER | {".", "-"}
_HOST_NAME = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ._*-")
_ID_LENGTH_MAX, _NAME_LENGTH_MAX = 64, 253
_TARGETS = ("/var/task", "/var/deps")
_NUMBERS = (
    *("tmp_bytes", "memory_bytes", "pids_max", "cpu_shares"),
    *("overhead_bytes", "open_files_max", "processes_max"),
)
_NUMBER_MAX = 1 << 53
_DOORS_MAX = 256
# The argument that tells a launcher that its charter comes first.
CHARTERED = "chartered"
FD_PREFIX = "/proc/self/fd/"


class Charter:
    """The bounds of one launcher.

    Args:
        data: The data folder; what sandboxes see of the machine lies below it.
        runtimes: Where trees of runtimes lie, made by root.
        service_uid: Who the daemon is; may raise a snapshot's memory bound, and nothing else.
        cgroup_version: As in `CgroupPlan`.
        cgroup_bases: Controller to the folder below which a snapshot's lies.
        abi: Landlock's.
        filters: The seccomp programs that there are, in hex.
    """

    def __init__(
        self,
        *,
        data: str,
        runtimes: str,
        service_uid: int,
        cgroup_version: int,
        cgroup_bases: dict[str, str],
        abi: int,
        filters: list[str],
    ) -> None:
        self.data = data
        self.runtimes = runtimes
        self.service_uid = service_uid
        self.cgroup_version = cgroup_version
        self.cgroup_bases = cgroup_bases
        self.abi = abi
        self.filters = filters

    def encode(self) -> bytes:
        """As JSON."""
        return json.dumps(vars(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Charter:
        """From `encode`'s bytes."""
        return cls(**json.loads(data))


def admit(plan: Plan, charter: Charter) -> None:
    """Hold `plan`, which the daemon sent, against `charter`.

    Raises:
        StepFailed: Named "request": it asks for something else.
    """
    try:
        allowed = _is_within(plan, charter)
    except (TypeError, ValueError, AttributeError, KeyError, OSError) as error:
        raise StepFailed("request", errno.EINVAL) from error
    if not allowed:
        raise StepFailed("request", errno.EPERM)


def find_folders(plan: Plan, charter: Charter) -> None:
    """In the keeper, whose current folder is the data folder: open what the plan names there.

    Its paths are then those that were looked at: a bind's source is a descriptor, which `mounts`
    closes, and the tree is a name in what is now the current folder.

    Raises:
        StepFailed: Named "request": a folder is not there, or not one of ours.
    """
    here = charter.data + "/"
    try:
        for bind in plan.binds:
            bind[0] = f"{FD_PREFIX}{_open(bind[0], here)}"
        trees = _open(charter.runtimes, here)
        os.fchdir(trees)
        os.close(trees)
        plan.root = os.path.basename(plan.root)
        _require_root_made(".", plan.root)
    except OSError as error:
        raise StepFailed("request", error.errno or errno.EPERM) from error


def _open(path: str, here: str) -> int:
    if not path.startswith(here):
        raise OSError(errno.EPERM, path)
    return syscalls.open_beneath(syscalls.AT_FDCWD, path.removeprefix(here))


def let_raise(plan: Plan, uid: int) -> None:
    """Let the daemon's user raise the memory bound of a snapshot, as `cgroups.Room` does."""
    for folder in plan.cgroup.folders.values():
        for name in ("memory.memsw.limit_in_bytes", "memory.limit_in_bytes", "memory.max"):
            with contextlib.suppress(FileNotFoundError):
                os.chown(f"{folder}/self/{name}", uid, -1)


def is_snapshots(folder: object, charter: Charter) -> bool:
    """Whether it is, or could be, the cgroup of a snapshot: one name below a base."""
    if not isinstance(folder, str):
        return False
    base, _, name = folder.rpartition("/")
    known = base in charter.cgroup_bases.values()
    return known and 0 < len(name) <= _ID_LENGTH_MAX and set(name) <= _LOWER


def _require_root_made(*folders: str) -> None:
    for folder in folders:
        status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid or status.st_mode & 0o022:
            raise OSError(errno.EPERM, folder)


def _is_within(plan: Plan, charter: Charter) -> bool:
    parent, _, tree = plan.root.rpartition("/")
    numbers = [getattr(plan, name) for name in _NUMBERS]
    targets = [target for _source, target in plan.binds]
    bases = charter.cgroup_bases.items()
    return (
        plan.rootless is False
        and type(plan.host_uid) is int
        and 0 <= plan.host_uid - HOST_UID_FIRST < HOST_UID_COUNT
        and 0 < len(plan.snapshot_id) <= _ID_LENGTH_MAX
        and set(plan.snapshot_id) <= _LOWER
        and parent == charter.runtimes
        and set(tree) <= _TREE_NAME
        and not tree.startswith(".")
        and tree != ""
        and all(type(one) is int and 0 < one < _NUMBER_MAX for one in numbers)
        and targets == list(_TARGETS[: len(targets)])
        and all(type(source) is str for source, _target in plan.binds)
        and plan.abi == charter.abi
        and plan.filter_hex in charter.filters
        and plan.cgroup.version == charter.cgroup_version
        and plan.cgroup.folders == {key: f"{base}/{plan.snapshot_id}" for key, base in bases}
        and type(getattr(plan, "trace", False)) is bool
        and len(plan.doors) <= _DOORS_MAX
        and all(_is_door(*one) for one in plan.doors)
    )


def _is_door(name: str, address: str, port: int) -> bool:
    socket.inet_pton(socket.AF_INET, address)
    fits = len(name) <= _NAME_LENGTH_MAX and set(name) <= _HOST_NAME
    return fits and type(port) is int and 0 < port <= 65_535
