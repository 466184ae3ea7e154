"""What a school does all night, over whichever nodes are ready, and what each was told: held against the records in the morning."""

import asyncio
import contextlib
import copy
import itertools
import json
import random
import uuid

import httpx
import websockets

import chat
import labs
import tasks
import tokens
from client import open_socket
from contract import SUCCESS, connect_request
from quiz import CHOICE, Attempt, Owner

QUESTIONS = 200
GONE = (httpx.HTTPError, OSError, TimeoutError, websockets.WebSocketException)
# What may be told while a node or a store is away: by the READMEs of the APIs.
SIGN_IN = {"database_connection_acquisition_failed", "database_query_failed", "messaging_failed", "terminated", "replaced"}
ANSWER = {"SRV-001", "SRV-002"}
CHAT = {
    "AGENT_UNAVAILABLE", "SERVICE_UNAVAILABLE", "SESSION_CREATE_FAILED", "SESSION_UPDATE_FAILED", "MESSAGE_SEND_FAILED", "APPROVAL_EXPIRED",
    "APPROVAL_ALREADY_PROCESSED", "RATE_LIMITED", "INTERNAL_ERROR",
}


class Work:
    """One kind of it, over and over until the night is over."""

    pause = 0.1

    def __init__(self, night: "Night"):
        self.night = night
        self.done = self.refused = 0
        self.strange: list[str] = []  # what is in no README

    async def open(self):
        """What is needed before."""

    async def once(self, node):
        """Once, at this node."""
        raise NotImplementedError

    async def go_on(self):
        """Until the night is over."""
        while not self.night.over.is_set():
            node = await self.night.ready()
            try:
                await asyncio.wait_for(self.once(node), 90)
            except GONE:
                self.refused += 1
            await asyncio.sleep(self.pause)

    def told(self, code: str, known: set[str]):
        """A refusal."""
        self.refused += 1
        if code not in known:
            self.strange.append(code)


class SignIns(Work):
    """Somebody new in a room, who stays for a moment."""

    pause = 0.05

    async def open(self):
        self.room, self.let_in, self.turned_away = uuid.uuid4(), [], []

    async def once(self, node):
        sub = self.night.name("comer")
        said = await self.told_of(node, sub)
        if said == SUCCESS:
            self.let_in.append(sub)
            self.done += 1

    async def told_of(self, node, sub: str) -> str:
        """What he is told."""
        try:
            socket = await asyncio.wait_for(open_socket(node), 20)
            socket.send(connect_request(self.room, tokens.token(sub)))
            said = await socket.next(60)
        except AssertionError as silence:
            raise TimeoutError from silence
        if said.kind != "text":
            raise ConnectionError
        text = said.data.decode()
        if text != SUCCESS:
            self.turned_away.append(sub)
            self.told(json.loads(text)["payload"]["type"], SIGN_IN)
        socket.abort()
        return text

    def rows(self) -> list[str]:
        """The agents of whom the records say that they were in the room, once for each time."""
        ask, base = self.night.school.database.ask, self.night.school.base
        live = ask(f"SELECT agent_id FROM agent_session WHERE classroom = '{self.room}'", base)
        past = ask(f"SELECT agent_id FROM agent_session_history WHERE classroom = '{self.room}'", base)
        return [agent for agent, in live + past]

    async def prove(self):
        rows = self.rows()
        assert set(map(tokens.agent_id, self.let_in)) <= set(rows), "everybody who was let in is in the records"
        assert len(rows) == len(set(rows)), "and once"


class Answers(Work):
    """One answer after the other, one attempt after the other."""

    async def open(self):
        self.owner = Owner(self.night.school.nodes[0], self.night.http, self.night.name("teacher"))
        self.quiz = (await self.owner.quiz([CHOICE] * QUESTIONS))["id"]
        self.attempts, self.left = [await self.owner.begin(self.quiz)], []
        self.kept, self.unsure = {}, set()
        self.opens(self.attempts[0])

    def opens(self, attempt):
        """Its questions come next."""
        self.left = [question["id"] for question in attempt.questions]

    async def once(self, node):
        at = copy.copy(self.attempts[-1])
        at.house = node
        if not self.left:
            answer = await at.ask("POST", f"/quizzes/{self.quiz}/attempts", {"alias": "Alice"}, timeout=60)
            if answer.status_code != 201:
                return self.told(answer.json()["code"], ANSWER)
            self.attempts.append(Attempt(node, self.night.http, answer.json()["data"]))
            return self.opens(self.attempts[-1])
        question = (at.id, self.left[0])
        try:
            answer = await at.ask("POST", f"{at.path}/answers", {"question_id": question[1], "answer": 1}, timeout=60)
        except GONE:
            self.unsure.add(question)
            raise
        if answer.status_code == 201:
            self.kept[question] = answer.json()["data"]["answer_id"]
            self.left.pop(0)
            self.done += 1
        else:
            self.unsure.add(question)
            self.told(answer.json()["code"], ANSWER)

    async def prove(self):
        kept = {}
        for attempt in self.attempts:
            answers = (await self.owner.attempt(attempt.id))["answers"]
            kept |= {(attempt.id, answer["question_id"]): answer["answer_id"] for answer in answers}
            assert len(answers) == len({answer["question_id"] for answer in answers}), "no question is answered twice"
        assert set(self.kept) <= set(kept) <= {*self.kept, *self.unsure}
        # Of two that say the same the later counts, which need not be that of which he was told.
        assert all(kept[question] == answer for question, answer in self.kept.items() if question not in self.unsure)


class Approvals(Work):
    """A call that needs leave, asked for at one node and approved at another."""

    pause = 0.3

    async def open(self):
        self.approved: list[tuple[str, str]] = []
        self.all: list[tuple[str, str]] = []
        self.numbers = itertools.count()

    async def once(self, node):
        person = chat.Person(node, self.night.http, self.night.name("pupil"), id=str(uuid.uuid4()))
        to = f"{next(self.numbers)}@night.example.com"
        made = await self.good(person, "POST", "/sessions/", {"require_approval": True})
        path = f"/sessions/{made['id']}"
        await self.good(person, "POST", f"{path}/chat", {"content": f'send_email {{"to": "{to}"}}'})
        listed = (await self.good(person, "GET", f"{path}/approvals"))["data"]
        if not listed:
            return self.told("APPROVAL_EXPIRED", CHAT)
        self.all.append((listed[0]["id"], to))
        other = copy.copy(person)
        other.house = await self.night.ready()
        await self.good(other, "POST", f"{path}/approvals/{listed[0]['id']}/approve", {})
        self.approved.append((listed[0]["id"], to))
        self.done += 1

    async def good(self, person, method: str, path: str, body=None):
        """The answer where it is a good one."""
        answer = await person.ask(method, path, body, timeout=60)
        if answer.status_code >= 300:
            self.told(answer.json()["error"], CHAT)
            self.refused -= 1
            raise ConnectionError
        return answer.json()

    async def prove(self):
        rows = self.night.school.database.ask("SELECT approval_id, decision FROM chat_approval", self.night.school.base)
        kept = {str(id).replace("-", ""): decision for id, decision in rows}
        called = [arguments["to"] for _, arguments in self.night.stub.calls]
        for id, to in self.all:
            decision, times = kept[id.removeprefix("appr_")], called.count(to)
            assert decision != "pending" and times <= (decision == "approved"), (to, decision, times)
        for id, _ in self.approved:
            assert kept[id.removeprefix("appr_")] == "approved"


class Orders(Work):
    """Tasks that an agent is given."""

    async def open(self):
        self.user, self.given = str(uuid.uuid4()), []
        self.token = tasks.signed(self.night.school.nodes[0], tasks.claims(self.user))

    async def once(self, node):
        person = tasks.Person(node, self.night.http, self.user, self.token)
        answer = await person.ask("POST", "/agents/code-agent/execute", {"task": "/count 5 50"})
        if answer.status_code == 200:
            self.given.append(answer.json()["id"])
            self.done += 1
        else:
            self.told(str(answer.status_code), {"503", "500", "429"})

    async def prove(self):
        person = tasks.Person(self.night.school.nodes[1], self.night.http, self.user, self.token)
        for task in self.given:
            end = await person.get(f"/tasks/{task}")
            assert end["status"] in ("completed", "failed"), end
            if end["status"] == "completed":
                assert end["result"]["output"].split() == ["1", "2", "3", "4", "5"]


class Desktop(Work):
    """A desktop that is put to sleep and woken, by an agent that comes back wherever it can."""

    pause = 0.5

    async def open(self):
        lab = await labs.Lab(self.night.school.nodes[0], self.night.http, self.night.name).open()
        self.admin, self.agent = lab.admin, lab.agent()
        await self.agent.join(1)
        self.session = (await self.at(self.night.school.nodes[0]).running(user="x", platform=self.agent.platform))["id"]
        self.asked, self.granted = {"hibernate_session": 0, "wake_session": 0}, {"hibernate_session": 0, "wake_session": 0}
        self.comes_back = asyncio.create_task(self.come_back())

    def at(self, node) -> labs.Person:
        """The admin, who asks this node, the clock of which may be five minutes off."""
        person = labs.Person(node, self.night.http, self.admin.token, self.admin.user)
        person.clock_off = 300
        return person

    async def come_back(self):
        """The agent is online whenever a node lets it be."""
        while True:
            await self.agent.over.wait()
            self.agent.house = await self.night.ready()
            with contextlib.suppress(*GONE, AssertionError):
                await asyncio.wait_for(self.agent.join(1), 20)
            await asyncio.sleep(0.2)

    async def once(self, node):
        person = self.at(node)
        answer = await person.ask("GET", f"/sessions/{self.session}", timeout=60)
        if answer.status_code != 200:
            return self.refusal(answer)
        state, action = {"Running": ("hibernated", "hibernate_session"), "Hibernated": ("running", "wake_session")}.get(
            answer.json()["status"]["phase"], (None, None))
        if state is None:
            return None
        self.asked[action] += 1
        answer = await person.ask("PATCH", f"/sessions/{self.session}", {"state": state}, timeout=60)
        if answer.status_code != 200:
            return self.refusal(answer)
        self.granted[action] += 1
        self.done += 1

    def refusal(self, answer):
        """Of labs: 503 or 500 where a store or an agent is away, 409 where something else is under way."""
        self.told(str(answer.status_code), {"503", "500", "409", "504"})

    async def prove(self):
        self.comes_back.cancel()
        for action, granted in self.granted.items():
            # One that is told again after a break is the same, by its id.
            told = {command.id for command in self.agent.commands if command.action == action}
            assert granted <= len(told) <= self.asked[action], (action, granted, len(told), self.asked[action])
        await self.agent.leave()


class Night:
    """All of it."""

    def __init__(self, school, http, name, stub):
        self.school, self.http, self.name, self.stub = school, http, name, stub
        self.over = asyncio.Event()
        self.works = [SignIns(self), Answers(self), Approvals(self), Orders(self), Desktop(self)]
        self.going: list[asyncio.Task] = []

    async def begin(self):
        """Everything goes on from here."""
        for work in self.works:
            await work.open()
        self.going = [asyncio.create_task(work.go_on()) for work in self.works]

    async def ready(self):
        """A node that says that it is ready."""
        while True:
            node = random.choice(self.school.nodes)
            with contextlib.suppress(httpx.HTTPError):
                if (await self.http.get(f"{node.internal}/readyz", timeout=20)).status_code == 200:
                    return node
            await asyncio.sleep(0.05)

    async def goes_on(self):
        """Each work is done once more, from now on."""
        before = [work.done for work in self.works]
        while any(work.done == then for work, then in zip(self.works, before)):
            for task in self.going:
                if task.done():
                    task.result()
            await asyncio.sleep(0.05)

    async def end(self):
        """Nothing is begun any more; what was told holds."""
        self.over.set()
        await asyncio.gather(*self.going)
        for work in self.works:
            assert not work.strange, (type(work).__name__, work.strange)
            await work.prove()

    async def give_up(self):
        """However it ends."""
        self.over.set()
        desktop = self.works[-1]
        for task in [*self.going, *([desktop.comes_back] if hasattr(desktop, "comes_back") else [])]:
            task.cancel()
        await asyncio.gather(*self.going, return_exceptions=True)
