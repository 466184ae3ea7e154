"""Rate limits: each window exact, whichever connection and shard a request comes by, and told with every answer."""

import asyncio
import json
import time

import httpx
import pytest

from labs import NOBODY, is_error
from quiz import UPGRADE, knock
from test_metrics import samples

# As the contract has them; the tests' own servers allow more.
CONTRACT = {"logins_a_minute": 5, "creations_a_minute": 10, "requests_a_minute": 100}


def rates(answer: httpx.Response) -> tuple[int, int]:
    """The limit, and what remains of it."""
    return int(answer.headers["X-RateLimit-Limit"]), int(answer.headers["X-RateLimit-Remaining"])


class Crowd:
    """Eight connections that stay, from addresses of their own or of one."""

    def __init__(self, house, token: str | None = None, address: str | None = None):
        self.house, self.address = house, address
        self.headers = {"authorization": f"Bearer {token}"} if token else {}
        self.open()

    def open(self):
        """The clients, none of them connected yet."""
        limits = httpx.Limits(max_connections=1)
        self.clients = [
            httpx.AsyncClient(
                base_url=f"{self.house.labs}/api/v1", headers=self.headers, timeout=20,
                transport=httpx.AsyncHTTPTransport(verify=False, local_address=self.address or f"127.0.1.{place + 1}", limits=limits),
            )
            for place in range(8)
        ]

    async def settled(self) -> "Crowd":
        """Opens the connections by a request that is counted nowhere, until every shard has some of them."""
        while True:
            await asyncio.gather(*(client.get(self.house.url + "/healthz") for client in self.clients))
            async with httpx.AsyncClient(trust_env=False, verify=False) as beside:
                found = await samples(self.house, beside)
            here = [found[f'homeroom_rest_connections{{shard="{shard}"}}'] for shard in range(self.house.shards)]
            if all(here):
                return self
            await self.close()
            self.open()

    async def ask(self, count: int, method: str, path: str, body=None) -> list[httpx.Response]:
        """So many requests, each connection with its share, all at once."""

        async def share(place: int):
            return [await self.clients[place].request(method, path, json=body) for _ in range(place, count, 8)]

        return [answer for answers in await asyncio.gather(*map(share, range(8))) for answer in answers]

    async def close(self):
        """The end of all."""
        await asyncio.gather(*(client.aclose() for client in self.clients))


@pytest.fixture
async def crowd():
    """Makes crowds, and ends them."""
    made = []

    async def make(*given) -> Crowd:
        made.append(Crowd(*given))
        return await made[-1].settled()

    yield make
    for one in made:
        await one.close()


def let_through(answers: list[httpx.Response], limit: int) -> list[httpx.Response]:
    """Exactly so many of them were, over all shards, and the rest was told when to come again. Those that were."""
    refused = [answer for answer in answers if answer.status_code == 429]
    through = [answer for answer in answers if answer.status_code != 429]
    assert len(through) == limit
    assert sorted(rates(answer)[1] for answer in through) == list(range(limit))
    assert len({answer.headers["X-RateLimit-Reset"] for answer in answers}) == 1
    for answer in refused:
        said = is_error(answer, "RATE_LIMIT_EXCEEDED")
        assert rates(answer) == (limit, 0) and type(said["retry_after"]) is int and 1 <= said["retry_after"] <= 60
        assert abs(int(answer.headers["X-RateLimit-Reset"]) - time.time() - said["retry_after"]) < 15
        assert answer.headers["retry-after"] == str(said["retry_after"]) and f" {said['retry_after']} seconds" in said["message"]
    return through


async def test_a_hundred_requests_of_a_user_over_eight_connections(build_lab, crowd):
    lab = await build_lab(labs=CONTRACT)
    student, other = await lab.person(), await lab.person()
    through = let_through(await (await crowd(lab.house, student.token)).ask(131, "GET", "/sessions"), 100)
    assert {answer.status_code for answer in through} == {200}
    await student.refused("RATE_LIMIT_EXCEEDED", "GET", f"/sessions/{NOBODY}")
    await student.renewed(student.user).refused("RATE_LIMIT_EXCEEDED", "GET", "/templates")
    assert rates(await other.ask("GET", "/sessions")) == (100, 99), "nobody else is counted with them"
    await student.refused("NO_AGENTS_AVAILABLE", "POST", "/sessions", {"user": student.name, "template": "firefox-browser"})


async def test_upgrades_that_are_refused_are_counted_with_requests(build_lab):
    lab = await build_lab(labs=CONTRACT)
    student = await lab.person()
    before = rates(await student.ask("GET", "/sessions"))
    assert await student.view_refused("SESSION_NOT_FOUND", NOBODY) == 404
    assert rates(await student.ask("GET", "/sessions")) == (100, before[1] - 2)
    for _ in range(before[1] - 2):
        assert await student.view_refused("SESSION_NOT_FOUND", NOBODY) == 404
    said = await knock(lab.house, f"/vnc-viewer/{NOBODY}?token={student.token}", *UPGRADE, port=lab.house.labs_port)
    assert (said.status_code, json.loads(said.body)["code"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert said.headers["retry-after"].isdigit() and said.headers["x-ratelimit-remaining"] == "0"


async def test_ten_sessions_over_eight_connections_and_lists_all_the_same(build_lab, crowd):
    lab = await build_lab(labs=CONTRACT)
    student = await lab.person()
    agent = await lab.joined()
    before = rates(await student.ask("GET", "/sessions"))
    wish = {"user": student.name, "template": "firefox-browser", "platform": agent.platform}
    through = let_through(await (await crowd(lab.house, student.token)).ask(24, "POST", "/sessions", wish), 10)
    assert {answer.status_code for answer in through} == {202}
    after = await student.ask("GET", "/sessions")
    assert (after.status_code, rates(after)) == (200, (100, before[1] - 1)), "new sessions are counted apart"
    assert after.json()["pagination"]["total"] == 10, "what was too many was not done"


async def test_five_logins_of_an_address_over_eight_connections(build_lab, crowd):
    lab = await build_lab(labs=CONTRACT)
    wrong = {"username": "nobody", "password": "wrong-password"}
    answers = await (await crowd(lab.house, None, "127.0.2.1")).ask(9, "POST", "/auth/login", wrong)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers].count(401) == 5 and len(refused) == 4
    assert {rates(answer) for answer in refused} == {(5, 0)}
    assert all(is_error(answer, "RATE_LIMIT_EXCEEDED")["retry_after"] <= 60 for answer in refused)
    (other,) = await (await crowd(lab.house, None, "127.0.2.2")).ask(1, "POST", "/auth/login", wrong)
    assert (other.status_code, rates(other)) == (401, (5, 4)), "another address is not counted with it"
    (look,) = await (await crowd(lab.house, None, "127.0.2.1")).ask(1, "GET", "/sessions")
    assert rates(look) == (100, 99)


async def test_who_is_nobody_is_counted_by_address_and_a_forwarding_header_is_not_believed(build_lab, crowd):
    lab = await build_lab(labs=CONTRACT)
    let_through(await (await crowd(lab.house, None, "127.0.3.1")).ask(112, "GET", "/templates"), 100)
    (other,) = await (await crowd(lab.house, None, "127.0.3.2")).ask(1, "GET", "/templates")
    assert (other.status_code, rates(other)) == (401, (100, 99))
    again = await crowd(lab.house, "rubbish", "127.0.3.1")
    again.clients[0].headers["x-forwarded-for"] = "10.0.0.1"
    (answer,) = await again.ask(1, "GET", "/templates")
    is_error(answer, "RATE_LIMIT_EXCEEDED")


async def test_every_answer_tells_the_limits(lab):
    """`ask` looks at the headers itself; here are the answers of every kind."""
    agent = await lab.joined()
    session = await lab.admin.running(user="x", platform=agent.platform)
    path = f"/sessions/{session['id']}"
    asked = [
        ("GET", "/sessions", 200), ("GET", "/nothing-here", 404), ("PUT", "/sessions", 405), ("GET", path, 200),
        ("PATCH", path, 400), ("DELETE", path, 204), ("GET", f"/sessions/{NOBODY}", 404),
    ]
    for method, where, status in asked:
        if where == "/nothing-here":
            where = "/sessions/x/y/z"
        assert (await lab.admin.ask(method, where)).status_code == status, where
    assert (await lab.nobody.ask("GET", "/sessions")).status_code == 401
    student = await lab.person()
    assert (await student.ask("GET", "/users")).status_code == 403
    answer = await student.ask("POST", "/sessions", content=b"x" * (1 << 20) + b"x")
    assert answer.status_code == 413


@pytest.mark.long
async def test_a_window_ends_after_a_minute_however_much_was_refused_in_it(build_lab):
    lab = await build_lab(labs=CONTRACT | {"requests_a_minute": 3})
    student = await lab.person()
    since = time.monotonic()
    for _ in range(3):
        await student.good("GET", "/sessions")
    said = await student.refused("RATE_LIMIT_EXCEEDED", "GET", "/sessions")
    while time.monotonic() - since < said["retry_after"] - 2:
        await student.refused("RATE_LIMIT_EXCEEDED", "GET", "/sessions")
        await asyncio.sleep(1)

    while (answer := await student.ask("GET", "/sessions")).status_code == 429:
        assert time.monotonic() - since < 63
        await asyncio.sleep(0.2)
    assert rates(answer) == (3, 2) and time.monotonic() - since >= 58
