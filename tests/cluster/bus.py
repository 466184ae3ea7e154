"""A client of NATS that has no word of ours: as another service would publish, and ask for an answer."""

import asyncio
import itertools
import json

PREFIX = "classroom"


class Bus:
    """One connection, made by `open`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer
        self.inbox = f"_INBOX.{id(self)}"
        self.numbers = itertools.count()
        self.waiting: dict[str, asyncio.Future] = {}
        self.spied: list[tuple[str, bytes]] = []  # subject and payload of what others say to each other
        self.hearing = asyncio.create_task(self._hear())

    @classmethod
    async def open(cls, port: int) -> "Bus":
        """Connects, and returns when the server has answered."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.readline()).startswith(b"INFO ")
        bus = cls(reader, writer)
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "test", "version": "1"}
        writer.write(f"CONNECT {json.dumps(options)}\r\nSUB {bus.inbox}.* 1\r\n".encode())
        return bus

    async def _hear(self):
        while line := await self.reader.readline():
            words = line.decode().split()
            if words[0] == "PING":
                self.writer.write(b"PONG\r\n")
            elif words[0] in ("MSG", "HMSG"):
                payload = (await self.reader.readexactly(int(words[-1]) + 2))[:-2]
                if words[0] == "HMSG":  # nobody is there: headers alone
                    payload = payload[int(words[-2]):] or b'{"error":"nobody"}'
                if words[2] == "2":
                    self.spied.append((words[1], payload))
                    continue
                waiting = self.waiting.pop(words[1], None)
                if waiting and not waiting.done():
                    waiting.set_result(json.loads(payload))

    async def spy(self, subject: str):
        """From when this returns all that is said there is in `spied`."""
        self.writer.write(f"SUB {subject} 2\r\n".encode())
        await self.ask("nobody.is.here", {}, b"")

    def publish(self, subject: str, headers: dict[str, str], payload: bytes, reply: str = ""):
        """One message, without waiting for anything."""
        head = b"NATS/1.0\r\n" + b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items()) + b"\r\n"
        sizes = f"{len(head)} {len(head) + len(payload)}"
        self.writer.write(f"HPUB {subject} {reply + ' ' if reply else ''}{sizes}\r\n".encode() + head + payload + b"\r\n")

    async def ask(self, subject: str, headers: dict[str, str], payload: bytes, timeout: float = 60) -> dict | None:
        """One message, and what is answered to it; none: nothing in this time."""
        reply = f"{self.inbox}.{next(self.numbers)}"
        self.waiting[reply] = asyncio.get_running_loop().create_future()
        self.publish(subject, headers, payload, reply)
        try:
            return await asyncio.wait_for(self.waiting[reply], timeout)
        except TimeoutError:
            self.waiting.pop(reply, None)
            return None

    async def close(self):
        """The end of it."""
        self.hearing.cancel()
        self.writer.close()


def headers(sender: str, number: int, receiver: str | None = None, **changed: str | None) -> dict[str, str]:
    """Those that the contract asks for; one that is changed to None is left out."""
    all_of_them = {
        "Sender-Agent-Id": sender, "Entity-Event-Sequence-Id": str(number), "Entity-Event-Type": "ban",
        "Entity-Event-Operation": "created", "Is-Internal": "false", "Receiver-Agent-Id": receiver,
    } | {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in all_of_them.items() if value is not None}
