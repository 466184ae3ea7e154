"""After the connect: Pings in time, and what becomes of those who do not answer."""

import asyncio
import time

from websockets.protocol import State

import tokens
from client import keep_time, sign_in
from contract import agent_event, failure


async def sequence_of(house, http, room, agent_id: str) -> int:
    """The agent's number in the room's list."""
    listed = await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers={"authorization": f"Bearer {tokens.token('reader')}"})
    return next(agent["sequence_id"] for agent in listed.json() if agent["agent_id"] == agent_id)


async def test_pings_come_at_once_and_then_at_the_interval(build, room, name):
    house = build(presence={"ping_interval": "2s", "pong_timeout": "1900ms"})
    began = time.monotonic()
    socket = await sign_in(house, room, tokens.token(name()))
    await socket.pinged(4)
    assert [ping.data for ping in socket.pings] == [b""] * 4 and socket.heard.empty()
    keep_time(socket.pings, began, 2)


async def test_no_pong_ends_the_session_and_the_others_hear_of_it_once(build, http, room, name):
    """The time that is set here is longer than the default."""
    house = build(presence={"pong_timeout": "6s"})
    sub = name()
    watcher = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    began = time.monotonic()
    mute = await sign_in(house, room, tokens.token(sub), shard=house.two_shards[1], answers_pings=False)
    number = await sequence_of(house, http, room, tokens.agent_id(sub))
    assert await watcher.text() == agent_event("entered", number, tokens.agent_id(sub))
    heard = await mute.failure(failure("pong_timed_out"))
    assert 6 <= heard.at - began <= 16
    assert await watcher.text() == agent_event("left", number, tokens.agent_id(sub))
    await watcher.quiet(1)


async def test_a_pong_of_ones_own_accord_does_not_put_the_ping_off(build, room, name):
    house = build(presence={"ping_interval": "2s", "pong_timeout": "1900ms"})
    began = time.monotonic()
    socket = await sign_in(house, room, tokens.token(name()))
    while len(socket.pings) < 3 and time.monotonic() - began < 30:
        socket.protocol.send_pong(b"")
        socket._flush()
        await asyncio.sleep(0.1)
    assert len(socket.pings) >= 3 and socket.heard.empty()
    keep_time(socket.pings, began, 2)


async def test_text_is_no_answer_to_a_ping(build, room, name):
    house = build(presence={"pong_timeout": "700ms"})
    began = time.monotonic()
    mute = await sign_in(house, room, tokens.token(name()), answers_pings=False)
    for _ in range(4):
        if mute.protocol.state is State.OPEN:
            mute.send("here I am")
        await asyncio.sleep(0.1)
    heard = await mute.failure(failure("pong_timed_out"))
    # Longer before the next Ping is due.
    assert 0.7 <= heard.at - began <= 15


async def test_by_default_pings_are_thirty_seconds_apart_and_a_pong_has_five(house, room, name):
    """In real time: a good client is quiet for 25 s, a mute one is out at 5 s, and who falls mute later at 35 s."""
    began = time.monotonic()
    good = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    fading = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[1])
    mute = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[1], answers_pings=False)
    operations = [(await good.json())["id"]["operation"] for _ in range(2)]
    heard = await mute.failure(failure("pong_timed_out"))
    assert 5 <= heard.at - began <= 15
    operations.append((await good.json())["id"]["operation"])
    assert operations == ["entered", "entered", "left"]
    await good.quiet(began + 24 - time.monotonic())
    fading.protocol.answers_pings = False
    await good.pinged(2)
    assert 30 <= good.pings[1].at - began <= 40
    assert (await good.json())["id"]["operation"] == "left"
    assert 35 <= good.everything[-1].at - began <= 50
