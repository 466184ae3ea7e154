"""A store that is held up or refuses: nothing is told that is not kept, and what must be kept is, as soon as that is possible again."""

import asyncio
import json
import time

import pytest

import database
from quiz import CHOICE, Owner, frames, is_true_soon, round_trip, same, seconds, update, who


@pytest.fixture
def school(build, http, name):
    """A server of its own, with little patience, and its teacher."""
    return Owner(build(store={"acquire_timeout": "1s"}), http, name("teacher"))


def told(socket, kind: str) -> list[dict]:
    """The data of all updates of this kind so far."""
    texts = [json.loads(heard.data) for heard in socket.everything if heard.kind == "text"]
    return [frame["data"] for frame in texts if frame.get("t") == kind]


async def test_while_the_store_is_held_up_requests_are_told_so_and_nothing_is_published(school):
    quiz = await school.quiz()
    owner = await school.watch(f"quiz:{quiz['id']}")
    attempt = await school.begin(quiz["id"])
    assert (await owner.json())["t"] == "attempt_quiz"
    beside = database.beside(school.house)
    beside.hold()
    began = time.monotonic()
    body = {"question_id": attempt.questions[0]["id"], "answer": 1}
    refusals = await asyncio.gather(
        attempt.refused("SRV-001", "POST", f"{attempt.path}/answers", body),
        school.refused("SRV-001", "POST", "/quizzes", {"title": "x"}),
        school.refused("SRV-001", "POST", f"/quizzes/{quiz['id']}/attempts", {"alias": "Bob"}),
    )
    assert 0.5 <= time.monotonic() - began <= 15 and all(answer.status_code == 503 for answer in refusals)
    assert (await attempt.view())["answered"] == [] and await round_trip(owner) == []
    beside.release()
    beside.close()

    async def works_again():
        return (await attempt.ask("POST", f"{attempt.path}/answers", body)).status_code == 201

    await is_true_soon(works_again)
    await attempt.submit()

    async def is_told():
        return len(told(owner, "attempt_finished")) == 1

    await is_true_soon(is_told)
    updates = [data["answer_id"] for data in told(owner, "attempt_update")]
    row = await school.attempt(attempt.id)
    assert [answer["answer_id"] for answer in row["answers"]] == updates[-1:] and row["score"] == 10.0
    assert {data["attempt_id"] for data in told(owner, "attempt_quiz")} == {row["attempt_id"] for row in await school.attempts()}


async def test_an_attempt_whose_end_cannot_be_written_ends_when_it_can(school):
    """The deadline passes while the store is held up: nobody is told, nothing is taken, and the end is then at the deadline."""
    quiz = await school.quiz(time_limit_seconds=4)
    owner = await school.watch(f"quiz:{quiz['id']}")
    attempt = await school.begin(quiz["id"])
    participant = await attempt.listen()
    await attempt.answer(0, 1)
    beside = database.beside(school.house)
    beside.hold()
    while time.time() < seconds(attempt.begun["deadline"]) + 2.5:
        answer = await attempt.ask("POST", f"{attempt.path}/answers", {"question_id": attempt.questions[1]["id"], "answer": True})
        assert answer.json()["code"] in ("SRV-001", "ATT-001"), answer.text
    assert told(participant, "attempt_closed") == [] and told(owner, "attempt_finished") == []
    beside.release()
    beside.close()
    closed = await participant.json()
    row = await school.attempt(attempt.id)
    assert row["reason"] == "time_up" and row["submitted_at"] == attempt.begun["deadline"]
    same(closed, update("attempt_closed", {
        "attempt_id": attempt.id, "quiz_id": quiz["id"], "event_id": None, "reason": "time_up", "score": row["score"],
        "answered_count": row["answered_count"], "submitted_at": attempt.begun["deadline"],
    }, "notification"))
    assert row["answered_count"] == len(row["answers"]) == len(told(owner, "attempt_update"))
    heard = [frame for frame in await round_trip(owner) if frame["t"] == "attempt_finished"]
    same(heard, [update("attempt_finished", who(attempt) | {"answered_count": row["answered_count"], "time_taken_ms": 4000})])


async def test_a_store_that_fails_changes_nothing(school):
    quiz = await school.quiz([CHOICE] * 2)
    channels = [f"quiz:{quiz['id']}", f"leaderboard:{quiz['id']}"]
    owner = await school.watch(*channels)
    attempt = await school.begin(quiz["id"])
    await attempt.answer(0, 0)
    beside = database.beside(school.house)
    broken = {table: f"INSERT ON {table}" for table in ("answer", "flag", "participant")} | {"attempt": "UPDATE OF reason ON attempt"}
    for table, event in broken.items():
        beside.refuse(f"broken_{table}", event)
    for path, body in (
        ("answers", {"question_id": attempt.questions[0]["id"], "answer": 1}), ("flags", {"flags": [{"label": "x"}]}), ("submit", {}),
    ):
        assert (await attempt.refused("SRV-002", "POST", f"{attempt.path}/{path}", body)).status_code == 500
    await school.refused("SRV-002", "POST", f"/quizzes/{quiz['id']}/attempts", {"alias": "Bob"})
    for table in broken:
        beside.allow(f"broken_{table}", table)
    beside.close()
    row = await school.attempt(attempt.id)
    assert (row["status"], row["score"], row["answered_count"], row["flags_count"]) == ("running", 0.0, 1, 0)
    assert len(await school.attempts()) == 1
    await attempt.answer(0, 1)
    end = await attempt.submit()
    assert (end["score"], end["answered_count"]) == (10.0, 1)
    await round_trip(owner)
    kinds = [json.loads(heard.data).get("t") for heard in owner.everything if heard.kind == "text"]
    assert [kind for kind in kinds if kind] == ["attempt_quiz", "attempt_update", "attempt_update", "attempt_finished"]


async def test_a_stop_closes_every_socket_with_1012_and_loses_nothing(build, http, name):
    house = build(stop={"drain": "1s"})
    teacher = Owner(house, http, name("teacher"))
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    sockets = [await teacher.watch(f"quiz:{quiz['id']}", shard=shard) for shard in house.two_shards]
    sockets += [await attempt.listen(shard) for shard in house.two_shards]
    house.signal()
    answer = await attempt.answer(0, 1)  # served through the drain
    for socket in sockets[:2]:
        assert (await socket.json())["data"]["answer_id"] == answer["answer_id"]
    for socket in sockets:
        assert await socket.close_code() == 1012
    assert await asyncio.to_thread(house.process.wait, 10) == 0
    house.start()
    assert [kept["answer_id"] for kept in (await teacher.attempt(attempt.id))["answers"]] == [answer["answer_id"]]
    participant = await attempt.listen()
    await attempt.submit()
    assert (await frames(participant, 1))[0]["t"] == "attempt_closed"
