"""What members hear of each other: entered and left one by one in small rooms, together in large ones."""

import asyncio
import json
import uuid

import pytest

import tokens
from client import Socket, open_socket, sign_in
from contract import SUCCESS, agent_event, compact, connect_request
from quiz import is_true_soon


async def numbers_of(house, http, room) -> dict[str, int]:
    """Agent id → number, as the list has it."""
    answer = await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers={"authorization": f"Bearer {tokens.token('reader')}"})
    return {agent["agent_id"]: agent["sequence_id"] for agent in answer.json()}


@pytest.mark.parametrize("parting", ["leave", "abort", "half close"])
async def test_entered_and_left_have_the_exact_form_and_the_lists_number(house, http, room, name, parting):
    sub = name()
    watcher = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    agent = await sign_in(house, room, tokens.token(sub), shard=house.two_shards[1])
    number = (await numbers_of(house, http, room))[tokens.agent_id(sub)]
    assert await watcher.text() == agent_event("entered", number, tokens.agent_id(sub))
    if parting == "leave":
        await agent.leave()
    elif parting == "abort":
        agent.abort()
    else:
        agent.transport.write_eof()
    assert await watcher.text() == agent_event("left", number, tokens.agent_id(sub))
    await watcher.quiet(0.3)
    assert tokens.agent_id(sub) not in await numbers_of(house, http, room)


async def test_nobody_hears_of_himself_and_nothing_before_success(house, room, name):
    """Forty come at once into one room: the first frame of each is its `connect_success`, and it hears of each later one exactly once."""
    subs = [name() for _ in range(40)]
    sockets = await asyncio.gather(*(open_socket(house) for _ in subs))
    for socket, sub in zip(sockets, subs):
        socket.send(connect_request(room, tokens.token(sub)))
    for socket in sockets:
        assert await socket.text() == SUCCESS

    def texts() -> list[list[str]]:
        return [[frame.data.decode() for frame in socket.everything if frame.kind == "text"][1:] for socket in sockets]

    async def all_have_heard():
        return sum(map(len, texts())) >= 40 * 39 // 2

    await is_true_soon(all_have_heard)
    await asyncio.sleep(0.5)
    heard = dict(zip(subs, texts()))
    pairs = 0
    for sub, frames in heard.items():
        events = [json.loads(frame) for frame in frames]
        assert all("type" not in event and event["id"]["operation"] == "entered" for event in events)
        entered = [event["payload"]["agent_id"] for event in events]
        assert len(entered) == len(set(entered))
        assert tokens.agent_id(sub) not in entered
        pairs += len(entered)
    assert pairs == 40 * 39 // 2, "of each two, exactly the earlier one hears of the later one"


async def test_rooms_do_not_hear_each_other(house, name):
    watcher = await sign_in(house, uuid.uuid4(), tokens.token(name()))
    await sign_in(house, uuid.uuid4(), tokens.token(name()))
    await watcher.quiet(0.5)


async def test_who_returns_has_a_new_number(house, http, room, name):
    sub = name()
    watcher = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    numbers = []
    for _ in range(3):
        agent = await sign_in(house, room, tokens.token(sub), shard=house.two_shards[1])
        entered = await watcher.json()
        await agent.leave()
        left = await watcher.json()
        assert (entered["id"]["operation"], left["id"]["operation"]) == ("entered", "left")
        assert entered["id"]["sequence_id"] == left["id"]["sequence_id"]
        numbers.append(entered["id"]["sequence_id"])
    assert numbers == sorted(set(numbers))


async def test_events_can_be_switched_off(build, http, room, name):
    house = build(presence={"events": False})
    watcher = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    agent = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[1])
    await agent.leave()
    await watcher.quiet(0.7)
    answer = await http.post(
        f"{house.internal}/api/v1/classrooms/{room}/events", json={"entity_type": "ban", "operation": "created", "payload": {}}
    )
    assert answer.json()["members"] == 1
    assert (await watcher.json())["id"]["entity_type"] == "ban"


class Tally:
    """What a watcher of a large room heard, in either form, added up."""

    def __init__(self):
        self.entered: list[tuple[str, int]] = []
        self.left: list[tuple[str, int]] = []
        self.frames = 0
        self.changed = 0
        self.count = None

    async def hear(self, socket: Socket, until, timeout: float = 10):
        """Reads until the condition holds."""
        async with asyncio.timeout(timeout):
            while not until(self):
                self.add(await socket.text(timeout))

    def add(self, text: str):
        """One frame."""
        event = json.loads(text)
        self.frames += 1
        operation, number = event["id"]["operation"], event["id"]["sequence_id"]
        if operation != "changed":
            agent_id = event["payload"]["agent_id"]
            assert text == agent_event(operation, number, agent_id)
            getattr(self, operation).append((agent_id, number))
            return
        self.changed += 1
        payload = event["payload"]
        assert isinstance(number, int)
        assert text == compact({
            "id": {"entity_type": "agent", "operation": "changed", "sequence_id": number},
            "payload": {
                "version": "v1", "entity_type": "agent", "label": "changed",
                "entered": [{"agent_id": one["agent_id"], "sequence_id": one["sequence_id"]} for one in payload["entered"]],
                "left": [{"agent_id": one["agent_id"], "sequence_id": one["sequence_id"]} for one in payload["left"]],
                "count": payload["count"],
            },
        })
        assert payload["entered"] or payload["left"], "a tick without a change says nothing"
        self.entered += [(one["agent_id"], one["sequence_id"]) for one in payload["entered"]]
        self.left += [(one["agent_id"], one["sequence_id"]) for one in payload["left"]]
        self.count = payload["count"]


async def test_a_large_room_hears_changes_together(build, http, room, name):
    house = build(presence={"coalesce_above": 4, "coalesce_tick": "1s"})
    watcher = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    subs = [name() for _ in range(60)]
    sockets = await asyncio.gather(*(open_socket(house) for _ in subs))
    for socket, sub in zip(sockets, subs):
        socket.send(connect_request(room, tokens.token(sub)))
    for socket in sockets:
        assert await socket.text() == SUCCESS
    tally = Tally()
    await tally.hear(watcher, lambda tally: len(tally.entered) >= 60)
    numbers = await numbers_of(house, http, room)
    assert len(numbers) == 61
    assert sorted(tally.entered) == sorted((agent_id, numbers[agent_id]) for agent_id in map(tokens.agent_id, subs))
    assert tally.changed >= 1 and tally.frames <= 20 and tally.count == 61
    tally = Tally()
    for socket in sockets:
        socket.abort()
    await tally.hear(watcher, lambda tally: len(tally.left) >= 60)
    assert sorted(agent_id for agent_id, _ in tally.left) == sorted(map(tokens.agent_id, subs))
    assert tally.frames <= 20
    await watcher.quiet(1.5)


async def test_who_comes_and_goes_within_one_tick_is_not_told_of(build, http, room, name):
    house = build(presence={"coalesce_above": 2, "coalesce_tick": "4s"})
    watchers = [await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0]) for _ in range(3)]
    tally = Tally()
    settled = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[1])
    await tally.hear(watchers[0], lambda tally: len(tally.entered) == 3)
    brief, staying = name("brief"), name("staying")
    passing = await sign_in(house, room, tokens.token(brief), shard=house.two_shards[1])
    await passing.leave()
    await sign_in(house, room, tokens.token(staying), shard=house.two_shards[1])
    await tally.hear(watchers[0], lambda tally: len(tally.entered) == 4)
    assert tally.entered[-1][0] == tokens.agent_id(staying) and tally.left == []
    assert tally.count == 5
    await settled.leave()
    await tally.hear(watchers[0], lambda tally: tally.left)
    assert tokens.agent_id(brief) not in [agent_id for agent_id, _ in tally.entered + tally.left]
    assert tally.count == 4


async def test_a_room_at_the_size_is_still_told_one_by_one(build, room, name):
    house = build(presence={"coalesce_above": 3, "coalesce_tick": "250ms"})
    watcher = await sign_in(house, room, tokens.token(name()), shard=house.two_shards[0])
    tally = Tally()
    for _ in range(2):
        await sign_in(house, room, tokens.token(name()), shard=house.two_shards[1])
    await tally.hear(watcher, lambda tally: len(tally.entered) == 2)
    assert tally.changed == 0
