"""Changes under load: no call is lost, none is answered by half of a change."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from tests.support.functions import Functions
from tests.support.platform import zipped


def _version(number: int, *, delay_s: float = 0.0) -> str:
    return (
        f"import time\nONE = {number}\ndef handler(e, c):\n"
        f"    time.sleep({delay_s})\n    return [ONE, {number}]\n"
    )


def test_no_call_is_lost_while_code_changes(functions: Functions) -> None:
    name = functions.make(_version(0))
    over = threading.Event()
    seen: list[object] = []

    def keep_calling() -> None:
        while not over.is_set():
            call = functions.call(name)
            assert not call.error, call.document
            seen.append(call.value)

    with ThreadPoolExecutor(3) as pool:
        callers = [pool.submit(keep_calling) for _ in range(3)]
        try:
            for number in range(1, 6):
                functions.client.update_function_code(
                    FunctionName=name, ZipFile=zipped({"app.py": _version(number)})
                )
                functions.updated(name)
                assert functions.call(name).value == [number, number]
        finally:
            over.set()
        for caller in callers:
            caller.result(timeout=30)
    assert all(isinstance(one, list) and one[0] == one[1] for one in seen)


def test_a_running_call_finishes_on_its_version(functions: Functions) -> None:
    name = functions.make(_version(1, delay_s=1.5))
    functions.call(name)
    with ThreadPoolExecutor(1) as pool:
        started = threading.Event()

        def call() -> object:
            started.set()
            return functions.call(name).value

        running = pool.submit(call)
        assert started.wait(timeout=10)
        # Give the event time to reach its isolate: another whole call takes at least as long.
        functions.call(functions.make())
        functions.client.update_function_code(
            FunctionName=name, ZipFile=zipped({"app.py": _version(2)})
        )
        functions.updated(name)
        assert functions.call(name).value == [2, 2]
        assert running.result(timeout=30) == [1, 1]


def test_a_function_deleted_while_it_runs_lets_the_call_end(functions: Functions) -> None:
    name = functions.make(_version(1, delay_s=1.0))
    functions.call(name)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: functions.call(name).value)
        functions.call(functions.make())
        functions.client.delete_function(FunctionName=name)
        assert running.result(timeout=30) == [1, 1]


def test_cold_starts_of_different_functions_do_not_wait_for_one_another(
    functions: Functions,
) -> None:
    slow = functions.make("import time\ntime.sleep(4)\ndef handler(e, c):\n    return 'slow'\n")
    quick = functions.make()
    order: list[object] = []

    def call(name: str) -> None:
        order.append(functions.call(name, "quick").value)

    functions.client.update_function_configuration(FunctionName=slow, Description="again")
    functions.client.update_function_configuration(
        FunctionName=slow, Environment={"Variables": {"NEW": "1"}}
    )
    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(call, slow)
        functions.client.update_function_configuration(
            FunctionName=quick, Environment={"Variables": {"NEW": "1"}}
        )
        call(quick)
        waiting.result(timeout=30)
    assert order == ["quick", "slow"]


def test_sixteen_callers_at_once_all_get_their_own_answer(either_functions: Functions) -> None:
    name = either_functions.make()
    with ThreadPoolExecutor(16) as pool:
        calls = list(pool.map(lambda n: either_functions.call(name, n), range(400)))
    assert [call.value for call in calls] == list(range(400))
    assert len({call.request_id for call in calls}) == 400
