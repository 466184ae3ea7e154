"""What takes minutes: run by `tests/run --long`."""

import asyncio
import uuid

import pytest

import tokens
from client import open_socket, sign_in
from contract import SUCCESS, connect_request
from test_metrics import samples
from test_websocket import resident_bytes

pytestmark = pytest.mark.long


async def test_twenty_thousand_sessions_come_and_go_and_leave_nothing(build, http, name):
    house = build(log={"level": "info"})
    signed = [tokens.token(name()) for _ in range(50)]

    async def session(token: str, how: str):
        socket = await open_socket(house)
        socket.send(connect_request(uuid.uuid4(), token))
        assert await socket.text(30) == SUCCESS
        if how == "leave":
            await socket.leave()
        else:
            socket.abort()

    async def thousand():
        for _ in range(20):
            await asyncio.gather(*(session(token, how) for token, how in zip(signed, ["leave", "abort"] * 25)))

    for _ in range(4):
        await thousand()
    warm = resident_bytes(house)
    for _ in range(16):
        await thousand()
    await asyncio.sleep(1)
    assert (await samples(house, http))["ws_connection_total"] == 0
    assert resident_bytes(house) - warm < 8 << 20


async def test_pings_keep_their_time_for_five_minutes(house, room, name):
    sockets = [await sign_in(house, room, tokens.token(name()), shard=house.two_shards[index % 2]) for index in range(4)]
    await asyncio.sleep(300)
    for socket in sockets:
        gaps = [later.at - earlier.at for earlier, later in zip(socket.pings, socket.pings[1:])]
        assert len(gaps) in (9, 10) and all(29.7 <= gap <= 30.4 for gap in gaps), gaps
