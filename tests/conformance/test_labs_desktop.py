"""A real desktop: TigerVNC's X server, started by `homeroom agent` on this machine, seen by a client of the screen's protocol and in
Chromium through the page at `/lab/{id}`. What was drawn is on the page; a key that is pressed there is heard by the desktop."""

import json
import shutil
import subprocess

import pytest

from chromium import BROWSER, Browser
from house import BINARY, PORTS, toml
from labs import PASSWORD
from quiz import is_true_soon

BLUE, RED = (0x2A, 0x7F, 0xD4), (0xC8, 0x1E, 0x1E)
NEEDED = ("Xtigervnc", "xsetroot", "xev")
# Blue, until a key is pressed on the screen; then red.
PROGRAM = """
xsetroot -solid '#2a7fd4'
xev -root -event keyboard | while read -r line; do case $line in *KeyPress*) xsetroot -solid '#c81e1e'; echo pressed;; esac; done
"""

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, NEEDED)), reason="there is no Xtigervnc, xsetroot or xev on this machine"
)


class HostAgent:
    """`homeroom agent`, with a folder of its own."""

    def __init__(self, lab, folder):
        self.lab, self.folder, self.name = lab, folder, lab.fresh("host")
        self.config, self.log = folder / "agent.toml", folder / "agent.log"
        first = PORTS.free()
        PORTS.at += 10
        self.config.write_text(toml({
            "server": f"ws://127.0.0.1:{lab.house.labs_port}", "id": self.name, "data_dir": str(folder / "agent"),
            "first_port": first, "last_port": first + 9, "max_sessions": 4, "geometry": "640x480", "limits": "none",
            "templates": {"firefox-browser": {"program": ["sh", "-c", PROGRAM]}},
        }))
        self.process = None

    def start(self):
        """Begins."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [BINARY, "agent", "--config", self.config, "--log", "debug"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )

    def kill(self):
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; exit code 0."""
        self.process.terminate()
        assert self.process.wait(60) == 0, self.log.read_text()[-3000:]


@pytest.fixture
async def desktop(build_lab, tmp_path):
    """A server and an agent on this host; whatever still runs at the end is ended by its sessions."""
    lab = await build_lab()
    agent = HostAgent(lab, tmp_path)
    agent.start()
    await there(lab, agent.name)
    await lab.admin.agent_is(agent.name, "online", 15)
    yield lab, agent
    for row in await lab.admin.listed("/sessions"):
        await lab.admin.good("DELETE", f"/sessions/{row['id']}", status=204)
        if agent.process.poll() is None:
            await lab.admin.becomes(row["id"], "Terminated", 20)
    if agent.process.poll() is None:
        agent.stop()


async def there(lab, name: str, timeout: float = 30):
    """Waits until an agent is known at all."""

    async def known():
        return (await lab.admin.ask("GET", f"/agents/{name}")).status_code == 200

    return await is_true_soon(known, timeout)


class Screen:
    """A client of the screen's protocol (RFC 6143): no security, raw pixels."""

    def __init__(self, socket):
        self.socket, self.buffer = socket, b""

    async def take(self, count: int) -> bytes:
        """So many bytes."""
        while len(self.buffer) < count:
            heard = await self.socket.next()
            assert heard.kind == "binary", heard
            self.buffer += heard.data
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    async def begin(self) -> tuple[int, int]:
        """The handshake; the screen's size."""
        assert await self.take(12) == b"RFB 003.008\n"
        self.socket.send(b"RFB 003.008\n")
        kinds = await self.take((await self.take(1))[0])
        assert 1 in kinds, "no security"
        self.socket.send(b"\x01")
        assert await self.take(4) == bytes(4)
        self.socket.send(b"\x01")
        head = await self.take(24)
        await self.take(int.from_bytes(head[20:24]))
        # 32 bits, little-endian, blue in the lowest byte; raw pixels alone.
        self.socket.send(bytes([0, 0, 0, 0, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]))
        self.socket.send(bytes([2, 0, 0, 1, 0, 0, 0, 0]))
        return int.from_bytes(head[:2]), int.from_bytes(head[2:4])

    async def pixel(self, x: int, y: int) -> tuple[int, int, int]:
        """One pixel as it is now."""
        self.socket.send(bytes([3, 0]) + b"".join(value.to_bytes(2) for value in (x, y, 1, 1)))
        while True:
            kind = (await self.take(1))[0]
            if kind == 0:
                count = int.from_bytes((await self.take(3))[1:])
                for _ in range(count):
                    at = await self.take(12)
                    assert at[8:] == bytes(4), "raw"
                    blue, green, red, _ = await self.take(4)
                    if at[:8] == b"".join(value.to_bytes(2) for value in (x, y, 1, 1)):
                        return red, green, blue
            elif kind == 3:
                await self.take(int.from_bytes((await self.take(7))[3:]))
            else:
                assert kind == 2, kind

    async def becomes(self, colour: tuple[int, int, int], keysym: int | None = None):
        """Waits until the middle has this colour; meanwhile a key goes down and up, if one is given: who hears it may not be there yet."""

        async def reached():
            for down in (1, 0) if keysym else ():
                self.socket.send(bytes([4, down, 0, 0]) + keysym.to_bytes(4))
            return await self.pixel(320, 240) == colour

        await is_true_soon(reached, 15)


async def test_a_desktop_by_the_screens_own_protocol(desktop):
    """It sleeps, wakes with its home, and goes on after its agent was killed; then it is over, and its processes are gone."""
    lab, agent = desktop
    id = (await lab.admin.start(user="anna", platform="host"))["id"]
    await lab.admin.becomes(id, "Running", 20)
    screen = Screen(await lab.admin.view(id))
    assert await screen.begin() == (640, 480)
    await screen.becomes(BLUE)
    await screen.becomes(RED, ord("x"))

    async def logged():
        return "pressed" in json.dumps((await lab.admin.get(f"/sessions/{id}/logs"))["logs"])

    await is_true_soon(logged)
    await lab.admin.move(id, "hibernated")
    assert await screen.socket.close_code() == 1000
    await lab.admin.becomes(id, "Hibernated", 15)
    await lab.admin.move(id, "running")
    await lab.admin.becomes(id, "Running", 20)
    screen = Screen(await lab.admin.view(id))
    await screen.begin()
    await screen.becomes(BLUE)
    agent.kill()
    assert await screen.socket.close_code() == 1011
    agent.start()
    await lab.admin.agent_is(agent.name, "online", 15)
    screen = Screen(await lab.admin.view(id))
    await screen.begin()
    await screen.becomes(BLUE)
    await lab.admin.good("DELETE", f"/sessions/{id}", status=204)
    await lab.admin.becomes(id, "Terminated", 20)
    left = subprocess.run(["pgrep", "-f", f"{agent.folder}/agent/"], capture_output=True, text=True)
    assert left.stdout.split() == [], "nothing of it runs any more"


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium on this machine")
async def test_a_desktop_in_a_browser(desktop, tmp_path):
    """A student signs in on the page, sees what was drawn, and presses a key."""
    lab, _ = desktop
    student = await lab.person()
    id = (await student.start(platform="host"))["id"]
    await student.becomes(id, "Running", 20)
    browser = Browser(tmp_path)
    try:
        await browser.open(f"{lab.house.internal}/lab/{id}")
        await browser.becomes("document.body && document.body.dataset.view === 'signing-in'")
        await browser.value(f"""
            document.getElementById('username').value = {json.dumps(student.name)};
            document.getElementById('password').value = {json.dumps(PASSWORD)};
            document.getElementById('sign-in').requestSubmit();
        """)
        await browser.becomes("document.body.dataset.view === 'screen' && !!document.querySelector('#screen canvas')")

        async def shows(colour, least: float, key: str | None = None):
            async def seen():
                if key:
                    await browser.key(key)
                return (await browser.picture()).share(colour) >= least

            await is_true_soon(seen, 15)

        await shows(BLUE, 0.5)
        assert await browser.value("document.title") == "firefox-browser · desktop"
        await browser.click(550, 450)
        await shows(RED, 0.5, "a")
        assert (await browser.picture()).share(BLUE) < 0.01
        token = await browser.value("Object.values(sessionStorage)[0]")
        lab.house.secrets.append(token)
        assert browser.asked() == {lab.house.internal, lab.house.labs}, "it asks nobody else for anything"
        assert browser.faults() == []
        await student.move(id, "hibernated")
        await browser.becomes("document.body.dataset.view === 'asleep'")
        await browser.value("document.querySelector('#state-actions button').click()")
        await browser.becomes("document.body.dataset.view === 'screen'", 30)
        await shows(BLUE, 0.5)
    finally:
        await browser.close()
