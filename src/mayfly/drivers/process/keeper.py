"""The keeper, first process of a snapshot's pid namespace: completes, ends and buries isolates.

It never runs a line of the tenant's code. It alone holds capabilities in the sandbox's user
namespace, and uses them to do from outside what an isolate must not be able to do itself: mount
its /tmp and /proc, and move it into its cgroup (on v1 it moves itself: `cgroups` says why).

    daemon --B n, K id, C--> keeper --(channel, log, cgroup)--> snapshot
    daemon <--P id + channel, log fds | D id status | H id refused | F errno | X status-- keeper

When the daemon's end closes, by death or by wish, the keeper exits; it is the init of the pid
namespace, so the kernel then kills everything in it.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import resource
import select
import signal
import socket
import struct
import sys

from mayfly.drivers.process import cgroups, mounts, syscalls
from mayfly.drivers.process.cgroups import Leaf
from mayfly.drivers.process.plan import ISOLATE_UID, Plan
from mayfly.drivers.process.snapshot import BORN

# kind, isolate id, number (status, errno or flags)
MESSAGE = struct.Struct("<cIi")
BIRTH, KILL, LOOK = b"B", b"K", b"C"
READY, PARKED, DIED, FAILED, SNAPSHOT_DIED = b"R", b"P", b"D", b"F", b"X"
HELD = b"H"
DOORS = b"L"
STATUS_OOM = 1 << 16
_OUTSTANDING_MAX = 16
# An honest program tries again a few times; a fork bomb is past this in a millisecond.
_REFUSED_FORKS_MAX = 32
# As long as there are not so many processes beside one for each isolate, none is at its bound.
_CROWD = 16
_CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGTRAP, signal.SIGILL})
_SO_PASSRIGHTS = 83
_GO = struct.pack("<HBBI", 0x464D, 3, 0, 0)


class _Unborn:
    """What waits for an isolate that the snapshot was asked for."""

    def __init__(
        self, isolate_id: int, *, channel: socket.socket, log: int, leaf: Leaf | None
    ) -> None:
        self.isolate_id = isolate_id
        self.channel = channel
        self.log = log
        self.leaf = leaf


class Keeper:
    """The loop. One thread; every wait is in `select`."""

    def __init__(
        self,
        plan: Plan,
        *,
        control: socket.socket,
        snapshot: socket.socket,
        snapshot_pid: int,
        cgroup_fds: list[int],
    ) -> None:
        self._plan = plan
        self._control = control
        self._snapshot = snapshot
        # A snapshot that does not read would make the keeper deaf: that ends it instead.
        self._snapshot.setblocking(False)
        self._no_rights = _refuse_rights(self._snapshot)
        self._snapshot_pid = snapshot_pid
        self._cgroup_fds = cgroup_fds
        self._wanted: collections.deque[int] = collections.deque()
        self._unborn: collections.deque[_Unborn] = collections.deque()
        self._pids: dict[int, int] = {}
        self._ids: dict[int, int] = {}
        self._leaves: dict[int, Leaf] = {}
        self._held: set[int] = set()
        self._free_leaves: list[Leaf] = []
        self._leaf_count = 0
        self._my_mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._my_mounts_number = os.fstat(self._my_mounts).st_ino
        self._new_proc = True

    def run(self) -> None:
        """Serve until the daemon closes the control socket or the snapshot dies."""
        wake_read, wake_write = socket.socketpair()
        for end in (wake_read, wake_write):
            end.setblocking(False)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        poll = select.epoll()
        poll.register(self._control, select.EPOLLIN)
        poll.register(self._snapshot, select.EPOLLIN)
        poll.register(wake_read, select.EPOLLIN)
        self._bury()
        while True:
            for fd, _events in poll.poll():
                if fd == self._control.fileno():
                    self._obey()
                elif fd == self._snapshot.fileno():
                    self._deliver()
                else:
                    wake_read.recv(4096)
                    self._bury()

    def _obey(self) -> None:
        data = self._control.recv(MESSAGE.size)
        if len(data) < MESSAGE.size:
            os._exit(0)
        kind, isolate_id, _number = MESSAGE.unpack(data)
        if kind == BIRTH:
            self._wanted.append(isolate_id)
            self._conceive()
        elif kind == KILL and isolate_id in self._pids:
            self._kill(self._pids[isolate_id])
        elif kind == LOOK:
            self._look_for_bombs()

    def _look_for_bombs(self) -> None:
        """Stop whoever is refused one fork after another, until the deadline ends it.

        A fork that the cgroup's bound refuses has copied the memory map before, and has held for
        each library locks that every fork of the node needs (i_mmap_rwsem, anon_vma). Hundreds of
        processes that do nothing else, on a small part of a processor, keep them for seconds.
        """
        crowd = cgroups.count_of_processes(self._plan, self._cgroup_fds)
        if crowd < len(self._leaves) + _CROWD:
            return
        for pid, leaf in self._leaves.items():
            if leaf.refused_forks() <= _REFUSED_FORKS_MAX:
                continue
            for one in leaf.processes():
                with contextlib.suppress(OSError):
                    os.kill(one, signal.SIGSTOP)
            if pid not in self._held and pid in self._ids:
                self._held.add(pid)
                self._tell(HELD, self._ids[pid], leaf.refused_forks())

    def _conceive(self) -> None:
        while self._wanted and len(self._unborn) < _OUTSTANDING_MAX:
            isolate_id = self._wanted.popleft()
            try:
                leaf = self._free_leaf()
            except OSError as error:
                self._tell(FAILED, isolate_id, error.errno or 0)
                continue
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            if self._no_rights:
                _refuse_rights(ours)
            log_read, log_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            os.set_blocking(log_write, True)
            moving_fds = leaf.moving_fds if leaf else []
            socket.send_fds(self._snapshot, [b"\0"], [theirs.fileno(), log_write, *moving_fds])
            theirs.close()
            os.close(log_write)
            self._unborn.append(_Unborn(isolate_id, channel=ours, log=log_read, leaf=leaf))

    def _deliver(self) -> None:
        data = self._snapshot.recv(BORN.size)
        if len(data) < BORN.size:
            self._end(self._status_of_snapshot())
        (pid,) = BORN.unpack(data)
        if not self._unborn:
            self._end(0)  # The snapshot speaks unasked: it is not ours any more.
        newborn = self._unborn.popleft()
        try:
            self._complete(newborn, pid)
        except OSError as error:
            self._tell(FAILED, newborn.isolate_id, error.errno or 0)
        finally:
            newborn.channel.close()
            os.close(newborn.log)
        self._conceive()

    def _status_of_snapshot(self) -> int:
        # Its sockets close before it can be waited for; one that lives on without is of no use.
        # A process that exits already keeps its own status.
        self._kill(self._snapshot_pid)
        _pid, status = os.waitpid(self._snapshot_pid, 0)
        return status

    def _complete(self, newborn: _Unborn, pid: int) -> None:
        isolate_id, leaf = newborn.isolate_id, newborn.leaf
        if pid <= 0:
            if leaf is not None:
                self._free_leaves.append(leaf)
            self._tell(FAILED, isolate_id, -pid)
            return
        if not self._is_newborn(pid):
            self._end(0)  # The snapshot lies: it is not ours any more.
        self._pids[isolate_id] = pid
        self._ids[pid] = isolate_id
        try:
            if leaf is not None:
                self._leaves[pid] = leaf
                leaf.take_in(pid)
            if self._plan.own_user:
                self._own_user(pid)
            self._furnish(pid)
            newborn.channel.sendall(_GO)
        except OSError:
            self._kill(pid)
            raise
        message = MESSAGE.pack(PARKED, isolate_id, pid)
        socket.send_fds(self._control, [message], [newborn.channel.fileno(), newborn.log])

    def _is_newborn(self, pid: int) -> bool:
        """Whether it is a child of ours that was not named before; a snapshot may say anything."""
        if pid == self._snapshot_pid or pid in self._ids:
            return False
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _own_user(self, pid: int) -> None:
        """Map the isolate's user, and bound its processes: counted in its namespace alone."""
        line = f"{ISOLATE_UID} {ISOLATE_UID} 1"
        cgroups.write(f"/proc/{pid}/uid_map", line)
        cgroups.write(f"/proc/{pid}/gid_map", line)
        bound = self._plan.pids_max
        resource.prlimit(pid, resource.RLIMIT_NPROC, (bound, bound))

    def _free_leaf(self) -> Leaf | None:
        if not self._cgroup_fds:
            return None
        if self._free_leaves:
            return self._free_leaves.pop()
        self._leaf_count += 1
        return Leaf(self._plan, self._cgroup_fds, str(self._leaf_count - 1))

    def _furnish(self, pid: int) -> None:
        """Mount /proc and /tmp in the isolate's own mount namespace."""
        pids = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(namespace).st_ino == self._my_mounts_number:
                raise OSError(errno.EPERM, "an isolate without a mount namespace of its own")
            syscalls.setns(namespace, syscalls.CLONE_NEWNS)
            try:
                mounts.mount_tmp(self._plan, "/tmp")
                self._mount_proc(pids)
            finally:
                syscalls.setns(self._my_mounts, syscalls.CLONE_NEWNS)
        finally:
            os.close(namespace)
            os.close(pids)

    def _mount_proc(self, pids: int) -> None:
        if self._new_proc:
            try:
                fd = mounts.proc_of(pids)
            except OSError:
                self._new_proc = False
            else:
                syscalls.move_mount(fd, "/proc")
                os.close(fd)
                return
        # Older kernels give a /proc to a process of its namespace only.
        helper = os.fork()
        if helper == 0:
            _mount_from_inside(pids)
        if wait_for_helper(helper) != 0:
            raise OSError(errno.EPERM, "mount /proc")

    def _kill(self, pid: int) -> None:
        # Not reaped yet, so the number is still its own; all of its pid namespace dies with it.
        os.kill(pid, signal.SIGKILL)

    def _bury(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._snapshot_pid:
                self._end(status)
            if self._ran_out_of_memory(status, usage.ru_maxrss):
                status |= STATUS_OOM
            self._held.discard(pid)
            leaf = self._leaves.pop(pid, None)
            if leaf is not None:
                if os.WIFSIGNALED(status) and leaf.had_oom():
                    status |= STATUS_OOM
                leaf.settle()
                self._free_leaves.append(leaf)
            isolate_id = self._ids.pop(pid, None)
            if isolate_id is not None:
                self._pids.pop(isolate_id, None)
                self._tell(DIED, isolate_id, status)

    def _ran_out_of_memory(self, status: int, peak_kib: int) -> bool:
        """Without a memory cgroup nobody counts OOM kills.

        A program that is refused memory by RLIMIT_DATA and cannot go on aborts or follows the null
        pointer; if it held nearly all that it may, that was why.
        """
        if self._plan.cgroup.version or not os.WIFSIGNALED(status):
            return False
        return (
            os.WTERMSIG(status) in _CRASHES and peak_kib * 1024 > self._plan.memory_bytes * 7 // 8
        )

    def _tell(self, kind: bytes, isolate_id: int, number: int) -> None:
        try:
            self._control.send(MESSAGE.pack(kind, isolate_id, number))
        except OSError:
            os._exit(0)

    def _end(self, status: int) -> None:
        self._tell(SNAPSHOT_DIED, 0, status)
        sys.stdout.flush()
        os._exit(0)


def _refuse_rights(sock: socket.socket) -> bool:
    """Let nobody send descriptors to it, to be let go of by us or by the daemon (Linux 6.16)."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)
    except OSError:
        return False
    return True


def wait_for_helper(pid: int) -> int:
    """The wait status of a child that works inside an isolate's pid namespace, 0 when it did well.

    Whoever lives there may stop it: it is killed then, and not waited for in vain.
    """
    _pid, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        os.kill(pid, signal.SIGKILL)
        _pid, status = os.waitpid(pid, 0)
    return status


def _mount_from_inside(pids: int) -> None:
    """In a helper, as there is no way back; its child is then a process of the isolate's.

    Root has made the keeper's own pid namespace, and who returns to one must own it.
    """
    status = 1
    try:
        syscalls.setns(pids, syscalls.CLONE_NEWPID)
        child = os.fork()
        if child == 0:
            mounts.mount_proc("/proc", read_only=True)
            os._exit(0)
        status = wait_for_helper(child)
    finally:
        os._exit(1 if status else 0)
