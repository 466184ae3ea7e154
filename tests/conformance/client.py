"""A WebSocket client to see every frame with: the protocol is the `websockets` package's, only the socket and the notes are here."""

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import time
from dataclasses import dataclass

from websockets.client import ClientProtocol
from websockets.frames import Close, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from contract import SUCCESS, connect_request

KINDS = {Opcode.TEXT: "text", Opcode.BINARY: "binary", Opcode.PING: "ping", Opcode.PONG: "pong", Opcode.CLOSE: "close"}


OPENED: list["Socket"] = []  # by this test; they are ended with it


@dataclass
class Heard:
    """One thing that the server said: a frame (`text`, `binary`, `ping`, `pong`, `close`) or the end of its TCP stream (`end`)."""

    at: float
    kind: str
    data: bytes


class _Muteable(ClientProtocol):
    """Leaves Pings unanswered when told so."""

    answers_pings = True

    def send_frame(self, frame):
        if frame.opcode is Opcode.PONG and not self.answers_pings:
            return
        super().send_frame(frame)


class Socket(asyncio.Protocol):
    """One connection. Frames wait in the order of their coming; Pings are answered, noted in `pings` and passed over by the readers."""

    def __init__(self, uri: str, answers_pings: bool = True, subprotocols: tuple[str, ...] = ()):
        self.protocol = _Muteable(parse_uri(uri), subprotocols=subprotocols or None, max_size=None)
        self.protocol.answers_pings = answers_pings
        self.response: Response | None = None
        self.opened = asyncio.get_running_loop().create_future()
        self.opened_at = 0.0
        self.heard: asyncio.Queue[Heard] = asyncio.Queue()
        self.pings: list[Heard] = []
        self.pongs: list[Heard] = []
        self.everything: list[Heard] = []
        self.on_text = None
        self.transport = None

    # What asyncio tells.

    def connection_made(self, transport):
        self.transport = transport
        self.protocol.send_request(self.protocol.connect())
        self._flush()

    def data_received(self, data):
        self.protocol.receive_data(data)
        self._turn()

    def eof_received(self):
        self.protocol.receive_eof()
        self._turn()
        self._note(Heard(time.monotonic(), "end", b"eof"))

    def connection_lost(self, error):
        if not self.everything or self.everything[-1].kind != "end":
            self._note(Heard(time.monotonic(), "end", b"reset" if error else b"lost"))
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(f"the server ended the connection before the upgrade ({error})"))

    def _turn(self):
        now = time.monotonic()
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.response = event
                self.opened_at = now
                if not self.opened.done():
                    if self.protocol.handshake_exc is None:
                        self.opened.set_result(None)
                    else:
                        self.opened.set_exception(self.protocol.handshake_exc)
            else:
                assert event.fin, "the server sends whole messages"
                self._note(Heard(now, KINDS[event.opcode], bytes(event.data)))
        self._flush()

    def _note(self, heard: Heard):
        self.everything.append(heard)
        if heard.kind == "ping":
            self.pings.append(heard)
        elif heard.kind == "pong":
            self.pongs.append(heard)
        else:
            self.heard.put_nowait(heard)
        if heard.kind == "text" and self.on_text:
            self.on_text(heard)

    def _flush(self):
        for data in self.protocol.data_to_send():
            if data and not self.transport.is_closing():
                self.transport.write(data)

    # What a test does.

    @property
    def shard(self) -> int:
        """The shard that took this connection (the server says it under `[test] endpoints`)."""
        return int(self.response.headers["X-Homeroom-Shard"].rsplit("/")[-1])

    def send(self, message: str | bytes):
        """A whole text or binary message."""
        if isinstance(message, str):
            self.protocol.send_text(message.encode())
        else:
            self.protocol.send_binary(message)
        self._flush()

    def send_parts(self, *parts: bytes, between=None):
        """One text message in several frames; `between` is called between each two."""
        for index, part in enumerate(parts):
            fin = index == len(parts) - 1
            (self.protocol.send_text if index == 0 else self.protocol.send_continuation)(part, fin=fin)
            if between and not fin:
                between()
        self._flush()

    def ping(self, data: bytes = b""):
        """A Ping."""
        self.protocol.send_ping(data)
        self._flush()

    def say_close(self, code: int = 1000):
        """A Close; the server is expected to answer and to end the stream."""
        self.protocol.send_close(code)
        self._flush()

    def raw(self, data: bytes):
        """Bytes past the protocol, as they are."""
        self.transport.write(data)

    def abort(self):
        """The end without a Close, as a pulled cable has it."""
        self.transport.abort()

    def has_arrived(self, text: str) -> bool:
        """Whether this text frame is here at this instant, be it read already or still in the kernel's buffer."""
        if any(heard.kind == "text" and heard.data.decode() == text for heard in self.everything):
            return True
        with socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno())) as peeked:
            try:
                return text.encode() in peeked.recv(65536, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False

    async def next(self, timeout: float = 30) -> Heard:
        """The next thing that is no Ping or Pong."""
        try:
            return await asyncio.wait_for(self.heard.get(), timeout)
        except TimeoutError:
            raise AssertionError(f"heard nothing more within {timeout} s; so far {self.everything[-5:]}") from None

    async def text(self, timeout: float = 30) -> str:
        """The next frame, which must be text."""
        heard = await self.next(timeout)
        assert heard.kind == "text", f"expected text, heard {heard}"
        return heard.data.decode()

    async def json(self, timeout: float = 30):
        """The next frame, which must be JSON text."""
        return json.loads(await self.text(timeout))

    async def close_code(self, timeout: float = 30) -> int | None:
        """The next frame must be a Close, and after it the stream must end. Its code, or None where it had no body."""
        heard = await self.next(timeout)
        assert heard.kind == "close", f"expected Close, heard {heard}"
        end = await self.next(timeout)
        assert end.kind == "end", f"expected the end after Close, heard {end}"
        return Close.parse(heard.data).code if heard.data else None

    async def failure(self, text: str, timeout: float = 30) -> Heard:
        """The named error, then Close without a body, then the end, and nothing else. Returns the error's frame."""
        heard = await self.next(timeout)
        assert (heard.kind, heard.data.decode()) == ("text", text)
        assert await self.close_code(timeout) is None
        return heard

    async def pinged(self, count: int, timeout: float = 30):
        """Waits for so many Pings in all."""
        await self._noted(self.pings, count, timeout)

    async def ponged(self, count: int, timeout: float = 30):
        """Waits for so many Pongs in all."""
        await self._noted(self.pongs, count, timeout)

    async def _noted(self, noted: list[Heard], count: int, timeout: float):
        deadline = time.monotonic() + timeout
        while len(noted) < count:
            assert time.monotonic() < deadline, f"{len(noted)} of {count} within {timeout} s; so far {self.everything[-5:]}"
            await asyncio.sleep(0.02)

    async def quiet(self, seconds: float):
        """Nothing but Pings for so long."""
        try:
            heard = await asyncio.wait_for(self.heard.get(), seconds)
        except TimeoutError:
            return
        raise AssertionError(f"expected silence, heard {heard}")

    async def leave(self):
        """A Close, its answer, the end."""
        self.say_close()
        while (await self.next()).kind != "end":
            pass
        self.transport.close()


def keep_time(pings: list[Heard], since: float, interval: float):
    """None of these Pings came before its time, counted from `since`, when the first of them was not yet sent; and they came at the
    interval where the machine let them: one that stands still for a while brings some late and the next ones soon after those."""
    assert all(ping.at - since >= 0.99 * number * interval for number, ping in enumerate(pings)), [ping.at - since for ping in pings]
    gaps = [later.at - earlier.at for earlier, later in zip(pings, pings[1:])]
    assert min(gaps) <= 1.15 * interval, gaps


def hang_up():
    """Every connection of this test is over for the server at once, though the loop may not run again before it is asked to stop."""
    for opened in OPENED:
        with contextlib.suppress(OSError, AttributeError):  # which a transport of TLS has that is over
            opened.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


async def open_socket(
    house, shard: int | None = None, path: str = "/ws", answers_pings: bool = True, port: int | None = None,
    subprotocols: tuple[str, ...] = (), local: tuple[str, int] | None = None,
) -> Socket:
    """An upgraded connection to the presence listener (or to `port`); with `shard`, one that this shard took: the kernel's hash
    decides, so it is tried until it fits. `local` is where it comes from, if that matters."""
    loop = asyncio.get_running_loop()
    port = port or house.presence_port
    for _ in range(200):
        uri = f"{house.sockets}://127.0.0.1:{port}{path}"
        _, made = await loop.create_connection(
            lambda: Socket(uri, answers_pings, subprotocols), "127.0.0.1", port,
            local_addr=local or (f"127.0.0.{random.randint(2, 250)}", 0), ssl=house.context,
        )
        OPENED.append(made)
        await asyncio.wait_for(made.opened, 30)
        if shard is None or made.shard == shard:
            return made
        made.abort()
    raise AssertionError(f"no connection of 200 came to shard {shard}")


async def address_of(house, shard: int, path: str = "/ws", port: int | None = None) -> tuple[str, int]:
    """An address from which connections to the presence listener (or to `port`) come to this shard: for those that cannot be tried until
    they fit. The one that finds it out, which asks for `path`, ends by a reset, so that the address is free at once."""
    while True:
        found = await open_socket(house, path=path, port=port)
        address = found.transport.get_extra_info("sockname")
        found.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        found.abort()
        while (await found.next()).kind != "end":
            pass
        if found.shard == shard:
            return address


async def sign_in(house, room, token: str, label: str = "web", shard: int | None = None, **options) -> Socket:
    """A connection that is in the room."""
    made = await open_socket(house, shard, **options)
    made.send(connect_request(room, token, label))
    assert await made.text() == SUCCESS
    return made
