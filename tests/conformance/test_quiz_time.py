"""Time: attempts that end by themselves, also while no server runs; answers and deadlines in the same instant; Pings."""

import asyncio
import json
import time

import pytest
from websockets.protocol import State

from client import keep_time
from quiz import CHOICE, Owner, frames, is_true_soon, owner_socket, round_trip, same, seconds, session_socket, update, who


def heard_of(socket, kind: str) -> list[dict]:
    """The data of all updates of this kind that a socket has heard so far."""
    texts = [json.loads(heard.data) for heard in socket.everything if heard.kind == "text"]
    return [frame["data"] for frame in texts if frame.get("t") == kind]


async def ended(teacher, attempt) -> dict | bool:
    """The attempt's row once it is over."""
    row = await teacher.attempt(attempt.id)
    return row if row["status"] == "ended" else False


async def closed_by_time(teacher, attempt, answered_count: int = 0, score: float = 0.0) -> dict:
    """Waits until the store says that the time was up, at the deadline itself; the row."""
    row = await is_true_soon(lambda: ended(teacher, attempt))
    assert (row["reason"], row["submitted_at"]) == ("time_up", attempt.begun["deadline"])
    assert (row["deadline"], row["answered_count"], row["score"]) == (attempt.begun["deadline"], answered_count, score)
    assert (await attempt.view())["result"] == {
        "reason": "time_up", "score": score, "answered_count": answered_count, "submitted_at": attempt.begun["deadline"],
    }
    await attempt.refused("ATT-001", "POST", f"{attempt.path}/answers", {"question_id": attempt.questions[1]["id"], "answer": True})
    await attempt.refused("ATT-001", "POST", f"{attempt.path}/submit", {})
    with pytest.raises(Exception, match="401"):
        await session_socket(teacher.house, attempt.session)
    return row


@pytest.mark.parametrize("limit", [4, 6])
async def test_an_idle_attempt_ends_at_its_deadline(house, teacher, limit):
    quiz = await teacher.quiz(time_limit_seconds=limit)
    owner = await teacher.watch(f"quiz:{quiz['id']}", shard=house.two_shards[0])
    before = time.monotonic()
    attempt = await teacher.begin(quiz["id"])
    after = time.monotonic()
    assert seconds(attempt.begun["deadline"]) - seconds(attempt.begun["started_at"]) == limit
    participant = await attempt.listen(house.two_shards[1])
    closed = await participant.json()
    told_at = next(heard.at for heard in participant.everything if b"time_up" in heard.data)
    assert before + limit <= told_at <= after + limit + 10
    same(closed, update("attempt_closed", {
        "attempt_id": attempt.id, "quiz_id": quiz["id"], "event_id": None, "reason": "time_up", "score": 0.0, "answered_count": 0,
        "submitted_at": attempt.begun["deadline"],
    }, "notification"))
    finished = (await frames(owner, 2))[1]
    same(finished, update("attempt_finished", who(attempt) | {"answered_count": 0, "time_taken_ms": limit * 1000}))
    await closed_by_time(teacher, attempt)
    assert await participant.close_code() == 1000
    assert await round_trip(owner) == []


async def test_what_was_answered_in_time_counts(house, teacher):
    quiz = await teacher.quiz(time_limit_seconds=4)
    attempt = await teacher.begin(quiz["id"])
    participant = await attempt.listen()
    await attempt.answer(0, 1)
    closed = (await participant.json())["data"]
    assert (closed["reason"], closed["answered_count"], closed["score"]) == ("time_up", 1, 10.0)
    await closed_by_time(teacher, attempt, 1, 10.0)


async def test_who_submits_in_time_is_not_ended_again(house, teacher):
    quiz = await teacher.quiz(time_limit_seconds=4)
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    attempt, idle = await teacher.begin(quiz["id"]), await teacher.begin(quiz["id"])
    end = await attempt.submit()
    assert end["reason"] == "submitted"
    heard = await frames(owner, 4)
    assert [frame["data"]["attempt_id"] for frame in heard if frame["t"] == "attempt_finished"] == [attempt.id, idle.id]
    assert (await ended(teacher, attempt))["reason"] == "submitted"
    assert await round_trip(owner) == []


async def test_a_changed_limit_is_for_attempts_to_come(house, teacher):
    quiz = await teacher.quiz(time_limit_seconds=0)
    without = await teacher.begin(quiz["id"])
    assert without.begun["deadline"] is None
    await without.submit()
    await teacher.good("PATCH", f"/quizzes/{quiz['id']}", {"time_limit_seconds": 1})
    limited = await teacher.begin(quiz["id"])
    await closed_by_time(teacher, limited)


async def test_a_deadline_that_passes_while_no_server_runs_is_kept_at_the_start(build, http, name):
    house = build()
    teacher = Owner(house, http, name("teacher"))
    quiz = await teacher.quiz(time_limit_seconds=5)
    answered, idle = await teacher.begin(quiz["id"]), await teacher.begin(quiz["id"])
    await answered.answer(0, 1)
    submitted = await teacher.begin(quiz["id"])
    await submitted.submit()
    house.kill()
    await asyncio.sleep(max(0, seconds(idle.begun["deadline"]) + 1.1 - time.time()))
    house.start()
    await closed_by_time(teacher, answered, 1, 10.0)
    await closed_by_time(teacher, idle)
    rows = await teacher.attempts(quiz_id=quiz["id"])
    assert {row["attempt_id"]: row["reason"] for row in rows} == {
        answered.id: "time_up", idle.id: "time_up", submitted.id: "submitted",
    }
    assert len((await teacher.get(f"/quizzes/{quiz['id']}/results"))["items"]) == 3


async def test_a_deadline_that_is_still_ahead_after_a_restart_is_kept(build, http, name):
    house = build()
    teacher = Owner(house, http, name("teacher"))
    quiz = await teacher.quiz(time_limit_seconds=10)
    began = time.monotonic()
    attempt = await teacher.begin(quiz["id"])
    await attempt.answer(0, 1)
    house.kill()
    house.start()
    participant = await attempt.listen()
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    assert (await attempt.view())["answered"] == [quiz["questions"][0]["id"]]
    assert (await attempt.answer(1, True))["answered_count"] == 2
    closed = (await participant.json())["data"]
    assert 9.9 <= time.monotonic() - began <= 25
    assert (closed["reason"], closed["answered_count"], closed["score"]) == ("time_up", 2, 11.0)
    told, finished = await frames(owner, 2)
    assert told["t"] == "attempt_update"
    same(finished, update("attempt_finished", who(attempt) | {"answered_count": 2, "time_taken_ms": 10000}))
    await closed_by_time(teacher, attempt, 2, 11.0)


# --- the same instant


async def one_outcome(teacher, owner, attempt, participant, accepted: list[float], reasons: set[str]):
    """What the store, the owner and the participant know of an attempt that is over, and the requests were told, is the same."""
    row = await is_true_soon(lambda: ended(teacher, attempt))
    counts = len(accepted), float(sum(accepted))
    assert (row["answered_count"], row["score"]) == counts, (row, accepted)
    assert row["reason"] in reasons and len(row["answers"]) == len(accepted)

    async def has_heard():
        return heard_of(participant, "attempt_closed") and attempt.id in {
            data["attempt_id"] for data in heard_of(owner, "attempt_finished")
        }

    await is_true_soon(has_heard)
    closed = heard_of(participant, "attempt_closed")
    assert [(data["reason"], data["answered_count"], data["score"], data["submitted_at"]) for data in closed] == [
        (row["reason"], *counts, row["submitted_at"])
    ]
    finished = [data for data in heard_of(owner, "attempt_finished") if data["attempt_id"] == attempt.id]
    assert [data["answered_count"] for data in finished] == [counts[0]]
    updates = [data for data in heard_of(owner, "attempt_update") if data["attempt_id"] == attempt.id]
    assert [data["answered_count"] for data in updates] == list(range(1, counts[0] + 1))
    assert {data["answer_id"] for data in updates} == {answer["answer_id"] for answer in row["answers"]}
    kinds = [heard["t"] for heard in everything_of(owner, attempt)]
    assert kinds == ["attempt_quiz", *["attempt_update"] * counts[0], "attempt_finished"], "nothing after the end"
    return row


def everything_of(owner, attempt) -> list[dict]:
    """All that the owner heard of one attempt, in its order."""
    texts = [json.loads(heard.data) for heard in owner.everything if heard.kind == "text"]
    return [frame for frame in texts if frame["event"] == "update" and frame["data"]["attempt_id"] == attempt.id]


async def test_an_answer_at_the_deadline_counts_everywhere_or_nowhere(house, teacher):
    """40 attempts, each answered three times around its deadline, and 20 submitted around theirs."""
    quiz = await teacher.quiz([CHOICE] * 3, time_limit_seconds=5)
    owner = await teacher.watch(f"quiz:{quiz['id']}")

    async def race(index: int, submits: bool):
        before = time.monotonic()
        attempt = await teacher.begin(quiz["id"])
        deadline = (before + time.monotonic()) / 2 + 5
        participant = await attempt.listen()
        accepted, submitted = [], False
        for question, offset in enumerate((-0.1, -0.012, 0.0) if not submits else (-0.1,)):
            await asyncio.sleep(max(0, deadline + offset + (index % 10 - 5) * 0.002 - time.monotonic()))
            body = {"question_id": attempt.questions[question]["id"], "answer": 1}
            answer = await attempt.ask("POST", f"{attempt.path}/answers", body)
            assert answer.status_code == 201 or answer.json()["code"] == "ATT-001", answer.text
            if answer.status_code == 201:
                accepted.append(answer.json()["data"]["score"])
        if submits:
            await asyncio.sleep(max(0, deadline + (index % 10 - 6) * 0.003 - time.monotonic()))
            answer = await attempt.ask("POST", f"{attempt.path}/submit", {})
            submitted = answer.status_code == 200
            assert answer.json()["data"]["reason"] == "submitted" if submitted else answer.json()["code"] == "ATT-001", answer.text
        row = await one_outcome(teacher, owner, attempt, participant, accepted, {"submitted" if submitted else "time_up"})
        if not submitted:
            assert row["submitted_at"] == attempt.begun["deadline"]

    await asyncio.gather(*(race(index, index >= 40) for index in range(60)))


async def test_answers_while_the_owner_ends_all_count_everywhere_or_nowhere(house, teacher):
    quiz = await teacher.quiz([CHOICE] * 20)
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    attempts = [await teacher.begin(quiz["id"], alias=f"P{index}") for index in range(15)]
    participants = [await attempt.listen() for attempt in attempts]
    accepted = [[] for _ in attempts]

    async def answers(attempt, scores):
        for question in attempt.questions:
            answer = await attempt.ask("POST", f"{attempt.path}/answers", {"question_id": question["id"], "answer": 1})
            if answer.status_code != 201:
                assert answer.json()["code"] == "ATT-001", answer.text
                return
            scores.append(answer.json()["data"]["score"])

    async def force():
        while sum(map(len, accepted)) < 40:
            await asyncio.sleep(0)
        closed = [(await teacher.good("POST", f"/quizzes/{quiz['id']}/force-submit"))["closed"] for _ in range(2)]
        assert closed == [15, 0]

    await asyncio.gather(force(), *(answers(attempt, scores) for attempt, scores in zip(attempts, accepted)))
    for attempt, participant, scores in zip(attempts, participants, accepted):
        await one_outcome(teacher, owner, attempt, participant, scores, {"forced_by_owner"})


async def test_of_many_submits_at_once_one_ends_the_attempt(house, teacher):
    quiz = await teacher.quiz()
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    attempt = await teacher.begin(quiz["id"])
    participant = await attempt.listen()
    answers = await asyncio.gather(*(attempt.ask("POST", f"{attempt.path}/submit", {}) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 19]
    await one_outcome(teacher, owner, attempt, participant, [], {"submitted"})


# --- Pings


async def test_pings_come_within_the_first_interval_and_keep_time(build, http, name):
    house = build(quiz={"ping_interval": "1s", "pong_timeout": "8s"})
    teacher = Owner(house, http, name("teacher"))
    attempt = await teacher.begin((await teacher.quiz())["id"])
    began = time.monotonic()
    sockets = [await owner_socket(house, teacher.token, shard) for shard in house.two_shards]
    sockets += [await attempt.listen(shard) for shard in house.two_shards]
    for socket in sockets:
        await socket.pinged(5)
        assert 0 <= socket.pings[0].at - socket.opened_at <= 10
        keep_time(socket.pings, began, 1)
        assert all(heard.kind in ("text", "ping") for heard in socket.everything)


async def test_without_pong_a_connection_is_cut_and_text_is_no_pong(build, http, name):
    house = build(quiz={"ping_interval": "500ms", "pong_timeout": "4s"})
    teacher = Owner(house, http, name("teacher"))
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    good = await teacher.watch(f"quiz:{quiz['id']}")
    began = time.monotonic()
    mutes = [
        await owner_socket(house, teacher.token, house.two_shards[1], answers_pings=False),
        await session_socket(house, attempt.session, house.two_shards[0], answers_pings=False),
    ]

    async def talk(socket):
        while socket.protocol.state is State.OPEN:
            socket.send("here I am")
            await asyncio.sleep(0.1)

    talking = asyncio.gather(*map(talk, mutes))
    for socket in mutes:
        while (heard := await socket.next()).kind == "text":
            pass
        assert heard.kind == "close" and int.from_bytes(heard.data[:2], "big") in (1008, 1011), heard
        assert (await socket.next()).kind == "end"
        assert 4 <= heard.at - began and heard.at - socket.pings[0].at <= 15
    await talking
    await attempt.submit()
    assert (await good.json())["t"] == "attempt_finished", "who answers stays"


@pytest.mark.long
async def test_by_default_pings_are_five_seconds_apart_and_a_pong_has_ten(house, teacher):
    """In real time: cut between 10 and 15 s without a Pong, alive through a minute with them."""
    attempt = await teacher.begin((await teacher.quiz())["id"])
    good = [await owner_socket(house, teacher.token), await attempt.listen()]
    mutes = [
        await owner_socket(house, teacher.token, answers_pings=False), await session_socket(house, attempt.session, answers_pings=False),
    ]
    assert (await mutes[1].json())["event"] == "subscribed"
    for socket in mutes:
        heard = await socket.next(20)
        assert heard.kind == "close" and int.from_bytes(heard.data[:2], "big") in (1008, 1011), heard
        assert (await socket.next()).kind == "end"
        assert 9.9 <= heard.at - socket.opened_at <= 15.5
    await good[0].quiet(60 - (time.monotonic() - good[0].opened_at))
    for socket in good:
        gaps = [later.at - earlier.at for earlier, later in zip(socket.pings, socket.pings[1:])]
        assert len(socket.pings) in (11, 12, 13) and all(4.5 <= gap <= 5.5 for gap in gaps), gaps
    await attempt.submit()
    assert (await good[1].json())["t"] == "attempt_closed"
