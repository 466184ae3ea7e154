"""How far limits hold over nodes: what each node counts for itself is at most as many times the limit as there are nodes."""

import asyncio
import uuid

import pytest

import tokens
from client import open_socket, sign_in
from contract import SUCCESS, connect_request
from quiz import is_true_soon

LIMIT = 3


@pytest.fixture
async def limited(school):
    """A school whose nodes let a user have so many connections each."""

    async def begin_anew():
        for node in school.nodes:
            await asyncio.to_thread(node.stop)
            await asyncio.to_thread(node.start)
        await asyncio.to_thread(school.is_whole)

    for node in school.nodes:
        node.environment = {"HOMEROOM_LIMITS_CONNECTIONS_PER_USER": str(LIMIT)}
    await begin_anew()
    yield school
    for node in school.nodes:
        node.environment = {}
    await begin_anew()


async def is_let_in(node, sub: str) -> bool:
    """Whether one more connection of a user is let in at a node, in a room of its own; else it is closed with 1008."""
    socket = await open_socket(node)
    socket.send(connect_request(uuid.uuid4(), tokens.token(sub)))
    while (said := await socket.next(60)).kind == "text":
        if said.data.decode() == SUCCESS:
            return True
    assert said.kind == "close" and int.from_bytes(said.data[:2]) == 1008, said
    return False


async def test_a_user_has_his_limit_on_each_node_and_no_more(limited, name):
    sub, nodes = name(), limited.nodes
    for node in nodes:
        assert [await is_let_in(node, sub) for _ in range(LIMIT + 2)] == [True] * LIMIT + [False] * 2
    # Whichever node he comes to next, he has as many as the nodes have together.
    assert not any([await is_let_in(node, sub) for node in nodes * 2])
    assert len(limited.database.ask(f"SELECT 1 FROM agent_session WHERE agent_id = '{tokens.agent_id(sub)}'", limited.base)) == LIMIT * 3
    # A node that begins anew counts anew, and has none of his connections then: the bound stands.
    await asyncio.to_thread(nodes[1].stop)
    await asyncio.to_thread(nodes[1].start)
    await asyncio.to_thread(limited.is_whole)
    assert [await is_let_in(node, sub) for node in nodes] == [False, True, False]

    async def rows_are_bounded():
        rows = limited.database.ask(f"SELECT 1 FROM agent_session WHERE agent_id = '{tokens.agent_id(sub)}'", limited.base)
        return len(rows) == 2 * LIMIT + 1

    await is_true_soon(rows_are_bounded, 60)
    other = name()
    await sign_in(nodes[0], uuid.uuid4(), tokens.token(other))
