"""What was acknowledged, or told to anyone who watches, survives kill -9."""

import asyncio
import json

from quiz import CHOICE, Owner, Rest, frames, same


async def test_every_acknowledged_answer_is_in_the_results_after_kill_9(build, http, name):
    house = build()
    teacher = Owner(house, http, name("teacher"))
    quizzes = [await teacher.quiz([CHOICE] * 40) for _ in range(2)]
    owner = await teacher.watch(*(f"quiz:{quiz['id']}" for quiz in quizzes))
    attempts = [await teacher.begin(quizzes[index % 2]["id"], alias=f"P{index}") for index in range(12)]
    acknowledged = {attempt.id: {} for attempt in attempts}
    flagged, submitted = {}, {}

    async def works(index, attempt):
        for question in attempt.questions:
            body = {"question_id": question["id"], "answer": 1}
            answer = (await attempt.ask("POST", f"{attempt.path}/answers", body)).json()["data"]
            acknowledged[attempt.id][question["id"]] = answer["answer_id"]
            count = len(acknowledged[attempt.id])
            if index % 3 == 0 and count % 4 == 0:
                await attempt.flag(f"n{count}")
                flagged.setdefault(attempt.id, []).append(f"N{count}")
            if index % 4 == 1 and count == 6:
                submitted[attempt.id] = await attempt.submit()
                return

    async def kills():
        while sum(map(len, acknowledged.values())) < 150 or len(submitted) < 3 or len(flagged) < 4:
            await asyncio.sleep(0)
        house.kill()

    working = [asyncio.create_task(works(index, attempt)) for index, attempt in enumerate(attempts)]
    await kills()
    await asyncio.gather(*working, return_exceptions=True)
    told = [json.loads(heard.data) for heard in owner.everything if heard.kind == "text"]
    house.start()
    for attempt in attempts:
        row = await teacher.attempt(attempt.id)
        kept = {answer["question_id"]: answer["answer_id"] for answer in row["answers"]}
        assert acknowledged[attempt.id].items() <= kept.items()
        assert row["answered_count"] == len(kept) <= len(acknowledged[attempt.id]) + 1
        assert row["score"] == 10.0 * len(kept)
        published = {
            frame["data"]["answer_id"] for frame in told if frame["t"] == "attempt_update" and frame["data"]["attempt_id"] == attempt.id
        }
        assert published <= set(kept.values()), "told only what is on disk"
        labels = [flag["label"] for flag in (await teacher.get(f"/attempts/{attempt.id}/flags"))["items"]]
        assert labels[:len(flagged.get(attempt.id, []))] == flagged.get(attempt.id, [])
        if attempt.id in submitted:
            same({name: row[name] for name in submitted[attempt.id]}, submitted[attempt.id])
    assert {frame["data"]["attempt_id"] for frame in told if frame["t"] == "attempt_finished"} <= {
        row["attempt_id"] for row in await teacher.attempts(status="ended")
    }

    # And it goes on from there.
    attempt = next(attempt for attempt in attempts if attempt.id not in submitted)
    view = await attempt.view()
    open_question = next(index for index, question in enumerate(attempt.questions) if question["id"] not in view["answered"])
    owner = await teacher.watch(f"quiz:{view['quiz_id']}")
    participant = await attempt.listen()
    assert (await attempt.answer(open_question, 1))["answered_count"] == len(view["answered"]) + 1
    end = await attempt.submit()
    assert end["score"] == 10.0 * end["answered_count"] == 10.0 * (len(view["answered"]) + 1)
    assert [frame["t"] for frame in await frames(owner, 2)] == ["attempt_update", "attempt_finished"]
    assert (await participant.json())["data"]["answered_count"] == end["answered_count"]
    results = {row["attempt_id"] for quiz in quizzes for row in (await teacher.get(f"/quizzes/{quiz['id']}/results"))["items"]}
    assert results >= {attempt.id, *submitted}


async def test_everything_that_was_made_is_there_after_kill_9(build, http, name):
    house = build()
    teacher = Owner(house, http, name("teacher"))
    quiz = await teacher.quiz(access_type="shared", time_limit_seconds=600)
    participant = await teacher.make("/participants", {"alias": "Анна"})
    event = await teacher.make("/events", {"title": "Осень"})
    attempt = await teacher.begin(quiz["id"], participant_id=participant["id"], event_id=event["id"])
    await attempt.answer(0, 1)
    await attempt.answer(0, 0)
    await attempt.flag("x", detail={"n": 1})
    view, row = await attempt.view(), await teacher.attempt(attempt.id)
    changed = await teacher.quiz(title="before")
    await teacher.good("PATCH", f"/quizzes/{changed['id']}", {"title": "after"})
    order = [question["id"] for question in changed["questions"]][::-1]
    await teacher.good("PUT", f"/quizzes/{changed['id']}/questions/order", {"questions": order})
    await teacher.good("POST", f"/quizzes/{changed['id']}/archive")
    house.kill()
    house.start()
    same(await teacher.get(f"/quizzes/{quiz['id']}"), quiz)
    same(await teacher.get(f"/participants/{participant['id']}"), participant)
    same(await teacher.get(f"/events/{event['id']}"), event)
    same(await attempt.view(), view)
    same(await teacher.attempt(attempt.id), row)
    after = await teacher.get(f"/quizzes/{changed['id']}")
    assert (after["title"], after["status"], [question["id"] for question in after["questions"]]) == ("after", "archived", order)
    await Rest(house, http).begin(quiz["id"], access_code=quiz["access_code"])
    assert (await teacher.quiz())["id"] > changed["id"], "no number is used twice"


async def test_leaderboards_are_the_same_after_a_restart(build, http, name):
    house = build()
    teacher = Owner(house, http, name("teacher"))
    quiz = await teacher.quiz([CHOICE] * 3)
    attempts = [await teacher.begin(quiz["id"], alias=f"P{index}") for index in range(6)]
    for index, attempt in enumerate(attempts):
        for question in range(index % 3 + 1):
            await attempt.answer(question, (index + question) % 2)
    await attempts[1].flag("x")
    await attempts[3].submit()
    channels = [f"attempts:{quiz['id']}", f"leaderboard:{quiz['id']}"]

    async def boards() -> dict:
        owner = await teacher.watch(*channels)
        return {frame["channel"]: frame["snapshot"] for frame in await frames(owner, 2)}

    before = await boards()
    assert sorted(map(len, before.values())) == [6, 6]
    house.kill()
    house.start()
    after = await boards()
    same(after["leaderboard"], before["leaderboard"])
    by_id = [sorted(rows["attempts"], key=lambda row: row["attempt_id"]) for rows in (before, after)]
    same(by_id[1], by_id[0])


async def test_a_quiz_that_was_put_away_is_there_again_when_asked(build, http, name):
    """Nobody watches, nothing runs, the time of idleness is over: the home has forgotten it, and nobody can tell."""
    house = build(quiz={"idle": "50ms"})
    teacher = Owner(house, http, name("teacher"))
    quiz = await teacher.quiz(max_attempts=1)
    anna = (await teacher.make("/participants", {"alias": "Anna"}))["id"]
    attempt = await teacher.begin(quiz["id"], participant_id=anna)
    await attempt.answer(0, 1)
    end = await attempt.submit()
    forgotten = 0.15
    await asyncio.sleep(forgotten)
    same((await attempt.view())["result"], end)
    await asyncio.sleep(forgotten)
    await teacher.refused("ATT-002", "POST", f"/quizzes/{quiz['id']}/attempts", {"participant_id": anna})
    await asyncio.sleep(forgotten)
    await attempt.flag("late")
    await asyncio.sleep(forgotten)
    owner = await teacher.watch(f"leaderboard:{quiz['id']}")
    assert [row["score"] for row in (await owner.json())["snapshot"]] == [10.0]
    await owner.leave()
    await asyncio.sleep(forgotten)
    running = await teacher.begin(quiz["id"])
    await asyncio.sleep(forgotten)
    assert (await running.answer(0, 1))["answered_count"] == 1
    assert (await teacher.attempt(attempt.id))["flags_count"] == 1
