"""The table of system calls: against the machine's own headers, and against the policy."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest

from mayfly.api.control.audit_form import DOCKER_PATH
from mayfly.drivers.process.kernel_calls import kernel_calls, known_until
from mayfly.drivers.process.seccomp import load_policy
from tests.support.needs import need

ARCHITECTURES = ["x86_64", "aarch64"]
HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_newer_kernel_has_what_an_older_one_has(architecture: str) -> None:
    releases = ["5.12.0", "5.17.3-x", "6.1.187", "6.8.0-51-generic", "6.18.44", "7.0-rc1"]
    sets = [kernel_calls(architecture, release) for release in releases]
    assert all(old <= new for old, new in itertools.pairwise(sets))
    assert len(sets[0]) > 290


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_call_of_the_policy_is_one_that_a_kernel_has(architecture: str) -> None:
    newest = kernel_calls(architecture, known_until(architecture))
    named = {rule.name for rule in load_policy(architecture, doors=True)}
    assert named <= newest


def test_linux_6_1_has_362_on_x86_64() -> None:
    assert len(kernel_calls("x86_64", "6.1.0")) == 362


def test_the_table_agrees_with_the_machine_s_header() -> None:
    need(HEADER.exists(), "linux-libc-dev on x86_64")
    listed = set(re.findall(r"#define __NR_(\w+) \d+", HEADER.read_text()))
    need("set_mempolicy_home_node" in listed, "headers of Linux 5.17 or newer")
    assert kernel_calls("x86_64", "5.17") <= listed
    known = kernel_calls("x86_64", known_until("x86_64"))
    assert listed <= known or "listns" in listed, "headers that are newer than the table"


def test_docker_s_figure_is_that_of_its_list() -> None:
    docker = tomllib.loads(DOCKER_PATH.read_text())
    refused = docker["syscalls"]["refused"].split()
    kernel = kernel_calls("x86_64", "6.1")
    assert set(refused) <= kernel
    assert len(refused) == len(set(refused))
    says = docker["rows"]["syscalls"]
    assert says.startswith(f"{len(kernel) - len(refused)} of the {len(kernel)} of Linux 6.1")
