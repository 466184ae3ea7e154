"""The contract's example for owners, and the REST routes from a page of another origin, in a real browser: Chromium without a window."""

import asyncio
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from quiz import CHOICE, is_true_soon

NOBODYS = "quiz:9007199254740990"
EXAMPLE = Path(__file__).parent / "examples/owner.js"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Nothing that asks the network for anything but the page.
QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0",
]
SAID = re.compile(r'CONSOLE[:(]\d+\)?\] "(.*)", source: ')

# What a teacher's page and a participant's do over REST. The first asks with a header that makes the browser ask before (preflight).
REST = """
const ask = async (method, path, body, headers = {}) => {
  headers["content-type"] = "application/json";
  const answer = await fetch(API + path, { method, headers, body: JSON.stringify(body) });
  return { status: answer.status, traced: answer.headers.has("x-request-id"), ...(await answer.json()) };
};
const participate = async () => {
  const begun = (await ask("POST", "/quizzes/QUIZ/attempts", { alias: "Zoë" })).data;
  const path = "/attempts/" + begun.session_token;
  await ask("POST", path + "/answers", { question_id: begun.questions[0].id, answer: 1 });
  await ask("POST", path + "/submit", {});
  const again = await ask("POST", path + "/submit", {});
  console.log("Again:", again.status, again.code, again.traced);
  const changed = await ask("PATCH", "/quizzes/QUIZ", { title: "Over" }, { authorization: "Bearer " + token });
  console.log("Changed:", changed.status, changed.data.title);
};
ws.addEventListener("message", (event) => { if (JSON.parse(event.data).event === "error") participate(); });
"""


def page(house, quiz: int, token: str) -> str:
    """The example with the host, the credential and the quizzes put in: one of the teacher's, and nobody's."""
    source = EXAMPLE.read_text()
    places = {"wss://example.com": f"ws://127.0.0.1:{house.quiz_port}", "eyJhbGciOiJIUzI1NiIs...": token}
    for place, value in (places | {"quiz:42": f"quiz:{quiz}", "quiz:99": NOBODYS}).items():
        assert source.count(place) == 1
        source = source.replace(place, value)
    rest = REST.replace("QUIZ", str(quiz)).replace("API", json.dumps(f"{house.quiz}/api/v1"))
    return f'<!doctype html><meta charset="utf-8"><title>Owner</title><script>\n{source}\n{rest}</script>\n'


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium on this machine")
async def test_the_owners_example_and_rest_in_a_browser(house, teacher, tmp_path):
    quiz = (await teacher.quiz([CHOICE]))["id"]
    (tmp_path / "owner.html").write_text(page(house, quiz, teacher.token))
    browser = await asyncio.create_subprocess_exec(
        BROWSER, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"file://{tmp_path / 'owner.html'}",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, start_new_session=True,
    )
    lines = []

    async def read():
        async for line in browser.stderr:
            if said := SAID.search(line.decode(errors="replace")):
                lines.append(said[1])

    async def done():
        return any(line.startswith("Changed:") for line in lines) and any("finished in" in line for line in lines)

    reading = asyncio.create_task(read())
    try:
        await is_true_soon(done, 30)
    finally:
        os.killpg(browser.pid, signal.SIGKILL)
        await browser.wait()
        await reading
        print(lines)
    (attempt,) = await teacher.attempts(quiz_id=quiz)
    denied = f"WS error: Subscription denied: {NOBODYS}: not found or not owned"
    assert lines[:3] == ["Connected as owner", f"Subscribed to: quiz:{quiz}", denied]
    told = [line for line in lines[3:] if line.startswith("Zoë")]
    assert told[:2] == [f"Zoë started attempt {attempt['attempt_id']}", "Zoë answered Q1: ✓"]
    assert re.fullmatch(r"Zoë finished in \d+ms", told[2]) and len(told) == 3
    assert [line for line in lines[3:] if line not in told] == ["Again: 409 ATT-001 true", "Changed: 200 Over"]
