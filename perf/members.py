"""Clients with bad manners, which no load generator is: those who fall silent, and those who never read."""

import json
import selectors
import socket
import struct
import threading
import time
import uuid

from rig import Fault, Homeroom

SO_TIMESTAMPNS = 35
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: perf\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FIRST_PING = b'{"type":"connect_success"}\x89\x00'


def masked(text: str) -> bytes:
    """A client's text frame of 126 to 65,535 bytes, with a mask of zeros."""
    data = text.encode()
    return struct.pack("!BBHI", 0x81, 0xFE, len(data), 0) + data


def connect_request(server: Homeroom, subject: str, classroom: uuid.UUID) -> bytes:
    """The first frame."""
    payload = {"agent_label": "web", "classroom_id": str(classroom), "token": server.token(subject)}
    return masked(json.dumps({"type": "connect_request", "payload": payload}))


class Silent:
    """A client that says nothing more at some point, and notes when the server notices. Moments are the kernel's: when bytes came in."""

    def __init__(self, server: Homeroom, request: bytes | None):
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.request, self.heard = request, b""
        self.sent = self.upgraded = self.pinged = self.told = None
        self.sent = time.time_ns()
        self.socket.sendall(UPGRADE)

    def hear(self) -> bool:
        """Reads; true when the server has told of the time-out."""
        data, control, _, _ = self.socket.recvmsg(4096, 64)
        stamps = [struct.unpack("qq", value[:16]) for level, kind, value in control if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)]
        at = stamps[0][0] * 1_000_000_000 + stamps[0][1] if stamps and stamps[0][0] else time.time_ns()
        self.heard += data
        if not data and self.told is None:
            raise Fault(f"a silent connection ended without a word: {self.heard!r}")
        if self.upgraded is None and b"\r\n\r\n" in self.heard:
            self.upgraded = at
            if self.request:
                self.socket.sendall(self.request)
        if self.pinged is None and FIRST_PING in self.heard:
            self.pinged = at
        if b"_timed_out" in self.heard:
            self.told = at
        return self.told is not None

    def lateness_ms(self, limit_s: float, since: int) -> float:
        """Beyond the limit."""
        return (self.told - since) / 1e6 - limit_s * 1e3


def watch_silent(server: Homeroom, each: int, gap_s: float) -> list:
    """So many of each kind, begun one after the other; all of them when they have been told."""
    selector, watched, waiting, room = selectors.EpollSelector(), [], 0, uuid.uuid4()
    requests = [connect_request(server, f"silent-{number}", room) for number in range(each)]
    start, limit = time.monotonic(), time.monotonic() + 2 * each * gap_s / 2 + 60
    while len(watched) < 2 * each or waiting:
        if time.monotonic() > limit:
            raise Fault(f"{waiting} silent connections were never told")
        if len(watched) < 2 * each and time.monotonic() >= start + len(watched) * gap_s / 2:
            number = len(watched)
            silent = Silent(server, requests[number // 2] if number % 2 else None)
            selector.register(silent.socket, selectors.EVENT_READ, silent)
            watched.append(silent)
            waiting += 1
        for key, _ in selector.select(gap_s / 4):
            if key.data.hear():
                selector.unregister(key.data.socket)
                key.data.socket.close()
                waiting -= 1
    selector.close()
    return watched


def mix(state: int) -> int:
    """SplitMix64, as homeroom-load mixes."""
    mask = (1 << 64) - 1
    z = (state + 0x9E37_79B9_7F4A_7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & mask
    return z ^ (z >> 31)


def classroom(seed: int, room: int) -> uuid.UUID:
    """The id that homeroom-load gives to a room."""
    high = mix(seed ^ mix(room))
    return uuid.UUID(int=(high << 64) | mix(high), version=4)


class Stalled:
    """Members who never read. When the server has cut them all, others take their places."""

    def __init__(self, server: Homeroom, count: int, room: uuid.UUID):
        self.server, self.requests = server, [connect_request(server, f"stalled-{number}", room) for number in range(count)]
        self.sockets, self.over, self.rounds = [], threading.Event(), 0
        self.sit_down()
        self.keeper = threading.Thread(target=self.keep)
        self.keeper.start()

    def sit_down(self):
        for old in self.sockets:
            old.close()
        self.sockets = []
        for request in self.requests:
            member = socket.socket()
            member.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            member.connect(("127.0.0.1", self.server.port))
            member.sendall(UPGRADE)
            self.sockets.append(member)
            while b"\r\n\r\n" not in member.recv(4096):
                pass
            member.sendall(request)
            # The answer to the Ping behind connect_success, which it will not read.
            member.sendall(struct.pack("!BBI", 0x8A, 0x80, 0))
        self.rounds += 1

    def keep(self):
        cut = self.server.metrics()["homeroom_slow_readers_total"]
        while not self.over.wait(0.5):
            now = self.server.metrics()["homeroom_slow_readers_total"]
            if now - cut >= len(self.requests):
                cut = now
                self.sit_down()

    def leave(self):
        """All of them."""
        self.over.set()
        self.keeper.join()
        for member in self.sockets:
            member.close()
