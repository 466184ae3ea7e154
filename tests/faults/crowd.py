"""Thousands of signed-in clients, in processes of their own that a test may kill: raw sockets and epoll, from several loopback addresses.

`Crowds` is the test's side. Run as a program, this file is one such process: it takes orders on its standard input and answers each on its
standard output, a line of JSON each. A member answers Pings, reads (unless it was told to stall) and counts what it hears.
"""

import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

PER_PROCESS = 2500
FIRST_ADDRESS = 2
ADDRESSES = 8
AT_ONCE = 128  # sign-ins that one process waits for at a time
IP_BIND_ADDRESS_NO_PORT = 24
SUCCESS = b'{"type":"connect_success"}'
# What a stalling reader lets the kernel hold for it: with the small segments, the sender's buffer stays small too.
STALLING_RECEIVE_BUFFER = 2048
STALLING_SEGMENT = 536
BUCKETS = 50  # of latency, to a power of e: 2 % wide


# --- the test's side


@dataclass
class Tally:
    """What several processes counted, together."""

    live: int = 0
    entered: int = 0
    acknowledged: list[str] = field(default_factory=list)
    refusals: Counter = field(default_factory=Counter)
    fewest: int = 0
    most: int = 0
    latency: Counter = field(default_factory=Counter)
    probes: list[tuple[int, int]] = field(default_factory=list)

    def quantile_ms(self, quantile: float) -> float:
        """Milliseconds within which this part of all latencies lies."""
        left = quantile * self.latency.total()
        for bucket, count in sorted(self.latency.items()):
            left -= count
            if left <= 0:
                return math.exp((bucket + 1) / BUCKETS) / 1000
        raise AssertionError("nothing was measured")


class Crowds:
    """The processes of one test. Leaving the context kills those that are left."""

    def __init__(self, house):
        self.house = house
        self.processes: list[subprocess.Popen] = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def order(self, count: int, rooms=None, stalling: int = 0, leave_every: int = 0, label: str = "member") -> int:
        """Lets new processes sign `count` members in, spread over the rooms; `stalling` of them can be stalled later, and of the rest each
        `leave_every`th leaves at once. Returns how many processes were started; `answers` waits for them."""
        import tokens  # only the test's side has the packages for it

        rooms = [str(room) for room in rooms or [uuid.uuid4() for _ in range(max(1, count // 30))]]
        number = max(1, math.ceil(count / PER_PROCESS))
        for index in range(number):
            begin, end = count * index // number, count * (index + 1) // number
            share = stalling * (index + 1) // number - stalling * index // number
            address = f"127.0.0.{FIRST_ADDRESS + len(self.processes) % ADDRESSES}"
            process = self._process()
            self._say(process, do="enter", address=address, port=self.house.presence_port, token=tokens.token("crowd"), rooms=rooms,
                      numbers=[begin, end], stalling=share, leave_every=leave_every, label=label)
        return number

    def enter(self, count: int, **options) -> None:
        """`order`, and all of them must come in."""
        if count == 0:
            return
        entered = self.answers(self.order(count, **options))
        assert entered.entered == count, f"{entered.entered} of {count} came in; {entered.refusals}"

    def live(self) -> int:
        """How many are connected now."""
        return self.tell("report").live

    def tell(self, do: str, **more) -> Tally:
        """Gives an order to every process; returns what they answer."""
        for process in self.processes:
            self._say(process, do=do, **more)
        return self.answers(len(self.processes))

    def probe(self, room, seconds: float) -> None:
        """Lets a new process sign in and leave for so long, again and again. Returns when it has begun; `answers` waits for its end."""
        import tokens

        process = self._process()
        order = {"rooms": [str(room)], "seconds": seconds, "token": tokens.token("probe")}
        self._say(process, do="probe", address=f"127.0.0.{FIRST_ADDRESS + ADDRESSES}", port=self.house.presence_port, **order)
        line = process.stdout.readline()
        assert line == "probing\n", line

    def answers(self, number: int) -> Tally:
        """What the last `number` processes answer, taken together."""
        tally = Tally()
        fewest = []
        for process in self.processes[len(self.processes) - number:]:
            line = process.stdout.readline()
            assert line, f"a crowd's process ended with {process.wait()}"
            said = json.loads(line)
            tally.live += said["live"]
            tally.entered += said["entered"]
            tally.acknowledged += said["acknowledged"]
            tally.probes += said["probes"]
            tally.refusals.update(said["refusals"])
            tally.latency.update({int(bucket): count for bucket, count in said["latency"].items()})
            tally.most = max(tally.most, said["most"])
            if said["fewest"] is not None:
                fewest.append(said["fewest"])
        tally.fewest = min(fewest, default=0)
        return tally

    def kill(self):
        """SIGKILL to all at once: their sockets end without a Close."""
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
        for process in self.processes:
            process.wait()
            process.stdin.close()
            process.stdout.close()
        self.processes.clear()

    def _process(self) -> subprocess.Popen:
        process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    @staticmethod
    def _say(process, **order):
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()


# --- a process of its own


def masked(opcode: int, payload: bytes) -> bytes:
    """A whole frame of a client. The mask is zero: it hides nothing from a server, and costs nothing here."""
    if len(payload) < 126:
        head = bytes([0x80 | opcode, 0x80 | len(payload)])
    else:
        head = bytes([0x80 | opcode, 0x80 | 126]) + len(payload).to_bytes(2, "big")
    return head + bytes(4) + payload


def request(token: str, room: str, label: str) -> bytes:
    """The upgrade, and behind it the first frame: both may come in one packet."""
    upgrade = (
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    first = json.dumps({"type": "connect_request", "payload": {"agent_label": label, "classroom_id": room, "token": token}})
    return upgrade.encode() + masked(1, first.encode())


def bucket(us: int) -> int:
    """Where a latency is counted."""
    return int(math.log(max(us, 1)) * BUCKETS)


class Member:
    """One connection."""

    __slots__ = ("bytes", "heard", "label", "socket", "state")

    def __init__(self, label: str, made: socket.socket):
        self.label = label
        self.socket = made
        self.bytes = b""
        self.state = "upgrading"
        self.heard = 0

    def frames(self, data: bytes):
        """The frames that are complete with these bytes: opcode and payload. Before them the answer to the upgrade is passed over."""
        data = self.bytes + data if self.bytes else data
        at = 0
        if self.state == "upgrading":
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.bytes = data
                return
            if not data.startswith(b"HTTP/1.1 101"):
                yield 8, b"refused"
                return
            self.state, at = "entering", end + 4
        while len(data) - at >= 2:
            length, start = data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[at + 2:at + 4], "big"), at + 4
            elif length == 127:
                length, start = int.from_bytes(data[at + 2:at + 10], "big"), at + 10
            if len(data) < start + length:
                break
            yield data[at] & 0x0F, data[start:start + length]
            at = start + length
        self.bytes = data[at:]


class Crowd:
    """All members of one process."""

    def __init__(self):
        self.poll = select.epoll()
        self.members: dict[int, Member] = {}
        self.entering = 0
        self.entered = 0
        self.acknowledged: list[str] = []
        self.refusals: Counter = Counter()
        self.latency: Counter = Counter()
        self.probes: list[tuple[int, int]] = []
        self.stallable: list[Member] = []
        self.leave_every = 0

    def connect(self, address: str, port: int, is_stalling: bool = False) -> socket.socket:
        """A connection from this address."""
        made = socket.socket()
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        if is_stalling:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STALLING_RECEIVE_BUFFER)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, STALLING_SEGMENT)
        made.bind((address, 0))
        made.settimeout(20)
        made.connect(("127.0.0.1", port))
        return made

    def enter(self, order: dict):
        """Signs members in until all have come or the server is gone."""
        begin, end = order["numbers"]
        self.leave_every = order["leave_every"]
        for number in range(begin, end):
            label, is_stalling = f"{order['label']}{number}", number - begin < order["stalling"]
            try:
                made = self.connect(order["address"], order["port"], is_stalling)
                made.sendall(request(order["token"], order["rooms"][number % len(order["rooms"])], label))
            except OSError as error:
                self.refusals[type(error).__name__] += 1
                if isinstance(error, ConnectionRefusedError):
                    break
                continue
            made.setblocking(False)
            member = Member(label, made)
            self.members[made.fileno()] = member
            if is_stalling:
                self.stallable.append(member)
            self.poll.register(made.fileno(), select.EPOLLIN)
            self.entering += 1
            self.listen(0)
            while self.entering >= AT_ONCE:
                self.listen(1)
        deadline = time.monotonic() + 120
        while self.entering and time.monotonic() < deadline:
            self.listen(0.1)

    def listen(self, seconds: float) -> None:
        """Reads once from all who have something to read, after waiting so long for the first."""
        for descriptor, _ in self.poll.poll(seconds):
            member = self.members.get(descriptor)
            if member is None:
                continue
            try:
                data = member.socket.recv(1 << 18)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                self.hear(member, data)
            else:
                self.end(member)

    def hear(self, member: Member, data: bytes):
        """What one member was told."""
        for opcode, payload in member.frames(data):
            if opcode == 1:
                if member.state == "in":
                    self.event(member, payload)
                elif payload == SUCCESS:
                    self.came_in(member)
                else:
                    self.refusals[json.loads(payload)["payload"]["type"]] += 1
            elif opcode == 9:
                try:
                    member.socket.send(masked(10, payload))
                except OSError:
                    return self.end(member)
            elif opcode == 8:
                return self.end(member)

    def came_in(self, member: Member):
        member.state = "in"
        self.entering -= 1
        self.entered += 1
        self.acknowledged.append(member.label)
        if self.leave_every and self.entered % self.leave_every == 0:
            self.end(member)

    def event(self, member: Member, payload: bytes):
        """Counts what a test published: events of the entity `fault`, with the moment of the monotonic clock at which they were meant."""
        if not payload.startswith(b'{"id":{"entity_type":"fault"'):
            return
        member.heard += 1
        at = payload.find(b'"meant_us":') + 11
        late = time.monotonic_ns() // 1000 - int(payload[at:payload.index(b",", at)])
        self.latency[bucket(late)] += 1

    def end(self, member: Member):
        """A connection is over."""
        if self.members.pop(member.socket.fileno(), None) is None:
            return
        if member.state != "in":
            self.entering -= 1
            self.refusals["ended"] += 1
        member.state = "over"
        member.socket.close()

    def stall(self):
        """The stallable ones read no more."""
        for member in self.stallable:
            if member.state == "in":
                self.poll.unregister(member.socket.fileno())

    def forget(self):
        """Counts from nothing again."""
        self.latency.clear()
        for member in self.members.values():
            member.heard = 0

    def probe(self, order: dict):
        """Signs in and leaves, one after another, and notes how long each took from the TCP connection to `connect_success`."""
        print("probing", flush=True)
        until, number = time.monotonic() + order["seconds"], 0
        while time.monotonic() < until:
            number += 1
            began_us = time.monotonic_ns() // 1000
            made = self.connect(order["address"], order["port"])
            made.sendall(request(order["token"], order["rooms"][0], f"probe{os.getpid()}n{number}"))
            said = b""
            while SUCCESS not in said:
                more = made.recv(4096)
                if not more or b"unrecoverable" in said:
                    self.refusals["refused"] += 1
                    break
                said += more
            else:
                self.entered += 1
                took_us = time.monotonic_ns() // 1000 - began_us
                self.probes.append((began_us, took_us))
                self.latency[bucket(took_us)] += 1
            made.close()
            time.sleep(0.002)

    def report(self) -> dict:
        """What stands now."""
        heard = [member.heard for member in self.members.values() if member not in self.stallable]
        return {
            "live": len(self.members), "entered": self.entered, "acknowledged": self.acknowledged, "refusals": self.refusals,
            "probes": self.probes, "fewest": min(heard, default=None), "most": max(heard, default=0), "latency": self.latency,
        }

    def serve(self):
        """Orders, until there are no more."""
        self.poll.register(sys.stdin.fileno(), select.EPOLLIN)
        while True:
            ready = self.poll.poll()
            self.listen(0)
            if not any(descriptor == sys.stdin.fileno() for descriptor, _ in ready):
                continue
            line = sys.stdin.readline()
            if not line:
                return
            order = json.loads(line)
            match order["do"]:
                case "enter":
                    self.enter(order)
                case "probe":
                    self.probe(order)
                case "stall":
                    self.stall()
                case "forget":
                    self.forget()
            print(json.dumps(self.report()), flush=True)
            self.acknowledged = []


if __name__ == "__main__":
    Crowd().serve()
