"""What the kernel is asked for depends on the Landlock version it has."""

from __future__ import annotations

import os
import struct

import pytest

from mayfly.drivers.process import landlock, syscalls

MAKE_CHAR, MAKE_BLOCK, IOCTL_DEV = 1 << 6, 1 << 11, 1 << 15


class Kernel:
    """Takes the calls down."""

    def __init__(self) -> None:
        self.attributes = b""
        self.allowed = 0
        self.restricted = 0

    def create(self, attributes: bytes) -> int:
        self.attributes = attributes
        return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    def allow(self, _ruleset: int, access: int, _path: int) -> None:
        self.allowed = access

    def restrict(self, _ruleset: int) -> None:
        self.restricted += 1


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(syscalls, "landlock_create_ruleset", kernel.create)
    monkeypatch.setattr(syscalls, "landlock_allow_path", kernel.allow)
    monkeypatch.setattr(syscalls, "landlock_restrict_self", kernel.restrict)
    return kernel


@pytest.mark.parametrize(
    ("abi", "size", "bits"),
    [(1, 8, 13), (2, 8, 14), (3, 8, 15), (4, 16, 15), (5, 16, 16), (6, 24, 16), (7, 24, 16)],
)
def test_each_version_gets_what_it_knows(kernel: Kernel, abi: int, size: int, bits: int) -> None:
    landlock.restrict(abi)
    assert len(kernel.attributes) == size
    handled, *rest = struct.unpack(f"<{size // 8}Q", kernel.attributes)
    assert handled == (1 << bits) - 1
    assert all(word == 0b11 for word in rest)
    assert kernel.allowed & ~handled == 0
    assert kernel.allowed & (MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV) == 0
    assert kernel.restricted == 1


def test_without_landlock_nothing_is_asked(kernel: Kernel) -> None:
    landlock.restrict(0)
    assert kernel.restricted == 0


def test_this_kernel_takes_what_it_is_asked() -> None:
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
            landlock.restrict(syscalls.landlock_abi())
            os.close(os.open("/etc/passwd", os.O_RDONLY))
        except BaseException:  # noqa: BLE001 - a child: only its status counts
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
