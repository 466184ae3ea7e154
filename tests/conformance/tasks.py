"""Tasks from a person's side: the socket, the routes with a token, and what every frame and every answer must have.

Every REST request goes over a connection of its own, so that with two shards any of them may be asked.
"""

import asyncio
import calendar
import json
import re
import socket
import struct
import threading
import time
import uuid
from dataclasses import dataclass, field

import httpx
import jwt

import tokens
from client import Socket, address_of, open_socket
from contract import compact
from model_stub import Answer, ModelStub
from quiz import UPGRADE, is_true_soon, knock
from tasks_examples import ECHO, SAID, TIME, UUID

SOON = 30  # seconds that anything may take on a busy machine
NOBODY = "01936400-bbbb-7def-8000-000000000002"  # an id that nothing has

STATUSES = ["pending", "in_progress", "verifying", "completed", "failed"]
TASK = {
    "id", "title", "task", "type", "priority", "status", "progress", "agent_id", "model_id", "parameters", "result", "error", "cost",
    "user_id", "created_at", "updated_at", "completed_at",
}
EXECUTION = {
    "id", "workflow_id", "status", "current_step_id", "input", "results", "error", "cost", "user_id", "created_at", "updated_at",
    "completed_at",
}
AGENT = {"id", "description", "models", "tools"}
WORKFLOW = {"id", "name", "description", "steps"}
STEP = {"id", "name", "agent_id", "task", "needs"}
RESULT = {"step_id", "output", "cost"}
PARTS = ["api_status", "database_status", "vector_db_status", "model_service_status"]

# Of the built-in agent, with 0.01 for each word of the prompt and each piece that it says: `/count 3` costs the contract's 0.05.
PRICES = {"prompt_price": 10_000.0, "completion_price": 10_000.0}
# Of the endpoint, which says that five tokens came: the contract's 0.05 again.
STUB_PRICES = {"prompt_price": 0.0, "completion_price": 10_000.0}


def step(id: str, task: str, *needs: str, agent: str = "large-agent") -> dict:
    """A step of a workflow, as it is configured."""
    return {"id": id, "name": f"The step {id}", "agent": agent, "task": task, "needs": list(needs)}


REVIEW = {
    "id": "code-review-workflow", "name": "Code review", "description": "Looks at code", "steps": [
        step("step1", "Read {input}"), step("step2", "Criticise {step1}", "step1"),
        step("step3", "Sum up {step1} and {step2}", "step1", "step2"),
    ],
}
DIAMOND = {
    "id": "diamond", "name": "Two at a time", "description": "Both sides need the top, the bottom needs both", "steps": [
        step("top", "/count 2", agent="code-agent"), step("left", "Left of {top}", "top"), step("right", "Right of {top}", "top"),
        step("bottom", "Under {left} and {right}", "left", "right"),
    ],
}
COUNTING = {
    "id": "counting", "name": "Counting", "description": "Needs no model",
    "steps": [step("one", "/count 2", agent="code-agent"), step("two", "/count 3", "one", agent="test-agent")],
}


def settings(stub: "Stub", **over) -> dict:
    """What the servers of these tests have: three agents as the contract has them, one of an endpoint, workflows."""
    built_in = {"pace": "2ms"}
    small = {"model": "gpt-4o", "other_models": ["gpt-4o-mini"]}
    large = stub.model("large", first_timeout="10s", next_timeout="10s", attempts=2, **STUB_PRICES)
    base = {
        "models": [{"name": "gpt-4o", **built_in, **PRICES}, {"name": "gpt-4o-mini", **built_in}, large],
        "agents": [
            {"name": "code-agent", "description": "Writes code", **small, "tools": ["calculator"]},
            {"name": "design-agent", "description": "Draws", **small},
            {"name": "test-agent", "description": "Tests", "model": "gpt-4o-mini"},
            {"name": "large-agent", "description": "Asks an endpoint", "model": "large"},
        ],
        "chat": {"default_agent": "code-agent", "logins_a_minute": 1_000_000},
        "workflows": [REVIEW, DIAMOND, COUNTING],
        "tasks": {"progress_interval": "10ms"},
    }
    tasks = base["tasks"] | over.pop("tasks", {})
    return base | over | {"tasks": tasks}


@dataclass(frozen=True)
class Held(Answer):
    """An answer of the endpoint that waits for leave."""

    gate: threading.Event = field(default_factory=threading.Event)


def held(*words: str) -> Held:
    """These words, once `gate` is set."""
    return Held(words)


class Stub(ModelStub):
    """The endpoint, whose answers may be held back."""

    def _answer(self, handler, answer: Answer):
        while isinstance(answer, Held) and not answer.gate.is_set():
            self._wait(handler, 0.02)
        super()._answer(handler, answer)

    def prompts(self) -> list[str]:
        """What was asked last in each request, so far."""
        return [asked.messages[-1]["content"] for asked in self.asked]


def seconds(text: str) -> int:
    """A time as the wire has it, since 1970."""
    assert re.fullmatch(TIME, text), text
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def is_now(text: str, since: float):
    """Whether a time is now, and not before `since` (of `time.time`)."""
    assert int(since) <= seconds(text) <= time.time() + 1, (text, since)


def signed(house, body: dict, secret: bytes | None = None, algorithm: str = "HS256") -> str:
    """A token with these claims, by the server's own key unless another is given. A claim that is None is left out."""
    key = secret or (house.folder / "data/keys/chat.hs256").read_bytes().strip()
    token = jwt.encode({name: value for name, value in body.items() if value is not None}, key, algorithm=algorithm)
    tokens.MINTED.append(token)
    return token


def claims(user: str, **over) -> dict:
    """What the token of a login says."""
    now = int(time.time())
    body = {"iss": "homeroom", "sub": user, "username": user, "email": f"{user}@example.com", "role": "user"}
    return body | {"jti": str(uuid.uuid4()), "iat": now, "exp": now + 3600} | over


def checked(message: dict) -> dict:
    """A frame of the contract, with all its fields and no others."""
    assert set(message) == {"type", "data"} and message["type"] in SAID, message
    kind, data = message["type"], message["data"]
    extra = set(data) - SAID[kind]
    assert SAID[kind] <= set(data) and extra <= (ECHO if kind == "error" else set()), message
    assert kind != "error" or "request_type" in data or "request_data" not in data, message
    for name in SAID[kind] & {"updated_at", "completed_at", "server_time"}:
        seconds(data[name])
    for name in SAID[kind] & {"task_id", "execution_id"}:
        assert re.fullmatch(UUID, data[name]), message
    if "status" in SAID[kind]:
        over = {"task_completion": ["completed"], "task_error": ["failed"], "task_update": STATUSES[:3]}
        assert data["status"] in over.get(kind, STATUSES), message
    if "progress" in SAID[kind]:
        assert type(data["progress"]) in (int, float) and 0 <= data["progress"] <= 1, message
    return message


class TaskSocket:
    """A connection to `/ws`, which has been welcomed. Pings are answered and noted, unless the test wants to hear them."""

    def __init__(self, socket: Socket):
        self.socket = socket
        self.client_id = ""
        self.server_time = ""
        self.pings: list[tuple[float, str]] = []
        self.answers_pings = True

    def say(self, kind: str, data=None):
        """A message of the contract's form."""
        self.socket.send(compact({"type": kind} | ({} if data is None else {"data": data})))

    def subscribe(self, channel: str, **which: str):
        """Asks for a channel."""
        self.say("subscribe", {"channel": channel, **which})

    def unsubscribe(self, channel: str, **which: str):
        """Wants no more of it."""
        self.say("unsubscribe", {"channel": channel, **which})

    async def hear(self, timeout: float = SOON) -> dict:
        """The next message that is no ping."""
        while True:
            message = checked(await self.socket.json(timeout))
            if message["type"] != "ping":
                return message
            seconds(message["data"]["timestamp"])
            self.pings.append((time.monotonic(), message["data"]["timestamp"]))
            if self.answers_pings:
                self.say("pong", message["data"])

    async def heard(self, kind: str, timeout: float = SOON) -> dict:
        """The data of the next message, which must be of this type."""
        message = await self.hear(timeout)
        assert message["type"] == kind, f"expected {kind}, heard {message}"
        return message["data"]

    async def refused(self, code: str, kind: str | None = None, data=None) -> str:
        """The next message must be an error with this code and, if a request is given, with exactly its echo. Its words."""
        said = await self.heard("error")
        expected = {"code": code, "message": said["message"]}
        expected |= {} if kind is None else {"request_type": kind}
        expected |= {} if data is None else {"request_data": data}
        assert said == expected and said["message"], said
        return said["message"]

    async def waiting(self) -> list[dict]:
        """What this shard had sent until now."""
        mark, waiting = str(uuid.uuid4()), []
        self.say("ping", {"timestamp": mark})
        while (message := await self.hear()) != {"type": "pong", "data": {"timestamp": mark}}:
            waiting.append(message)
        return waiting

    async def behind(self, task: str) -> list[dict]:
        """What there was to hear of a task that is over, or that is another's: its home answers behind all that it has told."""
        data, waiting = {"task_id": task, "mark": str(uuid.uuid4())}, []
        self.say("cancel_task", data)
        while (message := await self.hear())["data"].get("request_data") != data:
            waiting.append(message)
        assert message["data"]["code"] == "invalid_request"
        return waiting

    async def execute(self, task: str, agent: str = "code-agent", **more) -> str:
        """Tells an agent to do something; the new task's id."""
        self.say("execute_agent", {"agent_id": agent, "task": task} | more)
        said = await self.heard("task_update")
        assert (said["status"], said["progress"]) == ("pending", 0), said
        return said["task_id"]

    async def course(self, task: str) -> list[dict]:
        """All that is heard of a task until it is over; nothing else may come in between."""
        messages = [await self.hear()]
        while messages[-1]["type"] == "task_update":
            messages.append(await self.hear())
        assert all(message["data"].get("task_id") == task for message in messages), messages
        return rises(messages)

    async def closed(self, reason: str, code: int, kind: str = "connection_closed") -> dict:
        """The reason must be told, then comes the Close and the end. What was told."""
        said = await self.heard(kind)
        assert said["reason"] == reason and said["message"], said
        assert await self.socket.close_code(SOON) == code
        return said

    async def exceeded(self, kind: str | None = None, data=None) -> str:
        """One limit too many: the error, the reason, the Close. The error's words."""
        said = await self.refused("rate_limit_exceeded", kind, data)
        await self.closed("rate_limit_exceeded", 1008)
        return said

    def reset(self):
        """The end by a reset, as from a machine that knows nothing of the connection."""
        self.socket.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.abort()


def rises(messages: list[dict]) -> list[dict]:
    """Of one task: the statuses go forwards, the progress never falls, and there is one end, the last."""
    ends = [message for message in messages if message["type"] != "task_update"]
    assert ends in ([], messages[-1:]), messages
    ranks = [STATUSES.index(message["data"]["status"]) for message in messages]
    shares = [message["data"]["progress"] for message in messages if "progress" in message["data"]]
    assert ranks == sorted(ranks) and shares == sorted(shares), messages
    return messages


class Person:
    """The routes and the socket with one token, or with none."""

    def __init__(self, house, http: httpx.AsyncClient, user: str = "", token: str | None = None):
        self.house, self.http = house, http
        self.user, self.token = user, token

    async def ask(self, method: str, path: str, body=None, **more) -> httpx.Response:
        """The answer, whichever it is."""
        if body is not None:
            more["json"] = body
        headers = {"connection": "close"} | ({"authorization": f"Bearer {self.token}"} if self.token else {}) | more.pop("headers", {})
        answer = await self.http.request(method, f"{self.house.chat}/api/v1{path}", headers=headers, timeout=SOON, **more)
        assert answer.headers["content-type"].startswith("application/json"), (method, path, answer)
        return answer

    async def good(self, method: str, path: str, body=None, **more):
        """The JSON of an answer that must be a good one."""
        answer = await self.ask(method, path, body, **more)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def refused(self, status: int, method: str, path: str, body=None, **more) -> str:
        """The `detail` of an answer that must be a refusal with this status."""
        return detail(await self.ask(method, path, body, **more), status)

    async def get(self, path: str, **params):
        """GET with a query."""
        return await self.good("GET", path, params=params)

    async def listed(self, path: str, **params) -> tuple[list[str], int]:
        """The ids of a list, and how many there are in all."""
        answer = await self.ask("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()], int(answer.headers["x-total-count"])

    async def make(self, **body) -> dict:
        """A task by REST; for people, unless it names an agent."""
        return is_task(await self.good("POST", "/tasks", {"task": "Sweep the yard"} | body))

    async def change(self, task: str, **body) -> dict:
        """PATCH of a task."""
        return is_task(await self.good("PATCH", f"/tasks/{task}", body))

    async def task(self, task: str) -> dict:
        """One task."""
        return is_task(await self.get(f"/tasks/{task}"))

    async def becomes(self, task: str, status: str) -> dict:
        """Waits until a task stands so."""

        async def reached():
            said = await self.task(task)
            return said if said["status"] == status else None

        return await is_true_soon(reached, SOON)

    async def start(self, workflow: str = "code-review-workflow", **input) -> dict:
        """A new execution."""
        return is_execution(await self.good("POST", "/orchestration/executions", {"workflow_id": workflow, "input": input}))

    async def execution(self, execution: str) -> dict:
        """One execution."""
        return is_execution(await self.get(f"/orchestration/executions/{execution}"))

    async def execution_becomes(self, execution: str, status: str) -> dict:
        """Waits until an execution stands so."""

        async def reached():
            said = await self.execution(execution)
            return said if said["status"] == status else None

        return await is_true_soon(reached, SOON)

    async def opened(self, shard: int | None = None, **options) -> Socket:
        """An upgraded connection, welcomed or not; on this shard, if that matters. There is one attempt, since each is counted: where to
        come from is found out by a socket of chat, which takes whoever comes."""
        port = self.house.chat_port
        local = None if shard is None else await address_of(self.house, shard, "/ws/sessions/nothing", port)
        return await open_socket(self.house, shard, f"/ws?token={self.token}", port=port, local=local, **options)

    async def connect(self, shard: int | None = None, **options) -> TaskSocket:
        """A connection that was welcomed."""
        made = TaskSocket(await self.opened(shard, **options))
        welcome = await made.heard("connection_established")
        made.client_id, made.server_time = welcome["client_id"], welcome["server_time"]
        return made


def detail(answer: httpx.Response, status: int) -> str:
    """What a refusal with this status says."""
    told = f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:300]}"
    assert answer.status_code == status, told
    said = answer.json()
    assert set(said) == {"detail"} and isinstance(said["detail"], str) and said["detail"], told
    return said["detail"]


def is_task(said: dict) -> dict:
    """A task as REST shows it."""
    assert set(said) == TASK and re.fullmatch(UUID, said["id"]), said
    assert said["status"] in STATUSES and 0 <= said["progress"] <= 1 and said["cost"] >= 0, said
    assert said["type"] in ("code", "design", "test", "security", "analysis") and said["priority"] in ("low", "medium", "high"), said
    assert (said["completed_at"] is not None) == (said["status"] == "completed"), said
    assert said["status"] != "completed" or type(said["result"]) is dict, said
    assert said["status"] != "failed" or said["error"], said
    assert seconds(said["created_at"]) <= seconds(said["updated_at"]) and type(said["parameters"]) is dict, said
    return said


def is_execution(said: dict) -> dict:
    """An execution as REST shows it."""
    assert set(said) == EXECUTION and re.fullmatch(UUID, said["id"]), said
    assert said["status"] in STATUSES and all(set(result) == RESULT for result in said["results"]), said
    assert (said["completed_at"] is not None) == (said["status"] == "completed"), said
    assert (said["status"] == "failed") == bool(said["error"]), said
    assert [seconds(said[name]) for name in ("created_at", "updated_at")] and type(said["input"]) is dict, said
    return said


async def upgrade_refused(house, target: str, *headers: str, status: int = 401) -> str:
    """An upgrade must be answered with `{"detail"}` and this status; what it says."""
    answer = await knock(house, target, *UPGRADE, *headers, port=house.chat_port)
    told = f"{target.split('?')[0]}: {answer.status_code} {answer.body}"
    assert answer.status_code == status, told
    said = json.loads(answer.body)
    assert set(said) == {"detail"} and said["detail"], told
    return said["detail"]


class Office:
    """A server of tasks with its people, and the endpoint that one of its agents asks."""

    def __init__(self, house, http: httpx.AsyncClient, stub: Stub):
        self.house, self.http, self.stub = house, http, stub
        self.nobody = Person(house, http)

    def person(self, user: str | None = None, **over) -> Person:
        """A new user with a token, as a login would give it."""
        user = user or str(uuid.uuid4())
        return Person(self.house, self.http, user, signed(self.house, claims(user, **over)))

    async def admin(self) -> Person:
        """The one who is there from the beginning."""
        (answer := await self.http.get(f"{self.house.internal}/api/v1/labs/users/admin")).raise_for_status()
        return self.person(answer.json()["id"], role="admin")

    async def restart(self, kill: bool):
        """Ends the process, by SIGKILL or by SIGTERM, and starts it again."""
        await asyncio.to_thread(self.house.kill if kill else self.house.stop)
        await asyncio.to_thread(self.house.start)

    async def has_stopped(self):
        """Waits for the end of a process that was told to stop."""
        assert await asyncio.to_thread(self.house.process.wait, 30) == 0
