"""kill -9 in the middle of a storm of sign-ins: what a client was told is true afterwards."""

import asyncio
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

import database
import tokens
from client import sign_in
from gauges import gauges
from test_attendance import attendance, times

STORM = 8000


@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.long)])
async def test_every_acknowledged_sign_in_is_in_the_history(build, http, name, crowds, tell, rounds):
    house, start = build(log={"level": "info"}), datetime.now(UTC)
    rooms = [uuid.uuid4() for _ in range(STORM // 25)]
    acknowledged, opened = set(), 0.0
    for number in range(rounds):
        crowd = crowds(house)
        started = crowd.order(STORM, rooms=rooms, leave_every=4, label=f"round{number}n")
        enough = 500 + 700 * (number % 5)
        while (await gauges(house, http))['ws_connection{status="success"}'] < enough:
            await asyncio.sleep(0)
        house.kill()
        tally = await asyncio.to_thread(crowd.answers, started)
        assert enough <= len(tally.acknowledged) < STORM, "the storm was cut short"
        acknowledged |= {f"{label}.crowd.{tokens.OPEN}" for label in tally.acknowledged}
        crowd.kill()
        began = time.monotonic()
        house.start()
        opened = max(opened, time.monotonic() - began)
        assert (await gauges(house, http))["ws_connection_total"] == 0
    tell(rounds=rounds, acknowledged=len(acknowledged), slowest_start_s=round(opened, 2))

    found = set()
    for room in rooms:
        for row in (await attendance(house, http, room, start)).json():
            entered, left = times(row)
            assert left is not None and entered <= left <= datetime.now(UTC) + timedelta(seconds=1), row
            found.add(row["agent_id"])
    assert not acknowledged - found, f"{len(acknowledged - found)} of {len(acknowledged)} are missing"
    beside = database.beside(house)
    assert beside.execute("PRAGMA integrity_check") == [("ok",)]
    assert beside.execute("SELECT count(*) FROM agent_session") == [(0,)]
    beside.close()
    await sign_in(house, rooms[0], tokens.token(name()))
