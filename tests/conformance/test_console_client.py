"""`homeroom.js` in a browser, on the console's own page: what its policy keeps out, and lines that outlive the server's restart."""

import asyncio
import json
import shutil

import httpx
import pytest

import quiz
from chromium import BROWSER
from client import sign_in
from test_console import BOSS, NODE, school, student

needs_playwright = pytest.mark.skipif(
    BROWSER is None or not shutil.which("node") or not (NODE / "node_modules/playwright-core").is_dir(),
    reason="there is no chromium, no node or no `playwright-core`",
)


class InBrowser:
    """The page, and what it tells."""

    def __init__(self, process):
        self.process = process
        self.told: list[dict] = []

    async def next(self) -> dict:
        """One thing more."""
        line = await asyncio.wait_for(self.process.stdout.readline(), 90)
        assert line, f"the browser ended; so far {self.told[-5:]}"
        self.told.append(json.loads(line))
        return self.told[-1]

    async def hears(self, **wanted) -> dict:
        """Waits for one like this, or takes it where it was told already."""
        while True:
            for told in self.told:
                if wanted.items() <= told.items():
                    self.told.remove(told)
                    return told
            await self.next()


@needs_playwright
async def test_nobody_else_is_asked_and_lines_outlive_a_restart(tmp_path, permissions, http, room):
    house = school(tmp_path, permissions, stop={"drain": "12s"})
    teacher = quiz.Owner(house, http, BOSS)
    made = await teacher.quiz([quiz.TRUTH, quiz.TRUTH])
    attempt = await teacher.begin(made["id"])
    words = [f"{house.internal}/console/", house.url, str(room), student(house, "browser"), house.quiz, str(made["id"]), teacher.token]
    process = await asyncio.create_subprocess_exec(
        "node", "in_browser.mjs", *words, cwd=NODE, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )
    page = InBrowser(process)
    try:
        policy = await page.next()
        assert policy["own"] == [house.internal], "a page that is opened asks its own listener and nobody else"
        assert policy["passed"] == [] and {"connect-src", "img-src", "eval", "markup"} <= set(policy["refused"]), policy
        for line in ("presence", "quiz"):
            await page.hears(line=line, state="ready")
        await attempt.answer(0, True)
        await page.hears(line="quiz", t="attempt_update")
        watcher = await sign_in(house, room, student(house, "watcher"))

        house.signal()
        await page.hears(line="presence", state="ready")
        heard = [json.loads(heard.data) for heard in watcher.everything if heard.kind == "text"]
        assert [said for said in heard if said.get("id", {}).get("operation") == "left"] == [], "the second came before the first went"
        lost = {line: await page.hears(line=line, state="waiting") for line in ("presence", "quiz")}
        assert await asyncio.to_thread(house.process.wait, 60) == 0
        for line, first in lost.items():
            asked = float(first["why"].removeprefix("retry-after=")) * 1_000
            assert asked <= first["millis"] <= asked + 100, (line, first)
        # Nobody is there: the waits grow, each at random between a half of its whole and that.
        for line in lost:
            waits = [(await page.hears(line=line, state="waiting"))["millis"] for _ in range(3)]
            assert all(500 * 2**place <= millis <= 1_000 * 2**place for place, millis in enumerate(waits)), (line, waits)
            assert all(millis != int(millis) for millis in waits), f"{line}: by chance, not by the clock: {waits}"

        house.start()
        for line in ("presence", "quiz"):
            await page.hears(line=line, state="ready")
        async with httpx.AsyncClient(timeout=30, trust_env=False, verify=False) as fresh:
            attempt.http = fresh
            await attempt.answer(1, True)
        await page.hears(line="quiz", t="attempt_update")
    finally:
        process.terminate()
        await process.wait()
        house.stop()
