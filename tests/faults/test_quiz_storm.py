"""kill -9, a full disk, a stop and an owner who does not read, in the middle of a storm of answers."""

import asyncio
import json
import time
import uuid

import pytest

import database
from client import open_socket
from gauges import gauges, until
from quiz import CHOICE, Owner, is_true_soon, order, seconds
from storm import Storm
from test_disk import fill, readiness

QUESTIONS = 60
PARTICIPANTS = 400
ENOUGH = 2000  # answers, after which the process is killed: those that come meanwhile are some thousands more


@pytest.fixture
def school(build, http, name):
    """Builds a server with a teacher who has a quiz: `await school(time_limit_seconds=9)`."""

    async def found(rules, **settings):
        house = build(log={"level": "info"}, **settings)
        if data := settings.get("data_dir"):
            (house.folder / "data").symlink_to(data)
        teacher = Owner(house, http, name("teacher"))
        return teacher, (await teacher.quiz([CHOICE] * QUESTIONS, **rules))["id"]

    return found


def kept(house) -> dict:
    """Every answer that is on disk, the latest to each question: attempt and question to answer and the microseconds when it came."""
    beside = database.beside(house)
    tables = "answer JOIN attempt ON attempt.id = answer.attempt"
    rows = beside.execute(f"SELECT attempt_id, question_id, answer_id, answered_at FROM {tables} ORDER BY shelf")
    assert beside.execute("PRAGMA integrity_check") == [("ok",)]
    beside.close()
    return {(uuid.UUID(bytes=attempt), uuid.UUID(bytes=question)): (uuid.UUID(bytes=answer), at) for attempt, question, answer, at in rows}


def acknowledged(told: dict) -> dict:
    """What the participants were told: attempt and question to answer."""
    attempts = told["attempts"].values()
    flat = ((attempt["id"], question, answer) for attempt in attempts for question, answer in attempt["acknowledged"].items())
    return {(uuid.UUID(attempt), uuid.UUID(question)): uuid.UUID(answer) for attempt, question, answer in flat}


def missing(house, told: dict) -> list:
    """What was acknowledged and is not on disk."""
    rows = kept(house)
    return [place for place, answer in acknowledged(told).items() if rows.get(place, (None,))[0] != answer]


async def answered(house, http) -> int:
    """How many answers the server has taken since its start."""
    return (await gauges(house, http))["homeroom_quiz_answers"]


async def test_kill_9_in_a_storm_of_answers(school, http, tell):
    """What was acknowledged is there, the attempts go on, and end when they should have ended."""
    limit = 25
    teacher, quiz = await school({"time_limit_seconds": limit})
    house = teacher.house
    with Storm(house, quiz, PARTICIPANTS, 20) as storm:
        began = time.monotonic()
        while await answered(house, http) < ENOUGH:
            await asyncio.sleep(0.01)
        rate = ENOUGH / (time.monotonic() - began)
        house.kill()
        told = await asyncio.to_thread(storm.end)
    assert told["codes"]["gone"] > 0 and told["codes"]["0000"] >= ENOUGH, told["codes"]
    began = time.monotonic()
    house.start()
    tell(acknowledged=told["codes"]["0000"], a_second=round(rate), start_s=round(time.monotonic() - began, 2))
    assert missing(house, told) == []
    await until(house, http, lambda now: now["homeroom_quiz_attempts"] == PARTICIPANTS, 30, "all attempts run again")

    session, attempt = next(iter(told["attempts"].items()))
    view = await teacher.get(f"/attempts/{session}")
    assert set(attempt["acknowledged"]) <= set(view["answered"])
    body = {"question_id": attempt["questions"][-1], "answer": 1}
    assert (await teacher.make(f"/attempts/{session}/answers", body))["answered_count"] == len(view["answered"]) + 1

    async def all_over():
        return (await teacher.get("/info/attempts", quiz_id=quiz, status="ended", limit=1))["total"] == PARTICIPANTS

    await is_true_soon(all_over, limit + 30)
    for offset in (0, 200):
        for row in (await teacher.get("/info/attempts", quiz_id=quiz, limit=200, offset=offset))["items"]:
            assert (row["reason"], row["submitted_at"]) == ("time_up", row["deadline"])
            assert seconds(row["deadline"]) - seconds(row["started_at"]) == limit


async def test_a_full_disk_in_a_storm_of_answers(small_disk, school, http, tell):
    """Whoever asks is told, at once; what was acknowledged is there; and when there is room again all goes on."""
    teacher, quiz = await school({}, data_dir=str(small_disk / "data"))
    house = teacher.house
    ballast = small_disk / "ballast"
    with Storm(house, quiz, PARTICIPANTS, 12) as storm:
        while await answered(house, http) < 1000:
            await asyncio.sleep(0.01)
        fill(ballast)
        full_at = await answered(house, http)
        code, why = 200, ""
        while code == 200:
            code, why = await readiness(house, http)
        assert code == 503 and "store" in why
        await asyncio.sleep(1)
        ballast.unlink()
        began = time.monotonic()
        while (await readiness(house, http))[0] != 200:
            assert time.monotonic() - began < 30, "not ready again"
            await asyncio.sleep(0.02)
        ready_s = time.monotonic() - began
        told = await asyncio.to_thread(storm.end)
        count = await answered(house, http)
    refused = {code: count for code, count in told["codes"].items() if code != "0000"}
    tell(acknowledged=told["codes"]["0000"], refused=refused, ready_s=round(ready_s, 2), longest_s=round(told["longest"], 2))
    assert set(refused) <= {"SRV-001", "SRV-002"} and sum(refused.values()) > 0
    assert count == told["codes"]["0000"] and told["longest"] < 20
    assert full_at <= count
    assert missing(house, told) == []
    session, attempt = next(iter(told["attempts"].items()))
    await teacher.make(f"/attempts/{session}/answers", {"question_id": attempt["questions"][0], "answer": 0})
    assert await teacher.good("POST", f"/quizzes/{quiz}/force-submit") == {"closed": PARTICIPANTS}


async def test_a_stop_and_an_owner_who_does_not_read_in_a_storm_of_answers(school, http, tell):
    """Who reads hears everything and is closed with 1012; who does not is closed alone, or with all others."""
    teacher, quiz = await school({}, quiz={"outbox": "128KiB"})
    house = teacher.house
    readers = [await teacher.watch(f"quiz:{quiz}", f"leaderboard:{quiz}", shard=shard) for shard in (0, 1)]
    stalled = await open_socket(house, 0, f"/ws?token={teacher.token}", port=house.quiz_port)
    stalled.send(order("subscribe", f"quiz:{quiz}"))
    await stalled.json()
    stalled.transport.pause_reading()
    with Storm(house, quiz, PARTICIPANTS, 90) as storm:
        await until(house, http, lambda now: now["homeroom_slow_readers"] == 1, 80, "who does not read is closed")
        house.signal()
        told = await asyncio.to_thread(storm.end)
    for reader in readers:
        while (heard := await reader.next()).kind != "close":
            assert heard.kind in ("text", "ping"), heard
        assert int.from_bytes(heard.data[:2]) == 1012
    assert await asyncio.to_thread(house.process.wait, 60) == 0
    tell(acknowledged=told["codes"]["0000"])
    house.start()
    assert missing(house, told) == []
    at = dict(kept(house).values())
    for reader in readers:
        frames = [json.loads(heard.data) for heard in reader.everything if heard.kind == "text"]
        updates = [uuid.UUID(frame["data"]["answer_id"]) for frame in frames if frame.get("t") == "attempt_update"]
        assert len(updates) == len(set(updates)) and set(updates) <= set(at)
        # Requests that came before the end are answered after it; who watched has had his Close by then.
        unheard = set(acknowledged(told).values()) - set(updates)
        assert all(at[answer] > max(map(at.get, updates)) - 3_000_000 for answer in unheard)
