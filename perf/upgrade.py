#!/usr/bin/env python3
"""What those in classrooms notice of an upgrade: what is lost, doubled or out of order, who is closed, and how long nobody is told
anything.

    perf/upgrade.py [--binary target/release/homeroom] [--connections 10000] [--rooms 1000] [--rate 1000] [--rounds 5] [--shards 1]
                    [--database postgres://…] [--out FILE]

Needs the packages of tests/conformance/requirements.txt. Signs so many in, publishes numbered events at a rate, each to the room whose
turn it is, and upgrades the server to the same program in the midst of it, round after round. The pause of a round is the longest time
in which no connection at all has heard an event. A publish is a request of its own; while nobody accepts it waits. Server and client
share the machine."""

import argparse
import asyncio
import base64
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/conformance"))
import tokens  # noqa: E402
from contract import connect_request  # noqa: E402

PORTS = {"presence": 22_401, "quiz": 22_402, "chat": 22_403, "internal": 22_404}


def frame(opcode: int, payload: bytes) -> bytes:
    """Of a client, masked with zeros."""
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0xFE]) + len(payload).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


class Member(asyncio.Protocol):
    """One who is in a room, and notes the numbers that he hears."""

    def __init__(self, crowd: "Crowd", request: str):
        self.crowd, self.request = crowd, request
        self.numbers, self.bytes, self.is_open, self.is_seated = [], b"", False, asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {self.crowd.path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        transport.write(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())

    def data_received(self, data):
        self.bytes += data
        if not self.is_open:
            if b"\r\n\r\n" not in self.bytes:
                return
            head, self.bytes = self.bytes.split(b"\r\n\r\n", 1)
            assert head.startswith(b"HTTP/1.1 101"), head
            self.is_open = True
            self.transport.write(frame(1, self.request.encode()))
        while len(self.bytes) >= 2:
            opcode, length, start = self.bytes[0] & 15, self.bytes[1], 2
            if length == 126:
                length, start = int.from_bytes(self.bytes[2:4], "big"), 4
            if len(self.bytes) < start + length:
                return
            payload, self.bytes = self.bytes[start:start + length], self.bytes[start + length:]
            self.heard(opcode, payload)

    def heard(self, opcode: int, payload: bytes):
        if opcode == 9:
            self.transport.write(frame(10, payload))
        elif opcode == 8:
            self.crowd.closed += 1
        elif b'"n":' in payload:
            self.numbers.append(json.loads(payload)["payload"]["n"])
            now = time.monotonic()
            self.crowd.gap = max(self.crowd.gap, now - self.crowd.last)
            self.crowd.last = now
        elif b"connect_success" in payload and not self.is_seated.done():
            self.is_seated.set_result(None)

    def connection_lost(self, error):
        self.crowd.lost += 1
        if not self.is_seated.done():
            self.is_seated.set_exception(ConnectionError("lost before it was in its room"))


class Crowd:
    """All of them, and what they have seen."""

    def __init__(self, path: str):
        self.path, self.closed, self.lost, self.gap, self.last, self.members = path, 0, 0, 0.0, time.monotonic(), {}

    async def come(self, connections: int, rooms: list[uuid.UUID]):
        loop = asyncio.get_running_loop()
        for first in range(0, connections, 100):
            some = []
            for place in range(first, min(first + 100, connections)):
                room = rooms[place % len(rooms)]
                request = connect_request(room, tokens.token(f"s{place}"))
                _, member = await loop.create_connection(lambda request=request: Member(self, request), "127.0.0.1", PORTS["presence"])
                self.members.setdefault(room, []).append(member)
                some.append(member.is_seated)
            await asyncio.gather(*some)


async def publish(room: uuid.UUID, number: int):
    """One event, by a connection of its own."""
    body = json.dumps({"entity_type": "ban", "operation": "created", "payload": {"n": number}})
    reader, writer = await asyncio.open_connection("127.0.0.1", PORTS["internal"])
    head = f"POST /api/v1/classrooms/{room}/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200"), answer[:100]


async def speak(rooms: list[uuid.UUID], rate: float, said: dict, is_over: asyncio.Event):
    """Publishes at a rate. One room's events follow each other, so that their order means something."""
    began, count, last = time.monotonic(), 0, {}
    async def one(room, number, before):
        if before:
            await before
        await publish(room, number)
        said.setdefault(room, []).append(number)
    while not is_over.is_set():
        room = rooms[count % len(rooms)]
        last[room] = asyncio.create_task(one(room, count, last.get(room)))
        count += 1
        await asyncio.sleep(max(0, began + count / rate - time.monotonic()))
    await asyncio.gather(*last.values())


def settings(folder: Path, shards: int, database: str) -> Path:
    """The server's."""
    keys = tokens.write_keys(folder)
    lines = [f'data_dir = "{folder}/data"', f"database = {json.dumps(database)}", f"shards = {shards}"]
    lines += ['[log]\nlevel = "info"', '[stop]\ndrain = "0s"']
    lines += [f'[listen.{api}]\nbind = "127.0.0.1:{port}"' for api, port in PORTS.items()]
    for algorithm, issuer in tokens.ISSUERS.items():
        lines.append(f'[presence.issuers."{issuer.name}"]\naudiences = {json.dumps(tokens.AUDIENCES)}')
        lines.append(f'algorithm = "{algorithm}"\nkey_file = "{keys[algorithm]}"')
    lines.append("[presence.permissions]\n" + "\n".join(f'"{name}" = {{ type = "none" }}' for name in tokens.AUDIENCES))
    config = folder / "homeroom.toml"
    config.write_text("\n".join(lines) + "\n")
    return config


async def measure(arguments, folder: Path) -> dict:
    config = settings(folder, arguments.shards, arguments.database)
    log = (folder / "log").open("wb")
    server = subprocess.Popen([arguments.binary, "serve", "--config", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    pid = server.pid
    try:
        until = time.monotonic() + 60
        while True:
            try:
                (await asyncio.open_connection("127.0.0.1", PORTS["internal"]))[1].close()
                break
            except OSError:
                assert time.monotonic() < until and server.poll() is None, (folder / "log").read_text()[-2000:]
                await asyncio.sleep(0.05)
        rooms = [uuid.UUID(int=place + 1) for place in range(arguments.rooms)]
        crowd = Crowd(arguments.path)
        await crowd.come(arguments.connections, rooms)
        said, is_over, pauses, took = {}, asyncio.Event(), [], []
        speaker = asyncio.create_task(speak(rooms, arguments.rate, said, is_over))
        await asyncio.sleep(3)
        for _ in range(arguments.rounds):
            crowd.gap, crowd.last, began = 0.0, time.monotonic(), time.monotonic()
            command = await asyncio.create_subprocess_exec(arguments.binary, "upgrade", "--config", config, stdout=subprocess.PIPE)
            line = (await command.communicate())[0].decode()
            assert command.returncode == 0, line
            pid, took = int(line.split()[1]), [*took, time.monotonic() - began]
            await asyncio.sleep(3)
            pauses.append(crowd.gap)
        is_over.set()
        await speaker
        await asyncio.sleep(2)
        faults = {"lost": 0, "doubled": 0, "reordered": 0}
        for room, members in crowd.members.items():
            for member in members:
                faults["lost"] += len(set(said.get(room, [])) - set(member.numbers))
                faults["doubled"] += len(member.numbers) - len(set(member.numbers))
                faults["reordered"] += member.numbers != sorted(member.numbers)
        return {
            "connections": arguments.connections, "rooms": arguments.rooms, "rate": arguments.rate, "shards": arguments.shards,
            "events": sum(map(len, said.values())), "heard": sum(len(m.numbers) for members in crowd.members.values() for m in members),
            "closed": crowd.closed, "ended": crowd.lost, **faults,
            "pauses_ms": [round(1000 * pause, 1) for pause in pauses], "pause_ms_median": round(1000 * statistics.median(pauses), 1),
            "upgrade_s": [round(seconds, 2) for seconds in took],
        }
    finally:
        for own in {pid, server.pid}:
            try:
                os.kill(own, signal.SIGKILL)
            except ProcessLookupError:
                pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/homeroom")
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--rooms", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=1_000.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--database", default="sqlite", help="as the setting of that name")
    parser.add_argument("--path", default="/ws", help="where the listener has presence")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(arguments, Path(folder)))
    found |= {"machine": platform.machine(), "kernel": platform.release(), "cores": os.cpu_count()}
    text = json.dumps(found, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
