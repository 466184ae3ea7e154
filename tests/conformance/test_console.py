"""The console: who is let in, its client module on Node, and its page in Chromium, used by keys alone and looked at in light and dark."""

import asyncio
import json
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import jwt
import pytest

import chat
import labs
import quiz
import tokens
from chromium import BROWSER
from client import sign_in
from console_page import Page
from house import ROOT, House
from quiz import CHOICE, TRUTH, is_true_soon

PASSWORD = "correct horse battery"
BOSS, TEACHER, STUDENT = "boss", "dora", "carl"
NODE = Path(__file__).parent / "node"

in_a_browser = pytest.mark.skipif(BROWSER is None, reason="there is no chromium on this machine")
on_node = pytest.mark.skipif(not shutil.which("node"), reason="there is no node on this machine")


def school(folder: Path, permissions, **settings) -> House:
    """A server that believes only itself, with an operator who is a teacher too, a teacher, and a student who is neither."""
    own = {"presence": {"issuers": None, "permissions": None}, "stop": {"drain": "4s"}} | settings
    house = House(folder, 2, permissions.url, own)
    house.start()
    house.secrets.append(PASSWORD)
    with httpx.Client(base_url=f"{house.internal}/api/v1", trust_env=False, verify=False, timeout=30) as http:
        for name, role in ((BOSS, "admin"), (STUDENT, "user")):
            body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, "role": role}
            assert http.post("/labs/users", json=body).status_code == 201
        for name in (BOSS, TEACHER):
            assert http.post("/owners", json={"name": name, "password": PASSWORD}).status_code == 201
    return house


@pytest.fixture(scope="module")
def shared_school(tmp_path_factory, permissions):
    """The server of these tests."""
    house = school(tmp_path_factory.mktemp("school"), permissions)
    yield house
    house.stop()


@pytest.fixture
async def page(shared_school, tmp_path):
    """Its console in a browser."""
    page = Page(shared_school, tmp_path)
    yield page
    await page.close()


def student(house, name: str) -> str:
    """A token of presence by the server's own key."""
    key = (house.folder / "data/keys/presence.hs256").read_bytes().strip()
    body = {"iss": quiz.ISSUER, "aud": quiz.AUDIENCE, "sub": name, "exp": int(time.time()) + 3600}
    tokens.MINTED.append(token := jwt.encode(body, key, algorithm="HS256"))
    return token


async def let_in(http, house, name: str, password: str = PASSWORD) -> httpx.Response:
    """What the console says to them."""
    answer = await http.post(f"{house.internal}/console/sign-in", json={"name": name, "password": password})
    if answer.status_code == 200:
        house.secrets += [token["token"] for token in answer.json()["tokens"].values()]
    return answer


async def test_roles_are_those_of_the_accounts_and_the_tokens_are_good(shared_school, http, room):
    house = shared_school
    said = {}
    for name, roles in ((BOSS, ["operator", "teacher"]), (TEACHER, ["teacher"])):
        answer = await let_in(http, house, name)
        assert (answer.status_code, answer.json()["roles"], answer.headers["cache-control"]) == (200, roles, "no-store")
        said[name] = {api: token["token"] for api, token in answer.json()["tokens"].items()}
    assert sorted(said[BOSS]) == ["chat", "labs", "presence", "quiz"] and sorted(said[TEACHER]) == ["presence", "quiz"]
    for url, api in (
        (f"{house.url}/api/v1/classrooms/{room}/agents", "presence"), (f"{house.quiz}/api/v1/quizzes", "quiz"),
        (f"{house.labs}/api/v1/users", "labs"), (f"{house.chat}/api/v1/sessions/", "chat"),
    ):
        answer = await http.get(url, headers={"authorization": f"Bearer {said[BOSS][api]}"})
        assert answer.status_code == 200, (api, answer.text)
    renewed = await http.post(f"{house.internal}/console/renew", headers={"authorization": f"Bearer {said[BOSS]['labs']}"})
    house.secrets.append(fresh := renewed.json()["chat"]["token"])
    assert renewed.status_code == 200 and fresh != said[BOSS]["chat"]
    others = ((BOSS, "wrong", 401, "wrong"), ("nobody", PASSWORD, 401, "wrong"), (STUDENT, PASSWORD, 403, "no_role"))
    for name, password, status, error in others:
        answer = await let_in(http, house, name, password)
        assert (answer.status_code, answer.json()["error"]) == (status, error)
    other = await http.post(f"{house.internal}/console/sign-in", json={}, headers={"origin": "https://evil.example"})
    assert other.status_code == 403


async def test_tries_are_bounded(tmp_path, permissions, http):
    house = school(tmp_path, permissions, labs={"logins_a_minute": 3})
    try:
        statuses = [(await let_in(http, house, BOSS, f"guess {number}")).status_code for number in range(4)]
        assert statuses == [401, 401, 401, 429]
        answer = await let_in(http, house, BOSS)
        assert answer.status_code == 429 and 1 <= answer.json()["retry_after"] <= 60
        login = await http.post(f"{house.labs}/api/v1/auth/login", json={"username": BOSS, "password": PASSWORD})
        assert login.status_code == 429, "logins of labs are counted in the same window"
    finally:
        house.stop()


async def test_the_internal_listener_tells_of_rooms_and_of_the_node(shared_school, http, room):
    house = shared_school
    both = [await sign_in(house, room, student(house, name)) for name in ("ann", "bob")]
    (row,) = [row for row in (await http.get(f"{house.internal}/api/v1/classrooms")).json() if row["classroom_id"] == str(room)]
    assert row == {"classroom_id": str(room), "members": 2}
    node = (await http.get(f"{house.internal}/api/v1/node")).json()
    assert (node["shards"], node["phase"], node["drain"]) == (2, "serving", None)
    assert [(peer["is_alive"], peer["is_self"]) for peer in node["nodes"]] == [(True, True)]
    names = {key["name"] for key in node["keys"]}
    assert {"presence tokens of homeroom.local", "labs users", "chat and tasks", "quiz attempts"} <= names
    assert all(key["written_at"] for key in node["keys"]) and str(house.folder) not in json.dumps(node)
    both[0].say_close()
    await both[0].next()

    async def counted():
        text = (await http.get(f"{house.internal}/metrics")).text
        return [line for line in text.splitlines() if line.startswith('homeroom_closed_total{code="peer"} ') and line[-2:] != " 0"]

    await is_true_soon(counted)


@on_node
def test_the_modules_on_node():
    done = subprocess.run(
        ["node", "--test", str(ROOT / "tests/console")], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stdout[-4000:]


@on_node
@pytest.mark.skipif(not (NODE / "node_modules/ws").is_dir(), reason="node's `ws` is not installed")
async def test_the_client_goes_over_to_the_next_socket_and_comes_back_after_a_restart(tmp_path, permissions, room):
    """At SIGTERM it is in by a second socket before the first goes, so that nobody hears of it; it is back when the server is."""
    # Long enough for a machine that stands still for a while.
    house = school(tmp_path, permissions, stop={"drain": "12s"})
    client = await asyncio.create_subprocess_exec(
        "node", "line.mjs", house.url, str(room), student(house, "client"), cwd=NODE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )

    async def says(wanted: str):
        while (line := json.loads(await asyncio.wait_for(client.stdout.readline(), 60)))["state"] != wanted:
            pass
        return line

    try:
        await says("ready")
        watcher = await sign_in(house, room, student(house, "watcher"))
        house.signal()
        await says("ready")
        heard = [json.loads(heard.data) for heard in watcher.everything if heard.kind == "text"]
        assert [said for said in heard if said.get("id", {}).get("operation") == "left"] == [], "nobody was told of a coming or going"
        await says("waiting")
        assert await asyncio.to_thread(house.process.wait, 60) == 0
        house.start()
        await says("ready")
    finally:
        client.kill()
        await client.wait()
        house.stop()


async def signed_in_page(page: Page, name: str = BOSS):
    """The page of somebody who has signed in."""
    await page.open()
    await page.browser.looks(1280, False)
    await page.sign_in(name, PASSWORD)


@in_a_browser
async def test_signing_in_by_keys(page):
    await page.open()
    await page.is_sound("sign-in")
    await page.becomes("document.activeElement.id === 'user'")
    await page.browser.write(BOSS)
    await page.browser.press("Tab")
    await page.browser.write("wrong")
    await page.browser.press("Enter")
    await page.becomes("document.getElementById('sign-in-fault').textContent.includes('not right')")
    await page.give("#user", "")
    await page.sign_in(BOSS, PASSWORD)
    kept = "[localStorage.length, document.cookie, Object.keys(sessionStorage).join(), location.search]"
    assert await page.value(kept) == [0, "", "homeroom.console", ""]
    address = await page.value("location.href")
    assert not any(secret in address for secret in page.house.secrets)
    await page.shows("#views li:not([hidden])", 5)
    await page.value("document.getElementById('sign-out').focus()")
    await page.browser.press("Enter")
    await page.becomes("document.body.dataset.view === 'signing-in' && sessionStorage.length === 0")
    await page.give("#user", "")
    await page.sign_in(TEACHER, PASSWORD)
    await page.shows("#views li:not([hidden])", 4)
    assert [fault for fault in page.browser.faults() if "401" not in fault] == []


@in_a_browser
async def test_the_school_at_a_glance(page, http):
    house = page.house
    await signed_in_page(page)
    await page.becomes("document.querySelector('.verdict')?.innerText === 'All is well.'")
    await page.shows('[aria-labelledby="h-shards"] tbody tr', 2)
    await page.shows('[aria-labelledby="h-keys"] tbody tr', 5)
    await page.tells(".facts", "Serving since")
    await page.tells('.tile[aria-label="Messages read"]', "0 a second")
    shown = await page.text("main")
    for words in ("Disconnects", "labs users", "this one", "Serving since", "Answer to this page"):
        assert words in shown, words
    await page.is_sound("school")
    await page.keys_reach_all()
    assert page.browser.asked() == {house.internal}, "it asks nobody else for anything"
    assert page.browser.faults() == []


@in_a_browser
async def test_a_classroom_fills_and_empties(page, room):
    house = page.house
    first = [await sign_in(house, room, student(house, f"s{number:02}")) for number in range(30)]
    await signed_in_page(page)
    await page.go("classroom")
    await page.becomes(f"[...document.querySelectorAll('select option')].some((one) => one.value === '{room}')")
    await page.give("#room", str(room))
    await page.browser.press("Enter")
    await page.tile_is("Here now", "30")
    late = await sign_in(house, room, student(house, "zoe"))
    await page.tells(".news", "zoe")
    first[0].say_close()
    await page.tells(".news", "s00")
    await page.tile_is("Here now", "30")
    assert await page.value("document.querySelector('table caption').textContent") == "Who is here"
    await page.shows('[aria-labelledby="h-who-is-here"] tbody tr', 30)
    assert ".school.local" in await page.text(".panel .note")
    await page.becomes("document.querySelectorAll('[aria-labelledby=h-attendance] tbody tr').length >= 30")
    await page.is_sound("classroom-30")
    await page.keys_reach_all()
    assert page.browser.faults() == []
    late.abort()


@in_a_browser
async def test_a_quiz_as_it_runs(page, http):
    house = page.house
    teacher = quiz.Owner(house, http, BOSS)
    made = await teacher.quiz([CHOICE, TRUTH, CHOICE], title="Capitals")
    attempts = [await teacher.begin(made["id"], alias=f"Student {number:02}") for number in range(6)]
    await attempts[0].answer(0, 1)
    await signed_in_page(page)
    await page.go("quiz")
    await page.becomes("[...document.querySelectorAll('select option')].some((one) => one.textContent === 'Capitals')")
    await page.give("select", str(made["id"]))
    await page.value("document.querySelector('select').dispatchEvent(new Event('change'))")
    await page.tile_is("Taking it now", "6")
    await page.shows("td .mark.right", 1)
    for place, attempt in enumerate(attempts):
        await attempt.answer(1, place % 2 == 0)
    await attempts[1].flag("tab_switch")
    await attempts[0].submit()
    await page.shows("td .mark.wrong", 3)
    await page.shows("td .mark.right", 4)
    await page.tile_is("Have ended", "1")
    await page.tells(".news", "TAB_SWITCH")
    second = "document.querySelectorAll('[aria-labelledby=h-right-and-wrong] tbody tr')[1].innerText"
    await page.becomes(f"/^2\\. Is water wet\\?\\s+3\\s+3\\s+50 %/.test({second})")
    await page.shows('[aria-labelledby="h-leaderboard"] tbody tr', 6)
    await page.is_sound("quiz")
    await page.keys_reach_all()
    assert page.browser.faults() == []


@in_a_browser
async def test_labs_and_a_call_that_waits_for_approval(page, http, name):
    house = page.house
    lab = await labs.Lab(house, http, name).open()
    try:
        agent = await lab.joined()
        desktop = await lab.admin.running(user="anna", platform=agent.platform)
        await signed_in_page(page)
        await page.go("labs")
        await page.becomes(f"!!document.querySelector('a[href=\"../lab/{desktop['id']}\"]')")
        link = f"document.querySelector('a[href=\"../lab/{desktop['id']}\"]')"
        assert await page.value(f"[{link}.target, {link}.rel, {link}.pathname]") == ["_blank", "noopener", f"/lab/{desktop['id']}"]
        assert "running" in await page.text(".wall .glass.good")
        await page.tells(".counts", "1 running")
        await page.is_sound("labs")
        await page.keys_reach_all()
        await page.choose("Shown as", "list")
        await page.tells('[aria-labelledby="h-desktops"] tbody tr .state.good', "running")
        await page.is_sound("labs-list")
        await page.keys_reach_all()
    finally:
        await lab.close()
    sessions = [await chat.Person(house, http, STUDENT).session(require_approval=True) for _ in range(2)]
    for session in sessions:
        await session.say("calculator 3*4")
    ids = [(await session.approvals())[0]["id"] for session in sessions]
    await page.go("work")
    await page.shows(".card", 2)
    await page.tells(".card pre", "3*4")
    await page.shows(".states li", 4)
    await page.is_sound("work")
    await page.keys_reach_all()
    await page.value("document.querySelector('.card button').focus()")
    await page.browser.press("Enter")
    await page.becomes("document.querySelectorAll('.card').length === 1 && document.activeElement.innerText.startsWith('Approve')")
    await page.browser.press("Tab")
    await page.browser.press("Enter")
    await page.becomes("document.querySelectorAll('.card').length === 0 && document.activeElement.tagName === 'H1'")
    said = [await session.settled() for session in sessions]
    assert sorted(call["status"] for message in said for call in message["tool_calls"]) == ["done", "rejected"] and len(ids) == 2
    for session in sessions:
        assert await session.approvals() == []
    assert page.browser.faults() == []
    assert page.browser.asked() == {house.internal, house.labs, house.chat}


@in_a_browser
async def test_a_drain_is_seen(tmp_path, permissions, room):
    house = school(tmp_path, permissions, stop={"drain": "30s"})
    page = Page(house, tmp_path)
    try:
        await sign_in(house, room, student(house, "ann"))
        await signed_in_page(page)
        await page.becomes("document.querySelector('.verdict')?.innerText === 'All is well.'")
        house.signal()
        await page.tells(".verdict", "draining")
        await page.becomes("document.querySelector('.drain').checkVisibility()")
        assert "connections left" in await page.text(".drain")
        await page.is_sound("drain")
    finally:
        await page.close()
        house.kill()
        house.stop()


@in_a_browser
@pytest.mark.long
async def test_three_thousand_students(page, http, room):
    """In a room and in a quiz: the page has all of them, is no longer than a page, and answers at once."""
    house = page.house
    tokens_of = [student(house, f"s{number:04}") for number in range(3000)]
    for start in range(0, 3000, 100):
        await asyncio.gather(*(sign_in(house, room, token) for token in tokens_of[start:start + 100]))
    await signed_in_page(page)
    await page.go("classroom")
    await page.give("#room", str(room))
    await page.browser.press("Enter")
    await page.tile_is("Here now", "3,000")
    await page.tells('[aria-labelledby="h-attendance"] .count', "3,000")
    assert await page.value("document.querySelectorAll('tbody tr').length") <= 400
    await page.give('[aria-labelledby="h-who-is-here"] input', "s2999")
    await page.shows('[aria-labelledby="h-who-is-here"] tbody tr', 1)
    await page.give('[aria-labelledby="h-who-is-here"] input', "")
    await page.is_sound("classroom-3000")
    teacher = quiz.Owner(house, http, BOSS)
    made = await teacher.quiz([CHOICE] * 20, title="Large")
    for start in range(0, 3000, 50):
        begun = await asyncio.gather(*(teacher.begin(made["id"], alias=f"s{number:04}") for number in range(start, start + 50)))
        await asyncio.gather(*(attempt.answer(0, start % 2) for attempt in begun))
    await page.value(f"location.hash = 'quiz/{made['id']}'")
    await page.tile_is("Taking it now", "3,000", 120)
    await page.is_sound("quiz-3000")
    assert page.browser.faults() == []
