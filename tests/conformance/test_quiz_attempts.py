"""Attempts over REST: who may begin, answers and grades, lists and results. The reference is src/http/quiz/README.md."""

import asyncio
import json
import re
import time
import uuid

import pytest

from house import ROOT
from quiz import (
    CHOICE, CODES, ESSAY, EVERY_KIND, NOBODY, SELECT, SHORT, TRUTH, Attempt, Rest, iso, listed, same,
    seconds,
)

REFERENCE = ROOT / "src/http/quiz/README.md"
VIEW = [
    "attempt_id", "quiz_id", "participant_id", "alias", "event_id", "title", "started_at", "deadline", "submission_mode", "questions",
    "answered", "result",
]
ROW = [
    "attempt_id", "quiz_id", "participant_id", "alias", "event_id", "started_at", "deadline", "status", "reason", "submitted_at", "score",
    "answered_count", "flags_count",
]


# --- who may begin


async def test_public_quizzes_are_for_everyone(house, http, teacher, colleague):
    quiz = await teacher.quiz(access_type="public")
    for anyone in (Rest(house, http), teacher, colleague, Rest(house, http, x_api_key=(await teacher.key("user"))["key"])):
        assert (await anyone.begin(quiz["id"], alias="Anna")).begun["alias"] == "Anna"


async def test_shared_quizzes_want_their_code(house, http, teacher, colleague):
    quiz = await teacher.quiz(access_type="shared")
    path = f"/quizzes/{quiz['id']}/attempts"
    for stranger in (Rest(house, http), colleague):
        await stranger.begin(quiz["id"], access_code=quiz["access_code"])
        for code in ({}, {"access_code": ""}, {"access_code": quiz["access_code"] + "x"}, {"access_code": None}):
            await stranger.refused("AUTH-002", "POST", path, {"alias": "Alice"} | code)
    await teacher.begin(quiz["id"])
    await Rest(house, http, x_api_key=(await teacher.key("user"))["key"]).begin(quiz["id"])


async def test_private_quizzes_are_for_the_owners_credentials(house, http, teacher, colleague):
    quiz = await teacher.quiz(access_type="private")
    path = f"/quizzes/{quiz['id']}/attempts"
    for stranger in (Rest(house, http), colleague, Rest(house, http, x_api_key=(await colleague.key("user"))["key"])):
        for code in ({}, {"access_code": quiz["access_code"]}):
            await stranger.refused("AUTH-002", "POST", path, {"alias": "Alice"} | code)
    await teacher.begin(quiz["id"])
    for role in ("owner", "user"):
        await Rest(house, http, x_api_key=(await teacher.key(role))["key"]).begin(quiz["id"])
    assert len(await teacher.attempts(quiz_id=quiz["id"])) == 3


async def test_only_what_is_published_and_open_can_be_begun(house, teacher):
    draft = await teacher.quiz(publish=False)
    await teacher.refused("QUIZ-003", "POST", f"/quizzes/{draft['id']}/attempts", {"alias": "Alice"})
    now = time.time()
    windows = [(-60, 60), (None, None), (None, 60), (-60, None), (60, 120), (-60, -1)]
    for (opens, closes), is_open in zip(windows, [True] * 4 + [False] * 2):
        times = {"opens_at": opens and iso(now + opens), "closes_at": closes and iso(now + closes)}
        quiz = await teacher.quiz(availability="scheduled", **times)
        if is_open:
            await teacher.begin(quiz["id"])
        else:
            await teacher.refused("QUIZ-003", "POST", f"/quizzes/{quiz['id']}/attempts", {"alias": "Alice"})
    await teacher.begin((await teacher.quiz(availability="always", opens_at=iso(now + 60)))["id"])
    await teacher.refused("NF-001", "POST", "/quizzes/9007199254740991/attempts", {"alias": "Alice"})


async def test_attempts_are_limited_for_each_participant(house, teacher):
    quiz = await teacher.quiz(max_attempts=2)
    path = f"/quizzes/{quiz['id']}/attempts"
    anna, boris = [(await teacher.make("/participants", {"alias": alias}))["id"] for alias in ("Anna", "Boris")]
    first = await teacher.begin(quiz["id"], participant_id=anna)
    await first.submit()
    second = await teacher.begin(quiz["id"], participant_id=anna)
    await teacher.refused("ATT-002", "POST", path, {"participant_id": anna})
    await second.submit()
    await teacher.refused("ATT-002", "POST", path, {"participant_id": anna})
    await teacher.begin(quiz["id"], participant_id=boris)
    for _ in range(3):
        await teacher.begin(quiz["id"], alias="Anna")
    answers = await asyncio.gather(*(teacher.ask("POST", path, {"participant_id": boris}) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]


async def test_who_has_not_heard_the_answer_begins_again_and_has_begun_once(house, http, teacher):
    quiz = await teacher.quiz(max_attempts=1)
    path = f"/quizzes/{quiz['id']}/attempts"
    anna = (await teacher.make("/participants", {"alias": "Anna"}))["id"]
    for rest, who in ((teacher, {"participant_id": anna}), (Rest(house, http), {"alias": "Boris"})):
        body = who | {"request_id": str(uuid.uuid4())}
        begun = await asyncio.gather(*(rest.make(path, body) for _ in range(4)))
        house.secrets.append(begun[0]["session_token"])
        assert all(one == begun[0] for one in begun), begun
        attempt = Attempt(house, http, begun[0])
        await attempt.submit()
        again = await rest.make(path, body)
        assert (again["session_token"], again["result"]["reason"]) == (begun[0]["session_token"], "submitted")
        if "alias" in who:
            other = await rest.make(path, who | {"request_id": str(uuid.uuid4())})
            house.secrets.append(other["session_token"])
            assert other["attempt_id"] != again["attempt_id"]
        else:
            await rest.refused("ATT-002", "POST", path, who | {"request_id": str(uuid.uuid4())})
    assert len(await teacher.attempts(quiz_id=quiz["id"])) == 3
    for wrong in (str(uuid.UUID(int=0)), begun[0]["attempt_id"], "zzz", 1):
        await teacher.refused("VAL-001", "POST", path, {"alias": "A", "request_id": wrong})


async def test_a_known_participant_and_an_event_are_the_owners(house, http, teacher, colleague):
    quiz = await teacher.quiz()
    path = f"/quizzes/{quiz['id']}/attempts"
    mine, theirs = [await owner.make("/participants", {"alias": "Известный"}) for owner in (teacher, colleague)]
    event, other = [await owner.make("/events", {"title": "Autumn"}) for owner in (teacher, colleague)]
    attempt = await teacher.begin(quiz["id"], participant_id=mine["id"], event_id=event["id"])
    same([attempt.begun[name] for name in ("participant_id", "alias", "event_id")], [mine["id"], "Известный", event["id"]])
    await teacher.refused("NF-001", "POST", path, {"participant_id": theirs["id"]})
    await teacher.refused("NF-001", "POST", path, {"participant_id": NOBODY})
    await teacher.refused("NF-001", "POST", path, {"alias": "A", "event_id": other["id"]})
    await teacher.refused("NF-001", "POST", path, {"alias": "A", "event_id": NOBODY})
    await Rest(house, http).refused("AUTH-001", "POST", path, {"participant_id": mine["id"]})
    await Rest(house, http, x_api_key="hr_nobody").refused("AUTH-001", "POST", path, {"alias": "A"})
    nulls = {"participant_id": None, "event_id": None, "access_code": None}
    assert (await teacher.begin(quiz["id"], **nulls | {"participant_id": mine["id"], "alias": None})).begun["event_id"] is None
    assert (await teacher.make(path, {"alias": "A"} | nulls))["alias"] == "A"
    user = Rest(house, http, x_api_key=(await teacher.key("user"))["key"])
    assert (await user.begin(quiz["id"], participant_id=mine["id"])).begun["alias"] == "Известный"
    new = await teacher.begin(quiz["id"], alias="Новый")
    assert (await teacher.get(f"/participants/{new.begun['participant_id']}"))["alias"] == "Новый"


BAD_BEGINNINGS = [
    {}, {"alias": ""},
    {"alias": "x" * 101}, {"alias": 7}, {"alias": None}, {"participant_id": "anna"}, {"participant_id": 7}, [],
    {"alias": "A", "participant_id": NOBODY}, {"alias": "A", "event_id": "autumn"}, {"alias": "A", "event_id": 7},
    {"alias": "A", "access_code": 7},
]


@pytest.mark.parametrize("body", BAD_BEGINNINGS, ids=range(len(BAD_BEGINNINGS)))
async def test_a_beginning_that_is_not_as_it_must_be_is_refused(house, teacher, body):
    quiz = await teacher.quiz()
    await teacher.refused("VAL-001", "POST", f"/quizzes/{quiz['id']}/attempts", body)
    assert await teacher.attempts(quiz_id=quiz["id"]) == []


# --- the participant's view


async def test_the_view_is_to_the_letter_and_tells_nothing_of_what_is_right(house, teacher):
    quiz = await teacher.quiz(EVERY_KIND, time_limit_seconds=600, title="Все виды")
    attempt = await teacher.begin(quiz["id"], alias="Аня")
    assert list(attempt.begun) == ["session_token", *VIEW]
    started = attempt.begun["started_at"]
    assert abs(seconds(started) - time.time()) < 60
    questions = []
    for order, (question, made) in enumerate(zip(EVERY_KIND, quiz["questions"]), 1):
        shown = {"id": made["id"], "order": order} | {name: question[name] for name in ("text", "points", "type")}
        questions.append(shown | ({"options": question["options"]} if "options" in question else {}))
    expected = {
        "attempt_id": attempt.id, "quiz_id": quiz["id"], "participant_id": attempt.begun["participant_id"], "alias": "Аня",
        "event_id": None, "title": "Все виды", "started_at": started, "deadline": iso(seconds(started) + 600),
        "submission_mode": "immediate",
        "questions": questions, "answered": [], "result": None,
    }
    same({name: attempt.begun[name] for name in VIEW}, expected)
    same(await attempt.view(), expected)
    await attempt.answer(2, True)
    await attempt.answer(0, 1)
    view = await attempt.view()
    answered = view["answered"]
    assert set(answered) == {questions[0]["id"], questions[2]["id"]} and len(answered) == 2
    end = await attempt.submit()
    assert list(end) == ["reason", "score", "answered_count", "submitted_at"]
    same([end["reason"], end["score"], end["answered_count"]], ["submitted", 11.0, 2])
    assert abs(seconds(end["submitted_at"]) - time.time()) < 60
    view = await attempt.view()
    same([view["result"], view["answered"]], [end, answered])
    assert "correct" not in str(view) and list(view) == VIEW


async def test_a_session_token_is_good_for_its_attempt_alone(house, teacher):
    quiz = await teacher.quiz()
    first, second = await teacher.begin(quiz["id"]), await teacher.begin(quiz["id"])
    assert first.session != second.session
    flags = {"flags": [{"label": "x"}]}
    answer = {"question_id": quiz["questions"][0]["id"], "answer": 1}
    middle = len(first.session) // 2
    changed = first.session[:middle] + ("A" if first.session[middle] != "A" else "B") + first.session[middle + 1:]
    for wrong in (changed, first.session + "A", first.session[:-2], first.id, teacher.token, "abc123-session-token", "%20", "ж"):
        for method, place, body in (("GET", "", None), ("POST", "/answers", answer), ("POST", "/submit", {}), ("POST", "/flags", flags)):
            await Rest(house, teacher.http).refused("AUTH-001", method, f"/attempts/{wrong}{place}", body)
    await first.submit()
    assert (await second.view())["result"] is None
    assert (await second.answer(0, 1))["answered_count"] == 1


# --- answers


def documented_kinds() -> list[tuple[dict, object]]:
    """The table of the reference: a question of each type, made of its JSON, and the answer that is right."""
    text = REFERENCE.read_text()
    table = text[text.index("| `type` | |"):]
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", table[:table.index("\n\n")], re.M)
    questions = []
    for kind, fields, answer in rows:
        fields, answer = [re.match(r"`(.+?)`", cell)[1] for cell in (fields, answer)]
        questions.append(({"text": kind, "points": 3.0, "type": kind} | json.loads("{" + fields + "}"), json.loads(answer)))
    return questions


async def test_the_references_own_questions_and_answers_work(house, teacher):
    kinds = documented_kinds()
    assert [question["type"] for question, _ in kinds] == ["multiple_choice", "multiple_select", "true_false", "short_text"]
    quiz = await teacher.quiz([question for question, _ in kinds])
    attempt = await teacher.begin(quiz["id"])
    for index, (_, given) in enumerate(kinds):
        answer = await attempt.answer(index, given)
        assert (answer["is_correct"], answer["score"], answer["answered_count"]) == (True, 3.0, index + 1)


def test_every_code_of_the_reference_is_known_here():
    text = REFERENCE.read_text()
    rows = re.findall(r"^\| `([A-Z]+-\d+)` \| ([\d, ]+) \|", text, re.M)
    assert {code: {int(status) for status in statuses.split(",")} for code, statuses in rows} == CODES


STRASSE = SHORT | {"correct": ["Straße", "ПАРИЖ", "  São Paulo "]}
GRADES = [
    (CHOICE, 1, True), (CHOICE, 0, False), (SELECT, [1, 3], True), (SELECT, [3, 1], True), (SELECT, [1], False), (SELECT, [0, 1, 3], False),
    (TRUTH, True, True), (TRUTH, False, False), (SHORT, "Rome", True), (SHORT, "  rOmE\t\n", True), (SHORT, "ROMA", True),
    (SHORT, "Ro me", False), (SHORT, "", False), (SHORT, "Rome.", False), (STRASSE, "париж", True), (STRASSE, "STRASSE", True),
    (STRASSE, "são paulo", True), (STRASSE, "sao paulo", False), (ESSAY, "because", None), (ESSAY, "x" * 4000, None),
]


@pytest.mark.parametrize("grade", GRADES, ids=range(len(GRADES)))
async def test_an_answer_is_graded(house, teacher, grade):
    question, given, is_correct = grade
    quiz = await teacher.quiz([question])
    attempt = await teacher.begin(quiz["id"])
    answer = await attempt.answer(0, given)
    assert list(answer) == ["answer_id", "answered_count", "answered_at", "is_correct", "score"]
    score = question["points"] if is_correct else 0.0
    same([answer["answered_count"], answer["is_correct"], answer["score"]], [1, is_correct, score])
    assert abs(seconds(answer["answered_at"]) - time.time()) < 60
    assert (await attempt.submit())["score"] == score
    row = await teacher.attempt(attempt.id)
    assert list(row) == [*ROW, "answers"]
    assert list(row["answers"][0]) == ["answer_id", "question_id", "answer", "is_correct", "score", "answered_at"]
    same({name: row["answers"][0][name] for name in row["answers"][0] if name != "answer"}, {
        "answer_id": answer["answer_id"], "question_id": quiz["questions"][0]["id"], "is_correct": is_correct, "score": score,
        "answered_at": answer["answered_at"],
    })
    kept = row["answers"][0]["answer"]
    assert kept == given or sorted(kept) == sorted(given)


UNSUITABLE = [
    (CHOICE, 2), (CHOICE, -1), (CHOICE, "1"), (CHOICE, True), (CHOICE, [1]), (CHOICE, 1.5), (CHOICE, None), (SELECT, 1), (SELECT, [4]),
    (SELECT, [-1]), (SELECT, ["1"]), (SELECT, "1"), (TRUTH, 1), (TRUTH, "true"), (TRUTH, []), (SHORT, 1), (SHORT, ["Rome"]), (SHORT, True),
    (SHORT, {"text": "Rome"}), (SHORT, "x" * 4001), (ESSAY, None),
]


@pytest.mark.parametrize("pair", UNSUITABLE, ids=range(len(UNSUITABLE)))
async def test_an_answer_that_does_not_suit_its_question_is_refused(house, teacher, pair):
    question, given = pair
    quiz = await teacher.quiz([question])
    attempt = await teacher.begin(quiz["id"])
    await attempt.refused("VAL-001", "POST", f"{attempt.path}/answers", {"question_id": quiz["questions"][0]["id"], "answer": given})
    assert (await attempt.view())["answered"] == []


async def test_a_body_that_is_no_answer_is_refused(house, teacher):
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    question = quiz["questions"][0]["id"]
    for body in ({}, {"answer": 1}, {"question_id": question}, {"question_id": "first", "answer": 1}, {"question_id": 1, "answer": 1}, []):
        await attempt.refused("VAL-001", "POST", f"{attempt.path}/answers", body)
    await attempt.refused("NF-001", "POST", f"{attempt.path}/answers", {"question_id": NOBODY, "answer": 1})


async def test_another_answer_takes_the_place_of_the_first(house, teacher):
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    first = await attempt.answer(0, 1)
    await attempt.answer(1, True)
    second = await attempt.answer(0, 0)
    assert (second["answered_count"], second["score"]) == (2, 0.0) and second["answer_id"] != first["answer_id"]
    same((await attempt.submit())["score"], 1.0)
    answers = (await teacher.attempt(attempt.id))["answers"]
    assert {answer["question_id"]: (answer["answer"], answer["score"]) for answer in answers} == {
        quiz["questions"][0]["id"]: (0, 0.0), quiz["questions"][1]["id"]: (True, 1.0),
    }


async def test_in_mode_on_submit_nothing_is_told_before_the_end(house, teacher):
    quiz = await teacher.quiz(submission_mode="on_submit")
    attempt = await teacher.begin(quiz["id"])
    answer = await attempt.answer(0, 1)
    assert list(answer) == ["answer_id", "answered_count", "answered_at", "is_correct", "score"]
    assert (answer["is_correct"], answer["score"], answer["answered_count"]) == (None, None, 1)
    assert (await attempt.view())["result"] is None
    assert (await attempt.submit())["score"] == 10.0


async def test_after_the_end_nothing_is_taken(house, teacher):
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    end = await attempt.submit()
    await attempt.refused("ATT-001", "POST", f"{attempt.path}/answers", {"question_id": quiz["questions"][0]["id"], "answer": 1})
    await attempt.refused("ATT-001", "POST", f"{attempt.path}/submit", {})
    same((await attempt.view())["result"], end)


async def test_submit_and_force_submit_need_no_body(house, teacher):
    quiz = await teacher.quiz()
    attempt = await teacher.begin(quiz["id"])
    assert (await attempt.good("POST", f"{attempt.path}/submit"))["reason"] == "submitted"
    assert await teacher.good("POST", f"/quizzes/{quiz['id']}/force-submit") == {"closed": 0}


# --- lists and results


async def test_the_list_of_attempts_is_to_the_letter_newest_first_and_filtered(house, teacher):
    quiz, other = await teacher.quiz(time_limit_seconds=600), await teacher.quiz()
    event = (await teacher.make("/events", {"title": "Autumn"}))["id"]
    anna = (await teacher.make("/participants", {"alias": "Anna"}))["id"]
    attempts = [
        await teacher.begin(quiz["id"], participant_id=anna), await teacher.begin(quiz["id"], event_id=event),
        await teacher.begin(other["id"]), await teacher.begin(other["id"], participant_id=anna, event_id=event),
    ]
    await attempts[0].answer(0, 1)
    await attempts[0].flag("x", "x")
    end = await attempts[0].submit()
    await attempts[3].flag("y")
    await attempts[2].answer(0, 1)
    ids = [attempt.id for attempt in attempts]
    rows = listed(await teacher.get("/info/attempts"))
    assert [row["attempt_id"] for row in rows] == ids[::-1]
    begun = attempts[0].begun
    same(rows[3], {
        "attempt_id": ids[0], "quiz_id": quiz["id"], "participant_id": anna, "alias": "Anna", "event_id": None,
        "started_at": begun["started_at"], "deadline": begun["deadline"], "status": "ended", "reason": "submitted",
        "submitted_at": end["submitted_at"], "score": 10.0, "answered_count": 1, "flags_count": 2,
    })
    same({name: rows[1][name] for name in ROW[6:]}, {
        "deadline": None, "status": "running", "reason": None, "submitted_at": None, "score": 10.0, "answered_count": 1, "flags_count": 0,
    })
    for query, places in {
        f"quiz_id={quiz['id']}": [1, 0], f"event_id={event}": [3, 1], f"participant_id={anna}": [3, 0], "status=running": [3, 2, 1],
        "status=ended": [0], "isFlagged=true": [3, 0], "isFlagged=false": [2, 1], f"isFlagged=true&event_id={event}": [3],
        f"quiz_id={quiz['id']}&status=running": [1], f"event_id={NOBODY}": [], "quiz_id=9007199254740991": [],
        f"participant_id={NOBODY}": [],
    }.items():
        data = await teacher.good("GET", f"/info/attempts?{query}")
        assert [row["attempt_id"] for row in data["items"]] == [ids[place] for place in places], query
        assert data["total"] == len(places), query
    page = await teacher.get("/info/attempts", offset=1, limit=2)
    assert ([row["attempt_id"] for row in page["items"]], page["total"]) == ([ids[2], ids[1]], 4)


async def test_a_wrong_filter_is_refused(house, teacher):
    for query in ("quiz_id=x", "event_id=x", "participant_id=x", "status=over", "isFlagged=maybe", "isFlagged=", "limit=0", "offset=x"):
        await teacher.refused("VAL-001", "GET", f"/info/attempts?{query}")
    await teacher.refused("NF-001", "GET", "/info/attempts/x")
    await teacher.refused("NF-001", "GET", "/attempts/x/flags")
    await teacher.refused("NF-001", "GET", f"/info/attempts/{NOBODY}")
    await teacher.refused("NF-001", "GET", f"/attempts/{NOBODY}/flags")


async def test_results_are_ranked_by_score_and_then_by_time_taken(house, teacher):
    quiz = await teacher.quiz([CHOICE, TRUTH])
    slow = await teacher.begin(quiz["id"], alias="slow")
    await asyncio.sleep(0.1)
    named = {alias: await teacher.begin(quiz["id"], alias=alias) for alias in ("fast", "best", "worst", "running")}
    for alias, index, given in (("best", 0, 1), ("best", 1, True), ("fast", 0, 1), ("worst", 1, False), ("running", 0, 1)):
        await named[alias].answer(index, given)
    await slow.answer(0, 1)
    for attempt in (named["worst"], named["fast"], slow, named["best"]):
        await attempt.submit()
    rows = listed(await teacher.get(f"/quizzes/{quiz['id']}/results"))
    assert [(row["rank"], row["alias"], row["score"]) for row in rows] == [
        (1, "best", 11.0), (2, "fast", 10.0), (3, "slow", 10.0), (4, "worst", 0.0),
    ]
    assert set(rows[0]) == {"rank", *ROW} and [name for name in rows[0] if name != "rank"] == ROW
    page = await teacher.get(f"/quizzes/{quiz['id']}/results", offset=1, limit=2)
    same(page, {"items": rows[1:3], "total": 4})
    assert await teacher.get(f"/quizzes/{(await teacher.quiz())['id']}/results") == {"items": [], "total": 0}


async def test_force_submit_tells_how_many(house, teacher):
    quiz, other = await teacher.quiz(), await teacher.quiz()
    event, empty = [(await teacher.make("/events", {"title": title}))["id"] for title in "ab"]
    for place in (quiz, quiz, other):
        await teacher.begin(place["id"], event_id=event)
    await teacher.begin(quiz["id"])
    assert await teacher.good("POST", f"/events/{empty}/force-submit") == {"closed": 0}
    assert await teacher.good("POST", f"/events/{event}/force-submit") == {"closed": 3}
    assert await teacher.good("POST", f"/quizzes/{quiz['id']}/force-submit") == {"closed": 1}
    assert {row["reason"] for row in await teacher.attempts()} == {"forced_by_owner"}
    await teacher.refused("NF-001", "POST", f"/events/{NOBODY}/force-submit")
