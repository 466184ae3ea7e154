"""Ten thousand who begin a handshake and never end it, a byte in each second: they are gone in their time, cost next to nothing, and
nobody else notices."""

import asyncio
import os
import time
from pathlib import Path

import tokens
from client import sign_in
from drip import Drip
from gauges import gauges, until

HALF_OPEN = 10_000
BYTES_EACH = 1024
HANDSHAKE_S = 10
# This machine may stand still for seconds, and so may whoever measures.
SLACK_S = 20


def resident(house) -> int:
    """The server's resident memory, in bytes."""
    return int(Path(f"/proc/{house.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_half_open_handshakes_end_in_time_and_cost_little(build, http, room, name, tell):
    house = build(log={"level": "info"}, presence={"ping_interval": "1h"}, limits={"handshakes": 2 * HALF_OPEN})
    members = [await sign_in(house, room, tokens.token(name()), shard=shard) for shard in (0, 1)]
    before = resident(house)
    with Drip(house.presence_port, HALF_OPEN) as drip:
        # The first are over when the last come, where opening all of them takes long: what is measured is what there is.
        most, at_most = 0, before
        opened = asyncio.create_task(asyncio.to_thread(drip.opened))
        while not opened.done():
            now = (await gauges(house, http))["homeroom_handshakes"]
            if now > most:
                most, at_most = now, resident(house)
        await opened
        now = (await gauges(house, http))["homeroom_handshakes"]
        if now > most:
            most, at_most = now, resident(house)
        assert most >= HALF_OPEN // 4, f"only {most} were open at the same time"
        waits = []
        while not waits or (await gauges(house, http))["homeroom_handshakes"] > HALF_OPEN // 4:
            began = time.monotonic()
            other = await sign_in(house, room, tokens.token(name()))
            waits.append(time.monotonic() - began)
            await other.leave()
            await asyncio.sleep(0.2)
        lives = sorted(await asyncio.to_thread(drip.lives))
    page = await gauges(house, http)
    each = (at_most - before) / most
    tell(half_open=most, bytes_each=round(each), median_life_s=round(lives[len(lives) // 2], 1), longest_life_s=round(lives[-1], 1),
         sign_in_ms=round(1000 * sorted(waits)[len(waits) // 2], 1))
    assert len(lives) == HALF_OPEN and page['homeroom_limited_total{limit="handshake_time"}'] == HALF_OPEN
    # Who stands still himself sees an end late, or began to count late.
    assert HANDSHAKE_S - 2 <= lives[len(lives) // 2] <= HANDSHAKE_S + SLACK_S and lives[-1] <= HANDSHAKE_S + 3 * SLACK_S
    assert each <= BYTES_EACH, f"{each:.0f} bytes each"
    assert sorted(waits)[len(waits) // 2] < 10, "others sign in as ever"
    for member in members:
        assert not [heard for heard in member.everything if heard.kind in ("close", "end")], "and are served as ever"
    await until(house, http, lambda now: now["homeroom_handshakes"] <= 1, 30, "nobody waits any more")


async def test_where_too_many_are_half_open_the_oldest_go(build, http, room, name):
    house = build(log={"level": "info"}, limits={"handshakes": 200}, websocket={"handshake_timeout": "1h"})
    with Drip(house.presence_port, 2000) as drip:
        await asyncio.to_thread(drip.opened)
        await asyncio.sleep(0)

        async def others_come():
            other = await sign_in(house, room, tokens.token(name()))
            await other.leave()
            return (await gauges(house, http))["homeroom_handshakes"] <= 201

        deadline = time.monotonic() + 60
        while not await others_come():
            assert time.monotonic() < deadline, "the oldest do not go"
            await asyncio.sleep(0.1)
    assert (await gauges(house, http))['homeroom_limited_total{limit="handshakes"}'] >= 1700
