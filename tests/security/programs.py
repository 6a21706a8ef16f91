"""What ordinary programs do, to be run inside the seal: tenant's code, like `probes`.

Each returns something true when it worked. A closed-by-default seal is of use only while these do.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import datetime
import decimal
import fcntl
import hashlib
import importlib
import io
import json
import locale
import logging
import mmap
import multiprocessing
import os
import pathlib
import pickle
import platform
import queue
import select
import selectors
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
import zoneinfo


def json_and_friends() -> object:
    data = json.dumps({"a": [1, 2.5, None, "é"]})
    return (
        pickle.loads(pickle.dumps(json.loads(data))) and hashlib.sha256(data.encode()).hexdigest()
    )


def asyncio_with_a_subprocess() -> object:
    async def main() -> object:
        program = [sys.executable, "-c", "import sys; print(sys.stdin.read().upper())"]
        pipe = asyncio.subprocess.PIPE
        child = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe)
        said, _ = await asyncio.wait_for(child.communicate(b"hello"), 10)
        loop = asyncio.get_running_loop()
        in_thread = await loop.run_in_executor(None, sum, [1, 2])
        await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(10)))
        reader, writer = await asyncio.open_connection(sock=_answering())
        writer.write(b"ping\n")
        return (said, in_thread, await reader.readline()) == (b"HELLO\n", 3, b"ping\n")

    return asyncio.run(main())


def _answering() -> socket.socket:
    ours, theirs = socket.socketpair()

    def answer() -> None:
        with theirs:
            theirs.sendall(theirs.recv(100))

    threading.Thread(target=answer).start()
    ours.setblocking(False)
    return ours


def subprocesses() -> object:
    program = [sys.executable, "-c", "import os; print(os.environ['WORD'])"]
    ran = subprocess.run(
        program,
        env={"WORD": "up"},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
        cwd="/tmp",
    )
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    sleeper.terminate()
    return ran.stdout == "up\n" and sleeper.wait(10) == -signal.SIGTERM


def processes_and_pipes() -> object:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=lambda: theirs.send([1, {"a": 2}]))
    child.start()
    got = ours.recv()
    child.join(10)
    return got == [1, {"a": 2}] and child.exitcode == 0


def a_pool_and_shared_memory() -> object:
    from multiprocessing import shared_memory

    with multiprocessing.get_context("fork").Pool(2) as pool:
        squares = pool.map(abs, range(-50, 50))
    block = shared_memory.SharedMemory(create=True, size=4096)
    assert block.buf is not None
    block.buf[:2] = b"ab"
    block.close()
    block.unlink()
    return sum(squares) == 2500


def threads() -> object:
    results: queue.Queue[int] = queue.Queue()
    workers = [threading.Thread(target=lambda n=n: results.put(n * n)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return sum(pool.map(abs, range(-4, 4))) + results.qsize() == 24


def sqlite() -> object:
    with sqlite3.connect("/tmp/data.db") as base:
        base.execute("PRAGMA journal_mode=WAL")
        base.execute("CREATE TABLE t (a)")
        base.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(100)])
        return base.execute("SELECT sum(a) FROM t").fetchone() == (4950,)


def tls() -> object:
    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tunnel = context.wrap_bio(incoming, outgoing, server_hostname="example.com")
    try:
        tunnel.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.pending > 100 and len(context.get_ca_certs()) > 10
    return False


def archives() -> object:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.txt", "hello" * 100)
    zipfile.ZipFile(buffer).extractall("/tmp/unzipped")
    with tarfile.open("/tmp/x.tar.gz", "w:gz") as tar:
        tar.add("/tmp/unzipped", "kept")
    return pathlib.Path("/tmp/unzipped/a/b.txt").stat().st_size == 500


def temporary_files() -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "a")
        path.write_text("x" * 100_000)
        shutil.copy2(path, f"{folder}/b")
        shutil.move(f"{folder}/b", f"{folder}/c")
        os.chmod(path, 0o600)
        os.utime(path, (1, 1))
        os.symlink("a", f"{folder}/link")
        os.link(path, f"{folder}/hard")
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            mapped[:2] = b"yz"
            mapped.flush()
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.fsync(file.fileno())
        with tempfile.NamedTemporaryFile() as named, tempfile.SpooledTemporaryFile() as spooled:
            spooled.write(named.name.encode())
        free = shutil.disk_usage("/tmp").free
        return sorted(os.listdir(folder)) == ["a", "c", "hard", "link"] and free > 1 << 20


def signals_and_timers() -> object:
    seen = []
    signal.signal(signal.SIGALRM, lambda number, _frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    while not seen:
        time.sleep(0.002)
    signal.raise_signal(signal.SIGALRM)
    return seen == [signal.SIGALRM] * 2


def event_loops() -> object:
    left, right = socket.socketpair()
    with left, right, selectors.DefaultSelector() as selector:
        selector.register(right, selectors.EVENT_READ)
        left.settimeout(1)
        left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        left.send(b"x")
        poll = select.poll()
        poll.register(right)
        return bool(selector.select(1)) and bool(poll.poll(10)) and right.recv(1) == b"x"


def times_and_numbers() -> object:
    zone = zoneinfo.ZoneInfo("Europe/Berlin")
    summer = datetime.datetime(2024, 7, 1, 12, tzinfo=zone)
    root = decimal.Decimal(2).sqrt()
    return summer.utcoffset() == datetime.timedelta(hours=2) and str(root).startswith("1.41421")


def the_machine() -> object:
    locale.setlocale(locale.LC_ALL, "")
    logging.getLogger("x").warning("to the log")
    names = platform.platform(), os.uname().sysname, os.cpu_count(), len(os.sched_getaffinity(0))
    return all(names) and os.path.expanduser("~") == "/tmp" and os.nice(1) >= 1


def foreign_functions() -> object:
    libc = ctypes.CDLL(None)
    compare = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int)
    )
    numbers = (ctypes.c_int * 3)(3, 1, 2)
    libc.qsort(numbers, 3, 4, compare(lambda a, b: a[0] - b[0]))
    return list(numbers) == [1, 2, 3]


def images() -> object:
    from PIL import Image, ImageFilter

    picture = Image.new("RGB", (300, 200), "navy").resize((100, 50)).filter(ImageFilter.BLUR)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG")
    picture.save("/tmp/x.png")
    return Image.open(buffer).size == (100, 50)


def numbers() -> object:
    np = importlib.import_module("numpy")
    left = np.random.default_rng(1).random((200, 200))
    return bool(np.allclose(np.linalg.inv(left) @ left, np.eye(200), atol=1e-6))


def handler(event: str, _context: object) -> bool:
    return bool(globals()[event]())
