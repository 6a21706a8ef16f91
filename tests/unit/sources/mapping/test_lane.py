"""Table streams to functions, in virtual time: in order, retried, halved, given up, resumed."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest

from mayfly.model.errors import TooManyRequests
from mayfly.testing.clock import VirtualClock, in_virtual_time
from mayfly.testing.faults import Faults
from tests.support.mappings import FUNCTION, Yard, about, failing, open_yard
from tests.support.tables import Document, item

ON_FAILURE = "arn:aws:sqs:us-east-1:000000000000:lost"


async def put(yard: Yard, names: Iterable[str], n: int = 0) -> None:
    """Put items, one write each."""
    for name in names:
        await yard.desk.ask("PutItem", TableName="ttt", Item=item(id=name, n=n))


def one_shard(count: int) -> list[str]:
    """Names of items that lie in the first shard."""
    # As `layout.spread` and `layout.shard_of`: the first two bits of the key's checksum.
    found = (f"k{n}" for n in itertools.count() if crc32(f"k{n}".encode()) >> 30 == 0)
    return list(itertools.islice(found, count))


@in_virtual_time
async def test_a_change_reaches_the_function_at_once_and_once(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        mapping = await yard.map_stream()
        async with yard.at_work():
            await clock.sleep(60)
            began_s = clock.monotonic_s()
            await put(yard, ["a"])
            await yard.until(lambda: bool(yard.function.calls))
            (at_s, (record,)) = yard.function.calls[0]
            assert at_s - began_s < 0.001
            await clock.sleep(60)
        assert len(yard.function.calls) == 1
        assert record["eventSource"] == "aws:dynamodb"
        assert record["eventSourceARN"] == mapping.source_arn
        assert record["eventName"] == "INSERT"
        assert record["dynamodb"]["NewImage"] == item(id="a", n=0)
        assert yard.metrics.mappings[mapping.mapping_id].records == 1


@in_virtual_time
async def test_trim_horizon_reads_what_is_there_and_latest_only_what_comes(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        await put(yard, "abc")
        await yard.map_stream(newest=True)
        async with yard.at_work():
            await clock.sleep(1)
            assert not yard.function.calls
            await put(yard, "d")
            await clock.sleep(1)
            assert yard.function.seen == ["d0"]
            await yard.registry.create_function(replace(FUNCTION, name="g"))
            await yard.map_stream(function_name="g")
            await clock.sleep(1)
        assert sorted(yard.function.seen[1:]) == ["a0", "b0", "c0", "d0"]


@in_virtual_time
@pytest.mark.parametrize("parallel", [1, 4])
async def test_the_changes_of_an_item_come_in_their_order(
    clock: VirtualClock, tmp_path: Path, parallel: int
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        names = [f"k{n}" for n in range(12)]
        for n in range(10):
            await put(yard, names, n)
        await yard.map_stream(parallel=parallel, batch_size=5)
        async with yard.at_work():
            await yard.until(lambda: len(yard.function.seen) == 120)
            await clock.sleep(1)
        for name in names:
            own = [
                one for one in yard.function.seen if one.startswith(f"{name}") and one[:-1] == name
            ]
            assert own == [f"{name}{n}" for n in range(10)]
        assert len(yard.function.seen) == 120
        assert (yard.function.most > 4) is (parallel > 1), "four shards, and more with lanes"


@in_virtual_time
async def test_a_window_gathers_and_batches_are_bounded(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        names = one_shard(25)
        await yard.map_stream(window_s=30, batch_size=10)
        async with yard.at_work():
            began_s = clock.monotonic_s()
            await put(yard, names[:4])
            await clock.sleep(29)
            assert not yard.function.calls
            await yard.until(lambda: bool(yard.function.calls))
            assert yard.function.calls[0][0] - began_s == pytest.approx(30, abs=0.1)
            await put(yard, names[4:])
            await clock.sleep(1)
            assert [len(one) for one in yard.function.batches] == [4, 10, 10]


@in_virtual_time
async def test_filters_look_at_the_whole_record(clock: VirtualClock, tmp_path: Path) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        pattern = {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"id": {"S": ["b", "c"]}}}}
        mapping = await yard.map_stream(filters=(json.dumps(pattern),))
        await put(yard, "abc")
        await put(yard, "b", 1)
        async with yard.at_work():
            await clock.sleep(1)
        assert sorted(yard.function.seen) == ["b0", "c0"]
        assert yard.metrics.mappings[mapping.mapping_id].filtered == 2


@in_virtual_time
async def test_a_batch_that_fails_holds_up_its_shard_until_it_succeeds(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        names = one_shard(3)
        yard.function.answer = failing(f"{names[0]}0")
        mapping = await yard.map_stream(batch_size=1)
        await put(yard, names)
        async with yard.at_work():
            await clock.sleep(600)
            assert set(yard.function.seen) == {f"{names[0]}0"}
            assert 10 < len(yard.function.calls) < 60, "it backs off"
            assert yard.stands(mapping) == "PROBLEM: Function call failed"
            yard.function.answer = lambda _event: {}
            await clock.sleep(60)
            assert yard.function.seen[-2:] == [f"{one}0" for one in names[1:]]
            assert yard.stands(mapping) == "OK"


@in_virtual_time
async def test_what_is_given_up_is_told_of_and_the_rest_goes_on(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        await yard.queue("lost")
        names = one_shard(4)
        yard.function.answer = failing(f"{names[1]}0")
        mapping = await yard.map_stream(batch_size=2, retries_max=2, on_failure_arn=ON_FAILURE)
        await put(yard, names)
        async with yard.at_work():
            await clock.sleep(60)
        assert [tuple(one) for one in yard.function.batches] == [
            *([(f"{names[0]}0", f"{names[1]}0")] * 3),
            (f"{names[2]}0", f"{names[3]}0"),
        ]
        (told,) = await yard.bodies("lost")
        assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
        assert told["requestContext"]["approximateInvokeCount"] == 3
        assert told["requestContext"]["functionArn"] == mapping.function_arn
        assert told["responseContext"] == {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        }
        assert told["version"] == "1.0"
        where = told["DDBStreamBatchInfo"]
        assert where["batchSize"] == 2
        assert where["streamArn"] == mapping.source_arn
        records = yard.function.calls[0][1]
        assert where["startSequenceNumber"] == records[0]["dynamodb"]["SequenceNumber"]
        assert where["endSequenceNumber"] == records[1]["dynamodb"]["SequenceNumber"]
        assert yard.metrics.mappings[mapping.mapping_id].given_up == 2


@in_virtual_time
async def test_bisecting_gives_up_the_poison_alone(clock: VirtualClock, tmp_path: Path) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        await yard.queue("lost")
        names = one_shard(16)
        done: list[str] = []

        def answer(event: Document) -> object:
            batch = [about(one) for one in event["Records"]]
            assert f"{names[5]}0" not in batch
            done.extend(batch)
            return {}

        yard.function.answer = answer
        await yard.map_stream(bisect=True, retries_max=1, on_failure_arn=ON_FAILURE)
        await put(yard, names)
        async with yard.at_work():
            await clock.sleep(60)
        assert done == [f"{one}0" for one in names if one != names[5]], "in order, each once"
        (told,) = await yard.bodies("lost")
        assert told["DDBStreamBatchInfo"]["batchSize"] == 1


@in_virtual_time
async def test_partial_failures_settle_what_came_before(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        names = one_shard(5)
        tried: dict[str, int] = {}

        def answer(event: Document) -> object:
            bad = []
            for one in event["Records"]:
                name = about(one)
                tried[name] = tried.get(name, 0) + 1
                if name in (f"{names[2]}0", f"{names[4]}0") and tried[name] < 3:
                    bad.append({"itemIdentifier": one["dynamodb"]["SequenceNumber"]})
            return {"batchItemFailures": bad}

        yard.function.answer = answer
        await yard.map_stream(partial_failures=True)
        await put(yard, names)
        async with yard.at_work():
            await clock.sleep(60)
        sizes = [len(one) for one in yard.function.batches]
        assert sizes == [5, 3, 3]
        assert yard.function.batches[1][0] == f"{names[2]}0"


@in_virtual_time
async def test_records_that_are_too_old_are_given_up_and_told_of(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        await yard.queue("lost")
        names = one_shard(2)
        yard.function.answer = failing(f"{names[0]}0")
        await yard.map_stream(age_s_max=120, on_failure_arn=ON_FAILURE)
        await put(yard, names[:1])
        async with yard.at_work():
            await clock.sleep(100)
            await put(yard, names[1:])
            await clock.sleep(100)
        assert yard.function.batches[-1] == [f"{names[1]}0"]
        (told,) = await yard.bodies("lost")
        assert told["requestContext"]["condition"] == "RecordAgeExceeded"


@in_virtual_time
async def test_after_a_day_of_failing_the_stream_goes_on_with_what_is_left(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        names = one_shard(3)
        yard.function.answer = failing(f"{names[0]}0")
        mapping = await yard.map_stream(batch_size=1)
        await put(yard, names[:2])
        async with yard.at_work():
            await clock.sleep(20 * 3_600)
            await put(yard, names[2:])
            await clock.sleep(5 * 3_600)
            await yard.desk.keeper.keep()
            await clock.sleep(60)
        assert yard.function.batches[-1] == [f"{names[2]}0"]
        assert yard.metrics.mappings[mapping.mapping_id].given_up >= 1


@in_virtual_time
async def test_a_function_without_room_spends_no_retry(clock: VirtualClock, tmp_path: Path) -> None:
    def full(_event: Document) -> object:
        if clock.monotonic_s() < ends_s:
            raise TooManyRequests("no room")
        return {}

    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        ends_s = clock.monotonic_s() + 300
        yard.function.answer = full
        mapping = await yard.map_stream(retries_max=0)
        await put(yard, ["a"])
        async with yard.at_work():
            await clock.sleep(299)
            assert len(yard.function.calls) < 40
            await clock.sleep(60)
        numbers = yard.metrics.mappings[mapping.mapping_id]
        assert (numbers.records, numbers.given_up) == (1, 0)


@in_virtual_time
async def test_storage_that_fails_repeats_the_batch_and_loses_nothing(
    clock: VirtualClock, tmp_path: Path
) -> None:
    faults = Faults()
    async with open_yard(clock, tmp_path, sites=faults) as yard:
        await yard.table()
        mapping = await yard.map_stream()
        async with yard.at_work():
            await clock.sleep(1)
            faults.fail("MAPPINGS:ADVANCE", times=3)
            await put(yard, ["a"])
            await clock.sleep(0.5)
            assert yard.stands(mapping).startswith("PROBLEM: storage failed at MAPPINGS:ADVANCE")
            await clock.sleep(30)
            assert yard.function.seen == ["a0"] * 4
            await put(yard, ["a"], 1)
            await clock.sleep(1)
            assert yard.function.seen[4:] == ["a1"]


@in_virtual_time
async def test_the_next_source_goes_on_after_the_checkpoint(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        await put(yard, ["a", "b"])
        await yard.map_stream()
        async with yard.at_work():
            await clock.sleep(1)
        assert sorted(yard.function.seen) == ["a0", "b0"]
        await put(yard, ["c"])
    async with open_yard(clock, tmp_path, seed=1) as yard:
        async with yard.at_work():
            await clock.sleep(1)
        assert yard.function.seen == ["c0"]


@in_virtual_time
async def test_other_lanes_than_before_repeat_rather_than_skip(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        names = [f"k{n}" for n in range(20)]
        yard.function.answer = failing("k30")
        mapping = await yard.map_stream(parallel=3, batch_size=1)
        await put(yard, names)
        async with yard.at_work():
            await clock.sleep(20)
            before = set(yard.function.seen)
            assert before < {f"{one}0" for one in names} | {"k30"}
            yard.function.answer = lambda _event: {}
            await yard.store.change(mapping.mapping_id, lambda one: replace(one, parallel=2))
            await clock.sleep(60)
        assert set(yard.function.seen) == {f"{one}0" for one in names}
        assert {lane.count for lane in yard.store.checkpoints_nowait(mapping.mapping_id)} == {2}


@in_virtual_time
async def test_a_deleted_mapping_ends_its_call_and_leaves_no_checkpoint(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        yard.function.seconds = 5
        mapping = await yard.map_stream()
        await put(yard, ["a"])
        async with yard.at_work():
            await clock.sleep(1)
            await yard.store.delete(mapping.mapping_id)
            await put(yard, ["a"], 1)
            await clock.sleep(60)
            assert yard.function.seen == ["a0"]
            assert not yard.store.checkpoints_nowait(mapping.mapping_id)
            assert not yard.metrics.mappings


@in_virtual_time
async def test_a_function_that_is_gone_holds_the_stream_until_it_is_back(
    clock: VirtualClock, tmp_path: Path
) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        mapping = await yard.map_stream(retries_max=0)
        await yard.registry.delete_function("f")
        async with yard.at_work():
            await put(yard, ["a"])
            await clock.sleep(100)
            assert yard.stands(mapping) == "PROBLEM: Function not found"
            await yard.registry.create_function(FUNCTION)
            yard.source.function_changed("f")
            await clock.sleep(0.1)
            assert yard.function.seen == ["a0"]


@in_virtual_time
async def test_a_worker_that_falls_over_starts_again(clock: VirtualClock, tmp_path: Path) -> None:
    async with open_yard(clock, tmp_path) as yard:
        await yard.table()
        mapping = await yard.map_stream()
        whole, broken = yard.desk.tables.latest_sequence, asyncio.Event()

        def latest() -> int:
            if not broken.is_set():
                raise RuntimeError("a mistake of ours")
            return whole()

        yard.desk.tables.latest_sequence = latest  # type: ignore[method-assign]
        async with yard.at_work():
            await put(yard, ["a"])
            await clock.sleep(1)
            assert yard.stands(mapping) == "PROBLEM: Internal Lambda error"
            broken.set()
            await clock.sleep(10)
            assert yard.function.seen == ["a0"]
