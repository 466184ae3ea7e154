"""One session for each agent and room: who comes again replaces, in the right order, and nobody else notices."""

import asyncio
import uuid

import pytest

import tokens
from client import open_socket, sign_in
from contract import SUCCESS, agent_event, connect_request, failure


async def listed(house, http, room) -> list[dict]:
    """The room's list."""
    answer = await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers={"authorization": f"Bearer {tokens.token('reader')}"})
    assert answer.status_code == 200
    return answer.json()


@pytest.mark.parametrize("same_shard", [True, False], ids=["same", "other"])
async def test_the_old_one_hears_of_it_strictly_before_the_new_one_is_in(house, http, room, name, same_shard):
    sub, (first, second) = name(), house.two_shards
    watcher = await sign_in(house, room, tokens.token(name()), shard=first)
    old = await sign_in(house, room, tokens.token(sub), shard=first)
    assert (await watcher.json())["id"]["operation"] == "entered"
    before = await listed(house, http, room)
    for turn in range(20):
        new = await open_socket(house, first if same_shard else (second, first)[turn % 2])
        told = []
        new.on_text = lambda _, old=old, told=told: told.append(old.has_arrived(failure("replaced")))
        new.send(connect_request(room, tokens.token(sub)))
        assert await new.text() == SUCCESS
        assert told == [True], "connect_success was there before `replaced` was"
        await old.failure(failure("replaced"))
        old = new
    await watcher.quiet(0.5)
    assert await listed(house, http, room) == before, "the session keeps its number"


async def test_the_last_to_come_is_the_one_who_hears(house, http, room, name):
    sub = name()
    first = await sign_in(house, room, tokens.token(sub), shard=house.two_shards[0])
    second = await sign_in(house, room, tokens.token(sub), shard=house.two_shards[1])
    await first.failure(failure("replaced"))
    other = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    assert (await second.json())["payload"]["label"] == "entered"
    await second.leave()
    assert (await other.json())["payload"]["label"] == "left"
    assert len(await listed(house, http, room)) == 1


async def test_two_labels_are_two_agents(house, http, room, name):
    sub = name()
    watcher = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    signed = tokens.token(sub)
    web = await sign_in(house, room, signed, "web", shard=house.two_shards[0])
    mobile = await sign_in(house, room, signed, "mobile", shard=house.two_shards[1])
    numbers = {agent["agent_id"]: agent["sequence_id"] for agent in await listed(house, http, room)}
    assert len(numbers) == 3
    for label in ("web", "mobile"):
        agent_id = tokens.agent_id(sub, label)
        assert await watcher.text() == agent_event("entered", numbers[agent_id], agent_id)
    assert await web.text() == agent_event("entered", numbers[tokens.agent_id(sub, "mobile")], tokens.agent_id(sub, "mobile"))
    await web.quiet(0.3)
    await mobile.quiet(0.1)


async def test_two_rooms_are_two_sessions(house, name):
    signed = tokens.token(name())
    sockets = [await sign_in(house, uuid.uuid4(), signed) for _ in range(2)]
    for socket in sockets:
        await socket.quiet(0.3)


async def test_of_two_hundred_at_once_one_lives(house, http, room, name):
    watcher = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    signed = tokens.token(name("storm"))
    sockets = await asyncio.gather(*(open_socket(house) for _ in range(200)))
    if house.shards > 1:
        assert len({socket.shard for socket in sockets}) == house.shards
    for socket in sockets:
        socket.send(connect_request(room, signed))

    async def fate(socket) -> str:
        heard = await socket.next(20)
        success = heard.kind == "text" and heard.data.decode() == SUCCESS
        if success:
            try:
                heard = await socket.next(4)
            except AssertionError:
                return "lives"
        assert (heard.kind, heard.data.decode()) == ("text", failure("replaced"))
        assert await socket.close_code() is None
        return "replaced"

    fates = await asyncio.gather(*(fate(socket) for socket in sockets))
    assert (fates.count("lives"), fates.count("replaced")) == (1, 199)
    assert len(await listed(house, http, room)) == 2
    assert (await watcher.json())["id"]["operation"] == "entered"
    await watcher.quiet(0.3)
