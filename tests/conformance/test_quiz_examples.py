"""The contract's own two examples, word for word (`examples/`), run by Node. `tests/run` installs Node and its `ws`."""

import asyncio
import shutil
from pathlib import Path

import pytest

from quiz import CHOICE, SELECT, Owner, is_true_soon

HERE = Path(__file__).parent

pytestmark = [
    pytest.mark.skipif(not shutil.which("node"), reason="there is no node on this machine"),
    pytest.mark.skipif(not (HERE / "node/node_modules/ws").is_dir(), reason="node's `ws` is not installed"),
]


class Example:
    """A running example and the lines that it printed."""

    def __init__(self, process):
        self.process = process
        self.lines: list[str] = []
        self.reading = asyncio.create_task(self.read())

    async def read(self):
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip("\n"))

    async def printed(self, *lines: str):
        """Waits until exactly these were printed."""

        async def enough():
            return len(self.lines) >= len(lines)

        try:
            await is_true_soon(enough)
        finally:
            assert self.lines == list(lines)

    async def end(self) -> list[str]:
        """Waits until it ends by itself; all that it printed."""
        assert await asyncio.wait_for(self.process.wait(), 60) == 0
        await self.reading
        return self.lines


@pytest.fixture
async def run():
    """Starts an example: `run(house, "owner.js", token)`."""
    running = []

    async def start(house, file: str, credential: str) -> Example:
        process = await asyncio.create_subprocess_exec(
            "node", "example.mjs", str(HERE / "examples" / file), f"ws://127.0.0.1:{house.quiz_port}", credential, cwd=HERE / "node",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )
        running.append(process)
        return Example(process)

    yield start
    for process in running:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_owners_example(build, http, name, run):
    """It asks for quizzes 42 and 99: one is the teacher's, the other a colleague's."""
    house = build()
    teacher, colleague = Owner(house, http, name("teacher")), Owner(house, http, name("colleague"))
    for number in range(1, 100):
        owner = teacher if number == 42 else colleague
        made = await owner.quiz([CHOICE, SELECT]) if number in (42, 99) else await owner.make("/quizzes", {"title": "x"})
        assert made["id"] == number
    example = await run(house, "owner.js", teacher.token)
    lines = ["Connected as owner", "Subscribed to: [ 'quiz:42' ]", "WS error: Subscription denied: quiz:99: not found or not owned"]
    await example.printed(*lines)
    await colleague.begin(99, alias="Bob")
    attempt = await teacher.begin(42, alias="Alice")
    await attempt.answer(1, [1, 3])
    await attempt.answer(0, 0)
    await attempt.flag("tab_switch", "Tab_Switch", "clipboard")
    await attempt.submit()
    lines += [f"Alice started attempt {attempt.id}", "Alice answered Q2: ✓", "Alice answered Q1: ✗"]
    lines += ["Alice flagged: TAB_SWITCH, CLIPBOARD"]

    async def finished():
        return len(example.lines) > len(lines)

    await is_true_soon(finished)
    assert example.lines[:-1] == lines
    head, tail = example.lines[-1].removesuffix("ms").rsplit(" ", 1)
    assert (head, tail.isdigit()) == ("Alice finished in", True)
    await asyncio.to_thread(house.stop)
    assert (await example.end())[-1].startswith("Disconnected: 1012 ")


@pytest.mark.parametrize("end", [
    ("submitted", []), ("time_up", ["alert: Time's up! Your quiz has been submitted automatically."]),
    ("forced_by_owner", ["alert: Your quiz has been closed by the instructor."]),
], ids=lambda end: end[0])
async def test_the_participants_example(house, teacher, run, end):
    """It hears why its attempt is over, and ends by itself: the server closes its socket."""
    reason, alerts = end
    quiz = await teacher.quiz([CHOICE], time_limit_seconds=3 if reason == "time_up" else 0)
    attempt = await teacher.begin(quiz["id"])
    example = await run(house, "participant.js", attempt.session)
    lines = ["Connected as participant", f"Auto-subscribed to: [ 'notification:{attempt.id}' ]"]
    await example.printed(*lines)
    await attempt.answer(0, 1)
    if reason == "submitted":
        await attempt.submit()
    if reason == "forced_by_owner":
        await teacher.good("POST", f"/quizzes/{quiz['id']}/force-submit")
    assert await example.end() == [*lines, *alerts, "Final score: 10, Answered: 1"]
