"""What a school on several nodes does when a part of it fails."""

import asyncio
import json
import signal
import time

import pytest

import tokens
from client import open_socket, sign_in
from contract import SUCCESS, connect_request
from quiz import is_true_soon
from school import LEASE, is_ready, until

NOTICED = LEASE + 5.0  # seconds in which the members of a dead node are told of as left, on a machine that has the time


async def members(school, room, name, each: int = 2):
    """So many members on each node, each past the "entered" of the others; their agent ids by node."""
    sockets, ids = [], []
    for node in school.nodes:
        subs = [name() for _ in range(each)]
        sockets.append([await sign_in(node, room, tokens.token(sub)) for sub in subs])
        ids.append([tokens.agent_id(sub) for sub in subs])
    flat = [socket for of_node in sockets for socket in of_node]
    for index, socket in enumerate(flat):
        for _ in flat[index + 1:]:
            assert (await socket.json())["id"]["operation"] == "entered"
    return sockets, ids


async def published(school, http, sockets, room, number: int, by: int = 0):
    """Something that is published at a node is heard once by all of these."""
    body = {"entity_type": "ban", "operation": "created", "payload": {}, "sequence_id": number}
    answer = await http.post(f"{school.nodes[by].internal}/api/v1/classrooms/{room}/events", json=body)
    assert answer.status_code == 200, answer.text
    for socket in sockets:
        assert (await socket.json())["id"]["sequence_id"] == number


@pytest.mark.parametrize("dead", [0, 1])
async def test_the_members_of_a_node_that_is_killed_have_left_once(school, http, room, name, dead):
    sockets, ids = await members(school, room, name)
    school.nodes[dead].kill()
    killed_at = time.monotonic()
    left = [socket for node, of_node in enumerate(sockets) if node != dead for socket in of_node]
    for socket in left:
        gone = {(await socket.json(NOTICED + 60))["payload"]["agent_id"] for _ in ids[dead]}
        assert gone == set(ids[dead])
    # The machine may stand still meanwhile: what must not be is that nobody looked.
    assert max(socket.everything[-1].at for socket in left) - killed_at < NOTICED + 20
    by = (dead + 1) % 3
    await published(school, http, left, room, 7, by)
    school.nodes[dead].start()
    school.is_whole()
    back = await sign_in(school.nodes[dead], room, tokens.token(name()))
    for socket in left:
        assert (await socket.json())["id"]["operation"] == "entered"
    await published(school, http, [*left, back], room, 8, by)


@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=pytest.mark.long)])
async def test_nats_is_gone_and_back_and_nobody_has_left(school, http, room, name, seconds):
    sockets, _ = await members(school, room, name, 1)
    flat = [socket for of_node in sockets for socket in of_node]
    school.nats.kill()
    until("every node says so", lambda: not any(map(is_ready, school.nodes)))
    await asyncio.sleep(seconds)
    school.nats.start()
    school.is_whole()
    await published(school, http, flat, room, 1)
    await published(school, http, flat, room, 2, 2)
    for socket in flat:
        await socket.quiet(0.1)


@pytest.mark.parametrize("seconds", [LEASE + 2, pytest.param(30, marks=pytest.mark.long)])
async def test_postgresql_is_gone_and_back_and_nobody_has_left(school, http, room, name, seconds):
    sockets, _ = await members(school, room, name, 1)
    flat = [socket for of_node in sockets for socket in of_node]
    school.database.end()
    await asyncio.sleep(seconds)
    await published(school, http, flat, room, 1)
    school.database.start()
    school.is_whole()
    sub = name()
    await is_true_soon(lambda: sign_in_or_none(school.nodes[1], room, sub), 120)
    for socket in flat:
        assert (await socket.json())["payload"]["agent_id"] == tokens.agent_id(sub)
        await socket.quiet(0.1)


async def sign_in_or_none(node, room, sub):
    """A connection that is in the room, or none where the server says that it cannot write."""
    socket = await open_socket(node)
    socket.send(connect_request(room, tokens.token(sub)))
    said = await socket.text(60)
    if said == SUCCESS:
        return socket
    assert json.loads(said)["payload"]["type"].startswith("database_"), said
    await asyncio.sleep(0.2)
    return None


async def test_a_node_that_stood_still_and_was_buried_begins_anew(school, http, room, name):
    sockets, ids = await members(school, room, name, 1)
    school.nodes[2].signal(signal.SIGSTOP)
    for socket in [*sockets[0], *sockets[1]]:
        assert (await socket.json(NOTICED + 60))["payload"]["agent_id"] == ids[2][0]
    school.nodes[2].signal(signal.SIGCONT)
    # It finds that it was buried, and stops as one that is asked to, without a drain.
    assert (await sockets[2][0].json(60))["payload"]["type"] == "terminated"
    assert await sockets[2][0].close_code(60) == 1012
    school.is_whole()
    back = await sign_in(school.nodes[2], room, tokens.token(name()))
    for socket in [*sockets[0], *sockets[1]]:
        assert (await socket.json())["id"]["operation"] == "entered"
    await published(school, http, [*sockets[0], *sockets[1], back], room, 5, 2)
