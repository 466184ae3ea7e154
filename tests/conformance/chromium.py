"""Chromium without a window, told what to do by its DevTools protocol."""

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
import struct
import zlib
from pathlib import Path

import httpx
import websockets

from quiz import is_true_soon

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Nothing that asks the network for anything but the page.
QUIET = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0", "--window-size=1100,850",
]


# Keys that are no letters, with what they write.
KEYS = {"Tab": (9, ""), "Enter": (13, "\r"), "Escape": (27, ""), "Space": (32, " "), "ArrowDown": (40, "")}


class Picture:
    """A PNG of 8 bits without interlace, as screenshots are (ISO/IEC 15948)."""

    def __init__(self, png: bytes):
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        packed, at = b"", 8
        while at < len(png):
            (length,), kind = struct.unpack(">I", png[at:at + 4]), png[at + 4:at + 8]
            data, at = png[at + 8:at + 8 + length], at + 12 + length
            if kind == b"IHDR":
                self.width, self.height, depth, colours, *rest = struct.unpack(">IIBBBBB", data)
                assert depth == 8 and colours in (2, 6) and rest == [0, 0, 0]
                self.size = 3 if colours == 2 else 4
            elif kind == b"IDAT":
                packed += data
        self.rows = self.unfiltered(zlib.decompress(packed))

    def unfiltered(self, raw: bytes) -> list[bytearray]:
        """The rows, each undone by its filter."""
        size, stride = self.size, self.width * self.size
        rows, above = [], bytearray(stride)
        for start in range(0, len(raw), stride + 1):
            kind, row = raw[start], bytearray(raw[start + 1:start + 1 + stride])
            for x in range(stride) if kind else ():
                left, corner = (row[x - size], above[x - size]) if x >= size else (0, 0)
                row[x] = (row[x] + _predicted(kind, left, above[x], corner)) & 255
            rows.append(row)
            above = row
        return rows

    def at(self, x: int, y: int) -> tuple[int, int, int]:
        """A pixel's red, green and blue."""
        return tuple(self.rows[y][x * self.size:x * self.size + 3])

    def share(self, colour: tuple[int, int, int], near: int = 3) -> float:
        """How much of the picture has about this colour, of each eighth pixel each way."""
        pixels = [self.at(x, y) for y in range(0, self.height, 8) for x in range(0, self.width, 8)]
        alike = [pixel for pixel in pixels if all(abs(one - other) <= near for one, other in zip(pixel, colour))]
        return len(alike) / len(pixels)


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda value: abs(guess - value))
    return (0, left, up, (left + up) // 2)[kind]


class Browser:
    """One page."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.numbers = itertools.count(1)
        self.said: list[dict] = []  # what the console and the network told
        self.answers: dict[int, asyncio.Future] = {}

    async def open(self, url: str):
        """Starts it, with this page."""
        self.process = await asyncio.create_subprocess_exec(
            BROWSER, *QUIET, f"--user-data-dir={self.folder / 'profile'}", "about:blank", stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )
        place = self.folder / "profile/DevToolsActivePort"

        async def there():
            return place.exists() and place.read_text().split()

        port = (await is_true_soon(there, 30))[0]
        async with httpx.AsyncClient(trust_env=False, verify=False) as http:
            pages = (await http.get(f"http://127.0.0.1:{port}/json/list", timeout=20)).json()
        (page,) = [page for page in pages if page["type"] == "page"]
        self.socket = await websockets.connect(page["webSocketDebuggerUrl"], max_size=None, proxy=None, ping_interval=None)
        self.reading = asyncio.create_task(self.read())
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.tell(f"{domain}.enable")
        await self.tell("Page.navigate", url=url)

    async def read(self):
        """Answers, and what is told unasked."""
        async for text in self.socket:
            message = json.loads(text)
            if answer := self.answers.pop(message.get("id"), None):
                answer.set_result(message)
            else:
                self.said.append(message)

    async def tell(self, method: str, **params) -> dict:
        """A command; its result."""
        number, answer = next(self.numbers), asyncio.get_running_loop().create_future()
        self.answers[number] = answer
        await self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        message = await asyncio.wait_for(answer, 30)
        assert "error" not in message, message
        return message["result"]

    async def value(self, script: str):
        """What a script in the page comes to."""
        result = await self.tell("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def becomes(self, script: str, timeout: float = 30):
        """Waits until it comes to something that is true."""

        async def true():
            return await self.value(script)

        return await is_true_soon(true, timeout)

    async def picture(self) -> Picture:
        """What is seen."""
        return Picture(base64.b64decode((await self.tell("Page.captureScreenshot", format="png"))["data"]))

    async def click(self, x: int, y: int):
        """The left button, there."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            await self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def key(self, text: str):
        """One key of a letter."""
        more = {"key": text, "code": f"Key{text.upper()}", "windowsVirtualKeyCode": ord(text.upper())}
        await self.tell("Input.dispatchKeyEvent", type="keyDown", text=text, **more)
        await self.tell("Input.dispatchKeyEvent", type="keyUp", **more)

    async def press(self, name: str, shift: bool = False):
        """One key that is called so: Tab, Enter, ArrowDown, Escape, Space."""
        code, text = KEYS[name]
        more = {"key": text if name == "Space" else name, "code": name, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        await self.tell("Input.dispatchKeyEvent", type="keyDown", **({"text": text} if text else {}), **more)
        await self.tell("Input.dispatchKeyEvent", type="keyUp", **more)

    async def write(self, text: str):
        """A text where the focus is."""
        await self.tell("Input.insertText", text=text)

    async def looks(self, width: int, dark: bool, height: int = 900):
        """A window of this width, on a system that is light or dark."""
        await self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        await self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        # Until it has been drawn so.
        await self.value("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))).then(() => 0)")

    def faults(self) -> list[str]:
        """What the console calls an error, and what scripts threw."""
        told = [(message["method"], message["params"]) for message in self.said]
        thrown = [json.dumps(params["exceptionDetails"]) for method, params in told if method == "Runtime.exceptionThrown"]
        entries = [params["entry"] for method, params in told if method == "Log.entryAdded"]
        return thrown + [entry["text"] for entry in entries if entry["level"] == "error"]

    def asked(self) -> set[str]:
        """The origins that the page asked for anything."""
        urls = [message["params"]["request"]["url"] for message in self.said if message["method"] == "Network.requestWillBeSent"]
        return {"/".join(url.split("/")[:3]) for url in urls if url.startswith("http")}

    async def close(self):
        """The end."""
        if not hasattr(self, "reading"):
            return
        os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        self.reading.cancel()
