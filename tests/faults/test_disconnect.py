"""Thousands of clients die at once, as when a school's line is cut."""

import asyncio
import time
import uuid

import pytest

import tokens
from client import sign_in
from gauges import gauges, until
from test_store import database

IN_A_ROOM = 30
PROBES = 3


@pytest.mark.parametrize("members", [5010, pytest.param(15_000, marks=pytest.mark.long)])
async def test_all_at_once_are_cleaned_up_and_others_come_in_meanwhile(build, http, room, name, crowds, tell, members):
    house = build(log={"level": "info"})
    rooms = [uuid.uuid4() for _ in range(members // IN_A_ROOM)]
    watchers = [await sign_in(house, watched, tokens.token(name())) for watched in rooms[:4]]
    crowd, probes = crowds(house), crowds(house)
    await asyncio.to_thread(crowd.enter, members, rooms=rooms)
    await asyncio.to_thread(probes.probe, room, 2)
    quiet = (await asyncio.to_thread(probes.answers, 1)).quantile_ms(0.99)

    for _ in range(PROBES):
        await asyncio.to_thread(probes.probe, room, 4)
    began = time.monotonic()
    await asyncio.to_thread(crowd.kill)
    dead = time.monotonic() - began
    few = len(watchers) + 3 * PROBES  # each probe's last connection may still be on its way out
    await until(house, http, lambda now: max(now["ws_connection_total"], now["homeroom_members"], now["homeroom_connections"], now["homeroom_sockets"]) <= few,
                10, "the dead are cleaned up")
    clean = time.monotonic() - began
    tally = await asyncio.to_thread(probes.answers, PROBES)
    during = sorted(took / 1000 for start, took in tally.probes if began <= start / 1e6 <= began + clean + 0.2)
    worst = during[int(len(during) * 0.99)]
    tell(members=members, processes_dead_s=round(dead, 2), cleaned_up_s=round(clean, 2), sign_ins_meanwhile=len(during),
         their_p99_ms=round(worst, 1), p99_ms_before=round(quiet, 1))
    assert not tally.refusals
    assert clean - dead <= 2
    # A machine on which sign-ins are late in the calm is no judge of the storm.
    assert worst <= max(100, 3 * quiet)

    for watched, watcher in zip(rooms, watchers):
        seen = {"entered": set(), "left": set()}
        while len(seen["left"]) < IN_A_ROOM:
            event = await watcher.json()
            seen[event["id"]["operation"]].add(event["payload"]["agent_id"])
        assert seen["entered"] == seen["left"], watched
    await until(house, http, lambda now: now["homeroom_store_overdue"] == 0, 5, "nothing waits for the disk")
    await until(house, http, lambda now: now["ws_connection_total"] == len(watchers), 5, "only the watchers are left")
    assert await rows(house) == len(watchers)
    assert (await gauges(house, http))["homeroom_slow_readers"] == 0


async def rows(house) -> int:
    """Live sessions in the tables, once the store has caught up."""
    beside = database(house)
    counts = []
    for _ in range(50):
        counts.append(beside.execute("SELECT count(*) FROM agent_session").fetchone()[0])
        if counts[-2:] == counts[-1:] * 2:
            break
        await asyncio.sleep(0.2)
    beside.close()
    return counts[-1]
