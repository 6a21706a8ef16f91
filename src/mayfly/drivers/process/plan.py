"""What the launcher is asked to build: one typed request, as JSON over its socket.

The launcher reads nothing else and from nobody else. Secrets, code and events never pass through
it: they go from the daemon to the sealed snapshot directly.
"""

from __future__ import annotations

import json

ISOLATE_UID = 1000
# The first id after the ranges that systemd-nspawn and useradd hand out.
HOST_UID_FIRST = 0x7000_0000
HOST_UID_COUNT = 0x0010_0000


class StepFailed(Exception):
    """A named step of the seal was refused by the kernel."""

    def __init__(self, step: str, number: int) -> None:
        super().__init__(step, number)
        self.step = step
        self.errno = number


class CgroupPlan:
    """Where limits are kept.

    Args:
        version: 1, 2, or 0 where there is no cgroup that may be written.
        folders: Controller name to the folder of this snapshot ("" names version 2's one tree).
    """

    def __init__(self, version: int = 0, folders: dict[str, str] | None = None) -> None:
        self.version = version
        self.folders = folders or {}


class Plan:
    """One snapshot's seal. A plain class: dataclasses would load a megabyte into every isolate.

    Args:
        snapshot_id: [a-z0-9]{8,32}.
        rootless: The node runs as an ordinary user; the user namespace comes first.
        host_uid: What the isolate's one uid and gid are outside.
        root: Folder of the runtime's file tree, which becomes `/`, read-only.
        binds: (source outside, target inside) pairs, read-only.
        tmp_bytes: Size of one isolate's /tmp.
        memory_bytes: Memory of one isolate.
        pids_max: Processes and threads of one isolate.
        cpu_shares: Weight of this snapshot and its isolates (cgroup v1's scale, 1024 is one).
        overhead_bytes: Memory that the snapshot and its parked isolates may hold beside
            `memory_bytes`.
        abi: Landlock's ABI version, 0 where there is none.
        filter_hex: The compiled seccomp program.
        doors: (name, address, port) of each listener that isolates may connect to.
        open_files_max: Descriptors of one process.
        processes_max: Of the snapshot and all its isolates together, where no cgroup counts them.
        cgroup: Where limits are kept.
        trace: A tracer tells the daemon of each system call (`tracer`).
    """

    def __init__(  # noqa: PLR0913 - a record; each is named by its caller
        self,
        *,
        snapshot_id: str,
        rootless: bool,
        host_uid: int,
        root: str,
        binds: list[list[str]],
        tmp_bytes: int,
        memory_bytes: int,
        pids_max: int,
        cpu_shares: int,
        overhead_bytes: int,
        abi: int,
        filter_hex: str,
        open_files_max: int,
        processes_max: int,
        cgroup: CgroupPlan,
        doors: list[tuple[str, str, int]] | None = None,
        trace: bool = False,
    ) -> None:
        self.snapshot_id = snapshot_id
        self.rootless = rootless
        self.host_uid = host_uid
        self.root = root
        self.binds = binds
        self.tmp_bytes = tmp_bytes
        self.memory_bytes = memory_bytes
        self.pids_max = pids_max
        self.cpu_shares = cpu_shares
        self.overhead_bytes = overhead_bytes
        self.abi = abi
        self.filter_hex = filter_hex
        self.open_files_max = open_files_max
        self.processes_max = processes_max
        self.cgroup = cgroup
        self.doors = doors or []
        self.trace = trace

    @property
    def own_user(self) -> bool:
        """Whether each isolate gets a user namespace of its own.

        RLIMIT_NPROC counts by user and user namespace (since Linux 5.14): where there is no pids
        cgroup, that is what bounds one isolate's processes and leaves its neighbours theirs.
        """
        return self.cgroup.version == 0

    def encode(self) -> bytes:
        """As JSON."""
        return json.dumps({**vars(self), "cgroup": vars(self.cgroup)}).encode()

    @classmethod
    def decode(cls, data: bytes) -> Plan:
        """From `encode`'s bytes."""
        values = json.loads(data)
        values["cgroup"] = CgroupPlan(**values["cgroup"])
        return cls(**values)
