"""Servers that hand over to another process, or whose program is such that they cannot."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from house import BINARY, House

# What a process of a debug build may need on a busy machine to come up.
SOON = 60
# Of what the two processes say to each other.
FORM = 2


def is_there(pid: int) -> bool:
    """Whether a process runs. One that has ended and that nobody has asked for does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


async def until(what, why: str):
    """Waits for a condition."""
    deadline = time.monotonic() + SOON
    while not what():
        assert time.monotonic() < deadline, why
        await asyncio.sleep(0.02)


class Upgrades:
    """Upgrades servers. The processes that come of it are ended with the test."""

    def __init__(self):
        self.processes: list[int] = []

    async def __call__(self, house: House) -> tuple[int, int, str]:
        """The server's next process (0: there is none), how the command ended, and what it said."""
        command = [BINARY, "upgrade", "--config", str(house.config)]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=house.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        said = (await asyncio.wait_for(process.communicate(), 2 * SOON))[0].decode()
        serving = [line for line in said.splitlines() if line.startswith("process ") and " serves, version " in line]
        pid = int(serving[0].split()[1]) if serving else 0
        if pid:
            self.processes.append(pid)
        return pid, process.returncode, said

    async def well(self, house: House) -> int:
        """An upgrade that must succeed; the number of the next process."""
        pid, code, said = await self(house)
        assert code == 0 and pid, said
        return pid

    def close(self):
        """The end of all of them, which must come soon."""
        for pid in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + SOON
        for pid in self.processes:
            while is_there(pid):
                assert time.monotonic() < deadline, "the next process does not stop"
                time.sleep(0.02)


async def replaceable(house: House) -> Path:
    """Starts a server again, from a file of its own that another program may take the place of; that file."""
    house.stop()
    program = house.folder / "homeroom"
    shutil.copy2(BINARY, program) if os.stat(BINARY).st_dev != os.stat(house.folder).st_dev else os.link(BINARY, program)
    with house.log.open("ab") as log:
        house.process = subprocess.Popen(
            [program, "serve", "--config", house.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=house.folder
        )
    await until(house._ready, "it does not serve")
    return program


def replace(program: Path, script: str):
    """Puts a script in the place of a program that runs."""
    program.unlink()
    program.write_text(script)
    program.chmod(0o755)


def fails_at_once(program: Path):
    """The next program does not come up at all."""
    replace(program, "#!/bin/sh\nexit 3\n")


def fails_later(program: Path, house: House):
    """The next program says that it is there, and ends as soon as it is given something."""
    facts = f"form {FORM}, {house.shards} shards, listeners " + " ".join(
        f"127.0.0.1:{port}" for port in (house.presence_port, house.quiz_port, house.chat_port, house.internal_port)
    )
    replace(
        program,
        "#!/usr/bin/env python3\nimport socket, struct\n"
        "way = socket.socket(fileno=0)\n"
        f"facts = {facts!r}.encode()\n"
        "way.sendall(struct.pack('<QQ', len(facts), 0) + facts)\n"
        "way.recv(1)\nraise SystemExit(3)\n",
    )
