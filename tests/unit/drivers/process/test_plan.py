from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from mayfly.drivers.process import household, keeper, launcher
from mayfly.drivers.process.plan import CgroupPlan, Plan

TEXT = st.text(max_size=40)
NUMBER = st.integers(0, 2**62)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    return Plan(
        snapshot_id=draw(TEXT),
        rootless=draw(st.booleans()),
        host_uid=draw(NUMBER),
        root=draw(TEXT),
        binds=draw(st.lists(st.lists(TEXT, min_size=2, max_size=2), max_size=3)),
        tmp_bytes=draw(NUMBER),
        memory_bytes=draw(NUMBER),
        pids_max=draw(NUMBER),
        cpu_shares=draw(NUMBER),
        overhead_bytes=draw(NUMBER),
        abi=draw(st.integers(0, 9)),
        filter_hex=draw(st.binary(max_size=64)).hex(),
        open_files_max=draw(NUMBER),
        processes_max=draw(NUMBER),
        cgroup=CgroupPlan(draw(st.integers(0, 2)), draw(st.dictionaries(TEXT, TEXT, max_size=3))),
    )


@given(plans())
def test_a_plan_arrives_as_it_was_sent(plan: Plan) -> None:
    arrived = Plan.decode(plan.encode())
    assert vars(arrived.cgroup) == vars(plan.cgroup)
    assert {**vars(arrived), "cgroup": None} == {**vars(plan), "cgroup": None}


@given(plans())
def test_only_without_cgroups_has_each_isolate_a_user_namespace(plan: Plan) -> None:
    assert plan.own_user == (plan.cgroup.version == 0)


def test_both_ends_of_the_control_socket_speak_the_same_form() -> None:
    assert household.MESSAGE.format == keeper.MESSAGE.format == struct.Struct("<cIi").format
    assert launcher._STEP.format == household.MESSAGE.format
    assert len({keeper.READY, keeper.PARKED, keeper.DIED, keeper.FAILED}) == 4
