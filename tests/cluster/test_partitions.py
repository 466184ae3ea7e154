"""A node that is cut off, from NATS, from PostgreSQL, or from both, and one that dies and is back before anybody notices."""

import asyncio
import json
import time

import pytest

import tokens
from client import sign_in
from contract import failure
from quiz import is_true_soon
from school import LEASE, figure, is_ready, until
from test_faults import members, published

DEAF = 3.0  # seconds after which a node that hears nothing says so
REASONS = {
    "nats": "it has heard nothing by NATS",
    "database": "it could not read the database",
    "both": "it has reached neither NATS nor the database",
}


def log_of(node) -> str:
    """What it has said so far."""
    return node.log.read_text(errors="replace")


@pytest.mark.parametrize("what", ["nats", "database", "both"])
async def test_a_node_that_is_cut_off_is_buried_with_the_reason_and_comes_back(school, http, room, name, what):
    sockets, ids = await members(school, room, name, 1)
    here, there = [*sockets[0], *sockets[1]], sockets[2][0]
    told_before = log_of(school.nodes[2]).count(REASONS[what])
    ways = {"nats": [school.ways_to_nats[2]], "database": [school.ways_to_database[2]]}
    cut = ways.get(what) or [*ways["nats"], *ways["database"]]
    for way in cut:
        way.loses = True
    cut_at = time.monotonic()
    for socket in here:
        assert (await socket.json(120))["payload"]["agent_id"] == ids[2][0]
    # Silence, the lease, the look; the machine may stand still meanwhile.
    assert max(socket.everything[-1].at for socket in here) - cut_at < DEAF + LEASE + 5 + 20
    assert not is_ready(school.nodes[2])
    # Whoever is on it is told to come to another node.
    assert (await there.json(120))["payload"]["type"] == "terminated"
    assert await there.close_code(60) == 1012
    until("the reason is in the log", lambda: log_of(school.nodes[2]).count(REASONS[what]) == told_before + 1)
    await published(school, http, here, room, 7)
    for way in cut:
        way.loses = False
        way.cut()
    until("it is back", lambda: is_ready(school.nodes[2]))
    school.is_whole()
    back = await sign_in(school.nodes[2], room, tokens.token(name()))
    for socket in here:
        assert (await socket.json())["id"]["operation"] == "entered"
    await published(school, http, [*here, back], room, 8, 2)
    for socket in [*here, back]:
        await socket.quiet(0.1)
    assert {epoch for _, epoch in school.rows(room)} <= school.epochs(), "no row is a dead node's"


async def test_nobody_is_buried_where_all_are_deaf(school, http, room, name):
    sockets, _ = await members(school, room, name, 1)
    flat = [socket for of_node in sockets for socket in of_node]
    epochs = school.epochs()
    school.to_nats.loses = True
    until("every node says so", lambda: not any(map(is_ready, school.nodes)))
    until("every lease has run out", lambda: school.database.ask(
        "SELECT count(*) FROM node WHERE lease_until < clock_timestamp()", school.base) == [(3,)])
    school.to_nats.loses = False
    school.to_nats.cut()
    school.is_whole()
    assert school.epochs() == epochs
    await published(school, http, flat, room, 1)
    for socket in flat:
        await socket.quiet(0.1)


@pytest.mark.parametrize("dead", [0, 2])
async def test_whoever_was_on_a_node_that_is_back_at_once_has_left_once(school, http, room, name, dead):
    """In rooms at home on any node: some of them on the one that dies."""
    rooms = [room, *(type(room)(int=room.int + number) for number in range(1, 12))]
    watchers, subs = [], [name() for _ in rooms]
    for own, sub in zip(rooms, subs):
        watchers.append(await sign_in(school.nodes[1], own, tokens.token(name())))
        await sign_in(school.nodes[dead], own, tokens.token(sub))
        assert (await watchers[-1].json())["payload"]["agent_id"] == tokens.agent_id(sub)
    school.nodes[dead].kill()
    school.nodes[dead].start()
    for watcher, sub in zip(watchers, subs):
        said = await watcher.json(60)
        assert (said["id"]["operation"], said["payload"]["agent_id"]) == ("left", tokens.agent_id(sub))
    school.is_whole()
    again = [await sign_in(school.nodes[dead], own, tokens.token(sub)) for own, sub in zip(rooms, subs)]
    for watcher, sub in zip(watchers, subs):
        said = await watcher.json()
        assert (said["id"]["operation"], said["payload"]["agent_id"]) == ("entered", tokens.agent_id(sub))
        await watcher.quiet(0.05)
    assert len(again) == len(rooms)


async def test_the_age_of_what_a_node_knows_is_told_in_seconds(school):
    assert 0 <= figure(school.nodes[0], "homeroom_cluster_lease_age_seconds") < 60


async def test_a_sign_in_that_is_taken_over_misses_nothing_that_is_said(school, http, room, name):
    """A client comes by a second connection on another node, over and over, while somebody talks."""
    sub, heard, number = name(), [], 0
    old = await sign_in(school.nodes[0], room, tokens.token(sub))
    body = {"entity_type": "load", "operation": "tick", "payload": {}}
    for turn in range(1, 16):
        answers = []

        async def talk():
            nonlocal number
            number += 1
            answers.append((await http.post(
                f"{school.nodes[turn % 3].internal}/api/v1/classrooms/{room}/events", json=body | {"sequence_id": number})).status_code)

        new, *_ = await asyncio.gather(sign_in(school.nodes[turn % 3], room, tokens.token(sub)), *(talk() for _ in range(6)))
        assert answers == [200] * 6

        async def hear(socket):
            while (said := await socket.next()).kind == "text" and (text := said.data.decode()) != failure("replaced"):
                heard.append(json.loads(text)["id"]["sequence_id"])

        await hear(old)
        old = new

    async def all_is_heard():
        while not old.heard.empty():
            heard.append((await old.json())["id"]["sequence_id"])
        return len(heard) >= number

    await is_true_soon(all_is_heard, 60)
    assert sorted(heard) == list(range(1, number + 1))
