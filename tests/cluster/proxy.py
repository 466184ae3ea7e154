"""A TCP proxy that can lose, hold up and cut what goes through it."""

import asyncio
import contextlib
import threading


class Proxy:
    """Listens at `port` and passes on to `target`, on a thread of its own."""

    def __init__(self, port: int, target: int):
        self.port = port
        self.target = target
        self.delay = 0.0  # seconds that each piece waits
        self.loses = False  # pieces are read and passed on to nobody
        self.refuses = False  # whoever connects is turned away
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(60)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        ends = {writer}
        self._writers.add(writer)
        try:
            if not self.refuses:
                there, back = await asyncio.open_connection("127.0.0.1", self.target)
                ends.add(back)
                self._writers.add(back)
                await asyncio.gather(self._pass(reader, back), self._pass(there, writer))
        except OSError:
            pass
        finally:
            for end in ends:
                self._writers.discard(end)
                with contextlib.suppress(RuntimeError):
                    end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        while piece := await reader.read(65536):
            if self.delay:
                await asyncio.sleep(self.delay)
            if not self.loses:
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()

    def cut(self):
        """Ends every connection."""

        async def abort():
            for writer in list(self._writers):
                writer.transport.abort()

        asyncio.run_coroutine_threadsafe(abort(), self._loop).result(60)

    def close(self):
        """The end of the proxy."""

        async def end():
            self._server.close()

        self.cut()
        asyncio.run_coroutine_threadsafe(end(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
