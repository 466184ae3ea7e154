"""That a peer does the work that is measured: a small conversation with it before perf/compare takes its figures."""

import contextlib
import json
import socket
import struct
import time
import urllib.request
import uuid

from members import UPGRADE, connect_request, masked
from rig import Fault, Server

ADMITTED = b'\x81\x1a{"type":"connect_success"}\x89\x00'
EVENT = {"entity_type": "load", "operation": "tick", "payload": {"pad": "grüß", "list": [1, None, {"a": 0.5}]}}
WITHIN_S = 10


class Socket:
    """A WebSocket, by hand: what a library would smooth over is seen."""

    def __init__(self, server: Server, path: str):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=WITHIN_S)
        self.rest = b""
        self.socket.sendall(UPGRADE.replace(b"/ws", path.encode()))
        while b"\r\n\r\n" not in self.rest:
            self.more()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        if b" 101 " not in head or b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" not in head:
            raise Fault(f"{path}: not upgraded: {head!r}")

    def more(self):
        data = self.socket.recv(65_536)
        if not data:
            raise Fault(f"ended after {self.rest!r}")
        self.rest += data

    def exactly(self, count: int) -> bytes:
        """So many bytes."""
        while len(self.rest) < count:
            self.more()
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def frame(self) -> tuple:
        """The first byte of the next frame, and its payload."""
        first, length = self.exactly(2)
        if length == 126:
            (length,) = struct.unpack("!H", self.exactly(2))
        return first, self.exactly(length)

    def sign_in(self, server: Server, room: uuid.UUID):
        """As a good student does."""
        self.socket.sendall(connect_request(server, "proof", room))
        said = self.exactly(len(ADMITTED))
        if said != ADMITTED:
            raise Fault(f"not admitted: {said!r}")


def publish(server: Server, room: uuid.UUID) -> dict:
    """The answer to an event."""
    request = urllib.request.Request(f"http://{server.address}/api/v1/classrooms/{room}/events", json.dumps(EVENT).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=WITHIN_S) as answer:
        return json.load(answer)


def publish_to_channel(server: Server, room: uuid.UUID, text: str) -> int:
    """Of nchan, which delivers what it is given: how many subscribers it was published to."""
    request = urllib.request.Request(f"http://{server.address}/api/v1/classrooms/{room}/events", text.encode())
    request.add_header("Accept", "application/json")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=WITHIN_S) as answer:
        return json.load(answer)["subscribers"]


def prove_channels(server: Server):
    """Nchan's own way: an event reaches the subscribers of its classroom, as it was published and in its order, and nobody else."""
    room, other = uuid.uuid4(), uuid.uuid4()
    with contextlib.ExitStack() as open_sockets:
        member, neighbour = (Socket(server, f"/sub/{place}") for place in (room, other))
        for opened in (member, neighbour):
            open_sockets.callback(opened.socket.close)
        if publish_to_channel(server, uuid.uuid4(), "to nobody") != 0:
            raise Fault("a channel without subscribers has some")
        # The first again, at last: whether he heard of the other meanwhile.
        for place, opened in ((room, member), (other, neighbour), (room, member)):
            hear_from_channel(server, place, opened)


def hear_from_channel(server: Server, room: uuid.UUID, member: Socket):
    """Publishes until the one subscriber is counted: a subscription begins some time after the upgrade, and what was published before it
    comes or does not."""
    said, counted, until = [], 0, time.monotonic() + WITHIN_S
    while counted != 1:
        if time.monotonic() > until:
            raise Fault(f"{counted} subscribers of one")
        said.append(f"grüß {uuid.uuid4()}")
        counted = publish_to_channel(server, room, said[-1])
    wanted = [(0x81, text.encode()) for text in said]
    heard = [member.frame()]
    while heard[-1] in wanted[:-1] and len(heard) < len(wanted):
        heard.append(member.frame())
    if heard != wanted[-len(heard):] or member.rest:
        raise Fault(f"published {said}, heard {heard}")


def forged(frame: bytes) -> bytes:
    """The same request with another signature."""
    end = frame.rindex(b'"}}')
    return frame[:end - 8] + (b"AAAAAAAA" if frame[end - 8:end] != b"AAAAAAAA" else b"BBBBBBBB") + frame[end:]


def prove(server: Server):
    """That of its dialect."""
    {"": prove_contract, "nchan": prove_channels}[getattr(server, "dialect", "")](server)


def prove_contract(server: Server):
    """Bad tokens are refused; an event reaches the members of its classroom, as it was published, and nobody else; echoes are true."""
    room, other = uuid.uuid4(), uuid.uuid4()
    with contextlib.ExitStack() as open_sockets:
        def opened(path: str) -> Socket:
            made = Socket(server, path)
            open_sockets.callback(made.socket.close)
            return made

        liar = opened("/ws")
        liar.socket.sendall(forged(connect_request(server, "proof", room)))
        first, payload = liar.frame()
        if (first, payload[:2]) != (0x88, struct.pack("!H", 1008)):
            raise Fault(f"a forged token was answered with {first:#x} {payload!r}")
        member, neighbour, echo = opened("/ws"), opened("/ws"), opened("/echo")
        member.sign_in(server, room)
        neighbour.sign_in(server, other)
        if publish(server, uuid.uuid4())["members"] != 0:
            raise Fault("a classroom without members has some")
        for _ in range(2):
            answer = publish(server, room)
            first, payload = member.frame()
            kind = {"entity_type": EVENT["entity_type"], "operation": EVENT["operation"], "sequence_id": answer["sequence_id"]}
            if first != 0x81 or answer["members"] != 1 or json.loads(payload) != {"id": kind, "payload": EVENT["payload"]}:
                raise Fault(f"published {EVENT}, answered {answer}, heard {first:#x} {payload!r}")
        if publish(server, other)["members"] != 1 or neighbour.frame()[0] != 0x81 or neighbour.rest:
            raise Fault("a neighbour hears of other classrooms")
        echo.socket.sendall(masked("e" * 256))
        if echo.frame() != (0x81, b"e" * 256):
            raise Fault("an echo is not what was said")
