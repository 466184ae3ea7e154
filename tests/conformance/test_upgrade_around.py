"""An upgrade and what stands around a server: its service manager, and issuers that publish their keys."""

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from house import BINARY, House
from key_server import Key, KeyServer
from test_key_sets import lets_in, settings
from test_notify import WATCHDOG_S, Manager
from test_reload import is_let_in

# What a process of a debug build may need on a busy machine to come up, or to end.
SOON = 60
# Names the server as the one whom the watchdog watches, as systemd does.
LAUNCHER = ["sh", "-c", 'export WATCHDOG_PID=$$; exec "$@"', "sh"]


def runs(pid: int) -> bool:
    """Whether a process does. One that has ended and that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def succeed():
    """Has another process take a server's place; its number. It ends with the test."""
    successors = []

    def succeed(house: House) -> int:
        command = [BINARY, "upgrade", "--config", str(house.config)]
        done = subprocess.run(command, cwd=house.folder, capture_output=True, text=True, timeout=2 * SOON)
        assert done.returncode == 0, done.stdout + done.stderr
        successors.append(int(done.stdout.split()[1]))
        return successors[-1]

    yield succeed
    deadline = time.monotonic() + SOON
    for pid in successors:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        while runs(pid):
            assert time.monotonic() < deadline, "it does not stop"
            time.sleep(0.02)


def test_the_watchdog_hears_of_each_process_in_turn(shards, tmp_path, permissions, succeed):
    manager, house = Manager(), House(tmp_path, shards, permissions.url, {"stop": {"drain": "200ms"}})
    house.launcher = LAUNCHER
    house.environment |= manager.variables()
    try:
        house.start()
        manager.hear("WATCHDOG=1")
        for _ in range(3):
            successor = succeed(house)
            assert manager.hear("MAINPID=") == f"MAINPID={successor}"
            # Nobody else is left who could say so.
            manager.forget()
            manager.hear("WATCHDOG=1", within=4 * WATCHDOG_S)
    finally:
        house.stop()
        manager.socket.close()


@pytest.fixture
def slow_issuer():
    """An issuer that takes a while: until `released` is set it answers nothing."""
    server = KeyServer(Key("first"))
    server.fault = "hang"
    yield server
    server.close()


def patient(issuer: KeyServer) -> dict:
    """A server that believes it, and waits for it."""
    return settings(issuer.url, reload={"jwks_timeout": "20s", "jwks_pause": "10m"})


async def test_whoever_is_the_first_to_come_is_let_in_by_keys_that_are_published(build, slow_issuer, room, name):
    threading.Timer(2, slow_issuer.released.set).start()
    house = build(**patient(slow_issuer))
    assert await is_let_in(house, room, slow_issuer.keys[0].token(name())), "nobody came before the keys were there"


async def test_nobody_is_refused_because_another_process_has_not_read_the_keys_yet(build, slow_issuer, room, name, succeed):
    slow_issuer.released.set()
    house = build(**patient(slow_issuer))
    token = slow_issuer.keys[0].token(name())
    await lets_in(house, room, token)
    slow_issuer.released.clear()
    threading.Timer(3, slow_issuer.released.set).start()
    await asyncio.to_thread(succeed, house)
    assert await is_let_in(house, room, token)
