"""Attendance: who was in which room from when to when."""

import asyncio
import csv
import io
import uuid
from datetime import UTC, datetime, timedelta

import pytest

import tokens
from client import sign_in


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """RFC 3339."""
    return moment.isoformat().replace("+00:00", "Z")


async def attendance(house, http, room, since: datetime, until: datetime | None = None, **headers):
    """Asks for a stretch of time; by default up to an hour ahead."""
    window = {"from": stamp(since), "to": stamp(until or now() + timedelta(hours=1))}
    headers["authorization"] = f"Bearer {tokens.token('reader')}"
    return await http.get(f"{house.url}/api/v1/classrooms/{room}/attendance", params=window, headers=headers)


async def settled(house, http, room, since: datetime, holds) -> list[dict]:
    """The rows as soon as the condition holds: who left is on disk a moment later, not at once."""
    for _ in range(600):
        rows = (await attendance(house, http, room, since)).json()
        if holds(rows):
            return rows
        await asyncio.sleep(0.05)
    raise AssertionError(f"the attendance stays {rows}")


def times(row: dict) -> tuple[datetime, datetime | None]:
    """When it began and ended; both must be RFC 3339 in UTC."""
    for name in ("entered_at", "left_at"):
        assert row[name] is None or row[name].endswith(("Z", "+00:00")), row
    left = row["left_at"]
    return datetime.fromisoformat(row["entered_at"]), left and datetime.fromisoformat(left)


async def test_a_stay_has_its_beginning_and_its_end(house, http, room, name):
    sub, start = name(), now()
    socket = await sign_in(house, room, tokens.token(sub))
    rows = await settled(house, http, room, start, lambda rows: len(rows) == 1)
    assert list(rows[0]) == ["agent_id", "entered_at", "left_at"]
    assert rows[0]["agent_id"] == tokens.agent_id(sub)
    assert rows[0]["left_at"] is None
    await asyncio.sleep(0.5)
    await socket.leave()
    rows = await settled(house, http, room, start, lambda rows: rows[0]["left_at"])
    entered, left = times(rows[0])
    assert start - timedelta(seconds=0.1) <= entered < left <= now() + timedelta(seconds=0.1)
    assert timedelta(seconds=0.4) <= left - entered <= timedelta(seconds=30)


async def test_returns_that_overlap_are_one_stay_and_later_ones_another(house, http, room, name):
    sub, start = name(), now()
    for shard in (*house.two_shards, house.two_shards[0]):  # each replaces the one before
        last = await sign_in(house, room, tokens.token(sub), shard=shard)
        await asyncio.sleep(0.2)
    await last.leave()
    rows = await settled(house, http, room, start, lambda rows: len(rows) == 1 and rows[0]["left_at"])
    entered, left = times(rows[0])
    assert left - entered >= timedelta(seconds=0.5), "from the first's beginning to the last's end"
    await asyncio.sleep(0.2)
    again = await sign_in(house, room, tokens.token(sub))
    rows = await settled(house, http, room, start, lambda rows: len(rows) == 2)
    assert times(rows[0])[1] < times(rows[1])[0] and rows[1]["left_at"] is None
    await again.leave()


async def test_the_window_holds_what_overlaps_it(house, http, room, name):
    sub, start = name(), now()
    socket = await sign_in(house, room, tokens.token(sub))
    await asyncio.sleep(0.3)
    await socket.leave()
    rows = await settled(house, http, room, start, lambda rows: rows and rows[0]["left_at"])
    entered, left = times(rows[0])
    middle, beat = entered + (left - entered) / 2, timedelta(milliseconds=20)

    async def seen(since: datetime, until: datetime) -> bool:
        return bool((await attendance(house, http, room, since, until)).json())

    assert await seen(middle - beat, middle + beat)
    assert await seen(start - timedelta(days=1), now())
    assert await seen(entered - timedelta(hours=1), middle)
    assert await seen(middle, left + timedelta(hours=1))
    assert not await seen(entered - timedelta(hours=1), entered - beat)
    assert not await seen(left + beat, left + timedelta(hours=1))


async def test_each_agent_and_room_apart_and_in_order(house, http, room, name):
    start, subs, elsewhere = now(), sorted(name() for _ in range(4)), uuid.uuid4()
    for index, sub in enumerate(reversed(subs)):
        await sign_in(house, room, tokens.token(sub), shard=house.two_shards[index % 2])
    await sign_in(house, elsewhere, tokens.token(subs[0]))
    rows = (await attendance(house, http, room, start)).json()
    assert [row["agent_id"] for row in rows] == sorted(tokens.agent_id(sub) for sub in subs)
    assert len((await attendance(house, http, elsewhere, start)).json()) == 1


async def test_csv_says_the_same(house, http, room, name):
    start, subs = now(), [name() for _ in range(3)]
    for sub in subs:
        await sign_in(house, room, tokens.token(sub))
    await sign_in(house, room, tokens.token(subs[0]), 'a "quoted", label')
    rows = (await attendance(house, http, room, start)).json()
    answer = await attendance(house, http, room, start, accept="text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.text.splitlines()[0] == "agent_id,entered_at,left_at"
    read = list(csv.DictReader(io.StringIO(answer.text)))
    assert [{**row, "left_at": row["left_at"] or None} for row in read] == rows
    assert any(row["agent_id"].startswith('a "quoted", label.') for row in read)


@pytest.mark.parametrize("query", ["from=yesterday", "to=12:00", "from=2026-01-01"])
async def test_a_bad_time_is_refused_in_text(house, http, room, query):
    given = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"} | dict([query.split("=")])
    answer = await http.get(
        f"{house.url}/api/v1/classrooms/{room}/attendance", params=given, headers={"authorization": f"Bearer {tokens.token('reader')}"}
    )
    if query != "from=2026-01-01" or answer.status_code != 200:  # a date alone may be taken for its midnight
        assert answer.status_code == 400
        assert answer.text


async def test_who_may_not_read_sees_no_attendance(house, http, room):
    url = f"{house.url}/api/v1/classrooms/{room}/attendance"
    assert (await http.get(url)).status_code == 401
    denied = {"authorization": f"Bearer {tokens.token('reader', tokens.UNRULED)}"}
    assert (await http.get(url, headers=denied)).status_code == 403


async def test_a_classroom_no_uuid_is_refused(house, http):
    answer = await attendance(house, http, "classroom-1", now())
    assert answer.status_code == 400
