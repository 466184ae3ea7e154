"""A full disk: nobody new, nobody hurt, and all goes on when there is room again."""

import asyncio
import errno
import json
import time
from datetime import UTC, datetime, timedelta

import tokens
from client import open_socket, sign_in
from contract import SUCCESS, compact, connect_request, failure
from gauges import gauges, until
from test_attendance import settled, times


def fill(ballast) -> None:
    """Takes every byte that is left."""
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC


async def answer_to_sign_in(house, room, sub) -> str:
    """What a newcomer is told."""
    socket = await open_socket(house)
    socket.send(connect_request(room, tokens.token(sub)))
    return await socket.text()


async def readiness(house, http) -> tuple[int, str]:
    """What readyz says."""
    answer = await http.get(f"{house.internal}/readyz")
    return answer.status_code, answer.text


async def test_a_full_disk_refuses_newcomers_and_nothing_else(small_disk, build, http, room, name):
    house, start = build(data_dir=str(small_disk / "data")), datetime.now(UTC)
    staying, leaving = name("staying"), name("leaving")
    member = await sign_in(house, room, tokens.token(staying), shard=0)
    other = await sign_in(house, room, tokens.token(leaving), shard=1)
    assert (await member.json())["id"]["operation"] == "entered"
    ballast = small_disk / "ballast"
    fill(ballast)

    told = [await answer_to_sign_in(house, "a" * 32, name("newcomer")) for _ in range(12)]
    assert told[2:] == [failure("database_query_failed")] * 10 and set(told[:2]) <= {SUCCESS, failure("database_query_failed")}
    code, why = await readiness(house, http)
    assert code == 503 and "store" in why
    assert (await http.get(f"{house.internal}/livez")).status_code == 200

    # Those who are in live on: events, the list, leaving.
    event = {"entity_type": "fault", "operation": "told", "payload": {"n": 1}}
    answer = await http.post(f"{house.internal}/api/v1/classrooms/{room}/events", content=compact(event))
    assert answer.json()["members"] == 2
    for socket in (member, other):
        assert (await socket.json())["payload"] == {"n": 1}
    left_at = datetime.now(UTC)
    await other.leave()
    assert json.loads(await member.text())["id"]["operation"] == "left"
    reader = {"authorization": f"Bearer {tokens.token('reader')}"}
    listed = await http.get(f"{house.url}/api/v1/classrooms/{room}/agents", headers=reader)
    assert [row["agent_id"] for row in listed.json()] == [tokens.agent_id(staying)]
    await asyncio.sleep(1)
    assert (await gauges(house, http))["homeroom_store_overdue"] >= 1

    freed_at = datetime.now(UTC)
    ballast.unlink()
    began = time.monotonic()
    while (await readiness(house, http))[0] != 200:
        assert time.monotonic() - began < 30, "not ready again"
        await asyncio.sleep(0.05)
    again = name("again")
    assert await answer_to_sign_in(house, room, again) == SUCCESS
    assert (await member.json())["payload"]["agent_id"] == tokens.agent_id(again)
    await until(house, http, lambda now: now["homeroom_store_overdue"] == 0, 30, "what was overdue is written")
    rows = await settled(house, http, room, start, lambda rows: len(rows) == 3)
    by_agent = {row["agent_id"]: times(row) for row in rows}
    assert by_agent[tokens.agent_id(staying)][1] is None and by_agent[tokens.agent_id(again)][1] is None
    left = by_agent[tokens.agent_id(leaving)][1]
    assert left_at - timedelta(seconds=1) <= left < freed_at, "who left meanwhile left then, not when it could be written"
    member.abort()
