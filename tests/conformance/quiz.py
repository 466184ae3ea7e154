"""Quiz from both sides: owners and participants over REST, their sockets, and the contract's words.

Every REST request goes over a connection of its own, so that with two shards any of them may be asked.
"""

import asyncio
import calendar
import json
import re
import time

import httpx
import jwt
from websockets.http11 import Response

import tokens
from client import Socket, open_socket
from contract import compact

ISSUER, AUDIENCE = "homeroom.local", "school.local"

# What the contract answers instead of an upgrade.
EXACTLY_ONE = (401, "Provide exactly one of 'token' or 'session' query parameter")
CREDENTIAL = (401, "Invalid or expired credential")
ROLE = (403, "API key does not have owner role")
SESSION = (401, "Invalid session")
QUERY = (400, "Invalid query parameters")

LISTEN_ONLY = "Subscriptions are managed by the server for this session"

# Codes of REST and the statuses that they may come with.
CODES = {
    "VAL-001": {400}, "AUTH-001": {401}, "AUTH-002": {403}, "NF-001": {404}, "G-001": {409}, "QUIZ-001": {409}, "QUIZ-002": {409},
    "QUIZ-003": {409}, "ATT-001": {409}, "ATT-002": {409}, "FLAG-001": {409}, "SRV-001": {503}, "SRV-002": {500},
    "REQ-001": {404, 405, 413, 426},
}

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
NOBODY = "01936400-bbbb-7def-8000-000000000002"  # an id that nothing has

CHOICE = {"text": "Capital of France?", "points": 10.0, "type": "multiple_choice", "options": ["Lyon", "Paris"], "correct": 1}
SELECT = {"text": "Which are even?", "points": 2.5, "type": "multiple_select", "options": ["1", "2", "3", "4"], "correct": [1, 3]}
TRUTH = {"text": "Is water wet?", "points": 1.0, "type": "true_false", "correct": True}
SHORT = {"text": "Capital of Italy?", "points": 4.0, "type": "short_text", "correct": ["Rome", "Roma"]}
ESSAY = {"text": "Why?", "points": 5.0, "type": "short_text", "correct": []}
EVERY_KIND = [CHOICE, SELECT, TRUTH, SHORT, ESSAY]


def signed(house, sub: str | None, lifetime_s: int | None = 3600, secret: bytes | None = None, **claims) -> str:
    """An access token as the server's own issuer signs it. A claim given as None is left out."""
    key = secret or (house.folder / "data/keys/quiz.hs256").read_bytes().strip()
    body = {"iss": ISSUER, "aud": AUDIENCE, "sub": sub}
    if lifetime_s is not None:
        body["exp"] = int(time.time()) + lifetime_s
    body = {name: value for name, value in (body | claims).items() if value is not None}
    token = jwt.encode(body, key, algorithm="HS256")
    tokens.MINTED.append(token)
    return token


def same(said, expected):
    """Equal with the order of keys, and with 10.0 not 10."""
    assert json.dumps(said, ensure_ascii=False) == json.dumps(expected, ensure_ascii=False)


def seconds(text: str) -> int:
    """A timestamp as the API writes them, since 1970."""
    assert ISO.fullmatch(text), text
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def iso(at: float) -> str:
    """A time as the API writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(at))


def listed(data) -> list:
    """What a list holds, whole."""
    assert list(data) == ["items", "total"] and len(data["items"]) == data["total"], data
    return data["items"]


class Rest:
    """The routes of the quiz listener with one credential, or with none."""

    def __init__(self, house, http: httpx.AsyncClient, **headers: str):
        self.house, self.http = house, http
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def ask(self, method: str, path: str, body=None, **more) -> httpx.Response:
        """The answer, whichever it is."""
        if body is not None:
            more["json"] = body
        headers = self.headers | {"connection": "close"} | more.pop("headers", {})
        return await self.http.request(method, f"{self.house.quiz}/api/v1{path}", headers=headers, **more)

    async def good(self, method: str, path: str, body=None, status: int = 200, **more):
        """The data of an answer that must be a good one."""
        answer = await self.ask(method, path, body, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        said = answer.json()
        assert list(said) == ["code", "message", "data"] and (said["code"], said["message"]) == ("0000", "ok"), said
        assert answer.headers["content-type"].startswith("application/json")
        return said["data"]

    async def refused(self, codes: str | set[str], method: str, path: str, body=None, **more) -> httpx.Response:
        """An answer that must be a refusal with this code, or with one of these."""
        answer = await self.ask(method, path, body, **more)
        said = answer.json()
        told = f"{method} {path} {str(body)[:200]}: {answer.status_code} {answer.text[:200]}"
        assert list(said) == ["code", "message"] and isinstance(said["message"], str) and said["message"], told
        assert said["code"] in ({codes} if isinstance(codes, str) else codes), told
        assert answer.status_code in CODES[said["code"]], told
        assert answer.headers["content-type"].startswith("application/json")
        return answer

    async def get(self, path: str, **params):
        """GET with a query."""
        return await self.good("GET", path, params=params)

    async def make(self, path: str, body=None):
        """POST that makes something."""
        return await self.good("POST", path, {} if body is None else body, 201)

    async def begin(self, quiz: int, **body) -> "Attempt":
        """An attempt; by a new participant unless the body names one."""
        if "participant_id" not in body:
            body.setdefault("alias", "Alice")
        data = await self.make(f"/quizzes/{quiz}/attempts", body)
        self.house.secrets.append(data["session_token"])
        return Attempt(self.house, self.http, data)


class Owner(Rest):
    """A teacher with an access token."""

    def __init__(self, house, http, sub: str):
        self.sub, self.token = sub, signed(house, sub)
        super().__init__(house, http, authorization=f"Bearer {self.token}")

    async def key(self, role: str = "owner", label: str = "school bus") -> dict:
        """A new API key."""
        made = await self.make("/apikeys", {"label": label, "role": role})
        self.house.secrets.append(made["key"])
        return made

    async def quiz(self, questions=(CHOICE, TRUTH, SHORT), publish: bool = True, **rules) -> dict:
        """A quiz with its questions, published unless told otherwise."""
        made = await self.make("/quizzes", {"title": "Geography", "access_type": "public"} | rules)
        for question in questions:
            await self.make(f"/quizzes/{made['id']}/questions", question)
        if publish:
            await self.good("POST", f"/quizzes/{made['id']}/publish")
        return await self.get(f"/quizzes/{made['id']}")

    async def watch(self, *channels: str, shard: int | None = None) -> Socket:
        """A socket that is subscribed."""
        socket = await owner_socket(self.house, self.token, shard)
        await subscribe(socket, *channels)
        return socket

    async def attempts(self, **params) -> list[dict]:
        """The list of attempts."""
        return (await self.get("/info/attempts", limit=200, **params))["items"]

    async def attempt(self, attempt: str) -> dict:
        """One of them with its answers."""
        return await self.get(f"/info/attempts/{attempt}")


class Attempt(Rest):
    """One attempt with its session token."""

    def __init__(self, house, http, view: dict):
        super().__init__(house, http)
        self.begun = view
        self.session = view["session_token"]
        self.id = view["attempt_id"]
        self.questions = view["questions"]
        self.path = f"/attempts/{self.session}"

    async def view(self) -> dict:
        """As the participant sees it now."""
        return await self.get(self.path)

    async def answer(self, index: int, answer) -> dict:
        """Answers the question at this place, from 0."""
        return await self.make(f"{self.path}/answers", {"question_id": self.questions[index]["id"], "answer": answer})

    async def submit(self) -> dict:
        """The end."""
        return await self.good("POST", f"{self.path}/submit", {})

    async def flag(self, *labels: str, **more) -> dict:
        """One batch."""
        return await self.make(f"{self.path}/flags", {"flags": [{"label": label} | more for label in labels]})

    async def listen(self, shard: int | None = None) -> Socket:
        """The participant's socket, after its first frame."""
        socket = await session_socket(self.house, self.session, shard)
        same(await socket.json(), confirmation("subscribed", f"notification:{self.id}"))
        return socket


async def owner_socket(house, token: str, shard: int | None = None, **options) -> Socket:
    """An owner's connection that listens to nothing yet."""
    return await open_socket(house, shard, f"/ws?token={token}", port=house.quiz_port, **options)


async def session_socket(house, session: str, shard: int | None = None, **options) -> Socket:
    """A participant's connection."""
    return await open_socket(house, shard, f"/ws?session={session}", port=house.quiz_port, **options)


def order(action: str, *channels) -> str:
    """What owners send."""
    return compact({"action": action, "subscriptions": list(channels)})


def confirmation(event: str, *channels: str) -> dict:
    """`subscribed` or `unsubscribed`."""
    return {"event": event, "t": None, "subscriptions": list(channels)}


def denied(channel: str, why: str = "not found or not owned") -> dict:
    """The error of one channel."""
    return {"event": "error", "t": None, "error": f"Subscription denied: {channel}: {why}"}


def update(kind: str, data: dict, channel: str = "quiz") -> dict:
    """The envelope of an event."""
    return {"event": "update", "t": kind, "channel": channel, "data": data}


def who(attempt: Attempt) -> dict:
    """What the data of all events of the quiz channel begin with."""
    return {name: attempt.begun[name] for name in ("attempt_id", "participant_id", "alias", "quiz_id", "event_id")}


def is_error(frame: dict) -> bool:
    """Whether it is an error of the contract's shape."""
    return list(frame) == ["event", "t", "error"] and frame["event"] == "error" and frame["t"] is None and bool(frame["error"])


async def subscribe(socket: Socket, *channels: str):
    """Subscribes to channels that must all be granted."""
    socket.send(order("subscribe", *channels))
    same(await socket.json(), confirmation("subscribed", *channels))


async def frames(socket: Socket, count: int, timeout: float = 30) -> list[dict]:
    """The next texts."""
    return [await socket.json(timeout) for _ in range(count)]


async def round_trip(socket: Socket) -> list[dict]:
    """What an owner had waiting. Twice there and back: what another shard sent before the first is here before the second is answered."""
    waiting = []
    for _ in range(2):
        socket.send(order("unsubscribe", "quiz:9007199254740990"))
        while (frame := await socket.json()) != confirmation("unsubscribed"):
            waiting.append(frame)
    return waiting


async def is_true_soon(condition, timeout: float = 30):
    """Waits until an async condition holds; its last value that is true."""
    deadline = time.monotonic() + timeout
    while True:
        if value := await condition():
            return value
        assert time.monotonic() < deadline, f"it did not come true within {timeout} s"
        await asyncio.sleep(0.02)


async def knock(house, target: str, *headers: str, method: str = "GET", port: int | None = None) -> Response:
    """One request by raw bytes, to the quiz listener or to `port`; the answer, with its body, be it 101 or a refusal."""
    port = port or house.quiz_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=house.context)
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        status, *fields = head.decode("latin-1").split("\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields if field)}
        length = int(fields.get("content-length", 0))
        body = await asyncio.wait_for(reader.readexactly(length), 30)
        return Response(int(status.split()[1]), status.split(" ", 2)[-1], fields, body)
    finally:
        writer.close()


UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
