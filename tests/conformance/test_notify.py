"""What the service manager hears: that the server serves, reads its files again, stops, and is alive for as long as every shard turns."""

import contextlib
import ctypes
import os
import signal
import socket
import time
from pathlib import Path

import pytest

# Long enough that a busy machine does not stand still for a quarter of it, which nobody could tell from a shard that hangs.
WATCHDOG_S = 8
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WAIT_ALL = 0x4206, 0x4207, 17, 0x40000000


class Manager:
    """Its end of the protocol, at an abstract address."""

    def __init__(self):
        self.name = f"homeroom-test-{os.getpid()}-{time.monotonic_ns()}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name)

    def variables(self) -> dict:
        """What a service is started with."""
        return {"NOTIFY_SOCKET": "@" + self.name, "WATCHDOG_USEC": str(WATCHDOG_S * 1_000_000)}

    def hear(self, word: str, within: float = 60) -> str:
        """The next datagram that begins so; others are passed over."""
        until = time.monotonic() + within
        while True:
            self.socket.settimeout(max(0.001, until - time.monotonic()))
            with contextlib.suppress(BlockingIOError):
                said = self.socket.recv(4096).decode()
                if said.startswith(word):
                    return said

    def pings(self, seconds: float) -> int:
        """How many come in this time; what came before does not count."""
        self.forget()
        until, count = time.monotonic() + seconds, 0
        with contextlib.suppress(TimeoutError):
            while True:
                self.hear("WATCHDOG=1", within=until - time.monotonic())
                count += 1
        return count

    def forget(self):
        """What has come so far."""
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(4096)


@pytest.fixture
def managed(shards, tmp_path, permissions):
    """A server with a service manager."""
    from house import House

    manager, house = Manager(), House(tmp_path, shards, permissions.url, {"stop": {"drain": "1500ms"}})
    house.environment |= manager.variables()
    house.start()
    yield manager, house
    house.stop()
    manager.socket.close()


@contextlib.contextmanager
def held(thread: int):
    """Holds one thread of a child process up, and no other."""
    libc = ctypes.CDLL(None, use_errno=True)

    def trace(what: int):
        if libc.ptrace(ctypes.c_long(what), ctypes.c_long(thread), None, None) != 0:
            pytest.skip(f"no thread can be held up here: {os.strerror(ctypes.get_errno())}")

    trace(PTRACE_SEIZE)
    trace(PTRACE_INTERRUPT)
    os.waitpid(thread, WAIT_ALL)
    try:
        yield
    finally:
        trace(PTRACE_DETACH)


def thread(pid: int, name: str) -> int:
    """Of this process, by its name."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return next(int(task.name) for task in tasks if (task / "comm").read_text().strip() == name)


def test_it_is_told_of_start_reload_and_stop(managed):
    manager, house = managed
    assert manager.hear("READY=1") == "READY=1"
    assert manager.hear("STATUS=").startswith("STATUS=Serving ")
    began = time.monotonic_ns() // 1000
    house.signal(signal.SIGHUP)
    said = manager.hear("RELOADING=1")
    assert said.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert began <= int(said.rsplit("=", 1)[1]) <= time.monotonic_ns() // 1000
    manager.hear("READY=1")
    house.signal(signal.SIGTERM)
    stopping = manager.hear("STOPPING=1")
    assert stopping.startswith("STOPPING=1\nEXTEND_TIMEOUT_USEC=")
    assert int(stopping.rsplit("=", 1)[1]) >= 1_500_000, "the drain is in it"
    assert house.process.wait(60) == 0


def test_one_shard_that_stands_still_ends_the_pings_and_its_next_turn_brings_them_back(managed, shards):
    manager, house = managed
    manager.hear("WATCHDOG=1")
    with held(thread(house.process.pid, f"shard-{shards - 1}")):
        assert manager.hear("STATUS=Shard ") == f"STATUS=Shard {shards - 1} stands still"
        assert manager.pings(WATCHDOG_S / 2) == 0
    manager.hear("WATCHDOG=1")
    manager.hear("STATUS=Serving ")
