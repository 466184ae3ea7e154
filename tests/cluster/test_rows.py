"""Rows of presence that are odd, as a death at a bad moment may leave them: nodes find them and set them right by themselves."""

import asyncio

import tokens
from client import sign_in
from quiz import is_true_soon
from school import LEASE, figure

LOOKS = 2 * 5 * LEASE  # seconds in which every node has looked twice


def counted(school, name: str) -> float:
    """A counter over all nodes."""
    return sum(figure(node, name) for node in school.nodes)


async def test_a_row_of_nobody_ends_and_whoever_has_none_comes_again(school, room, name):
    subs = [name() for _ in school.nodes]
    sockets = [await sign_in(node, room, tokens.token(sub)) for node, sub in zip(school.nodes, subs)]
    for index, socket in enumerate(sockets):
        for _ in sockets[index + 1:]:
            assert (await socket.json())["id"]["operation"] == "entered"
    before = [counted(school, counter) for counter in ("homeroom_stray_rows_total", "homeroom_rowless_members_total")]
    # One is without his row, and there is one of somebody who was never there, on the same node.
    lost, nobody = tokens.agent_id(subs[0]), tokens.agent_id(name())
    school.database.ask(
        f"""WITH gone AS (DELETE FROM agent_session WHERE agent_id = '{lost}' RETURNING *)
            INSERT INTO agent_session SELECT id + 1000000, classroom, '{nobody}', node, epoch, started_at FROM gone RETURNING id""",
        school.base,
    )
    assert await sockets[0].close_code(LOOKS + 60) == 1012
    for socket in sockets[1:]:
        assert (await socket.json(60))["payload"]["agent_id"] == lost

    async def rows_are_right():
        return sorted(agent for agent, _ in await asyncio.to_thread(school.rows, room)) == sorted(map(tokens.agent_id, subs[1:]))

    await is_true_soon(rows_are_right, LOOKS + 60)
    after = [counted(school, counter) for counter in ("homeroom_stray_rows_total", "homeroom_rowless_members_total")]
    # What an earlier death has left may be set right meanwhile too.
    assert all(now > then for now, then in zip(after, before))
    back = await sign_in(school.nodes[0], room, tokens.token(subs[0]))
    for socket in sockets[1:]:
        event = await socket.json()
        assert (event["id"]["operation"], event["payload"]["agent_id"]) == ("entered", lost)
        await socket.quiet(0.1)
    await back.quiet(0.1)
