"""Server-sent events as browsers must read them (WHATWG HTML, 9.2.6), from an HTTP/1.1 answer whose every piece is seen when it comes."""

import asyncio
import codecs
import json
import ssl
import time
from dataclasses import dataclass

import h11


@dataclass
class Event:
    """One that a browser would dispatch."""

    at: float
    type: str
    data: str
    last_id: str


class Parser:
    """Takes the body in whatever pieces; has the events and the comments so far. What is not ended by an empty line is no event."""

    def __init__(self):
        self.events: list[Event] = []
        self.comments: list[tuple[float, str]] = []
        self.unknown: list[str] = []  # lines that a browser ignores
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._text, self._is_first, self._after_return = "", True, False
        self._data: list[str] = []
        self._type, self._id = "", ""

    def feed(self, data: bytes, at: float):
        """More of the body."""
        text = self._decoder.decode(data)
        if self._is_first and text:
            text, self._is_first = text.removeprefix("\ufeff"), False
        for character in text:
            if character == "\n" and self._after_return:
                self._after_return = False
                continue
            self._after_return = character == "\r"
            if character in "\r\n":
                line, self._text = self._text, ""
                self._line(line, at)
            else:
                self._text += character

    @property
    def is_between_events(self) -> bool:
        """Whether nothing is begun and not ended."""
        return not (self._text or self._data or self._type)

    def _line(self, line: str, at: float):
        if not line:
            if self._data:
                self.events.append(Event(at, self._type or "message", "\n".join(self._data), self._id))
            self._data, self._type = [], ""
            return
        if line.startswith(":"):
            self.comments.append((at, line[1:]))
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._type = value
            case "id" if "\0" not in value:
                self._id = value
            case _:
                self.unknown.append(line)


class EventSource:
    """One request, and its answer as a stream of events."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.http = h11.Connection(h11.CLIENT)
        self.parser = Parser()
        self.pieces: list[tuple[float, bytes]] = []  # of the body
        self.status, self.headers = 0, {}
        self.is_over = False
        self._told = 0

    @classmethod
    async def open(
        cls, port: int, path: str, token: str | None, body: object, local: tuple[str, int] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> "EventSource":
        """Asks by POST; returns when the head of the answer is here."""
        source = cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=local, ssl=context))
        data = json.dumps(body).encode()
        fields = [("Host", f"127.0.0.1:{port}"), ("Accept", "text/event-stream"), ("Content-Type", "application/json")]
        fields += [("Content-Length", str(len(data)))] + ([("Authorization", f"Bearer {token}")] if token else [])
        source.writer.write(source.http.send(h11.Request(method="POST", target=path, headers=fields)))
        source.writer.write(source.http.send(h11.Data(data=data)) + source.http.send(h11.EndOfMessage()))
        return source

    async def head(self, timeout: float = 30) -> "EventSource":
        """Waits for the head of the answer."""
        while not self.status:
            await self._step(timeout)
        return self

    async def event(self, timeout: float = 30) -> dict:
        """The next event, which must be an unnamed one with JSON."""
        while len(self.parser.events) == self._told:
            assert not self.is_over, "the stream ended"
            await self._step(timeout)
        event = self.parser.events[self._told]
        self._told += 1
        assert (event.type, event.last_id) == ("message", ""), event
        return json.loads(event.data)

    async def rest(self, timeout: float = 30) -> list[dict]:
        """All events to the end of the answer, which must be a clean one."""
        told = []
        while True:
            while len(self.parser.events) == self._told and not self.is_over:
                await self._step(timeout)
            if len(self.parser.events) == self._told:
                assert self.parser.is_between_events and not self.parser.unknown
                return told
            told.append(await self.event(timeout))

    async def refusal(self) -> dict:
        """The JSON of an answer that is no stream."""
        await self.head()
        assert self.headers["content-type"].startswith("application/json"), self.headers
        while not self.is_over:
            await self._step(10)
        return json.loads(b"".join(data for _, data in self.pieces))

    async def again(self, path: str, token: str) -> dict:
        """Another request over the same connection, by GET; the JSON of its answer."""
        self.http.start_next_cycle()
        self.status, self.is_over, self.pieces = 0, False, []
        fields = [("Host", "127.0.0.1"), ("Authorization", f"Bearer {token}")]
        self.writer.write(self.http.send(h11.Request(method="GET", target=path, headers=fields)) + self.http.send(h11.EndOfMessage()))
        return await self.refusal()

    def leave(self):
        """Goes away in the middle."""
        self.writer.transport.abort()

    async def _step(self, timeout: float):
        event = self.http.next_event()
        match event:
            case h11.NEED_DATA:
                data = await asyncio.wait_for(self.reader.read(65536), timeout)
                self.http.receive_data(data)
            case h11.Response():
                self.status = event.status_code
                self.headers = {name.decode(): value.decode() for name, value in event.headers}
            case h11.Data():
                now = time.monotonic()
                self.pieces.append((now, bytes(event.data)))
                if self.headers.get("content-type") == "text/event-stream":
                    self.parser.feed(bytes(event.data), now)
            case h11.EndOfMessage():
                self.is_over = True
