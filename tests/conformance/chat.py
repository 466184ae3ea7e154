"""Chat from a person's side: the routes with a token, sockets, streams, and what every answer must have.

Every REST request goes over a connection of its own, so that with two shards any of them may be asked.
"""

import asyncio
import calendar
import json
import random
import re
import time
import uuid

import httpx
import jwt

import tokens
from client import Socket, open_socket
from event_source import EventSource
from model_stub import ModelStub

# The contract's tables, and what the page has beside them.
CODES = {
    "SESSION_NOT_FOUND": 404, "SESSION_ENDED": 409, "SESSION_SUSPENDED": 409, "SESSION_CREATE_FAILED": 500, "SESSION_UPDATE_FAILED": 500,
    "MESSAGE_EMPTY": 400, "MESSAGE_TOO_LONG": 400, "MESSAGE_INVALID": 400, "MESSAGE_SEND_FAILED": 500, "AGENT_NOT_FOUND": 404,
    "AGENT_UNAVAILABLE": 503, "AGENT_ERROR": 500, "AGENT_TIMEOUT": 504, "TOOL_NOT_FOUND": 404, "TOOL_EXEC_FAILED": 500,
    "TOOL_TIMEOUT": 504, "TOOL_APPROVAL_REQUIRED": 403, "TOOL_APPROVAL_DENIED": 403, "TOOL_APPROVAL_EXPIRED": 410,
    "APPROVAL_NOT_FOUND": 404, "APPROVAL_EXPIRED": 410, "APPROVAL_ALREADY_PROCESSED": 409, "APPROVAL_INVALID": 400, "RATE_LIMITED": 429,
    "UNAUTHORIZED": 401, "INVALID_CREDENTIALS": 401, "FORBIDDEN": 403, "NOT_FOUND": 404, "METHOD_NOT_ALLOWED": 405,
    "VALIDATION_ERROR": 422, "PAYLOAD_TOO_LARGE": 413, "INTERNAL_ERROR": 500, "SERVICE_UNAVAILABLE": 503,
}
ID = r"_[0-9a-f]{32}"
NO_SESSION, NO_MESSAGE, NO_APPROVAL = (prefix + "_" + "0" * 32 for prefix in ("sess", "msg", "appr"))
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
PASSWORD = "your_password"  # the contract's own
LONG = "/count 3000 5"  # the built-in agent counts for 15 s, unless somebody stops it


def seconds(text: str) -> int:
    """A timestamp as chat writes them, since 1970."""
    assert TIME.fullmatch(text), text
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def signed(house, sub: str | None, email: str, role: str = "user", lifetime_s: int = 3600, secret: bytes | None = None, **claims) -> str:
    """A token as a login gives it. A claim given as None is left out."""
    now = int(time.time())
    body = {"iss": "homeroom", "sub": sub, "username": email.split("@")[0], "email": email, "role": role}
    body |= {"jti": str(uuid.uuid4()), "iat": now, "exp": now + lifetime_s} | claims
    key = secret or (house.folder / "data/keys/chat.hs256").read_bytes().strip()
    token = jwt.encode({name: value for name, value in body.items() if value is not None}, key, algorithm="HS256")
    tokens.MINTED.append(token)
    return token


def is_error(said: dict, status: int, codes: str | set[str]) -> dict:
    """A flat error of one of these codes with its status; of a limit with the time to wait."""
    told = f"{status} {said}"
    assert said["error"] in ({codes} if isinstance(codes, str) else codes), told
    assert set(said) == {"error", "message"} | ({"retry_after"} if said["error"] == "RATE_LIMITED" else set()), told
    assert isinstance(said["message"], str) and said["message"], told
    assert status == CODES[said["error"]], told
    return said


class Person:
    """Someone with a token, or with a bad one, or with none."""

    def __init__(self, house, http: httpx.AsyncClient, name: str = "", token: str | None = None, id: str | None = None):
        self.house, self.http = house, http
        self.id, self.email = id or str(uuid.uuid4()), f"{name}@example.com"
        self.token = token if token is not None else signed(house, self.id, self.email) if name else None
        self.headers = {"authorization": f"Bearer {self.token}"} if self.token else {}

    async def ask(self, method: str, path: str, body=None, **more) -> httpx.Response:
        """The answer, whichever it is."""
        if body is not None:
            more["json"] = body
        headers = self.headers | {"connection": "close"} | more.pop("headers", {})
        answer = await self.http.request(method, f"{self.house.chat}/api/v1{path}", headers=headers, **more)
        assert answer.headers.get("cache-control") in ("no-store", "no-cache"), (answer.status_code, answer.text, answer.headers)
        return answer

    async def good(self, method: str, path: str, body=None, status: int = 200, **more):
        """The JSON of an answer that must be a good one."""
        answer = await self.ask(method, path, body, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        assert answer.headers["content-type"].startswith("application/json")
        return answer.json()

    async def refused(self, codes: str | set[str], method: str, path: str, body=None, **more) -> dict:
        """What a refusal said, which must have this code, or one of these."""
        answer = await self.ask(method, path, body, **more)
        assert answer.headers["content-type"].startswith("application/json"), answer.headers
        said = is_error(answer.json(), answer.status_code, codes)
        assert (answer.headers.get("www-authenticate") == "Bearer") == (answer.status_code == 401), answer.headers
        if "retry_after" in said:
            assert 1 <= said["retry_after"] <= 60 and answer.headers["retry-after"] == str(said["retry_after"])
        return said

    async def get(self, path: str, **params):
        """GET with a query."""
        return await self.good("GET", path, params=params)

    async def session(self, **body) -> "Session":
        """A new one."""
        return Session(self, await self.good("POST", "/sessions/", body, 201))


class Session:
    """A session, as one person deals with it."""

    def __init__(self, by: Person, made: dict):
        self.by, self.made, self.id = by, made, made["id"]
        self.path = f"/sessions/{self.id}"

    def of(self, other: Person) -> "Session":
        """The same, with another's token."""
        return Session(other, self.made)

    async def look(self) -> dict:
        """As it stands."""
        return await self.by.get(self.path)

    async def say(self, content: str, **more) -> dict:
        """A message; the whole answer, however long it takes."""
        return await self.by.good("POST", f"{self.path}/chat", {"content": content} | more, timeout=60)

    async def stream(self, content: str, local: tuple[str, int] | None = None, **more) -> EventSource:
        """A message; its answer as it comes."""
        path = f"/api/v1{self.path}/chat/stream"
        house = self.by.house
        return await EventSource.open(house.chat_port, path, self.by.token, {"content": content} | more, local, house.context)

    async def refused(self, codes: str | set[str], content: str = "Hello", route: str = "chat", **more) -> dict:
        """A message that must be refused, or whose answer must fail before its first word."""
        return await self.by.refused(codes, "POST", f"{self.path}/{route}", {"content": content} | more, timeout=60)

    async def messages(self, **params) -> list[dict]:
        """What was said: the newest of it."""
        return (await self.by.get(f"{self.path}/messages", **({"limit": 200} | params)))["data"]

    async def last(self) -> dict:
        """What was said last."""
        return (await self.messages())[-1]

    async def settled(self, timeout: float = 30) -> dict:
        """Waits until no answer runs; what was said last."""
        deadline = time.monotonic() + timeout
        while (last := await self.last()).get("status") == "streaming":
            assert time.monotonic() < deadline, f"the answer still runs after {timeout} s"
            await asyncio.sleep(0.02)
        return last

    async def approvals(self) -> list[dict]:
        """Those that wait."""
        return (await self.by.get(f"{self.path}/approvals"))["data"]

    def approval(self, id: str, action: str) -> str:
        """The path of a decision."""
        return f"{self.path}/approvals/{id}/{action}"

    async def decide(self, id: str, action: str, **body) -> dict:
        """Approves or rejects."""
        return await self.by.good("POST", self.approval(id, action), body)

    async def end(self) -> dict:
        """The end."""
        return await self.by.good("POST", f"{self.path}/end")

    async def listen(self, shard: int | None = None, by_message: bool = False, **options) -> "Ear":
        """A socket that is in the session."""
        ear = await self.knock("" if by_message else f"?token={self.by.token}", shard, **options)
        if by_message:
            ear.send(auth(self.by.token))
        assert await ear.json() == {"type": "auth_success", "session_id": self.id}
        return ear

    async def knock(self, query: str = "", shard: int | None = None, **options) -> "Ear":
        """A socket of which nothing was heard yet."""
        house = self.by.house
        return Ear(await open_socket(house, shard, f"/ws/sessions/{self.id}{query}", port=house.chat_port, **options))


class Ear:
    """A socket of chat."""

    def __init__(self, socket: Socket):
        self.socket = socket
        self.shard, self.json, self.quiet, self.close_code = socket.shard, socket.json, socket.quiet, socket.close_code

    def send(self, *messages: str):
        """Messages as they are, in one segment."""
        for message in messages:
            self.socket.protocol.send_text(message.encode())
        self.socket.raw(b"".join(self.socket.protocol.data_to_send()))

    def say(self, content: str, **more):
        """`message`."""
        self.send(json.dumps({"type": "message", "content": content} | more))

    def cancel(self, **more):
        """`cancel`."""
        self.send(json.dumps({"type": "cancel"} | more))

    async def heard(self, kind: str, timeout: float = 30) -> list[dict]:
        """All frames up to the next of this type, and it."""
        frames = []
        while not frames or frames[-1]["type"] != kind:
            frames.append(await self.json(timeout))
        return frames

    async def next(self, kind: str, timeout: float = 30) -> dict:
        """The next frame of this type."""
        return (await self.heard(kind, timeout))[-1]

    async def answer(self, timeout: float = 30) -> list[dict]:
        """All frames to the end of an answer."""
        return await self.heard("message_end", timeout)

    async def error(self, code: str, timeout: float = 30):
        """The next frame must be this error."""
        said = await self.json(timeout)
        assert set(said) == {"type", "code", "message"} and (said["type"], said["code"]) == ("error", code) and said["message"], said
        return said

    async def here(self):
        """What was said before is heard before this: a ping and its pong, with nothing in between."""
        self.send('{"type":"ping"}')
        assert await self.json() == {"type": "pong"}

    async def here_among(self, kind: str):
        """The same, where frames of this type may come in between."""
        self.send('{"type":"ping"}')
        frames = await self.heard("pong")
        assert {frame["type"] for frame in frames} <= {kind, "pong"}, types(frames)

    async def ended(self, code: str, close: int):
        """The error, then Close with this code, then the end."""
        await self.error(code)
        assert await self.close_code() == close


def auth(token: str) -> str:
    """The first message."""
    return json.dumps({"type": "auth", "token": token})


def text(frames: list[dict]) -> str:
    """What was said in frames of a socket, or events of a stream."""
    return "".join(frame["delta"] for frame in frames if frame["type"] in ("content_delta", "content"))


def types(frames: list[dict]) -> list[str]:
    """Their types, those that follow each other as one."""
    kinds = [frame["type"] for frame in frames]
    return [kind for index, kind in enumerate(kinds) if index == 0 or kinds[index - 1] != kind]


def counts_up(said: str) -> int:
    """What `/count` says must be the numbers from 1; how far it came."""
    numbers = [int(word) for word in said.split()]
    assert numbers == list(range(1, len(numbers) + 1)), said[:200]
    return len(numbers)


def settings(stub: ModelStub, **over) -> dict:
    """A server with agents by the built-in model and by the stub, all with the same tools; some of them without patience."""
    tools = [
        stub.tool("send_email", {"sent": True}, to="string", subject="string"), stub.tool("lookup", [1, 2], key="string", timeout="3s"),
        stub.tool("delete_course", "gone", needs_approval=True, course="string"),
    ]
    names = ["calculator", "search", *(tool["name"] for tool in tools)]
    hasty = {"first_timeout": "2s", "next_timeout": "2s"}
    models = [
        {"name": "fast", "pace": "1ms"}, stub.model("large"), stub.model("hasty", attempts=1, **hasty), stub.model("once", attempts=1),
    ]
    agents = [{"name": name, "model": model, "tools": names} for name, model in (("tutor", "fast"), ("support-agent-v1", "fast"))]
    agents += [{"name": name, "model": name, "tools": names, "instructions": f"You are {name}."} for name in ("large", "hasty", "once")]
    return {"models": models, "tools": tools, "agents": agents} | over


async def user(house, http: httpx.AsyncClient, name: str, role: str = "user") -> dict:
    """A user with an address and the contract's password, who can sign in."""
    if PASSWORD not in house.secrets:
        house.secrets.append(PASSWORD)
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, "role": role}
    answer = await http.post(f"{house.internal}/api/v1/labs/users", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def admin(house, http: httpx.AsyncClient, name: str) -> Person:
    """An admin. The records say who is one, whatever a token says."""
    return Person(house, http, name, id=(await user(house, http, name, "admin"))["id"])


async def login(house, email: object, password: object) -> httpx.Response:
    """The answer to a login, from an address that nobody else signs in from."""
    host = ".".join(["127", *(str(random.randint(1, 250)) for _ in range(3))])
    transport = httpx.AsyncHTTPTransport(local_address=host, verify=False)
    async with httpx.AsyncClient(transport=transport, timeout=30, trust_env=False) as client:
        answer = await client.post(f"{house.chat}/api/v1/auth/login", json={"email": email, "password": password})
    if answer.status_code == 200:
        house.secrets.append(answer.json()["access_token"])
    return answer
