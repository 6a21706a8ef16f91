"""What one call may know of another, and of the machine: nothing. Seen through boto3.

The escapes themselves are in tests/security; here is what an ordinary user of the platform is
promised of a fresh isolate.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.support.control import deploy
from tests.support.functions import Functions
from tests.support.platform import RUNTIME


def test_a_global_does_not_live_into_the_next_call(either_functions: Functions) -> None:
    source = "SEEN = []\ndef handler(e, c):\n    SEEN.append(e)\n    return len(SEEN)\n"
    name = either_functions.make(source)
    assert [either_functions.call(name, n).value for n in range(5)] == [1] * 5


def test_a_file_in_tmp_does_not_live_into_the_next_call(either_functions: Functions) -> None:
    source = """
        import os
        def handler(event, context):
            found = os.listdir("/tmp")
            open("/tmp/mine", "w").write("x")
            return found
    """
    name = either_functions.make(source)
    assert [either_functions.call(name).value for _ in range(5)] == [[]] * 5


def test_calls_at_the_same_time_share_no_tmp(either_functions: Functions) -> None:
    source = """
        import os, time
        def handler(event, context):
            open(f"/tmp/{event}", "w").close()
            time.sleep(0.3)
            return sorted(os.listdir("/tmp"))
    """
    name = either_functions.make(source)
    with ThreadPoolExecutor(6) as pool:
        seen = list(pool.map(lambda n: either_functions.call(name, n).value, range(6)))
    assert seen == [[str(n)] for n in range(6)]


def test_a_timer_or_a_thread_does_not_outlive_its_call(either_functions: Functions) -> None:
    source = """
        import subprocess, sys
        def handler(event, context):
            if event == "plant":
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
            import os
            return sum(entry.isdigit() for entry in os.listdir("/proc"))
    """
    name = either_functions.make(source)
    quiet = either_functions.call(name).value
    either_functions.call(name, "plant")
    assert either_functions.call(name).value == quiet


def test_an_isolate_sees_no_process_but_its_own(either_functions: Functions) -> None:
    source = """
        import os
        def handler(event, context):
            pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
            return len(pids)
    """
    seen = either_functions.call(either_functions.make(source)).value
    assert isinstance(seen, int)
    assert seen <= 3


def test_an_isolate_has_no_network(either_functions: Functions) -> None:
    source = """
        import socket
        def handler(event, context):
            try:
                socket.create_connection(("203.0.113.1", 80), timeout=1).close()
            except OSError as error:
                return error.errno
            return 0
    """
    seen = either_functions.call(either_functions.make(source)).value
    assert seen != 0


def test_the_platforms_own_port_is_out_of_reach(either_functions: Functions) -> None:
    source = """
        import socket
        def handler(event, context):
            try:
                socket.create_connection(("127.0.0.1", event), timeout=1).close()
            except OSError:
                return "refused"
            return "reached"
    """
    port = int(either_functions.platform.endpoint.rpartition(":")[2])
    assert either_functions.call(either_functions.make(source), port).value == "refused"


def test_the_code_cannot_be_changed_from_inside(either_functions: Functions) -> None:
    source = """
        def handler(event, context):
            refused = []
            for path in ("/var/task/app.py", "/var/task/new", "/etc/passwd", "/new", "/usr/new"):
                try:
                    open(path, "a").close()
                except OSError:
                    refused.append(path)
            return len(refused)
    """
    assert either_functions.call(either_functions.make(source)).value == 5


def test_no_two_isolates_draw_the_same_random_number(either_functions: Functions) -> None:
    source = """
        import random, uuid, secrets, tempfile, ssl
        def handler(event, context):
            return [random.random(), str(uuid.uuid4()), secrets.token_hex(8),
                    tempfile.mktemp(), ssl.RAND_bytes(8).hex()]
    """
    name = either_functions.make(source)
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: either_functions.call(name).value, range(100)))
    for column in range(5):
        values = [row[column] for row in drawn if isinstance(row, list)]
        assert len(set(values)) == 100


def test_reuse_by_choice_keeps_globals_between_calls(functions: Functions) -> None:
    manifest = f"""
[function]
name = "warm-one"
handler = "app.handler"
runtime = "{RUNTIME}"
reuse = "warm"
"""
    source = "COUNT = [0]\ndef handler(e, c):\n    COUNT[0] += 1\n    return COUNT[0]\n"
    answer = deploy(functions.platform, {"mayfly.toml": manifest, "app.py": source})
    assert "error" not in answer, answer
    try:
        counts = [functions.call("warm-one").value for _ in range(20)]
        # A second isolate may have been parked before the first one came back; not one for each.
        assert counts.count(1) <= 3
        assert 5 in counts
    finally:
        functions.client.delete_function(FunctionName="warm-one")


def test_a_function_is_not_the_users_uid_on_the_host(either_functions: Functions) -> None:
    source = "import os\ndef handler(e, c):\n    return [os.getuid(), os.getgid()]\n"
    seen = either_functions.call(either_functions.make(source)).value
    assert isinstance(seen, list)
    assert 0 not in seen


def test_an_isolate_stands_in_the_folder_of_its_code(either_functions: Functions) -> None:
    source = "def handler(e, c):\n    return [open(p).read() for p in e]\n"
    name = either_functions.make({"app.py": source, "data/words.txt": "mayfly"})
    paths = ["/var/task/data/words.txt", "data/words.txt"]
    assert either_functions.call(name, paths).value == ["mayfly", "mayfly"]
