"""A proxy before a server: what it lets through, and how late, is decided while it runs."""

import asyncio
import contextlib


class Proxy:
    """Listens at `port` and passes everything on to `target`. What the target says comes `late` seconds later."""

    def __init__(self, port: int, target: int):
        self.port, self.target = port, target
        self.late = 0.0
        self.streams: set[asyncio.StreamWriter] = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_):
        self.server.close()
        self.cut()

    def cut(self):
        """Ends every connection."""
        for stream in self.streams:
            stream.transport.abort()
        self.streams.clear()

    async def _serve(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.streams |= {writer, far_writer}
        await asyncio.gather(self._pass(reader, far_writer, False), self._pass(far_reader, writer, True))

    async def _pass(self, reader, writer, is_answer: bool):
        with contextlib.suppress(OSError):
            while said := await reader.read(1 << 16):
                if is_answer and self.late:
                    await asyncio.sleep(self.late)
                writer.write(said)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
