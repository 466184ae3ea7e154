"""Thousands of clients die at once, as when a school's line is cut."""

import asyncio
import time
import uuid

import pytest

import database
import tokens
from client import sign_in
from gauges import gauges, starved_ms, until

IN_A_ROOM = 30
PROBES = 3
GAUGES = ("ws_connection_total", "homeroom_members", "homeroom_connections", "homeroom_sockets")


@pytest.mark.parametrize("members", [5010, pytest.param(15_000, marks=pytest.mark.long)])
async def test_all_at_once_are_cleaned_up_and_others_come_in_meanwhile(build, http, room, name, crowds, tell, members):
    house = build(log={"level": "info"})
    rooms = [uuid.uuid4() for _ in range(members // IN_A_ROOM)]
    watchers = [await sign_in(house, watched, tokens.token(name())) for watched in rooms[:4]]
    crowd, probes = crowds(house), crowds(house)
    await asyncio.to_thread(crowd.enter, members, rooms=rooms)
    for _ in range(PROBES):
        await asyncio.to_thread(probes.probe, room, 4)
    await asyncio.sleep(1)

    parties = [house.process.pid, *(process.pid for process in probes.processes)]
    starved = starved_ms(*parties)
    began = time.monotonic()
    await asyncio.to_thread(crowd.kill)
    dead = time.monotonic() - began
    few = len(watchers) + 3 * PROBES  # each probe's last connection may still be on its way out
    await until(house, http, lambda now: max(now[gauge] for gauge in GAUGES) <= few, 30, "the dead are cleaned up")
    clean = time.monotonic() - began
    starved = starved_ms(*parties) - starved
    tally = await asyncio.to_thread(probes.answers, PROBES)
    since = [(start / 1e6 - began, took) for start, took in tally.probes]
    calm, storm = ([took for at, took in since if low <= at < high] for low, high in ((-1, -0.1), (0, clean + 0.2)))
    tell(members=members, processes_dead_s=round(dead, 2), cleaned_up_s=round(clean, 2), sign_in_p99_ms_before=quantile_ms(calm, 0.99),
         meanwhile=quantile_ms(storm, 0.99), starved_of_cores_ms=round(starved))
    assert not tally.refusals
    # The dying processes, and whatever else runs, take cores from the server and from those who measure. That is known and does not count;
    # nor does it when the whole machine stands still for a moment, which only few of those who come in meanwhile meet.
    assert clean - dead <= 5 + starved / 1000
    assert quantile_ms(storm, 0.5) <= 100 + starved and quantile_ms(storm, 0.99) <= 3000 + starved

    for watched, watcher in zip(rooms, watchers):
        seen = {"entered": set(), "left": set()}
        while len(seen["left"]) < IN_A_ROOM:
            event = await watcher.json()
            seen[event["id"]["operation"]].add(event["payload"]["agent_id"])
        assert seen["entered"] == seen["left"], watched
    await until(house, http, lambda now: now["homeroom_store_overdue"] == 0, 30, "nothing waits for the disk")
    await until(house, http, lambda now: now["ws_connection_total"] == len(watchers), 30, "only the watchers are left")
    assert await rows(house) == len(watchers)
    assert (await gauges(house, http))["homeroom_slow_readers"] == 0


def quantile_ms(took_us: list[int], quantile: float) -> float:
    """Milliseconds within which this part of them lies."""
    return round(sorted(took_us)[int(len(took_us) * quantile)] / 1000, 1)


async def rows(house) -> int:
    """Live sessions in the tables, once the store has caught up."""
    beside = database.beside(house)
    counts = []
    for _ in range(50):
        counts.append(beside.execute("SELECT count(*) FROM agent_session")[0][0])
        if counts[-2:] == counts[-1:] * 2:
            break
        await asyncio.sleep(0.2)
    beside.close()
    return counts[-1]
