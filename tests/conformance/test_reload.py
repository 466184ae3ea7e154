"""Settings, keys and log levels read again on SIGHUP: what a running server takes over, what it says needs a restart, and that anything
wrong changes nothing."""

import asyncio
import secrets
import signal
import time
import tomllib

import pytest

import tokens
from chat import Person
from client import open_socket, sign_in
from contract import SUCCESS, connect_request
from house import merged, toml

DONE, REFUSED = "settings, keys and certificates were read again", "read again, and nothing was changed"
PLAIN = {"log": {"level": "info"}, "labs": {"logins_a_minute": 1_000_000}}


class Reloads:
    """A server whose settings are changed while it runs."""

    def __init__(self, house):
        self.house = house

    def change(self, **settings):
        """Writes the settings with these laid over them."""
        self.house.config.write_text(toml(merged(tomllib.loads(self.house.config.read_text()), settings)))

    async def read(self, outcome: str = DONE) -> str:
        """Has them read again; what the log says until they are."""
        # One refusal is a line for each fault: those behind the first are of the time before.
        at = len(self.house.log.read_text())
        self.house.signal(signal.SIGHUP)
        deadline = time.monotonic() + 60
        while outcome not in (said := self.house.log.read_text()[at:]):
            assert time.monotonic() < deadline, said[-2000:]
            await asyncio.sleep(0.05)
        assert (REFUSED in said) == (outcome == REFUSED), said
        return said


@pytest.fixture
def reloads(build):
    """Such a server."""
    return Reloads(build(**PLAIN))


async def login(house, http) -> int:
    """The status of a try to sign in to labs as nobody, over a connection that was kept."""
    answer = await http.post(f"{house.labs}/api/v1/auth/login", json={"username": "nobody", "password": "wrong"})
    return answer.status_code


async def comes_true(condition):
    """Waits: each shard hears of it at its next turn."""
    deadline = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.05)


async def is_let_in(house, room, token: str) -> bool:
    """Whether somebody with this token gets into the room."""
    made = await open_socket(house)
    made.send(connect_request(room, token, "web"))
    said = await made.text()
    made.abort()
    assert said == SUCCESS or "unauthenticated" in said, said
    return said == SUCCESS


async def test_a_limit_that_is_changed_holds_for_those_who_are_there(reloads, http):
    assert [await login(reloads.house, http) for _ in range(3)] == [401] * 3
    reloads.change(labs={"logins_a_minute": 1})
    assert "labs.logins_a_minute" in await reloads.read()

    async def is_held() -> bool:
        return await login(reloads.house, http) == 429

    await comes_true(is_held)
    reloads.change(labs={"logins_a_minute": 1_000_000})
    await reloads.read()

    async def is_free() -> bool:
        return await login(reloads.house, http) == 401

    await comes_true(is_free)


async def test_log_levels_change_and_back(reloads, http):
    def debug() -> int:
        return reloads.house.log.read_text().count("DEBUG")

    assert debug() == 0
    reloads.change(log={"level": "debug"})
    await reloads.read()

    async def is_told() -> bool:
        await http.get(f"{reloads.house.url}/healthz", headers={"connection": "close"})
        return debug() > 0

    await comes_true(is_told)
    reloads.change(log={"level": "info"})
    await reloads.read()
    before = debug()
    await asyncio.gather(*(http.get(f"{reloads.house.url}/healthz", headers={"connection": "close"}) for _ in range(8)))
    reloads.change(labs={"logins_a_minute": 999_999})
    await reloads.read()
    # One line may have been on its way when the level changed.
    assert debug() <= before + 1


FAULTS = ["no TOML", "an unknown key", "a wrong value", "a key that is gone", "a key that is none", "two that do not agree"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_anything_wrong_changes_nothing_and_is_said(reloads, http, room, name, fault):
    house, there = reloads.house, await sign_in(reloads.house, room, tokens.token(name()))
    reloads.change(labs={"logins_a_minute": 1}, log={"level": "debug"})
    key = house.folder / "es256.pem"
    match fault:
        case "no TOML":
            house.config.write_text(house.config.read_text() + "\n[[[ nonsense\n")
            expected = "is not TOML"
        case "an unknown key":
            reloads.change(labs={"login_a_minute": 1})
            expected = "the nearest is labs.logins_a_minute"
        case "a wrong value":
            reloads.change(presence={"ping_interval": "soon"})
            expected = "presence.ping_interval"
        case "a key that is gone":
            key.unlink()
            expected = "es256.pem cannot be read"
        case "a key that is none":
            secret = secrets.token_hex(16)
            house.secrets.append(secret)
            key.write_text(secret)
            expected = "presence.issuers"
        case "two that do not agree":
            reloads.change(presence={"pong_timeout": "1h"})
            expected = "presence."
    assert expected in await reloads.read(REFUSED)
    assert [await login(house, http) for _ in range(4)] == [401] * 4
    assert "DEBUG" not in house.log.read_text()
    assert await is_let_in(house, room, tokens.token(name(), algorithm="ES256")), "by the key that it had"
    assert not there.transport.is_closing()


@pytest.mark.parametrize("former", ["12h", "0s"])
async def test_a_key_that_is_another_and_the_one_before_it(build, room, name, former):
    reloads = Reloads(build(**PLAIN, reload={"former_keys": former}))
    house, there = reloads.house, await sign_in(reloads.house, room, tokens.token(name()))
    old, new = tokens.token(name()), secrets.token_hex(32)
    other = tokens.token(name(), secret=new)
    assert await is_let_in(house, room, old) and not await is_let_in(house, room, other)
    house.secrets.append(new)
    (house.folder / "hs256.key").write_text(new)
    assert "presence tokens of hs256.example.org" in await reloads.read()

    async def is_believed() -> bool:
        return all([await is_let_in(house, room, other) for _ in range(4)])

    await comes_true(is_believed)
    assert await is_let_in(house, room, old) == (former == "12h")
    assert not await is_let_in(house, room, tokens.token(name(), secret=secrets.token_hex(32)))
    # Nobody is asked for his token again.
    assert not there.transport.is_closing()
    # Read again without a change, the former key is good as long as before.
    assert "keys=\"none\"" in await reloads.read()
    assert await is_let_in(house, room, old) == (former == "12h")


async def test_what_needs_a_restart_is_named_and_stays(reloads, http):
    taken = reloads.house.url
    reloads.change(shards=7, listen={"presence": {"prefix": "/elsewhere"}}, chat={"lists_a_minute": 7})
    said = await reloads.read()
    assert "chat.lists_a_minute" in said

    async def is_named() -> bool:
        return 'these have changed and need a restart settings="listen.presence.prefix, shards"' in reloads.house.log.read_text()

    await comes_true(is_named)
    assert (await http.get(f"{taken}/healthz", headers={"connection": "close"})).status_code == 200


async def test_agents_and_templates_come(build, http, name):
    reloads = Reloads(build(**PLAIN, agents=[{"name": "tutor", "model": "builtin"}]))
    house = reloads.house
    anna = Person(house, http, name())
    assert (await anna.ask("POST", "/sessions/", {"agent_id": "poet"})).status_code != 201
    agents = [{"name": "tutor", "model": "builtin"}, {"name": "poet", "model": "builtin"}]
    reloads.change(agents=agents, labs={"templates": [{"name": "sketch", "base_image": "example/sketch"}]})
    said = await reloads.read()
    assert "agents, labs.templates" in said, said

    async def is_there() -> bool:
        answer = await anna.ask("POST", "/sessions/", {"agent_id": "poet"})
        return answer.status_code in (200, 201)

    await comes_true(is_there)
    lists = await http.get(f"{house.chat}/api/v1/agents", headers=anna.headers | {"connection": "close"})
    assert "poet" in lists.text, lists.text


async def test_models_that_were_read_again_count_in_health(build, http):
    reloads = Reloads(build(**PLAIN))
    house = reloads.house

    async def are_well() -> bool:
        answer = await http.get(f"{house.chat}/health", headers={"connection": "close"})
        return answer.json()["model_service_status"] == "operational"

    async def are_not() -> bool:
        return not await are_well()

    assert await are_well()
    reloads.change(models=[{"name": "large", "url": "http://127.0.0.1:1/v1/chat/completions", "model": "x"}])
    assert "models" in await reloads.read()
    await comes_true(are_not)
    reloads.change(models=None)
    await reloads.read()
    await comes_true(are_well)
