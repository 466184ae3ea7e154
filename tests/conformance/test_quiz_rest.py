"""What owners make over REST: quizzes, questions, participants, events. The reference is src/http/quiz/README.md."""

import asyncio
import json
import time

import pytest

from quiz import CHOICE, ESSAY, EVERY_KIND, NOBODY, SELECT, SHORT, TRUTH, Rest, knock, listed, same, seconds

QUIZ = [
    "id", "title", "status", "access_type", "access_code", "availability", "opens_at", "closes_at", "time_limit_seconds", "max_attempts",
    "submission_mode", "client_only", "questions_count", "created_at", "updated_at",
]


# --- quizzes


async def test_a_quiz_needs_but_a_title(house, teacher):
    made = await teacher.make("/quizzes", {"title": "Geography"})
    assert list(made) == QUIZ
    assert isinstance(made["id"], int) and made["id"] >= 1 and isinstance(made["access_code"], str) and made["access_code"]
    same({name: made[name] for name in QUIZ if name not in ("id", "access_code", "created_at", "updated_at")}, {
        "title": "Geography", "status": "draft", "access_type": "private", "availability": "always", "opens_at": None, "closes_at": None,
        "time_limit_seconds": 0, "max_attempts": 0, "submission_mode": "immediate", "client_only": False, "questions_count": 0,
    })
    assert abs(seconds(made["created_at"]) - time.time()) < 60 and made["updated_at"] == made["created_at"]
    shown = await teacher.get(f"/quizzes/{made['id']}")
    assert list(shown) == [*QUIZ, "questions"]
    same({name: shown[name] for name in QUIZ}, made)
    assert shown["questions"] == []


async def test_every_field_of_a_quiz_can_be_chosen(house, teacher):
    chosen = {
        "title": "Т" * 200, "access_type": "shared", "availability": "scheduled", "opens_at": "2026-06-11T14:30:00+00:00",
        "closes_at": "2027-06-11T14:30:00+00:00", "time_limit_seconds": 604_800, "max_attempts": 3, "submission_mode": "on_submit",
        "client_only": True,
    }
    made = await teacher.make("/quizzes", chosen | {"status": "published", "id": 7, "owner": "me"})
    same({name: made[name] for name in chosen}, chosen)
    assert made["status"] == "draft", "unknown fields are ignored"
    codes = {(await teacher.make("/quizzes", {"title": "x"}))["access_code"] for _ in range(5)}
    assert len(codes | {made["access_code"]}) == 6


async def test_times_of_other_zones_are_given_back_in_utc(house, teacher):
    made = await teacher.make("/quizzes", {"title": "x", "availability": "scheduled", "opens_at": "2026-06-11T16:30:00.5+02:00"})
    assert made["opens_at"] == "2026-06-11T14:30:00+00:00"


BAD_QUIZZES = [
    {}, {"title": ""}, {"title": "x" * 201}, {"title": 7}, {"title": None}, {"title": "x", "access_type": "secret"},
    {"title": "x", "availability": "sometimes"}, {"title": "x", "opens_at": "tomorrow"}, {"title": "x", "closes_at": 1_800_000_000},
    {"title": "x", "time_limit_seconds": -1}, {"title": "x", "time_limit_seconds": 604_801}, {"title": "x", "time_limit_seconds": 1.5},
    {"title": "x", "time_limit_seconds": "60"}, {"title": "x", "max_attempts": -1}, {"title": "x", "max_attempts": 1 << 40},
    {"title": "x", "opens_at": "2026-06-11T14:30:00Z", "closes_at": "2026-06-11T14:30:00+00:00"}, {"title": "x", "max_attempts": None},
    {"title": "x", "submission_mode": "later"}, {"title": "x", "client_only": "yes"}, [], "x", 7,
]


@pytest.mark.parametrize("body", BAD_QUIZZES, ids=range(len(BAD_QUIZZES)))
async def test_a_quiz_that_is_not_as_it_must_be_is_refused(house, teacher, body):
    await teacher.refused("VAL-001", "POST", "/quizzes", body)
    if body not in ({}, [], "x", 7):
        quiz = await teacher.quiz(publish=False)
        await teacher.refused("VAL-001", "PATCH", f"/quizzes/{quiz['id']}", body)
        same(await teacher.get(f"/quizzes/{quiz['id']}"), quiz)


@pytest.mark.parametrize("text", ["", "{", "null", '{"title":"x"} x', '{"title":"\\ud800"}', "title=x", b'{"title":"\xff"}'], ids=repr)
async def test_a_body_that_is_no_json_is_refused(house, teacher, text):
    await teacher.refused("VAL-001", "POST", "/quizzes", content=text, headers={"content-type": "application/json"})


async def test_patch_changes_what_it_names(house, teacher):
    quiz = await teacher.quiz(availability="scheduled", opens_at="2026-06-11T14:30:00+00:00", title="before")
    changed = await teacher.good("PATCH", f"/quizzes/{quiz['id']}", {"title": "after"})
    assert list(changed)[:len(QUIZ)] == QUIZ
    unlike = {name for name in QUIZ if changed[name] != quiz[name]}
    assert changed["title"] == "after" and unlike <= {"title", "updated_at"} and changed["status"] == "published"
    changed = await teacher.good("PATCH", f"/quizzes/{quiz['id']}", {"opens_at": None, "max_attempts": 2})
    assert (changed["opens_at"], changed["max_attempts"], changed["title"]) == (None, 2, "after")
    same({name: (await teacher.get(f"/quizzes/{quiz['id']}"))[name] for name in QUIZ}, {name: changed[name] for name in QUIZ})
    assert (await teacher.good("PATCH", f"/quizzes/{quiz['id']}", {}))["title"] == "after"


async def test_quizzes_are_listed_newest_first_by_status_in_pages(house, teacher):
    assert await teacher.get("/quizzes") == {"items": [], "total": 0}
    quizzes = [await teacher.quiz(publish=index % 2 == 0) for index in range(7)]
    await teacher.good("POST", f"/quizzes/{quizzes[4]['id']}/archive")
    ids = [quiz["id"] for quiz in reversed(quizzes)]
    rows = listed(await teacher.get("/quizzes"))
    assert [row["id"] for row in rows] == ids and list(rows[0]) == QUIZ
    assert [row["questions_count"] for row in rows] == [3] * 7
    for status, places in {"draft": [5, 3, 1], "published": [6, 2, 0], "archived": [4]}.items():
        assert [row["id"] for row in listed(await teacher.get("/quizzes", status=status))] == [quizzes[place]["id"] for place in places]
    page = await teacher.get("/quizzes", offset=2, limit=3)
    assert ([row["id"] for row in page["items"]], page["total"]) == (ids[2:5], 7)
    assert await teacher.get("/quizzes", offset=7) == {"items": [], "total": 7}
    page = await teacher.get("/quizzes", status="draft", limit=1)
    assert ([row["id"] for row in page["items"]], page["total"]) == ([quizzes[5]["id"]], 3)


LISTS = ["/quizzes", "/participants", "/events", "/apikeys", "/info/attempts"]


@pytest.mark.parametrize("path", LISTS)
async def test_pages_have_their_bounds(house, teacher, path):
    for query in ("limit=0", "limit=201", "limit=-1", "limit=x", "limit=", "offset=-1", "offset=x", "offset=1.5", f"limit={10 ** 20}"):
        await teacher.refused("VAL-001", "GET", f"{path}?{query}")
    assert await teacher.get(path, limit=200, offset=4_000_000, unknown="x") == {"items": [], "total": 0}


async def test_a_wrong_status_filter_is_refused(house, teacher):
    await teacher.refused("VAL-001", "GET", "/quizzes?status=open")


async def test_publish_and_archive(house, teacher):
    quiz = await teacher.quiz(publish=False)
    path = f"/quizzes/{quiz['id']}"
    published = await teacher.good("POST", f"{path}/publish")
    assert published["status"] == "published" and published["questions_count"] == 3
    archived = await teacher.good("POST", f"{path}/archive")
    assert archived["status"] == "archived"
    question = quiz["questions"][0]["id"]
    order = [question["id"] for question in quiz["questions"]]
    for method, place, body in (
        ("PATCH", "", {"title": "x"}), ("POST", "/publish", None), ("POST", "/questions", CHOICE),
        ("PUT", f"/questions/{question}", CHOICE), ("DELETE", f"/questions/{question}", None),
        ("PUT", "/questions/order", {"questions": order}),
    ):
        await teacher.refused("QUIZ-001", method, path + place, body)
    await teacher.refused({"QUIZ-001", "QUIZ-003"}, "POST", f"{path}/attempts", {"alias": "Alice"})
    assert (await teacher.get(path))["questions"] == quiz["questions"]


async def test_a_quiz_without_questions_is_not_published(house, teacher):
    quiz = await teacher.quiz([], publish=False)
    await teacher.refused("QUIZ-002", "POST", f"/quizzes/{quiz['id']}/publish")
    assert (await teacher.get(f"/quizzes/{quiz['id']}"))["status"] == "draft"


async def test_a_quiz_with_running_attempts_cannot_change(house, teacher):
    quiz = await teacher.quiz()
    path, first = f"/quizzes/{quiz['id']}", quiz["questions"][0]["id"]
    order = [question["id"] for question in reversed(quiz["questions"])]
    changes = [
        ("PATCH", "", {"title": "x"}), ("PUT", "/questions/order", {"questions": order}), ("PUT", f"/questions/{first}", TRUTH),
        ("POST", "/questions", ESSAY), ("DELETE", f"/questions/{first}", None), ("POST", "/archive", None),
    ]
    for attempt in [await teacher.begin(quiz["id"]) for _ in range(2)]:
        for method, place, body in changes:
            await teacher.refused("G-001", method, path + place, body)
        same(await teacher.get(path), quiz)
        await attempt.submit()
    for method, place, body in changes:
        answer = await teacher.ask(method, path + place, body)
        assert answer.status_code in (200, 201), answer.text


# --- questions


async def test_questions_of_every_kind_are_given_back_as_they_were_made(house, teacher):
    quiz = await teacher.quiz([], publish=False)
    made = [await teacher.make(f"/quizzes/{quiz['id']}/questions", question | {"order": 9, "id": NOBODY}) for question in EVERY_KIND]
    for order, (question, given) in enumerate(zip(made, EVERY_KIND), 1):
        kind = ["options", "correct"] if "options" in given else ["correct"]
        assert list(question) == ["id", "order", "text", "points", "type", *kind]
        same({name: question[name] for name in ("text", "points", "type", *kind)}, {
            name: given[name] for name in ("text", "points", "type", *kind)
        })
        assert question["order"] == order and question["id"] != NOBODY
    shown = await teacher.get(f"/quizzes/{quiz['id']}")
    same(shown["questions"], made)
    assert shown["questions_count"] == 5


def without(question: dict, field: str) -> dict:
    """The question with one field less."""
    return {name: value for name, value in question.items() if name != field}


BAD_QUESTIONS = [
    {}, [], CHOICE | {"type": "riddle"}, CHOICE | {"type": "MultipleChoice"}, without(CHOICE, "type"), without(CHOICE, "text"),
    CHOICE | {"text": ""}, CHOICE | {"text": "x" * 4001}, CHOICE | {"text": 7}, CHOICE | {"points": -0.5}, CHOICE | {"points": 1000.5},
    CHOICE | {"points": "10"}, CHOICE | {"options": ["one"]}, CHOICE | {"options": []}, CHOICE | {"options": ["x"] * 21},
    CHOICE | {"options": ["a", ""]}, CHOICE | {"options": ["a", "x" * 1001]}, CHOICE | {"options": [1, 2]}, CHOICE | {"options": "ab"},
    without(CHOICE, "options"), without(CHOICE, "correct"), CHOICE | {"correct": 2}, CHOICE | {"correct": -1}, CHOICE | {"correct": "1"},
    CHOICE | {"correct": [1]}, CHOICE | {"correct": None}, SELECT | {"correct": []}, SELECT | {"correct": [0, 4]}, SELECT | {"correct": 1},
    SELECT | {"correct": ["a"]}, SELECT | {"correct": [1, 1]}, SHORT | {"correct": ["Rome"] * 21}, SHORT | {"correct": ["x" * 1001]},
    SHORT | {"correct": ["Rome", " "]}, CHOICE | {"points": None}, TRUTH | {"correct": "true"}, TRUTH | {"correct": 1},
    without(TRUTH, "correct"),
    SHORT | {"correct": "Rome"},
    SHORT | {"correct": [7]}, without(SHORT, "correct"),
]


@pytest.mark.parametrize("body", BAD_QUESTIONS, ids=range(len(BAD_QUESTIONS)))
async def test_a_question_that_is_not_as_it_must_be_is_refused(house, teacher, body):
    quiz = await teacher.quiz([ESSAY], publish=False)
    await teacher.refused("VAL-001", "POST", f"/quizzes/{quiz['id']}/questions", body)
    await teacher.refused("VAL-001", "PUT", f"/quizzes/{quiz['id']}/questions/{quiz['questions'][0]['id']}", body)
    same(await teacher.get(f"/quizzes/{quiz['id']}"), quiz)


async def test_questions_at_their_bounds_are_taken(house, teacher):
    quiz = await teacher.quiz([], publish=False)
    for question in (
        CHOICE | {"options": ["x"] * 20, "correct": 19}, CHOICE | {"text": "ж" * 4000}, CHOICE | {"points": 0}, CHOICE | {"points": 1000},
        CHOICE | {"options": ["a", "я" * 1000]}, SELECT | {"correct": [2]}, CHOICE | {"points": 0.25},
    ):
        made = await teacher.make(f"/quizzes/{quiz['id']}/questions", question)
        assert made["points"] == question["points"] and isinstance(made["points"], float)
        assert made["text"] == question["text"] and made["options"] == question["options"]


async def test_a_question_can_change_move_and_go(house, teacher):
    quiz = await teacher.quiz()
    path = f"/quizzes/{quiz['id']}/questions"
    first, second, third = [question["id"] for question in quiz["questions"]]
    changed = await teacher.good("PUT", f"{path}/{second}", SELECT)
    same(changed, {"id": second, "order": 2, **SELECT})
    assert await teacher.good("PUT", f"{path}/order", {"questions": [third, first, second]}) == {}
    shown = (await teacher.get(f"/quizzes/{quiz['id']}"))["questions"]
    assert [(question["id"], question["order"]) for question in shown] == [(third, 1), (first, 2), (second, 3)]
    assert await teacher.good("DELETE", f"{path}/{third}") == {}
    shown = (await teacher.get(f"/quizzes/{quiz['id']}"))["questions"]
    assert [(question["id"], question["order"]) for question in shown] == [(first, 1), (second, 2)]
    await teacher.refused("NF-001", "DELETE", f"{path}/{third}")
    await teacher.refused("NF-001", "PUT", f"{path}/{third}", CHOICE)
    await teacher.refused("NF-001", "PUT", f"{path}/{NOBODY}", CHOICE)
    for wrong in ([first], [first, first], [first, second, third], [first, NOBODY], [], ["x", "y"], "x", None):
        await teacher.refused("VAL-001", "PUT", f"{path}/order", {"questions": wrong})
    attempt = await teacher.begin(quiz["id"])
    assert [question["id"] for question in attempt.questions] == [first, second]


async def test_the_last_question_of_a_published_quiz_stays(house, teacher):
    quiz = await teacher.quiz([CHOICE])
    path = f"/quizzes/{quiz['id']}/questions/{quiz['questions'][0]['id']}"
    await teacher.refused("QUIZ-002", "DELETE", path)
    same(await teacher.get(f"/quizzes/{quiz['id']}"), quiz)
    draft = await teacher.quiz([CHOICE], publish=False)
    assert await teacher.good("DELETE", f"/quizzes/{draft['id']}/questions/{draft['questions'][0]['id']}") == {}


async def test_a_question_of_another_quiz_is_not_there(house, teacher):
    quiz, other = await teacher.quiz(), await teacher.quiz()
    theirs = other["questions"][0]["id"]
    await teacher.refused("NF-001", "PUT", f"/quizzes/{quiz['id']}/questions/{theirs}", CHOICE)
    await teacher.refused("NF-001", "DELETE", f"/quizzes/{quiz['id']}/questions/{theirs}")
    attempt = await teacher.begin(quiz["id"])
    await attempt.refused("NF-001", "POST", f"{attempt.path}/answers", {"question_id": theirs, "answer": 1})
    same(await teacher.get(f"/quizzes/{other['id']}"), other)


async def test_a_quiz_has_at_most_five_hundred_questions(house, teacher):
    quiz = await teacher.quiz([], publish=False)
    path = f"/quizzes/{quiz['id']}/questions"
    for start in range(0, 500, 10):
        await asyncio.gather(*(teacher.make(path, TRUTH | {"text": f"{start + index}?"}) for index in range(10)))
    await teacher.refused("QUIZ-002", "POST", path, TRUTH)
    shown = (await teacher.get(f"/quizzes/{quiz['id']}"))["questions"]
    assert [question["order"] for question in shown] == list(range(1, 501))
    assert len({question["id"] for question in shown}) == 500


# --- participants and events


@pytest.mark.parametrize("kind", [("participants", "alias", 100), ("events", "title", 200)], ids=["participants", "events"])
async def test_participants_and_events_are_made_listed_and_shown(house, teacher, colleague, kind):
    path, field, longest = kind
    made = [await teacher.make(f"/{path}", {field: text}) for text in ("Anna", "Борис", "x" * longest)]
    for thing, text in zip(made, ("Anna", "Борис", "x" * longest)):
        assert list(thing) == ["id", field, "created_at"] and thing[field] == text
        assert abs(seconds(thing["created_at"]) - time.time()) < 60
        same(await teacher.get(f"/{path}/{thing['id']}"), thing)
        await colleague.refused("NF-001", "GET", f"/{path}/{thing['id']}")
    same(listed(await teacher.get(f"/{path}")), made[::-1])
    page = await teacher.get(f"/{path}", offset=1, limit=1)
    same(page, {"items": [made[1]], "total": 3})
    assert await colleague.get(f"/{path}") == {"items": [], "total": 0}
    for body in ({}, {field: ""}, {field: "x" * (longest + 1)}, {field: 7}, {field: None}, []):
        await teacher.refused("VAL-001", "POST", f"/{path}", body)
    await teacher.refused("NF-001", "GET", f"/{path}/{NOBODY}")
    await teacher.refused("NF-001", "GET", f"/{path}/anna")


# --- the ways of the listener


UNKNOWN = [
    "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/quizzes", "/api/v1/quizzes/1/nothing", "/api/v1/owners", "/metrics", "/livez",
    "/quizzes",
]


@pytest.mark.parametrize("path", UNKNOWN)
async def test_an_unknown_route_is_told_so(house, teacher, path):
    for headers in (teacher.headers, {}):
        answer = await teacher.http.get(f"{house.quiz}{path}", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "REQ-001"), answer.text


async def test_an_unknown_method_is_told_so(house, teacher):
    quiz = await teacher.quiz()
    for method, path in (("DELETE", f"/quizzes/{quiz['id']}"), ("PUT", "/quizzes"), ("GET", f"/quizzes/{quiz['id']}/publish")):
        answer = await teacher.refused("REQ-001", method, path)
        assert answer.status_code in (404, 405)


async def test_a_body_has_at_most_a_mebibyte(house, teacher):
    large = {"title": "x", "more": "x" * (1 << 20)}
    answer = await teacher.refused("REQ-001", "POST", "/quizzes", large)
    assert answer.status_code == 413
    await teacher.make("/quizzes", {"title": "x", "more": "x" * ((1 << 20) - 100)})


BAD_IDS = ["abc", "1.5", "1e3", "%31x", "quiz:1", "0", "-1", "+1", "01", "9007199254740991", "9007199254740993", "9" * 20, "%FF"]


@pytest.mark.parametrize("given", BAD_IDS)
async def test_what_is_no_id_of_a_quiz_is_not_there(house, teacher, given):
    routes = [("GET", "", None), ("PATCH", "", {"title": "x"}), ("POST", "/publish", None), ("POST", "/force-submit", None)]
    for method, place, body in [*routes, ("GET", "/results", None), ("POST", "/attempts", {"alias": "Alice"})]:
        await teacher.refused("NF-001", method, f"/quizzes/{given}{place}", body)


async def test_what_is_known_must_not_stand_there_twice(house, teacher):
    for query in ("limit=1&limit=2", "offset=0&offset=0", "status=draft&status=draft"):
        await teacher.refused("VAL-001", "GET", f"/quizzes?{query}")
    await teacher.refused("VAL-001", "POST", "/quizzes", content='{"title":"x","title":"y"}')


async def test_pages_of_any_origin_may_call(house, teacher):
    quiz = await teacher.quiz()
    for path in ("/quizzes", f"/quizzes/{quiz['id']}/attempts", "/apikeys"):
        answer = await teacher.http.options(f"{house.quiz}/api/v1{path}", headers={
            "origin": "https://school.example.org", "access-control-request-method": "POST",
            "access-control-request-headers": "authorization, content-type, x-api-key",
        })
        assert answer.status_code in (200, 204)
        assert answer.headers["access-control-allow-origin"] in ("*", "https://school.example.org")
        allowed = {header.strip().lower() for header in answer.headers["access-control-allow-headers"].split(",")}
        assert allowed >= {"authorization", "content-type", "x-api-key"}
    for headers in (teacher.headers, {}):
        answer = await teacher.ask("GET", "/quizzes", headers=headers | {"origin": "https://school.example.org"})
        assert answer.headers["access-control-allow-origin"] in ("*", "https://school.example.org")


async def test_unknown_parameters_and_fields_are_ignored(house, teacher):
    quiz = await teacher.good("POST", "/quizzes?draft=1&x", {"title": "x", "colour": {"red": [1, None]}}, 201)
    assert (await teacher.get(f"/quizzes/{quiz['id']}", verbose="1"))["title"] == "x"


async def test_a_route_and_its_answer_go_over_plain_http_1_1(house, teacher):
    answer = await knock(house, "/api/v1/quizzes", f"Authorization: Bearer {teacher.token}", "Connection: close")
    assert answer.status_code == 200
    same(json.loads(answer.body), {"code": "0000", "message": "ok", "data": {"items": [], "total": 0}})


async def test_a_change_is_seen_by_whoever_looks_next(house, teacher):
    """Written on one shard, read on any."""
    quiz = await teacher.quiz()
    for index in range(10):
        await teacher.good("PATCH", f"/quizzes/{quiz['id']}", {"title": f"title {index}"})
        assert (await teacher.get(f"/quizzes/{quiz['id']}"))["title"] == f"title {index}"
    nobody = Rest(house, teacher.http)
    assert (await nobody.begin(quiz["id"])).begun["title"] == "title 9"
