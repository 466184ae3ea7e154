"""Requests that meet: whatever their order was, every way to look at it shows the same one."""

import asyncio
import json
import random
import time

from quiz import (
    CHOICE, ESSAY, ISO, SELECT, SHORT, TRUTH, Owner, Rest, frames, is_true_soon, iso, owner_socket, round_trip, same, subscribe,
)
from test_metrics import samples


async def test_of_answers_at_once_to_one_question_the_last_one_told_is_the_one_kept(house, teacher):
    quiz = await teacher.quiz([CHOICE])
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    attempt = await teacher.begin(quiz["id"])
    answers = await asyncio.gather(*(attempt.answer(0, index % 2) for index in range(30)))
    assert {answer["answered_count"] for answer in answers} == {1}
    told = [frame["data"] for frame in await frames(owner, 31)][1:]
    assert {data["answer_id"] for data in told} == {answer["answer_id"] for answer in answers}
    end = await attempt.submit()
    kept = (await teacher.attempt(attempt.id))["answers"]
    assert [(answer["answer_id"], answer["score"]) for answer in kept] == [(told[-1]["answer_id"], told[-1]["score"])]
    assert (end["score"], end["answered_count"]) == (told[-1]["score"], 1)


async def test_changes_of_a_quiz_at_once_all_hold(house, teacher):
    quiz = await teacher.quiz(publish=False)
    path = f"/quizzes/{quiz['id']}"
    for turn in range(1, 9):
        changes = {"title": f"Title {turn}", "max_attempts": turn, "time_limit_seconds": turn, "client_only": turn % 2 == 0}
        await asyncio.gather(*(teacher.good("PATCH", path, {name: value}) for name, value in changes.items()))
        now = await teacher.get(path)
        assert {name: now[name] for name in changes} == changes


async def test_a_question_that_is_taken_out_does_not_come_back(house, teacher):
    quiz = await teacher.quiz(publish=False)
    for _ in range(8):
        made = await teacher.make(f"/quizzes/{quiz['id']}/questions", TRUTH)
        path = f"/quizzes/{quiz['id']}/questions/{made['id']}"
        await asyncio.gather(*(teacher.ask("PUT", path, CHOICE) for _ in range(4)), teacher.good("DELETE", path))
        questions = (await teacher.get(f"/quizzes/{quiz['id']}"))["questions"]
        assert made["id"] not in {question["id"] for question in questions}


async def test_who_begins_while_the_owner_ends_all_is_ended_or_runs(house, teacher):
    quiz = await teacher.quiz()
    owner = await teacher.watch(f"quiz:{quiz['id']}")
    closed, *attempts = await asyncio.gather(
        teacher.good("POST", f"/quizzes/{quiz['id']}/force-submit"), *(teacher.begin(quiz["id"]) for _ in range(30)),
    )
    rows = {row["attempt_id"]: row["reason"] for row in await teacher.attempts(quiz_id=quiz["id"])}
    assert set(rows) == {attempt.id for attempt in attempts}
    ended = {attempt for attempt, reason in rows.items() if reason == "forced_by_owner"}
    assert len(ended) == closed["closed"] and set(rows.values()) <= {None, "forced_by_owner"}
    heard = await frames(owner, 30 + len(ended))
    assert {frame["data"]["attempt_id"] for frame in heard if frame["t"] == "attempt_finished"} == ended
    rest = await teacher.good("POST", f"/quizzes/{quiz['id']}/force-submit")
    assert rest["closed"] == 30 - len(ended)


async def test_a_quiz_that_changes_while_attempts_begin_is_the_same_for_all_of_them(house, teacher):
    for _ in range(4):
        quiz = await teacher.quiz()
        begun = [teacher.begin(quiz["id"]) for _ in range(10)]
        change = teacher.ask("PATCH", f"/quizzes/{quiz['id']}", {"time_limit_seconds": 60})
        answer, *attempts = await asyncio.gather(change, *begun)
        deadlines = {attempt.begun["deadline"] is not None for attempt in attempts}
        assert deadlines == ({True} if answer.status_code == 200 else {False}), answer.text


async def test_an_archive_while_attempts_begin_leaves_none_running(house, teacher):
    for _ in range(4):
        quiz = await teacher.quiz()
        path = f"/quizzes/{quiz['id']}"
        archived, *begun = await asyncio.gather(
            teacher.ask("POST", f"{path}/archive"), *(teacher.ask("POST", f"{path}/attempts", {"alias": "A"}) for _ in range(6)),
        )
        taken = [answer for answer in begun if answer.status_code == 201]
        assert len(await teacher.attempts(quiz_id=quiz["id"])) == len(taken)
        assert len(taken) == (0 if archived.status_code == 200 else 6), [archived.text, *(answer.text[:60] for answer in begun)]


async def test_whatever_was_answered_again_the_leaderboard_is_a_recount(house, teacher):
    """Seeded: ten participants answer and answer again, some submit; ranks are those of the list of attempts."""
    dice = random.Random(7)
    quiz = await teacher.quiz([CHOICE, SELECT, TRUTH, SHORT, ESSAY])
    given = [[0, 1], [[1, 3], [0]], [True, False], ["Rome", "Paris"], ["a", "b"]]
    owner = await teacher.watch(f"leaderboard:{quiz['id']}", f"attempts:{quiz['id']}")
    attempts = [await teacher.begin(quiz["id"], alias=f"P{index}") for index in range(10)]

    async def plays(attempt, moves):
        for question, choice in moves:
            await attempt.answer(question, given[question][choice])

    await asyncio.gather(*(
        plays(attempt, [(dice.randrange(5), dice.randrange(2)) for _ in range(dice.randrange(12))]) for attempt in attempts
    ))
    for attempt in attempts[::3]:
        await attempt.submit()
    rows = {row["attempt_id"]: row for row in await teacher.attempts(quiz_id=quiz["id"])}
    for attempt in attempts:
        answers = (await teacher.attempt(attempt.id))["answers"]
        row = rows[attempt.id]
        assert (sum(answer["score"] for answer in answers), len(answers)) == (row["score"], row["answered_count"])

    async def board():
        texts = [json.loads(heard.data) for heard in owner.everything if heard.kind == "text"]
        shown = [frame["snapshot"] for frame in texts if frame.get("channel") == "leaderboard"][-1]
        shown_rows = {row["attempt_id"]: (row["score"], row["answered_count"], row["status"]) for row in shown}
        return shown if shown_rows == {id: (row["score"], row["answered_count"], row["status"]) for id, row in rows.items()} else None

    shown = await is_true_soon(board)
    assert [row["rank"] for row in shown] == list(range(1, 11))
    assert [row["score"] for row in shown] == sorted((row["score"] for row in shown), reverse=True)
    again = await owner_socket(house, teacher.token)
    await subscribe(again, f"leaderboard:{quiz['id']}")
    same((await again.json())["snapshot"], shown)


async def test_a_quiz_that_closes_lets_those_under_way_go_on(house, teacher):
    closes = int(time.time()) + 2
    quiz = await teacher.quiz(availability="scheduled", closes_at=iso(closes))
    attempt = await teacher.begin(quiz["id"])

    async def closed():
        answer = await teacher.ask("POST", f"/quizzes/{quiz['id']}/attempts", {"alias": "late"})
        return answer.status_code == 409 and answer.json()["code"] == "QUIZ-003"

    await is_true_soon(closed)
    assert time.time() >= closes - 0.1
    assert (await attempt.answer(0, 1))["answered_count"] == 1
    assert (await attempt.submit())["score"] == 10.0


async def test_an_attempt_over_one_connection_that_is_kept(house, teacher):
    quiz = await teacher.quiz([CHOICE] * 40)
    attempt = await teacher.begin(quiz["id"])
    for index, question in enumerate(attempt.questions):
        body = {"question_id": question["id"], "answer": 1}
        answer = await teacher.http.post(f"{house.quiz}/api/v1{attempt.path}/answers", json=body)
        assert answer.json()["data"]["answered_count"] == index + 1
    assert (await attempt.submit())["score"] == 400.0


async def test_times_at_the_ends_of_the_calendar_are_taken_or_refused(house, teacher):
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    for text in (
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z", "2016-12-31T23:59:60Z", "2026-06-11T24:00:00Z", "2026-06-11 14:30:00Z",
        "2026-06-11T14:30:00", "+12026-06-11T14:30:00Z",
    ):
        flagged = await attempt.ask("POST", f"{attempt.path}/flags", {"flags": [{"label": "x", "occurred_at": text}]})
        made = await teacher.ask("POST", "/quizzes", {"title": "x", "availability": "scheduled", "opens_at": text})
        assert flagged.status_code in (201, 400) and made.status_code in (201, 400), (text, flagged.text, made.text)
        assert (flagged.status_code == 201) == (made.status_code == 201), text
        if made.status_code == 201:
            assert ISO.fullmatch(made.json()["data"]["opens_at"])
    for flag in (await teacher.get(f"/attempts/{attempt.id}/flags"))["items"]:
        assert ISO.fullmatch(flag["occurred_at"])
    for text in ("2026-02-30T00:00:00Z", "2026-06-11T14:30:00", "tomorrow"):
        await attempt.refused("VAL-001", "POST", f"{attempt.path}/flags", {"flags": [{"label": "x", "occurred_at": text}]})


async def test_sockets_are_counted_and_given_back(build, http, name):
    house = build(quiz={"goodbye": "50ms"})
    teacher = Owner(house, http, name("teacher"))
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"], alias="uncounted")
    owners = [await teacher.watch(f"quiz:{quiz['id']}", f"attempts:{quiz['id']}", shard=shard) for shard in house.two_shards * 2]
    participants = [await attempt.listen(shard) for shard in house.two_shards]
    for wrong in ("?token=x", "?session=x", ""):
        assert (await Rest(house, http).http.get(f"{house.quiz}/ws{wrong}")).status_code == 401

    async def counted(name: str, **labels) -> float:
        page = (await samples(house, http)).items()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(value for sample, value in page if sample.startswith(name + "{") and all(part in sample for part in wanted))

    assert (await counted("homeroom_quiz_owners"), await counted("homeroom_quiz_participants")) == (len(owners), len(participants))
    for reason in ("credential", "session"):
        assert await counted("homeroom_quiz_refused_total", reason=reason) == 1
    text = (await http.get(f"{house.internal}/metrics")).text
    assert "uncounted" not in text and attempt.id not in text and teacher.sub not in text
    owners[0].abort()
    await owners[1].leave()
    await attempt.submit()
    for socket in participants:
        assert (await socket.json())["t"] == "attempt_closed" and await socket.close_code() == 1000

    async def left():
        return (await counted("homeroom_quiz_owners"), await counted("homeroom_quiz_participants")) == (len(owners) - 2, 0)

    await is_true_soon(left)
    assert await round_trip(owners[2])
