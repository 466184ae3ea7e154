"""After the connect: Pings in time, and what becomes of those who do not answer."""

import asyncio

import tokens
from client import sign_in
from contract import agent_event, failure


async def sequence_of(house, http, room, agent_id: str) -> int:
    """The agent's number in the room's list."""
    listed = await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers={"authorization": f"Bearer {tokens.token('reader')}"})
    return next(agent["sequence_id"] for agent in listed.json() if agent["agent_id"] == agent_id)


async def test_pings_come_at_once_and_then_at_the_interval(build, room, name):
    house = build(presence={"ping_interval": "1s", "pong_timeout": "500ms"})
    socket = await sign_in(house, room, tokens.token(name()))
    await socket.quiet(4.5)
    assert [ping.data for ping in socket.pings] == [b""] * 5
    gaps = [later.at - earlier.at for earlier, later in zip(socket.pings, socket.pings[1:])]
    assert all(0.9 <= gap <= 1.15 for gap in gaps), gaps


async def test_no_pong_ends_the_session_and_the_others_hear_of_it_once(build, http, room, name):
    house = build(presence={"pong_timeout": "1s"})
    sub = name()
    watcher = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    mute = await sign_in(house, room, tokens.token(sub), shard=house.two_shards[1], answers_pings=False)
    number = await sequence_of(house, http, room, tokens.agent_id(sub))
    assert await watcher.text() == agent_event("entered", number, tokens.agent_id(sub))
    heard = await mute.failure(failure("pong_timed_out"))
    assert 0.95 <= heard.at - mute.pings[0].at <= 1.3
    assert await watcher.text() == agent_event("left", number, tokens.agent_id(sub))
    await watcher.quiet(1)


async def test_a_pong_of_ones_own_accord_does_not_put_the_ping_off(build, room, name):
    house = build(presence={"ping_interval": "1s", "pong_timeout": "500ms"})
    socket = await sign_in(house, room, tokens.token(name()))
    for _ in range(24):
        socket.protocol.send_pong(b"")
        socket._flush()
        await asyncio.sleep(0.1)
    assert len(socket.pings) == 3


async def test_text_is_no_answer_to_a_ping(build, room, name):
    house = build(presence={"pong_timeout": "700ms"})
    mute = await sign_in(house, room, tokens.token(name()), answers_pings=False)
    for _ in range(4):
        mute.send("here I am")
        await asyncio.sleep(0.1)
    heard = await mute.failure(failure("pong_timed_out"))
    assert 0.65 <= heard.at - mute.pings[0].at <= 1


async def test_by_default_pings_are_thirty_seconds_apart_and_a_pong_has_five(house, room, name):
    """In real time: a good client is quiet for 25 s, a mute one is out at 5 s, and who falls mute later at 35 s."""
    good = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    fading = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[1])
    mute = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[1], answers_pings=False)
    operations = [(await good.json())["id"]["operation"] for _ in range(2)]
    heard = await mute.failure(failure("pong_timed_out"), timeout=7)
    assert 4.9 <= heard.at - mute.pings[0].at <= 5.5
    operations.append((await good.json())["id"]["operation"])
    assert operations == ["entered", "entered", "left"]
    await good.quiet(19)
    assert len(good.pings) == 1
    fading.protocol.answers_pings = False
    await good.quiet(7)
    assert len(good.pings) == 2
    assert 29.7 <= good.pings[1].at - good.pings[0].at <= 30.5
    assert (await good.json(8))["id"]["operation"] == "left"
    assert 34.5 <= good.everything[-1].at - fading.pings[0].at <= 36
