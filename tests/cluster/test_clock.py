"""A node whose clock is five minutes off: what nodes decide together goes by the database's clock."""

import asyncio
from pathlib import Path

import pytest

import tokens
from client import sign_in
from contract import failure
from school import LEASE
from test_faults import members, published


def library() -> str | None:
    """What tells a process another time of day; its monotonic clock stays as it is."""
    return next(map(str, Path("/usr").glob("lib/*/faketime/libfaketimeMT.so.1")), None)


@pytest.mark.skipif(library() is None, reason="there is no libfaketime (Debian: faketime)")
@pytest.mark.parametrize("offset", ["+300", "-300"])
async def test_a_clock_that_is_five_minutes_off_changes_nothing_for_others(school, http, room, name, offset):
    node = school.nodes[2]
    node.environment = {"LD_PRELOAD": library(), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    try:
        await asyncio.to_thread(node.stop)
        await asyncio.to_thread(node.start)
        await asyncio.to_thread(school.is_whole)
        epochs = school.epochs()
        sockets, ids = await members(school, room, name, 1)
        # Longer than a lease: nobody takes anybody for dead.
        await asyncio.sleep(LEASE + 1)
        assert school.epochs() == epochs
        # A key goes to the node with the wrong clock and back.
        sub, old = name(), None
        for index in (0, 2, 1, 2, 0):
            new = await sign_in(school.nodes[index], room, tokens.token(sub))
            if old:
                await old.failure(failure("replaced"))
            old = new
        flat = [socket for of_node in sockets for socket in of_node]
        for socket in flat:
            assert (await socket.json())["id"]["operation"] == "entered"
        await published(school, http, [*flat, old], room, 1, 2)
        # One that dies is noticed by the others in its time.
        node.kill()
        for socket in [*sockets[0], *sockets[1], old]:
            assert (await socket.json(60))["payload"]["agent_id"] == ids[2][0]
        await old.leave()
        [(wrong,)] = school.database.ask("SELECT count(*) FROM agent_session_history WHERE upper < lower", school.base)
        assert wrong == 0, "nobody left before he came"
    finally:
        node.environment = {}
        if node.process.poll() is None:
            await asyncio.to_thread(node.stop)
        await asyncio.to_thread(node.start)
