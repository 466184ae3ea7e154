"""The contract's limits: row by row, for each user, exact over all connections and cores."""

import asyncio

import httpx
import pytest

from chat import Person, is_error, text, types
from chat_examples import like, table

# The rows of the contract's table. What is counted need not be good: a body is read when its request was counted.
ROWS = {
    "Session Create": ("POST", "/sessions/", []),
    "Chat Message": ("POST", "{}/chat", {"content": ""}),
    "Chat Stream": ("POST", "{}/chat/stream", {"content": ""}),
    "Get Session": ("GET", "{}", None),
    "List Sessions": ("GET", "/sessions/", None),
}
LIMITS = {row: int(limit) for row, limit, _ in table("Rate Limits")}


async def asked(who: Person, method: str, path: str, body, times: int) -> list[httpx.Response]:
    """So many requests, each over a connection of its own, twelve at a time."""
    places = asyncio.Semaphore(12)

    async def one() -> httpx.Response:
        async with places:
            return await who.ask(method, path, body)

    return await asyncio.gather(*(one() for _ in range(times)))


def too_many(answer: httpx.Response) -> int:
    """A refusal of the contract's form; for how long."""
    said = is_error(answer.json(), answer.status_code, "RATE_LIMITED")
    like(said, "Rate Limits", "", retry_after=said["retry_after"])
    assert 1 <= said["retry_after"] <= 60 and answer.headers["retry-after"] == str(said["retry_after"])
    return said["retry_after"]


@pytest.mark.parametrize("row", ROWS)
async def test_each_row_is_exact_and_each_users_own(anna, boris, row):
    assert set(ROWS) == set(LIMITS)
    method, path, body = ROWS[row]
    session = await anna.session() if "{}" in path else None
    path = path.format(session.path if session else "")
    answers = await asked(anna, method, path, body, LIMITS[row] + 9)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 9
    assert all(too_many(answer) >= 45 for answer in refused), "the window is a minute"
    assert all(answer.status_code in (200, 400, 422) for answer in answers if answer not in refused)
    assert (await boris.ask(method, path, body)).status_code in (200, 400, 404, 422)
    for other in ROWS:
        if other != row and "{}" not in ROWS[other][1]:
            assert (await anna.ask(*ROWS[other])).status_code in (200, 422), "another row has a window of its own"


async def test_sockets_and_chat_are_one_row_and_streams_another(pupil):
    session = await pupil.session()
    ears = [await session.listen(shard) for shard in pupil.house.two_shards]
    await asked(pupil, "POST", f"{session.path}/chat", {"content": ""}, 40)
    await asked(pupil, "POST", f"{session.path}/chat", {"content": "", "stream": True}, 16)
    for number in range(4):
        ears[number % 2].say("2 + 2")
        assert [text(await ear.answer()) for ear in ears] == ["2 + 2 = 4"] * 2
    for ear in ears:
        ear.say("2 + 2")
        await ear.error("RATE_LIMITED")
        ear.say("")
        await ear.error("MESSAGE_EMPTY")
        await ear.here()
    too_many(await pupil.ask("POST", f"{session.path}/chat", {"content": "2 + 2"}))
    assert types(await (await session.stream("2 + 2")).rest()) == ["content", "done"]
    assert len(await session.messages()) == 10


async def test_sixty_messages_and_no_more_over_several_sockets(pupil):
    """Whatever the order in which they come to the counter: sixty answers, and an error for each of the others."""
    session = await pupil.session()
    ears = [await session.listen(shard) for shard in pupil.house.two_shards]
    answers = errors = 0
    for _ in range(11):
        for ear in ears:
            for _ in range(3):
                ear.say("2 + 2")
            frames = []
            while sum(frame["type"] in ("message_end", "error") for frame in frames) < 3:
                frames.append(await ear.json())
            ended = sum(frame["type"] == "message_end" for frame in frames)
            answers, errors = answers + ended, errors + 3 - ended
            for _ in range(ended):
                await ears[1 - ears.index(ear)].answer()
    assert (answers, errors) == (60, 6)


async def test_logins_are_counted_by_address(agents):
    path = f"{agents.chat}/api/v1/auth/login"

    async def tries(address: str, times: int) -> list[int]:
        transport = httpx.AsyncHTTPTransport(local_address=address, verify=False)
        async with httpx.AsyncClient(transport=transport, trust_env=False, headers={"connection": "close"}, timeout=30) as client:
            answers = await asyncio.gather(*(client.post(path, json={"email": 7}) for _ in range(times)))
        for answer in answers:
            if answer.status_code == 429:
                too_many(answer)
        return sorted(answer.status_code for answer in answers)

    assert await tries("127.77.1.1", 13) == [422] * 10 + [429] * 3
    assert await tries("127.77.1.2", 1) == [422]
    assert await tries("127.77.1.1", 1) == [429]


async def test_what_the_table_does_not_name_is_not_counted(anna):
    session = await anna.session()
    for path in ("messages", "approvals"):
        answers = await asked(anna, "GET", f"{session.path}/{path}", None, 140)
        assert {answer.status_code for answer in answers} == {200}


async def test_who_has_no_good_token_is_told_so_and_not_counted(house, http):
    nobody = Person(house, http, token="rubbish")
    answers = await asked(nobody, "GET", "/sessions/", None, 40)
    assert {answer.status_code for answer in answers} == {401}


async def test_the_settings_have_the_limits(build, person):
    house = build(chat={"creations_a_minute": 2, "looks_a_minute": 3, "lists_a_minute": 1, "messages_a_minute": 2, "streams_a_minute": 1})
    anna = person(house)
    session = await anna.session()
    for row, allowed in (("Session Create", 1), ("Get Session", 3), ("List Sessions", 1), ("Chat Message", 2), ("Chat Stream", 1)):
        method, path, body = ROWS[row]
        answers = await asked(anna, method, path.format(session.path), body, allowed + 2)
        assert sum(answer.status_code == 429 for answer in answers) == 2, row
