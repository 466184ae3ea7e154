"""The store stands still for ten seconds, because another process holds its file."""

import asyncio
import json
import time
from datetime import UTC, datetime

import database
import tokens
from client import Socket, open_socket, sign_in
from contract import SUCCESS, compact, connect_request, failure
from gauges import gauges, until
from test_attendance import settled
from test_disk import readiness

STOPPED_S = 10.0
ACQUIRE_S = 5.0


async def come(house, room, sub) -> tuple[Socket, str, float]:
    """Signs in; returns the socket, what it was told and how long that took."""
    socket = await open_socket(house)
    began = time.monotonic()
    socket.send(connect_request(room, tokens.token(sub)))
    said = await socket.text()
    return socket, said, time.monotonic() - began


async def test_who_comes_waits_or_is_refused_and_who_is_in_feels_nothing(build, http, room, name, tell):
    house, start = build(), datetime.now(UTC)
    member = await sign_in(house, room, tokens.token(name("member")), shard=0)
    leaving = await sign_in(house, room, tokens.token(name("leaving")), shard=1)
    assert (await member.json())["id"]["operation"] == "entered"
    beside = database.beside(house)
    beside.hold(reads=True)
    began = time.monotonic()

    coming = []
    heard_late = 0.0
    for number in range(int(STOPPED_S)):
        coming.append(asyncio.create_task(come(house, "b" * 32, name("coming"))))
        impatient = await open_socket(house)
        impatient.send(connect_request("c" * 32, tokens.token(name("impatient"))))
        published = time.monotonic()
        event = {"entity_type": "fault", "operation": "told", "payload": {"n": number}}
        await http.post(f"{house.internal}/api/v1/classrooms/{room}/events", content=compact(event))
        assert (await member.json())["payload"] == {"n": number}
        heard_late = max(heard_late, time.monotonic() - published)
        await asyncio.sleep(0.1)
        impatient.abort()
        await asyncio.sleep(max(0, began + number + 1 - time.monotonic()))
        if number == 3:
            await leaving.leave()
            assert json.loads(await member.text())["id"]["operation"] == "left"
        if number == 6:
            code, why = await readiness(house, http)
            assert code == 503 and "store" in why
    beside.release()

    outcomes = [await task for task in coming]
    refused = [took for _, said, took in outcomes if said == failure("database_connection_acquisition_failed")]
    waited = [took for _, said, took in outcomes if said == SUCCESS]
    longest = round(max(refused + waited), 2)
    tell(refused=len(refused), waited_and_came_in=len(waited), longest_wait_s=longest, event_late_ms=round(heard_late * 1000, 1))
    assert len(refused) + len(waited) == len(outcomes) and refused and waited
    assert all(ACQUIRE_S - 0.5 <= took <= ACQUIRE_S + 10 for took in refused), "refused when the setting says, not before"
    assert heard_late < STOPPED_S / 2, "it does not wait for the store"

    await until(house, http, lambda now: now["homeroom_store_overdue"] == now["homeroom_entering"] == 0, 30, "what waited is settled")
    assert (await readiness(house, http))[0] == 200
    await sign_in(house, room, tokens.token(name("again")))
    now = await gauges(house, http)
    assert now["ws_connection_total"] == now["homeroom_members"] == len(waited) + 2
    for _ in range(300):
        if (rows := beside.execute("SELECT count(*) FROM agent_session")[0][0]) == len(waited) + 2:
            break
        await asyncio.sleep(0.1)
    beside.close()
    assert rows == len(waited) + 2, "no row is left over"
    open_stays = lambda rows: sum(row["left_at"] is None for row in rows)  # noqa: E731
    await settled(house, http, room, start, lambda rows: open_stays(rows) == 2)
    await settled(house, http, "b" * 32, start, lambda rows: open_stays(rows) == len(waited))
    await settled(house, http, "c" * 32, start, lambda rows: open_stays(rows) == 0)
