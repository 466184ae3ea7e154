"""What other services publish to classrooms over NATS, with the headers of the contract."""

import asyncio
import contextlib

import pytest

import tokens
from bus import Bus, headers
from client import sign_in
from quiz import is_true_soon
from school import figure

PAYLOAD = b'{"minutes": 5}'
ELSE = "web.nobody.open.example.org"


@pytest.fixture
async def bus(school):
    made = await Bus.open(school.nats.port)

    async def somebody_is_there():
        return await made.ask("classroom.nowhere.ban", {}, b"") != {"error": "nobody"}

    await is_true_soon(somebody_is_there, 60)
    yield made
    await made.close()


async def pupils(school, room, name) -> list[tuple[str, object]]:
    """Two on each node: agent id and socket, each past the "entered" of the others."""
    made = []
    for node in school.nodes:
        for _ in range(2):
            sub = name()
            made.append((tokens.agent_id(sub), await sign_in(node, room, tokens.token(sub))))
    for index, (_, socket) in enumerate(made):
        for _ in made[index + 1:]:
            assert (await socket.json())["id"]["operation"] == "entered"
    return made


def event(number: int) -> dict:
    """As clients hear it."""
    return {"id": {"entity_type": "ban", "operation": "created", "sequence_id": number}, "payload": {"minutes": 5}}


def taken(school) -> float:
    """Messages that any node has taken."""
    return sum(figure(node, "homeroom_cluster_outside_total") for node in school.nodes)


async def test_everybody_hears_it_once_but_whoever_says_it(school, bus, room, name):
    made = await pupils(school, room, name)
    before, number = taken(school), 0
    for sender, _ in [*made, (ELSE, None)]:
        number += 1
        heard = await bus.ask(f"classroom.{room}.ban", headers(sender, number), PAYLOAD)
        assert heard == {"sequence_id": number, "members": len(made) - (sender != ELSE)}
    assert taken(school) - before == number, "one node took each"
    for own, (_, socket) in enumerate(made):
        for expected in range(1, number + 1):
            if expected != own + 1:
                assert await socket.json() == event(expected)
        await socket.quiet(0.1)


async def test_with_a_receiver_nobody_else_hears_it(school, bus, room, name):
    made = await pupils(school, room, name)
    (first, _), (receiver, socket) = made[0], made[-1]
    assert (await bus.ask(f"classroom.{room}.ban", headers(first, 1, receiver), PAYLOAD))["members"] == 1
    assert (await bus.ask(f"classroom.{room}.ban", headers(receiver, 2, receiver), PAYLOAD))["members"] == 0
    assert (await bus.ask(f"classroom.{room}.ban", headers(first, 3, ELSE), PAYLOAD))["members"] == 0
    assert await socket.json() == event(1)
    for _, other in made:
        await other.quiet(0.05)


async def test_what_cannot_be_meant_is_dropped_and_counted_by_its_reason(school, bus, room, name):
    made = await pupils(school, room, name)

    def dropped(reason: str) -> float:
        labels = f'homeroom_cluster_outside_dropped_total{{reason="{reason}"}}'
        return sum(figure(node, labels) for node in school.nodes)

    internal, wrong, absent = {"Is_Internal": "true"}, {"Entity_Event_Sequence_Id": "seven"}, {"Sender_Agent_Id": None}
    cases = [
        (f"classroom.{room}.ban", headers(ELSE, 1, **internal), PAYLOAD, "internal", None),
        (f"classroom.{room}.ban", headers(ELSE, 1, **wrong), PAYLOAD, "header_wrong", "Entity-Event-Sequence-Id"),
        (f"classroom.{room}.ban", headers(ELSE, 1, **absent), PAYLOAD, "header_missing", "Sender-Agent-Id"),
        (f"classroom.{room}.ban", headers(ELSE, 1), b"[1]", "payload", None),
        (f"classroom.{room}.ban", headers(ELSE, 1), b'{"a":"' + b"x" * (256 << 10) + b'"}', "too_long", None),
        ("classroom.nowhere.ban", headers(ELSE, 1), PAYLOAD, "subject", None),
    ]
    for subject, said, payload, reason, header in cases:
        before = dropped(reason)
        expected = {"error": reason} | ({"header": header} if header else {})
        assert await bus.ask(subject, said, payload) == expected
        assert dropped(reason) == before + 1
    for _, socket in made:
        await socket.quiet(0.05)


@pytest.mark.parametrize("dies", [True, False])
async def test_what_was_answered_was_heard_once_though_a_node_goes(school, bus, room, name, dies):
    made = await pupils(school, room, name)
    going, living = school.nodes[1], [socket for index, (_, socket) in enumerate(made) if index not in (2, 3)]
    answered, unsure, stops = [], [], asyncio.Event()

    async def publish():
        number = 0
        while not stops.is_set():
            number += 1
            heard = await bus.ask(f"classroom.{room}.ban", headers(ELSE, number), PAYLOAD, timeout=20)
            (answered if heard and "members" in heard else unsure).append(number)

    publishing = asyncio.create_task(publish())
    while len(answered) < 50:
        await asyncio.sleep(0.01)
    if dies:
        going.kill()
    else:
        going.signal()
        await asyncio.to_thread(going.process.wait, 60)
    at = len(answered)
    # The next answer of a room whose home died comes when the node is buried.
    while len(answered) < at + 50:
        assert not publishing.done(), publishing.exception()
        await asyncio.sleep(0.01)
    going.start()
    school.is_whole()
    at = len(answered)
    while len(answered) < at + 50:
        await asyncio.sleep(0.01)
    stops.set()
    await publishing
    assert len(unsure) <= (1 if dies else 0), "one at a time was on its way"
    for socket in living:
        heard = []
        with contextlib.suppress(AssertionError):
            while answered[-1] not in heard:
                said = await socket.json(60)
                heard += [said["id"]["sequence_id"]] if said["id"]["entity_type"] == "ban" else []
        assert [number for number in heard if number not in unsure] == answered
