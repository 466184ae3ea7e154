"""Labs from a person's side: the routes with a token, the screens, and what every answer must have.

Every REST request goes over a connection of its own, so that with two shards any of them may be asked.
"""

import asyncio
import calendar
import json
import re
import time
import uuid

import httpx
import jwt

import tokens
from client import Socket, address_of, open_socket
from labs_agent import Agent, FieldAgent
from labs_examples import TIME, example
from quiz import UPGRADE, is_true_soon, knock

# Codes and the statuses that they may come with.
CODES = {
    "AUTH_INVALID_CREDENTIALS": {401}, "AUTH_TOKEN_EXPIRED": {401}, "AUTH_TOKEN_INVALID": {401}, "AUTH_TOKEN_MISSING": {401},
    "AUTH_INSUFFICIENT_PERMISSIONS": {403}, "AGENT_NOT_FOUND": {404}, "AGENT_OFFLINE": {503}, "AGENT_DRAINING": {503},
    "NO_AGENTS_AVAILABLE": {503}, "AGENT_CAPACITY_EXCEEDED": {503}, "SESSION_NOT_FOUND": {404}, "SESSION_ALREADY_EXISTS": {409},
    "INVALID_STATE_TRANSITION": {400, 409}, "SESSION_PROVISIONING_FAILED": {500}, "SESSION_TERMINATING": {409},
    "TEMPLATE_NOT_FOUND": {400, 404}, "TEMPLATE_INVALID": {400}, "VALIDATION_FAILED": {400}, "INVALID_PARAMETER": {400},
    "MISSING_REQUIRED_FIELD": {400}, "RATE_LIMIT_EXCEEDED": {429}, "NOT_FOUND": {404}, "METHOD_NOT_ALLOWED": {405},
    "USER_NOT_FOUND": {404}, "USER_ALREADY_EXISTS": {409}, "TEMPLATE_ALREADY_EXISTS": {409}, "PAYLOAD_TOO_LARGE": {413},
    "UPGRADE_REQUIRED": {426}, "AGENT_IN_USE": {409}, "AGENT_LIMIT_REACHED": {503}, "SERVICE_UNAVAILABLE": {503},
}
ERROR = set(example("Error Response Format", ""))
NOBODY = "01936400-bbbb-7def-8000-000000000002"  # an id that nothing has
PASSWORD = "secure-password"
FIREFOX = {
    name: value for name, value in example("Get Template Details", "200").items() if name not in ("id", "created_at", "updated_at")
}


def seconds(text: str) -> int:
    """A timestamp as labs write them, since 1970."""
    assert re.fullmatch(TIME, text), text
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def claims(token: str) -> dict:
    """What a token says."""
    return jwt.decode(token, options={"verify_signature": False})


def signed(house, body: dict, secret: bytes | None = None, **headers) -> str:
    """A token with these claims, by the server's own key unless another is given. A claim that is None is left out."""
    key = secret or (house.folder / "data/keys/labs.hs256").read_bytes().strip()
    token = jwt.encode({name: value for name, value in body.items() if value is not None}, key, algorithm="HS256", headers=headers)
    tokens.MINTED.append(token)
    return token


def issued(house, user: dict) -> str:
    """A token as a login of this user gives it."""
    now = int(time.time())
    body = {name: user[name] for name in ("username", "email", "role")}
    body |= {"iss": "homeroom", "sub": user["username"], "user_id": user["id"]}
    return signed(house, body | {"jti": str(uuid.uuid4()), "iat": now, "exp": now + 24 * 3600})


def counted(answer: httpx.Response, clock_off: float = 0):
    """What every answer has: the limits, the request's id, no place in a cache. By a clock that may be so many seconds off."""
    limit, remaining, reset = (int(answer.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining", "Reset"))
    assert 0 <= remaining <= limit
    assert -2 - clock_off <= reset - time.time() <= 61 + clock_off, "the window is a minute"
    assert answer.headers["x-request-id"] and "no-store" in answer.headers["cache-control"]


def is_error(answer: httpx.Response, codes: str | set[str], field: str | None = None) -> dict:
    """An error of the contract's form with this code, or with one of these; about this field, if it is given."""
    told = f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:300]}"
    said = answer.json()
    assert answer.headers["content-type"].startswith("application/json"), told
    assert set(said) - {"retry_after"} == ERROR, told
    assert all(isinstance(said[name], str) and said[name] for name in ("error", "message", "code", "timestamp", "request_id")), told
    assert isinstance(said["details"], dict) and abs(seconds(said["timestamp"]) - time.time()) < 5, told
    assert said["request_id"] == answer.headers["x-request-id"], told
    assert said["code"] in ({codes} if isinstance(codes, str) else codes), told
    assert answer.status_code in CODES[said["code"]], told
    assert field is None or said["details"] == {"field": field}, told
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"] == "Bearer", told
    return said


class Person:
    """Someone with a token, or without one."""

    clock_off = 0  # by how many seconds the clock of who answers may be

    def __init__(self, house, http: httpx.AsyncClient, token: str | None = None, user: dict | None = None):
        self.house, self.http, self.token, self.user = house, http, token, user or {}
        self.headers = {"authorization": f"Bearer {token}"} if token else {}

    @property
    def name(self) -> str:
        """Their username."""
        return self.user["username"]

    def renewed(self, user: dict) -> "Person":
        """A user with a token of its own, as a login gives it."""
        return Person(self.house, self.http, issued(self.house, user), user)

    async def ask(self, method: str, path: str, body=None, **more) -> httpx.Response:
        """The answer, whichever it is."""
        if body is not None:
            more["json"] = body
        headers = self.headers | {"connection": "close"} | more.pop("headers", {})
        answer = await self.http.request(method, f"{self.house.labs}/api/v1{path}", headers=headers, **more)
        counted(answer, self.clock_off)
        return answer

    async def good(self, method: str, path: str, body=None, status: int = 200, **more):
        """The JSON of an answer that must be a good one; None where there is no body."""
        answer = await self.ask(method, path, body, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        if status == 204:
            assert answer.content == b""
            return None
        assert answer.headers["content-type"].startswith("application/json")
        return answer.json()

    async def refused(self, codes: str | set[str], method: str, path: str, body=None, field: str | None = None, **more) -> dict:
        """What a refusal said, which must have this code, or one of these."""
        return is_error(await self.ask(method, path, body, **more), codes, field)

    async def get(self, path: str, **params):
        """GET with a query."""
        return await self.good("GET", path, params=params)

    async def listed(self, path: str, **params) -> list[dict]:
        """All rows of a list of at most one page."""
        said = await self.get(path, **({"limit": 100} | params))
        (name,) = set(said) - {"pagination"}
        assert said["pagination"]["total"] == len(said[name]), said["pagination"]
        return said[name]

    async def start(self, template: str = "firefox-browser", user: str | None = None, **body) -> dict:
        """Asks for a session."""
        return await self.good("POST", "/sessions", {"user": user or self.name, "template": template} | body, 202)

    async def session(self, id: str) -> dict:
        """One session."""
        return await self.get(f"/sessions/{id}")

    async def becomes(self, id: str, phase: str, timeout: float = 30) -> dict:
        """Waits until a session is in a phase."""

        async def reached():
            said = await self.session(id)
            return said if said["status"]["phase"] == phase else None

        return await is_true_soon(reached, timeout)

    async def running(self, **body) -> dict:
        """A session that runs."""
        return await self.becomes((await self.start(**body))["id"], "Running")

    async def move(self, id: str, state: str) -> dict:
        """PATCH of a session."""
        return await self.good("PATCH", f"/sessions/{id}", {"state": state})

    async def agent(self, agent: str) -> dict:
        """One agent."""
        return await self.get(f"/agents/{agent}")

    async def agent_is(self, agent: str, status: str, timeout: float = 30) -> dict:
        """Waits until an agent has this status."""

        async def reached():
            said = await self.agent(agent)
            return said if said["status"] == status else None

        return await is_true_soon(reached, timeout)

    async def view(self, session: str, shard: int | None = None, **options) -> Socket:
        """A viewer's socket; on this shard, if that matters. There is one attempt: the first viewer sees what nobody sees again."""
        local = None if shard is None else await address_of(self.house, shard)
        path = f"/vnc-viewer/{session}?token={self.token}"
        viewer = await open_socket(self.house, shard, path, port=self.house.labs_port, local=local, **options)
        assert shard is None or viewer.transport.get_extra_info("sockname") == local
        return viewer

    async def view_refused(self, codes: str | set[str], session: str, token: str | None = None) -> int:
        """A viewer must be refused before the upgrade; the status."""
        token = token if token is not None else self.token
        return await upgrade_refused(self.house, codes, f"/vnc-viewer/{session}?token={token}")


async def upgrade_refused(house, codes: str | set[str], target: str, *headers: str) -> int:
    """An upgrade must be answered with an error of the contract's form; its status."""
    answer = await knock(house, target, *UPGRADE, *headers, port=house.labs_port)
    told = f"{target.split('?')[0]}: {answer.status_code} {answer.body}"
    assert answer.status_code != 101, told
    said = json.loads(answer.body)
    assert set(said) == ERROR and said["code"] in ({codes} if isinstance(codes, str) else codes), told
    assert answer.status_code in CODES[said["code"]], told
    assert all(answer.headers.get(f"x-ratelimit-{name}", "").isdigit() for name in ("limit", "remaining", "reset")), answer.headers
    return answer.status_code


async def seen(viewer: Socket, count: int, timeout: float = 30) -> bytes:
    """So many bytes of a screen, in however many frames; no more of them may come with the last."""
    data = b""
    while len(data) < count:
        heard = await viewer.next(timeout)
        assert heard.kind == "binary", f"{heard} after {len(data)} bytes"
        data += heard.data
    assert len(data) == count, data[count:count + 100]
    return data


class Lab:
    """A server with its people, and the agents that a test lets join."""

    def __init__(self, house, http, name):
        self.house, self.http, self.fresh = house, http, name
        self.nobody = Person(house, http)
        self.agents = []

    async def open(self):
        """With an admin, and the contract's template."""
        (answer := await self.http.get(f"{self.house.internal}/api/v1/labs/users/admin")).raise_for_status()
        self.admin = self.nobody.renewed(answer.json())
        answer = await self.admin.ask("POST", "/templates", FIREFOX)
        assert answer.status_code in (201, 409), answer.text
        return self

    async def person(self, role: str = "user", username: str | None = None, email: str | None = None) -> Person:
        """A new user with a token, as a login would give it."""
        username = username or self.fresh("student")
        body = {"username": username, "email": email or f"{username}@example.com", "password": PASSWORD, "role": role}
        return self.nobody.renewed(await self.admin.good("POST", "/users", body, 201))

    def agent(self, name: str | None = None, platform: str | None = None, **options) -> Agent:
        """An agent that has not come yet; on a platform of its own, unless one is given."""
        agent = Agent(self.house, name or self.fresh("agent"), platform or self.fresh("platform"), **options)
        self.agents.append(agent)
        return agent

    async def joined(self, name: str | None = None, platform: str | None = None, **options) -> Agent:
        """An agent that is online."""
        agent = self.agent(name, platform, **options)
        await agent.join()
        return agent

    def in_field(self, **options) -> FieldAgent:
        """One of the second dialect."""
        agent = FieldAgent(self.house, self.http, self.fresh("field"), self.fresh("platform"), **options)
        self.agents.append(agent)
        return agent

    async def close(self):
        """Every agent leaves."""
        for agent in self.agents:
            agent.stop()
            if agent.socket:
                agent.socket.transport.abort()
        await asyncio.sleep(0)
