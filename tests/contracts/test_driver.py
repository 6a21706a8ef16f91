"""What every driver promises, the double included.

To put another driver under the suite, add a function like `_fake` to `DRIVERS`: it gets a folder
with `app.py` and `script.py` (from `driver_handlers`) as /var/task, and yields a Bench.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from mayfly.model.errors import IsolateLost
from mayfly.model.function import Reuse
from mayfly.model.invocation import Answer, ErrorKind
from mayfly.ports import Snapshot
from mayfly.testing.clock import VirtualClock
from mayfly.testing.driver import FakeDriver, FakeSnapshot, Plan
from mayfly.testing.ids import SeededIds
from tests.contracts.driver_handlers import FAKES, IMPORT_PRINTS, SCRIPT, SOURCE
from tests.support.bench import PATIENCE_S, Bench, Watcher, births
from tests.support.platform import RUNTIME
from tests.support.process_driver import kill_snapshot, process_driver


def document(answer: Answer) -> Mapping[str, object]:
    found = json.loads(answer.payload)
    assert isinstance(found, dict)
    return found


@asynccontextmanager
async def _fake(code_path: Path) -> AsyncIterator[Bench]:
    plan = Plan(init_s=0.001, birth_s=0.001, output=IMPORT_PRINTS)
    driver = FakeDriver(VirtualClock(), FAKES, plan=plan)

    def kill(snapshot: Snapshot) -> None:
        assert isinstance(snapshot, FakeSnapshot)
        snapshot.die()

    yield Bench(driver, code_path, "python3.11", kill, SeededIds(1))


@asynccontextmanager
async def _process(code_path: Path) -> AsyncIterator[Bench]:
    async with process_driver() as driver:
        yield Bench(driver, code_path, RUNTIME, kill_snapshot, SeededIds(1))


DRIVERS: Mapping[str, Callable[[Path], AbstractAsyncContextManager[Bench]]] = {
    "fake": _fake,
    "process": _process,
}


@pytest.fixture(params=list(DRIVERS))
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    code_path = tmp_path / "task"
    code_path.mkdir()
    (code_path / "app.py").write_text(SOURCE)
    (code_path / "script.py").write_text(SCRIPT)
    async with DRIVERS[request.param](code_path) as made:
        yield made
        await made.close()


async def test_a_snapshot_says_how_long_its_import_took(bench: Bench) -> None:
    snapshot, _, _ = await bench.up()
    assert snapshot.facts.init_ms > 0
    assert snapshot.facts.failure is None


async def test_every_birth_arrives_once_with_an_id_of_its_own(bench: Bench) -> None:
    snapshot, watcher, _ = await bench.up()
    isolates = await births(snapshot, watcher, 5)
    assert len({one.isolate_id for one in isolates}) == 5
    assert all(one.born_ms <= one.parked_ms for one in isolates)


async def test_a_driver_tells_what_its_isolates_could_do(bench: Bench) -> None:
    spec = bench.spec(memory_mib=256)
    told = await bench.driver.surface(spec)
    (task,) = (one for one in told.trees if one.place == "/var/task")
    assert task.files == len([one for one in bench.code_path.rglob("*") if one.is_file()])
    assert [(one.path, one.executable, one.lasting) for one in told.writable] == [
        ("/tmp", False, False)
    ]
    assert told.limits["memory_bytes"] == 256 << 20
    assert told.limits["processes"] == spec.pids_max
    assert told.writable[0].size_bytes == told.limits["tmp_bytes"] == 512 << 20
    assert not told.capabilities
    assert 0 < len(told.calls) <= told.kernel_calls
    assert all(one.why for one in told.calls)
    assert all(not one.setuid and not one.shells for one in told.trees)


async def test_asking_what_isolates_could_do_makes_none(bench: Bench) -> None:
    spec = bench.spec("missing.handler")
    assert await bench.driver.surface(spec) == await bench.driver.surface(spec)


async def test_an_isolate_answers(bench: Bench) -> None:
    _, _, isolate = await bench.up()
    answer = await isolate.invoke(bench.invocation(b'{"a": [1, "\xc3\xa9"]}'), timeout_s=5)
    assert json.loads(answer.payload) == {"a": [1, "é"]}
    assert answer.error is None
    assert answer.error_type == ""


async def test_no_payload_is_null(bench: Bench) -> None:
    _, _, isolate = await bench.up()
    answer = await isolate.invoke(bench.invocation(b""), timeout_s=5)
    assert answer.payload == b"null"


async def test_a_fresh_isolate_dies_after_its_answer(bench: Bench) -> None:
    _, watcher, isolate = await bench.up()
    answer = await isolate.invoke(bench.invocation(), timeout_s=5)
    assert not answer.alive
    await watcher.until(lambda: watcher.died == [isolate])


async def test_a_dead_isolate_is_lost(bench: Bench) -> None:
    _, watcher, isolate = await bench.up()
    isolate.kill()
    await watcher.until(lambda: watcher.died == [isolate])
    with pytest.raises(IsolateLost):
        await isolate.invoke(bench.invocation(), timeout_s=5)


async def test_killing_twice_is_harmless(bench: Bench) -> None:
    _, watcher, isolate = await bench.up()
    isolate.kill()
    isolate.kill()
    await watcher.until(lambda: watcher.died == [isolate])
    isolate.kill()


async def test_fresh_isolates_share_no_memory(bench: Bench) -> None:
    snapshot, watcher, first = await bench.up("app.count")
    (second,) = await births(snapshot, watcher, 1)
    answers = [await one.invoke(bench.invocation(), timeout_s=5) for one in (first, second)]
    assert [answer.payload for answer in answers] == [b"1", b"1"]


async def test_a_warm_isolate_keeps_its_memory_between_calls(bench: Bench) -> None:
    _, watcher, isolate = await bench.up("app.count", reuse=Reuse.WARM)
    answers = [await isolate.invoke(bench.invocation(), timeout_s=5) for _ in range(3)]
    assert [answer.payload for answer in answers] == [b"1", b"2", b"3"]
    assert all(answer.alive for answer in answers)
    assert watcher.died == []


@pytest.mark.parametrize("reuse", list(Reuse))
async def test_an_exception_is_an_answer_with_lambdas_document(bench: Bench, reuse: Reuse) -> None:
    _, _, isolate = await bench.up("app.fail", reuse=reuse)
    invocation = bench.invocation()
    answer = await isolate.invoke(invocation, timeout_s=5)
    assert (answer.error, answer.error_type) == (ErrorKind.UNHANDLED, "ValueError")
    found = document(answer)
    assert found["errorType"] == "ValueError"
    assert found["errorMessage"] == "as written"
    assert found["requestId"] == invocation.request_id
    assert isinstance(found["stackTrace"], list)


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        ("app.leave", "Runtime.ExitError"),
        ("app.strange", "Runtime.MarshalError"),
        ("app.large", "Function.ResponseSizeTooLarge"),
    ],
)
async def test_each_bad_end_has_lambdas_name(bench: Bench, handler: str, error_type: str) -> None:
    _, watcher, isolate = await bench.up(handler)
    answer = await isolate.invoke(bench.invocation(), timeout_s=5)
    assert (answer.error, answer.error_type) == (ErrorKind.UNHANDLED, error_type)
    assert document(answer)["errorType"] == error_type
    assert not answer.alive
    await watcher.until(lambda: watcher.died == [isolate])


@pytest.mark.parametrize("reuse", list(Reuse))
async def test_a_deadline_ends_a_call_and_its_isolate(bench: Bench, reuse: Reuse) -> None:
    _, watcher, isolate = await bench.up("app.hang", reuse=reuse)
    invocation = bench.invocation()
    answer = await isolate.invoke(invocation, timeout_s=0.2)
    assert answer.error_type == "Sandbox.Timedout"
    assert not answer.alive
    assert document(answer)["errorMessage"] == (
        f"RequestId: {invocation.request_id} Error: Task timed out after 0.20 seconds"
    )
    await watcher.until(lambda: watcher.died == [isolate])


async def test_a_call_that_hangs_costs_another_nothing(bench: Bench) -> None:
    snapshot, watcher, first = await bench.up("app.hang")
    other, _, quick = await bench.up("app.echo")
    assert snapshot is not other
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(first.invoke(bench.invocation(), timeout_s=PATIENCE_S))
        assert (await quick.invoke(bench.invocation(), timeout_s=5)).error is None
        assert not hanging.done()
        first.kill()
    assert hanging.result().error is not None
    assert first in watcher.parked


async def test_a_cancelled_call_kills_its_isolate(bench: Bench) -> None:
    _, watcher, isolate = await bench.up("app.hang")
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(isolate.invoke(bench.invocation(), timeout_s=PATIENCE_S))
        await asyncio.sleep(0)
        call.cancel()
    await watcher.until(lambda: watcher.died == [isolate])


async def test_what_a_call_prints_is_reported(bench: Bench) -> None:
    _, watcher, isolate = await bench.up("app.speak")
    await isolate.invoke(bench.invocation(), timeout_s=5)
    assert watcher.printed == b"hello from the call\n", "output comes before its answer"


async def test_what_an_import_prints_is_reported(bench: Bench) -> None:
    _, watcher, _ = await bench.up()
    assert watcher.import_printed == IMPORT_PRINTS


@pytest.mark.parametrize(
    ("handler", "error_type"),
    [
        ("missing.echo", "Runtime.ImportModuleError"),
        ("app.missing", "Runtime.HandlerNotFound"),
    ],
)
async def test_a_failed_import_is_a_fact(bench: Bench, handler: str, error_type: str) -> None:
    snapshot = await bench.driver.snapshot(bench.spec(handler), Watcher())
    failure = snapshot.facts.failure
    assert failure is not None
    assert failure.error_type == document(failure)["errorType"] == error_type
    await snapshot.close()


async def test_snapshots_are_made_beside_one_another(bench: Bench) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(bench.up())


async def test_a_closed_snapshot_has_reported_each_isolates_death(bench: Bench) -> None:
    snapshot, watcher, _ = await bench.up()
    await births(snapshot, watcher, 3)
    await snapshot.close()
    assert sorted(one.isolate_id for one in watcher.died) == sorted(
        one.isolate_id for one in watcher.parked
    )
    assert watcher.snapshot_deaths == [], "who closes it need not be told"


async def test_closing_twice_is_harmless(bench: Bench) -> None:
    snapshot, _, _ = await bench.up()
    await snapshot.close()
    await snapshot.close()


async def test_closing_a_snapshot_ends_a_call_that_runs(bench: Bench) -> None:
    snapshot, _, isolate = await bench.up("app.hang")
    async with asyncio.TaskGroup() as tasks:
        call = tasks.create_task(isolate.invoke(bench.invocation(), timeout_s=PATIENCE_S))
        await asyncio.sleep(0)
        await snapshot.close()
    assert call.result().error_type == "Runtime.ExitError"


async def test_a_snapshot_that_is_killed_reports_its_isolates_then_itself(bench: Bench) -> None:
    snapshot, watcher, _ = await bench.up()
    await births(snapshot, watcher, 2)
    bench.kill_snapshot(snapshot)
    await watcher.until(lambda: len(watcher.snapshot_deaths) == 1)
    assert len(watcher.died) == 3
    await snapshot.close()


async def test_asking_a_dead_snapshot_for_isolates_is_harmless(bench: Bench) -> None:
    snapshot, watcher, _ = await bench.up()
    bench.kill_snapshot(snapshot)
    await watcher.until(lambda: len(watcher.snapshot_deaths) == 1)
    snapshot.birth(1)
    assert len(watcher.parked) == 1


async def test_a_script_runs_as_a_program(bench: Bench) -> None:
    watcher = Watcher()
    snapshot = await bench.driver.snapshot(bench.spec(script="script.py"), watcher)
    assert snapshot.facts.failure is None
    (isolate,) = await births(snapshot, watcher, 1)
    answer = await isolate.invoke(bench.invocation(), timeout_s=5)
    assert answer.error is None
    assert watcher.printed == b"hello from the script\n"


async def test_a_snapshot_tells_its_memory(bench: Bench) -> None:
    snapshot, _, _ = await bench.up()
    memory = snapshot.memory()
    assert 0 < memory.private_kib <= memory.proportional_kib


async def test_closing_the_driver_closes_its_snapshots(bench: Bench) -> None:
    _, watcher, isolate = await bench.up()
    await bench.close()
    assert watcher.died == [isolate]
